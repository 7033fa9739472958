// SPDX-License-Identifier: Apache-2.0
//
// What the libraries and their host share; nothing of prefopt in it.

#pragma once

struct identity {
    const char* type;      // the mangled name of prefopt::dpo
    const void* function;  // where the code of one of its functions lies
};

identity identity_plain();
identity identity_fast();
void first_result_plain();
void first_result_fast();
