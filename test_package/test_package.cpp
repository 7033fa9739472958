// SPDX-License-Identifier: Apache-2.0
//
// A whole step on standard containers: logits to log-probs, DPO, and the gradient back in place.

#include <cmath>
#include <cstdio>
#include <vector>

#include <prefopt/prefopt.hpp>

int main() {
    // One pair, answers of one token, a vocabulary of two.
    prefopt::tensor<float, 2> chosen({1, 2});
    prefopt::tensor<float, 2> rejected({1, 2});
    const std::vector<int> label{0};
    const auto c = prefopt::sequence_log_probs(chosen, label);
    const auto r = prefopt::sequence_log_probs(rejected, label);

    const std::vector<double> reference{-0.7};
    const auto result = prefopt::dpo{.beta = 0.1}(c.sum, r.sum, reference, reference);
    prefopt::sequence_log_probs_backward(chosen, label, result.grad_chosen, chosen);

    // The policy prefers neither answer: the loss is log 2, and the gradient -beta / 2 * (1 - p).
    std::printf("prefopt %d.%d.%d: loss %.6f, gradient %+.6f\n", PREFOPT_VERSION_MAJOR,
                PREFOPT_VERSION_MINOR, PREFOPT_VERSION_PATCH, result.loss, double(chosen(0, 0)));
    const bool right =
        std::abs(result.loss - std::log(2.0)) < 1e-12 && std::abs(chosen(0, 0) + 0.025f) < 1e-6f;
    return right ? 0 : 1;
}
