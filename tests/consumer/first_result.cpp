// SPDX-License-Identifier: Apache-2.0
//
// The README's program as a function of a library; FIRST_RESULT is its name.

#ifndef FIRST_RESULT
#define FIRST_RESULT first_result
#endif
void FIRST_RESULT();
#define main()                                                                                     \
    first_result_is_void();                                                                        \
    void FIRST_RESULT()
#include "main.cpp"
#undef main
