// SPDX-License-Identifier: Apache-2.0
//
// Neither a tensor nor a range nor a tuple of them.

#include <vector>

#include <prefopt/trust_region.hpp>

bool use(prefopt::tr_dpo& loss, const std::vector<float>& policy, std::vector<float>& reference) {
#ifdef PREFOPT_MUST_FAIL
    return loss.step(3, reference);
#else
    return loss.step(policy, reference);
#endif
}
