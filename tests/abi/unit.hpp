// SPDX-License-Identifier: Apache-2.0
//
// What one translation unit tells of the library it was compiled with. The same source becomes
// several units with different compiler flags; this header is all they share.

#pragma once

#include <string>

namespace abi {

struct description {
    std::string type;             // the mangled name of prefopt::dpo
    const void* sigmoid;          // where its code of one function template lies
    const void* inline_function;  // and of one inline function
    const void* inline_variable;  // and one inline variable
    int assert_level;
    bool fast_math;
    const char* kernels;  // the widest instruction set that it takes
    const char* forced;   // what it takes when told to take the generic one
    double loss;          // dpo on a small batch
    double confident;     // a log-prob that a careless exp(x) - 1 would lose
    long nonfinite;       // NaN and infinities found in a batch that holds three
    bool refuses;         // whether a bad beta is found
};

description ieee();
description fast();
description quiet();
description scalar();
description every();
description wide();
description wide_fast();
description widest();

/// Makes a failing call.
void fail_ieee();
void fail_fast();

}  // namespace abi
