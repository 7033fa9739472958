# SPDX-License-Identifier: Apache-2.0
#
# libtorch from a folder with include/ and lib/, as /usr or .../site-packages/torch: for the tests
# and the benchmarks, which may want several. Not through its own CMake package: that of a build
# with CUDA wants all of CUDA.

# Makes the target prefopt_torch_<version>, and says in `version` which that is; empty if the folder
# has no libtorch.
function(prefopt_find_torch root version)
    set(${version} "" PARENT_SCOPE)
    find_file(file NO_CACHE
        NAMES torch/headeronly/version.h torch/csrc/api/include/torch/version.h
        PATHS "${root}/include" NO_DEFAULT_PATH)
    foreach(library torch_cpu c10)
        find_library(${library} ${library} NO_CACHE PATHS "${root}/lib"
            PATH_SUFFIXES "${CMAKE_LIBRARY_ARCHITECTURE}" NO_DEFAULT_PATH)
    endforeach()
    if(NOT file OR NOT torch_cpu OR NOT c10)
        return()
    endif()
    file(STRINGS "${file}" lines REGEX "define TORCH_VERSION_(MAJOR|MINOR) ")
    string(REGEX MATCHALL "[0-9]+" numbers "${lines}")
    list(JOIN numbers "." found)
    set(${version} "${found}" PARENT_SCOPE)
    set(name prefopt_torch_${found})
    if(TARGET ${name})
        return()
    endif()
    cmake_path(GET torch_cpu PARENT_PATH folder)
    add_library(${name} INTERFACE IMPORTED GLOBAL)
    target_include_directories(${name} SYSTEM INTERFACE "${root}/include/torch/csrc/api/include")
    if(NOT root STREQUAL "/usr")
        target_include_directories(${name} SYSTEM INTERFACE "${root}/include")
    endif()
    # What libtorch_cpu itself needs is found through its own run path, which the linker ignores.
    target_link_options(${name} INTERFACE
        "LINKER:--disable-new-dtags,-rpath,${folder}" "LINKER:--no-as-needed"
        "LINKER:--unresolved-symbols=ignore-in-shared-libs")
    target_link_libraries(${name} INTERFACE "${torch_cpu}" "${c10}")
endfunction()
