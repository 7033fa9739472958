// SPDX-License-Identifier: Apache-2.0
//
// A tensor of rank 4, which no argument has.

#include "calls.hpp"

#ifdef PREFOPT_MUST_FAIL
void use(prefopt::view<float, 4>& t) { PREFOPT_CALL(t); }
#else
void use(prefopt::view<float, 4>& t) { pairs(prefopt::view(t.data, {t.size()})); }
#endif
