// SPDX-License-Identifier: Apache-2.0
//
// So are rankings.

#include <prefopt/plackett_luce.hpp>

#ifdef PREFOPT_MUST_FAIL
using place = double;
#else
using place = long;
#endif

double use(const prefopt::tensor<float, 2>& policy, const prefopt::tensor<place, 2>& ranking) {
    return prefopt::plackett_luce_dpo{}(policy, policy, ranking).loss;
}
