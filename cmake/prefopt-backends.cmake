# SPDX-License-Identifier: Apache-2.0
#
# Targets for what the library only touches by a header: prefopt::NAME is prefopt::prefopt together
# with what that header includes and links. They are made on request, so that prefopt::prefopt
# itself never looks for anything; the request is the same wherever the library came from.
#
#     prefopt_find_backends(eigen openmp)       # or find_package(prefopt COMPONENTS eigen openmp)
#     target_link_libraries(trainer PRIVATE prefopt::eigen prefopt::openmp)
#
#   eigen     adapters/eigen.hpp, eigen_*.hpp        Eigen 3.4 or newer
#   xtensor   adapters/xtensor.hpp                   xtensor
#   torch     adapters/torch.hpp                     libtorch
#   cblas     adapters/cblas.hpp                     any BLAS with a <cblas.h>
#   openmp    executors/openmp.hpp                   the compiler's OpenMP
#   threads   executors/thread_pool.hpp              the system's threads
#
# adapters/mdspan.hpp, dlpack.hpp and ggml.hpp include nothing of theirs: prefopt::prefopt is enough.
#
# What the project has already brought (a target Eigen3::Eigen, say) is used as it is. A backend
# that is missing is an error; after OPTIONAL, a message, and its target does not exist.

function(prefopt_find_backends)
    cmake_parse_arguments(PARSE_ARGV 0 arg "OPTIONAL" "" "")
    foreach(name IN LISTS arg_UNPARSED_ARGUMENTS)
        prefopt_find_backend("${name}" missing)
        if(missing AND arg_OPTIONAL)
            message(STATUS "prefopt: no prefopt::${name}: ${missing}")
        elseif(missing)
            message(FATAL_ERROR "prefopt: no prefopt::${name}: ${missing}")
        endif()
    endforeach()
endfunction()

# Makes the target prefopt::<name>, or says in `missing` why not.
function(prefopt_find_backend name missing)
    set(${missing} "" PARENT_SCOPE)
    if(TARGET prefopt::${name})
        return()
    endif()
    set(why "")
    set(libraries "")
    set(includes "")
    if(name STREQUAL "eigen")
        # Without a version: a package of Eigen 5 refuses a request for 3.4.
        if(NOT TARGET Eigen3::Eigen)
            find_package(Eigen3 CONFIG QUIET)
        endif()
        set(libraries Eigen3::Eigen)
        if(NOT TARGET Eigen3::Eigen)
            set(why "the CMake package Eigen3 was not found")
        elseif(Eigen3_VERSION AND Eigen3_VERSION VERSION_LESS 3.4)
            set(why "Eigen is ${Eigen3_VERSION}, and must be 3.4 or newer")
        endif()
    elseif(name STREQUAL "xtensor")
        if(NOT TARGET xtensor)
            find_package(xtensor CONFIG QUIET)
        endif()
        set(libraries xtensor)
        if(NOT TARGET xtensor)
            set(why "the CMake package xtensor was not found")
        endif()
    elseif(name STREQUAL "torch")
        if(NOT TARGET torch)
            find_package(Torch CONFIG QUIET)
        endif()
        set(libraries torch ${TORCH_LIBRARIES})
        list(REMOVE_DUPLICATES libraries)
        if(NOT TARGET torch)
            set(why "the CMake package Torch was not found")
        endif()
    elseif(name STREQUAL "cblas")
        include(CheckCXXSourceCompiles)
        find_path(PREFOPT_CBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas)
        find_library(PREFOPT_CBLAS_LIBRARY NAMES openblas cblas blas)
        mark_as_advanced(PREFOPT_CBLAS_INCLUDE_DIR PREFOPT_CBLAS_LIBRARY)
        if(PREFOPT_CBLAS_INCLUDE_DIR AND PREFOPT_CBLAS_LIBRARY)
            set(CMAKE_REQUIRED_QUIET ON)
            set(CMAKE_REQUIRED_INCLUDES "${PREFOPT_CBLAS_INCLUDE_DIR}")
            set(CMAKE_REQUIRED_LIBRARIES "${PREFOPT_CBLAS_LIBRARY}")
            check_cxx_source_compiles(
                "#include <cblas.h>
                 int main() { return cblas_ddot(0, nullptr, 1, nullptr, 1) > 0; }"
                PREFOPT_CBLAS_WORKS)
        endif()
        set(libraries "${PREFOPT_CBLAS_LIBRARY}")
        set(includes "${PREFOPT_CBLAS_INCLUDE_DIR}")
        if(NOT PREFOPT_CBLAS_WORKS)
            set(why "no <cblas.h> with a library that has cblas_ddot was found")
        endif()
    elseif(name STREQUAL "openmp")
        find_package(OpenMP QUIET COMPONENTS CXX)
        set(libraries OpenMP::OpenMP_CXX)
        if(NOT TARGET OpenMP::OpenMP_CXX)
            set(why "the compiler's OpenMP was not found")
        endif()
    elseif(name STREQUAL "threads")
        find_package(Threads QUIET)
        set(libraries Threads::Threads)
        if(NOT TARGET Threads::Threads)
            set(why "the system's threads were not found")
        endif()
    else()
        set(why "no such backend; there are eigen, xtensor, torch, cblas, openmp and threads")
    endif()
    if(why)
        set(${missing} "${why}" PARENT_SCOPE)
        return()
    endif()
    add_library(prefopt::${name} INTERFACE IMPORTED)
    target_include_directories(prefopt::${name} SYSTEM INTERFACE ${includes})
    target_link_libraries(prefopt::${name} INTERFACE prefopt::prefopt ${libraries})
endfunction()
