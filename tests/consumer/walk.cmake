# SPDX-License-Identifier: Apache-2.0
#
# walk(NAME PROJECT [-D...]): a test that configures, builds and runs tests/consumer/PROJECT in a
# folder of its own, with this build's compiler and CMake, or the CMake that `walk_with` names.
# install_prefix(NAME PREFIX): one that installs the library to PREFIX, for the walks there.

set(prefopt_consumers "${CMAKE_CURRENT_LIST_DIR}")

function(walk name project)
    if(NOT walk_with)
        set(walk_with "${CMAKE_COMMAND}")
    endif()
    add_test(NAME "${name}"
             COMMAND "${walk_with}" "-DSOURCE=${prefopt_consumers}/${project}"
                     "-DBINARY=${CMAKE_CURRENT_BINARY_DIR}/${name}" "-DGENERATOR=${CMAKE_GENERATOR}"
                     "-DMAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}" "-DCOMPILER=${CMAKE_CXX_COMPILER}"
                     "-DCONFIG=$<IF:$<BOOL:$<CONFIG>>,$<CONFIG>,Release>"
                     -P "${prefopt_consumers}/consume.cmake" -- ${ARGN})
endfunction()

function(install_prefix name prefix)
    add_test(NAME "${name}"
             COMMAND "${CMAKE_COMMAND}" "-DBUILD_TREE=${CMAKE_BINARY_DIR}" "-DPREFIX=${prefix}"
                     "-DCONFIG=$<CONFIG>" ${ARGN} -P "${prefopt_consumers}/install.cmake")
endfunction()
