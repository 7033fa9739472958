# SPDX-License-Identifier: Apache-2.0
#
# Installs BUILD_TREE to PREFIX and checks what arrives there: every header and nothing that is
# none, the package files, and no path of the machine in them. With MOVED_TO, the tree then moves.

include("${CMAKE_CURRENT_LIST_DIR}/run.cmake")

file(REMOVE_RECURSE "${PREFIX}" "${MOVED_TO}")
run("install" "${CMAKE_COMMAND}" --install "${BUILD_TREE}" --prefix "${PREFIX}"
    --config "${CONFIG}")

holds_exactly("${PREFIX}"
    share/doc/prefopt/LICENSE share/pkgconfig/prefopt.pc
    share/cmake/prefopt/prefopt-backends.cmake share/cmake/prefopt/prefopt-config-version.cmake
    share/cmake/prefopt/prefopt-config.cmake share/cmake/prefopt/prefopt-targets.cmake)

file(GLOB_RECURSE texts "${PREFIX}/share/cmake/*" "${PREFIX}/share/pkgconfig/*")
foreach(text IN LISTS texts)
    file(READ "${text}" content)
    foreach(path "${tree}" "${BUILD_TREE}" "${PREFIX}")
        string(FIND "${content}" "${path}" at)
        if(NOT at EQUAL -1)
            message(FATAL_ERROR "${text} names ${path}: the package cannot be moved")
        endif()
    endforeach()
endforeach()

if(MOVED_TO)
    file(RENAME "${PREFIX}" "${MOVED_TO}")
endif()
