# SPDX-License-Identifier: Apache-2.0
#
# cmake -DPROGRAM=<program> -DSOURCE=<file> -P check_output.cmake: runs an example and compares what
# it prints with the comment that ends its source, after the line "Output:".

execute_process(COMMAND "${PROGRAM}" OUTPUT_VARIABLE printed RESULT_VARIABLE failed)
if(failed)
    message(FATAL_ERROR "${PROGRAM} failed: ${failed}")
endif()
file(READ "${SOURCE}" text)
string(FIND "${text}" "Output:\n" at REVERSE)
if(at EQUAL -1)
    message(FATAL_ERROR "${SOURCE} does not say what its output is")
endif()
string(SUBSTRING "${text}" ${at} -1 said)
string(REGEX REPLACE "^Output:\n" "" said "${said}")
string(REGEX REPLACE "(^|\n)(//| \\*/| \\*) ?" "\\1" said "${said}")
string(STRIP "${said}" said)
string(STRIP "${printed}" printed)
if(NOT printed STREQUAL said)
    message(FATAL_ERROR "${SOURCE} says:\n${said}\nbut this was printed:\n${printed}")
endif()
message("${printed}")
