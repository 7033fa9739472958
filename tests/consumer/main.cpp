// SPDX-License-Identifier: Apache-2.0
//
// The first program of a user, as the README shows it.

#include <cstdio>
#include <vector>

#include <prefopt/dpo.hpp>

int main() {
    // Summed log-probs of two pairs of answers, under the policy and under the reference.
    const std::vector<double> policy_chosen{-12.0, -30.5};
    const std::vector<double> policy_rejected{-14.0, -29.0};
    const std::vector<double> reference_chosen{-13.0, -30.0};
    const std::vector<double> reference_rejected{-13.5, -29.5};

    const prefopt::dpo loss{.beta = 0.1};
    const auto result = loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected);

    std::printf("loss %.6f\n", result.loss);
    for (std::size_t i = 0; i < result.grad_chosen.size(); ++i)
        std::printf("pair %zu: reward margin %+.3f, gradient of the chosen log-prob %+.6f\n", i,
                    result.chosen_rewards[i] - result.rejected_rewards[i], result.grad_chosen[i]);
}
