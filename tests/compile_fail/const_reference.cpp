// SPDX-License-Identifier: Apache-2.0
//
// The reference moves: its parameters must be writable, and the compiler can tell.

#include <vector>

#include <prefopt/trust_region.hpp>

#ifdef PREFOPT_MUST_FAIL
using parameters = const std::vector<std::vector<float>>;
#else
using parameters = std::vector<std::vector<float>>;
#endif

bool use(prefopt::tr_dpo& loss, const std::vector<std::vector<float>>& policy,
         parameters& reference) {
    return loss.step(policy, reference);
}
