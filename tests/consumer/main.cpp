// SPDX-License-Identifier: Apache-2.0
//
// The first program of a user: four vectors of log-probs in, a loss and its gradients out.

#include <cstdio>
#include <vector>

#include <prefopt/dpo.hpp>

int main() {
    const std::vector<float> policy_chosen{-10.0F, -12.0F}, policy_rejected{-11.0F, -11.5F};
    const std::vector<float> reference_chosen{-10.5F, -12.0F}, reference_rejected{-10.5F, -11.5F};

    prefopt::dpo loss{.beta = 0.1};
    auto result = loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected);

    std::printf("loss %.6f, chosen reward %.3f\n", result.loss,
                static_cast<double>(result.chosen_rewards[0]));
    const bool right = result.loss > 0.668771 && result.loss < 0.668775 &&
                       result.losses.size() == 2 && result.grad_chosen[0] < 0 &&
                       result.grad_rejected[0] == -result.grad_chosen[0] &&
                       result.rejected_rewards[1] == 0;
    return right ? 0 : 1;
}
