// SPDX-License-Identifier: Apache-2.0
//
// The same sentence for the parameters of a trust region.

#include <vector>

#include <prefopt/trust_region.hpp>

struct their_tensor {
    std::vector<float> values;
};

bool use(prefopt::tr_dpo& loss, std::vector<their_tensor>& policy,
         std::vector<their_tensor>& reference) {
#ifdef PREFOPT_MUST_FAIL
    return loss.step(policy, reference);
#else
    return loss.step(policy[0].values, reference[0].values);
#endif
}
