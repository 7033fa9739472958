// SPDX-License-Identifier: Apache-2.0
//
// The same for the gradient with respect to the logits.

#include <vector>

#include <prefopt/log_probs.hpp>

void use(const prefopt::view<const float, 2>& logits, const std::vector<int>& labels,
         const std::vector<double>& grad, prefopt::tensor<float, 2>& out) {
#ifdef PREFOPT_MUST_FAIL
    prefopt::sequence_log_probs_backward(logits, labels, grad,
                                         prefopt::tensor<float, 2>(logits.extents));
#else
    prefopt::sequence_log_probs_backward(logits, labels, grad, out);
#endif
}
