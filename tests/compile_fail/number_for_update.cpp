// SPDX-License-Identifier: Apache-2.0
//
// How the reference moves is an option by name too, not a number.

#include <prefopt/trust_region.hpp>

#ifdef PREFOPT_MUST_FAIL
auto use = prefopt::soft_update(0.6);
#else
auto use = prefopt::soft_update({.alpha = 0.6});
#endif
