# SPDX-License-Identifier: Apache-2.0
#
# Runs `PROGRAM CALL`, which must end itself with a text on stderr that matches SENTENCE. A script,
# because ctest takes a program that aborts for broken, whatever it said.

execute_process(COMMAND "${PROGRAM}" "${CALL}" RESULT_VARIABLE result OUTPUT_VARIABLE out
                ERROR_VARIABLE text)
if(result STREQUAL "0" OR out MATCHES "survived")
    message(FATAL_ERROR "the call came back: ${out}")
endif()
if(NOT text MATCHES "${SENTENCE}")
    message(FATAL_ERROR "ended (${result}) with:\n${text}\nwithout: ${SENTENCE}")
endif()
message(STATUS "${text}")
