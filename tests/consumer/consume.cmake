# SPDX-License-Identifier: Apache-2.0
#
# Configures, builds and runs the project SOURCE in a fresh folder BINARY, in the manner of a user.
# With BUILD_TREE, it installs that tree below BINARY first and points the project at it.

function(run step)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(NOT result STREQUAL "0")
        message(FATAL_ERROR "${step} failed (${result}):\n${text}")
    endif()
    message(STATUS "${step}: done")
endfunction()

file(REMOVE_RECURSE "${BINARY}")
set(options "-DPREFOPT_SOURCE_DIR=${PREFOPT_SOURCE_DIR}")
if(BUILD_TREE)
    set(prefix "${BINARY}/prefix")
    run("install" "${CMAKE_COMMAND}" --install "${BUILD_TREE}" --prefix "${prefix}"
        --config "${CONFIG}")
    set(options "-DCMAKE_PREFIX_PATH=${prefix}")
    foreach(file include/prefopt/prefopt.hpp include/prefopt/core/core.hpp
                 include/prefopt/adapters/eigen.hpp share/doc/prefopt/LICENSE
                 share/cmake/prefopt/prefopt-config.cmake)
        if(NOT EXISTS "${prefix}/${file}")
            message(FATAL_ERROR "not installed: ${file}")
        endif()
    endforeach()
    # Every header, and nothing that is none.
    file(GLOB_RECURSE shipped RELATIVE "${prefix}/include" "${prefix}/include/*")
    file(GLOB_RECURSE written RELATIVE "${PREFOPT_SOURCE_DIR}/include"
         "${PREFOPT_SOURCE_DIR}/include/*")
    if(NOT shipped STREQUAL written)
        message(FATAL_ERROR "the installed headers are not those of the tree:\n${shipped}")
    endif()
    file(GLOB_RECURSE texts "${prefix}/share/cmake/*.cmake")
    foreach(text IN LISTS texts)
        file(READ "${text}" content)
        foreach(path "${PREFOPT_SOURCE_DIR}" "${BUILD_TREE}")
            string(FIND "${content}" "${path}" at)
            if(NOT at EQUAL -1)
                message(FATAL_ERROR "${text} names ${path}: the package cannot be moved")
            endif()
        endforeach()
    endforeach()
    file(RENAME "${prefix}" "${prefix} moved")  # a package may be moved, and paths have spaces
    set(options "-DCMAKE_PREFIX_PATH=${prefix} moved")
endif()

run("configure" "${CMAKE_COMMAND}" -S "${SOURCE}" -B "${BINARY}/build" -G "${GENERATOR}"
    "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}" "-DCMAKE_CXX_COMPILER=${COMPILER}"
    "-DCMAKE_BUILD_TYPE=${CONFIG}" "${options}")
run("build" "${CMAKE_COMMAND}" --build "${BINARY}/build" --config "${CONFIG}")
run("run" "${CMAKE_CTEST_COMMAND}" --test-dir "${BINARY}/build" -C "${CONFIG}" --output-on-failure
    --no-tests=error)
