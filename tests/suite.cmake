# SPDX-License-Identifier: Apache-2.0
#
# The Catch2 suite: one executable, one ctest per test case. Version 2 or 3, the installed one first.

find_package(Catch2 CONFIG QUIET)
if(NOT Catch2_FOUND)
    include(FetchContent)
    FetchContent_Declare(Catch2
        URL "https://github.com/catchorg/Catch2/archive/refs/tags/v3.7.1.tar.gz"
        URL_HASH SHA256=c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c)
    FetchContent_MakeAvailable(Catch2)
    list(APPEND CMAKE_MODULE_PATH "${catch2_SOURCE_DIR}/extras")
endif()
include(Catch)
find_package(Eigen3 CONFIG QUIET)
prefopt_find_backends(OPTIONAL cblas xtensor)

file(GLOB prefopt_test_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp")
if(PREFOPT_TEST_KERNELS_ONLY)
    set(prefopt_test_sources "")
    foreach(what IN ITEMS
            batch elementwise kto linear_log_probs lists log_probs log_sum_exp losses math
            parallel_batch plackett_luce scalar simd simd_levels update)
        list(APPEND prefopt_test_sources "${CMAKE_CURRENT_SOURCE_DIR}/${what}_test.cpp")
    endforeach()
endif()
add_executable(prefopt_tests ${prefopt_test_sources} support/backends/table.cpp)
target_include_directories(prefopt_tests PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
target_compile_definitions(prefopt_tests PRIVATE PREFOPT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_link_libraries(prefopt_tests PRIVATE
    prefopt::prefopt prefopt_warnings prefopt_build_mode Catch2::Catch2WithMain quadmath)
if(TARGET Eigen3::Eigen)
    target_link_libraries(prefopt_tests PRIVATE Eigen3::Eigen)
    target_compile_definitions(prefopt_tests PRIVATE PREFOPT_TEST_EIGEN=1)
else()
    message(STATUS "prefopt: Eigen not found, its tests are left out")
endif()
if(TARGET prefopt::xtensor)
    target_link_libraries(prefopt_tests PRIVATE prefopt::xtensor)
    target_compile_definitions(prefopt_tests PRIVATE PREFOPT_TEST_XTENSOR=1)
else()
    message(STATUS "prefopt: xtensor not found, its tests are left out")
endif()
find_file(prefopt_multiprecision boost/multiprecision/cpp_bin_float.hpp)
if(NOT prefopt_multiprecision)
    message(STATUS "prefopt: Boost.Multiprecision not found, its tests are left out")
endif()
# What tests contracts, and not the optimised kernels' numbers, is compiled with less effort: half the
# time of -O2.
set(prefopt_contracts
    backends_test.cpp bad_input_test.cpp dlpack_test.cpp dynamic_test.cpp eigen_tensor_test.cpp
    gemm_test.cpp ggml_test.cpp hostile_test.cpp house_test.cpp identities_test.cpp
    linear_contract_test.cpp mdspan_test.cpp metrics_test.cpp readme_test.cpp
    support/backends/table.cpp testing_test.cpp trust_region_parameters_test.cpp
    trust_region_test.cpp usage_test.cpp xtensor_test.cpp)
# Calls and no kernels, of every loss in every tensor: there is nothing to optimise.
set(prefopt_calls
    adapter_examples_test.cpp table_eigen_test.cpp table_libraries_test.cpp table_test.cpp
    table_xtensor_test.cpp)
# Minutes of arithmetic, where nothing else of the configuration is optimised.
set(prefopt_arithmetic any_scalar_test.cpp executor_test.cpp experiments_test.cpp)
if(NOT MSVC)
    set_source_files_properties(${prefopt_calls} PROPERTIES COMPILE_OPTIONS -O0)
    if(PREFOPT_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
        set_source_files_properties(${prefopt_arithmetic} PROPERTIES COMPILE_OPTIONS -O1)
    else()
        set_source_files_properties(${prefopt_contracts} any_scalar_test.cpp experiments_test.cpp
            PROPERTIES COMPILE_OPTIONS -O1)
    endif()
endif()
# One file of the suite with OpenMP's switch, the others without: both must link and keep their own.
find_package(OpenMP QUIET COMPONENTS CXX)
if(OpenMP_CXX_FOUND)
    separate_arguments(prefopt_openmp_flags NATIVE_COMMAND "${OpenMP_CXX_FLAGS}")
    set_source_files_properties(openmp_test.cpp PROPERTIES
        COMPILE_OPTIONS "${prefopt_openmp_flags}" INCLUDE_DIRECTORIES "${OpenMP_CXX_INCLUDE_DIRS}")
    target_link_libraries(prefopt_tests PRIVATE ${OpenMP_CXX_LIBRARIES})
else()
    message(STATUS "prefopt: OpenMP not found, its executor is tested serially")
endif()
find_package(Threads REQUIRED)
target_link_libraries(prefopt_tests PRIVATE Threads::Threads)
if(TARGET prefopt::cblas)
    target_link_libraries(prefopt_tests PRIVATE prefopt::cblas)
    target_compile_definitions(prefopt_tests PRIVATE PREFOPT_TEST_CBLAS=1)
else()
    message(STATUS "prefopt: CBLAS not found, its tests are left out")
endif()
if(PREFOPT_TEST_SINGLE_HEADER)
    target_include_directories(prefopt_tests BEFORE PRIVATE
        "${CMAKE_CURRENT_BINARY_DIR}/single_header/forward")
    target_compile_definitions(prefopt_tests PRIVATE PREFOPT_TEST_SINGLE_HEADER=1)
    add_dependencies(prefopt_tests prefopt_single_header)
endif()
catch_discover_tests(prefopt_tests)
