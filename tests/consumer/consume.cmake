# SPDX-License-Identifier: Apache-2.0
#
# Configures, builds and runs the project SOURCE in a fresh folder BINARY, in the manner of a user,
# with the options that stand after `--`. Its program `consumer` must print what the README says;
# tests that it has must pass.

include("${CMAKE_CURRENT_LIST_DIR}/run.cmake")

set(options "")
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
    if(DEFINED after_dashes)
        list(APPEND options "${CMAKE_ARGV${i}}")
    elseif(CMAKE_ARGV${i} STREQUAL "--")
        set(after_dashes TRUE)
    endif()
endforeach()

file(REMOVE_RECURSE "${BINARY}")
run("configure" "${CMAKE_COMMAND}" -S "${SOURCE}" -B "${BINARY}" -G "${GENERATOR}"
    "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" "-DCMAKE_CXX_COMPILER=${COMPILER}"
    "-DCMAKE_BUILD_TYPE=${CONFIG}" "-DCMAKE_RUNTIME_OUTPUT_DIRECTORY=$<1:${BINARY}/bin>" ${options})
run("build" "${CMAKE_COMMAND}" --build "${BINARY}" --config "${CONFIG}")
if(EXISTS "${BINARY}/CTestTestfile.cmake")
    run("test" "${CMAKE_CTEST_COMMAND}" --test-dir "${BINARY}" -C "${CONFIG}" --output-on-failure
        --no-tests=error)
endif()
prints_readme("${BINARY}/bin/consumer")
