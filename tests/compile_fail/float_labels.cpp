// SPDX-License-Identifier: Apache-2.0
//
// Labels are integers.

#include <vector>

#include <prefopt/log_probs.hpp>

#ifdef PREFOPT_MUST_FAIL
using label = float;
#else
using label = unsigned short;
#endif

auto use(const prefopt::view<const float, 2>& logits, const std::vector<label>& labels) {
    return prefopt::sequence_log_probs(logits, labels);
}
