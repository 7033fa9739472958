// SPDX-License-Identifier: Apache-2.0
//
// A reward model's loss has no reference that could follow anything.

#include <prefopt/bradley_terry.hpp>
#include <prefopt/trust_region.hpp>

#ifdef PREFOPT_MUST_FAIL
using loss = prefopt::bradley_terry;
#else
using loss = prefopt::ipo;
#endif

auto use() { return prefopt::trust_region<loss>{}.version(); }
