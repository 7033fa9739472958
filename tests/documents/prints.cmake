# SPDX-License-Identifier: Apache-2.0
#
# Runs PROGRAM, which must print what the file SHOWN holds, character by character.

execute_process(COMMAND "${PROGRAM}" RESULT_VARIABLE result OUTPUT_VARIABLE printed)
file(READ "${SHOWN}" shown)
if(NOT result STREQUAL "0" OR NOT printed STREQUAL shown)
    message(FATAL_ERROR "the page shows\n${shown}\nand the program (${result}) prints\n${printed}")
endif()
