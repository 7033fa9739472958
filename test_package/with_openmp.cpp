// SPDX-License-Identifier: Apache-2.0
//
// Rows on OpenMP's threads. Without the compiler's switch the header is serial, and the target that
// should have brought it is wrong.

#include <prefopt/executors/openmp.hpp>

#include "threaded.hpp"

#ifndef _OPENMP
#error "prefopt::openmp did not bring the compiler's switch"
#endif

int main() { return threaded("OpenMP", prefopt::openmp_executor{}); }
