// SPDX-License-Identifier: Apache-2.0
//
// Scoring in place overwrites the logits: they must not be const.

#include <vector>

#include <prefopt/log_probs.hpp>

#ifdef PREFOPT_MUST_FAIL
using scalar = const float;
#else
using scalar = float;
#endif

auto use(const prefopt::view<scalar, 2>& logits, const std::vector<int>& labels) {
    return prefopt::sequence_log_probs_in_place(logits, labels);
}
