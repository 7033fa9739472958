// SPDX-License-Identifier: Apache-2.0
//
// Labels must have one dimension less than their logits.

#include <vector>

#include <prefopt/log_probs.hpp>

auto use(const prefopt::view<const float, 3>& logits, const std::vector<int>& labels) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::sequence_log_probs(logits, labels);
#else
    const prefopt::view rows(labels.data(), {logits.extent(0), logits.extent(1)});
    return prefopt::sequence_log_probs(logits, rows);
#endif
}
