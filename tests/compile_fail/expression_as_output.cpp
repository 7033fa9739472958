// SPDX-License-Identifier: Apache-2.0
//
// An expression has no memory to write to.

#include "calls.hpp"
#include "lazy_sum.hpp"

#ifdef PREFOPT_MUST_FAIL
void use(lazy_sum& t) { PREFOPT_CALL(t); }
#else
void use(lazy_sum& t) { pairs(t); }
#endif
