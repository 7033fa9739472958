// SPDX-License-Identifier: Apache-2.0
//
// A copy of the reference made on the spot would move, and be gone. Views of it are fine.

#include <span>
#include <vector>

#include <prefopt/trust_region.hpp>

bool use(prefopt::tr_dpo& loss, const std::vector<float>& policy, std::vector<float>& reference) {
#ifdef PREFOPT_MUST_FAIL
    return loss.step(policy, std::vector<float>(reference));
#else
    return loss.step(policy, std::span(reference));
#endif
}
