// SPDX-License-Identifier: Apache-2.0
//
// A mask is no list of labels: labels are integers other than bool.

#include <prefopt/log_probs.hpp>

#ifdef PREFOPT_MUST_FAIL
using label = bool;
#else
using label = signed char;
#endif

auto use(const prefopt::view<const float, 2>& logits, const prefopt::view<label, 1>& labels) {
    return prefopt::sequence_log_probs(logits, labels);
}
