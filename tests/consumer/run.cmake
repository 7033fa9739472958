# SPDX-License-Identifier: Apache-2.0
#
# run(STEP COMMAND...): runs a step of a walk, or ends the walk with what it printed.
# holds_exactly(FOLDER FILE...): the folder has these files and every header of the tree, no more.
# prints_readme(PROGRAM): it prints the first result of the README, to the byte. As a script,
# `cmake -DPROGRAM=... -P run.cmake`, it does that.

function(run step)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(NOT result STREQUAL "0")
        message(FATAL_ERROR "${step} failed (${result}):\n${text}")
    endif()
    message(STATUS "${step}: done")
endfunction()

get_filename_component(tree "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)

function(holds_exactly folder)
    file(GLOB_RECURSE missing RELATIVE "${tree}" "${tree}/include/*")
    list(APPEND missing ${ARGN})
    file(GLOB_RECURSE unexpected RELATIVE "${folder}" "${folder}/*")
    set(present ${unexpected} none)
    list(REMOVE_ITEM unexpected ${missing})
    list(REMOVE_ITEM missing ${present})
    if(missing OR unexpected)
        message(FATAL_ERROR "${folder} misses: ${missing}\nand has besides: ${unexpected}")
    endif()
endfunction()

function(prints_readme program)
    file(READ "${tree}/README.md" readme)
    if(NOT readme MATCHES "```text\n(loss [^`]*)```")
        message(FATAL_ERROR "the README shows no first result")
    endif()
    set(expected "${CMAKE_MATCH_1}")
    execute_process(COMMAND "${program}" RESULT_VARIABLE result OUTPUT_VARIABLE printed)
    if(NOT result STREQUAL "0" OR NOT printed STREQUAL expected)
        message(FATAL_ERROR "${program} ended with ${result} and printed\n${printed}\n"
                            "where the README says\n${expected}")
    endif()
    message(STATUS "run: prints what the README says")
endfunction()

if(PROGRAM AND CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
    prints_readme("${PROGRAM}")
endif()
