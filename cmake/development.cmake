# SPDX-License-Identifier: Apache-2.0
#
# What tests and examples of this project share, and no consumer ever sees: warnings as errors,
# sanitizers, the floating-point mode, exceptions.

option(PREFOPT_WERROR "Warnings are errors" ON)
option(PREFOPT_SANITIZE "Address and undefined-behaviour sanitizers" OFF)
option(PREFOPT_FAST_MATH "Compile the suite with -ffast-math, as trainers do" OFF)
option(PREFOPT_TEST_SUITE_ONLY "Leave out what no flag changes: allocations, consumers, documents" OFF)
option(PREFOPT_TEST_KERNELS_ONLY "Of the suite, only the numbers: what a compiler's switches change" OFF)
option(PREFOPT_TEST_SINGLE_HEADER "Run the suite on prefopt.hpp, the library in one file" OFF)
option(PREFOPT_NO_EXCEPTIONS "Compile only what runs without exceptions and RTTI" OFF)

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Each header of the core must compile alone: `all_verify_interface_header_sets`, run by ctest.
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)
set_target_properties(prefopt PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)

add_library(prefopt_warnings INTERFACE)
if(MSVC)
    target_compile_options(prefopt_warnings INTERFACE /W4 $<$<BOOL:${PREFOPT_WERROR}>:/WX>)
else()
    target_compile_options(prefopt_warnings INTERFACE
        -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wdouble-promotion
        $<$<BOOL:${PREFOPT_WERROR}>:-Werror>)
    # Of Catch2's macros, which count with __COUNTER__.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 22)
        target_compile_options(prefopt_warnings INTERFACE -Wno-c2y-extensions)
    endif()
    # False, and of any xtensor expression: its copy of the one extent of a vector's shape.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
        target_compile_options(prefopt_warnings INTERFACE -Wno-array-bounds -Wno-stringop-overflow)
    endif()
endif()

# Of C++ alone: the one file of C, an example's, may be another compiler's.
add_library(prefopt_build_mode INTERFACE)
function(prefopt_build_with)
    foreach(flag IN LISTS ARGN)
        target_compile_options(prefopt_build_mode INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${flag}>")
    endforeach()
endfunction()
if(PREFOPT_SANITIZE)
    prefopt_build_with(
        -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(prefopt_build_mode INTERFACE -fsanitize=address,undefined)
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        prefopt_build_with(-fsanitize=float-cast-overflow,local-bounds)
    endif()
endif()
if(PREFOPT_FAST_MATH)
    prefopt_build_with(-ffast-math)
    # The suite's own NaN and infinities. What users include is held to the warning in tests/abi.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 18)
        prefopt_build_with(-Wno-nan-infinity-disabled)
    endif()
endif()
if(PREFOPT_NO_EXCEPTIONS)
    prefopt_build_with(-fno-exceptions -fno-rtti)
endif()
