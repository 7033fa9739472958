// SPDX-License-Identifier: Apache-2.0
//
// 1. Plain vectors: log-probs in, gradients out.
//
// What a trainer has after its forward pass is one summed log-prob per answer. DPO turns four of
// them per pair into a loss and the gradient of two, which the trainer's backward pass takes from
// there. Nothing else is needed: no autograd, no tensor library.

#include <cstdio>
#include <vector>

#include <prefopt/dpo.hpp>
#include <prefopt/metrics.hpp>

int main() {
    // Three pairs. The policy has learnt the first, not yet the second, and got the third wrong.
    const std::vector<float> policy_chosen{-10.0F, -22.0F, -31.5F};
    const std::vector<float> policy_rejected{-18.0F, -21.0F, -24.0F};
    const std::vector<float> reference_chosen{-14.0F, -22.0F, -28.0F};
    const std::vector<float> reference_rejected{-13.0F, -21.0F, -27.0F};

    const prefopt::dpo loss{.beta = 0.5};
    const auto result = loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected);

    std::printf("loss %.4f\n", result.loss);
    std::printf("%5s %8s %8s %14s\n", "pair", "loss", "margin", "d/d chosen");
    for (std::size_t i = 0; i < result.losses.size(); ++i)
        std::printf("%5zu %8.4f %8.2f %14.6f\n", i, static_cast<double>(result.losses[i]),
                    static_cast<double>(result.chosen_rewards[i] - result.rejected_rewards[i]),
                    static_cast<double>(result.grad_chosen[i]));

    // What happened, to be merged over micro-batches and ranks.
    prefopt::preference_metrics metrics;
    metrics.add(result);
    std::printf("accuracy %.2f, margin %.2f\n", metrics.accuracy(), metrics.margin());

    // The second pair is from a doubtful annotator: half its weight, and a sum instead of a mean.
    const std::vector<float> trust{1.0F, 0.5F, 1.0F};
    const auto weighted = loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected,
                               {.reduction = prefopt::reduction::sum, .weights = trust});
    std::printf("weighted sum %.4f\n", weighted.loss);
}

// Output:
// loss 1.3307
//  pair     loss   margin     d/d chosen
//     0   0.0110     4.50      -0.001831
//     1   0.6931     0.00      -0.083333
//     2   3.2880    -3.25      -0.160446
// accuracy 0.33, margin 0.42
// weighted sum 3.6457
