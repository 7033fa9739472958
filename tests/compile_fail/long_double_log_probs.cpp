// SPDX-License-Identifier: Apache-2.0
//
// long double is no storage type.

#include <vector>

#include <prefopt/kto.hpp>

#ifdef PREFOPT_MUST_FAIL
using scalar = long double;
#else
using scalar = double;
#endif

double use(const prefopt::view<const scalar, 1>& policy, const prefopt::view<const scalar, 1>& r) {
    return prefopt::kl_estimate(policy, r);
}
