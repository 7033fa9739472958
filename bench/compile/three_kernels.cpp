// SPDX-License-Identifier: Apache-2.0
//
// What bench/compile/run compiles: log-probs, their gradient, and both in one sweep, of float
// logits.

#include <prefopt/log_probs.hpp>

namespace {

using logits = prefopt::view<float, 3>;
using labels = prefopt::view<const int, 2>;
using sums = prefopt::view<double, 1>;

}  // namespace

prefopt::sequence_report forward(const logits& x, const labels& y, const sums& sum) {
    return prefopt::sequence_log_probs.into(x, y, {.sum = sum});
}

void backward(const logits& x, const labels& y, const sums& grad_sum, const logits& grad_logits) {
    prefopt::sequence_log_probs_backward(x, y, grad_sum, grad_logits);
}

prefopt::sequence_report in_place(const logits& x, const labels& y, const sums& sum) {
    return prefopt::sequence_log_probs_in_place.into(x, y, {.sum = sum});
}
