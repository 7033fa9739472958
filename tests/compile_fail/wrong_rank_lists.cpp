// SPDX-License-Identifier: Apache-2.0
//
// A vector of log-probs where lists (B, K) are wanted.

#include <cstddef>
#include <vector>

#include <prefopt/plackett_luce.hpp>

double use(const std::vector<float>& policy) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::plackett_luce_dpo{}(policy, policy).loss;
#else
    const prefopt::view one_list(policy.data(), {std::size_t{1}, policy.size()});
    return prefopt::plackett_luce_dpo{}(one_list, one_list).loss;
#endif
}
