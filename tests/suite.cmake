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
include("${PROJECT_SOURCE_DIR}/cmake/cblas.cmake")

file(GLOB prefopt_test_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp")
add_executable(prefopt_tests ${prefopt_test_sources})
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
if(TARGET prefopt_cblas)
    target_link_libraries(prefopt_tests PRIVATE prefopt_cblas)
    target_compile_definitions(prefopt_tests PRIVATE PREFOPT_TEST_CBLAS=1)
else()
    message(STATUS "prefopt: CBLAS not found, its tests are left out")
endif()
catch_discover_tests(prefopt_tests)
