// SPDX-License-Identifier: Apache-2.0
//
// 4. xtensor: arrays, views and expressions.
//
// KTO needs no pairs, only answers that somebody liked or did not. The log-probs lie in one array
// (policy and reference in its rows); the loss takes views of it, and a lazy difference too.

#include <cstdio>

#include <prefopt/adapters/xtensor.hpp>
#include <prefopt/kto.hpp>

#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif

int main() {
    // row 0: policy, row 1: reference; the columns are answers
    const xt::xtensor<float, 2> log_probs{{-12.0F, -30.0F, -22.0F, -17.0F, -9.0F},
                                          {-14.0F, -28.0F, -22.0F, -19.0F, -11.0F}};
    const xt::xtensor<bool, 1> liked{true, false, true, false, true};
    // the same for answers that belong to other prompts: how far the policy has moved at all
    const xt::xtensor<float, 2> unrelated{{-40.0F, -51.0F, -38.0F}, {-41.0F, -50.0F, -40.0F}};

    const double kl = prefopt::kl_estimate(xt::row(unrelated, 0), xt::row(unrelated, 1));
    const prefopt::kto loss{.beta = 0.1, .desirable_weight = 1.0, .undesirable_weight = 1.5};
    const auto result = loss(xt::row(log_probs, 0), xt::row(log_probs, 1), liked, kl);

    std::printf("KL %.4f, loss %.4f\n", kl, result.loss);
    for (std::size_t i = 0; i < result.grad.size(); ++i)
        std::printf("%s: reward %+.2f, gradient %+.5f\n", liked(i) ? "liked   " : "disliked",
                    static_cast<double>(result.rewards(i)), static_cast<double>(result.grad(i)));

    // An expression is evaluated once, into a value that lives for the call.
    const auto shifted =
        loss(xt::row(log_probs, 0) - 1.0F, xt::row(log_probs, 1) - 1.0F, liked, kl);
    std::printf("the same, both a nat lower: loss %.4f\n", shifted.loss);
}

// Output:
// KL 0.6667, loss 0.5801
// liked   : reward +0.20, gradient -0.00498
// disliked: reward -0.20, gradient +0.00737
// liked   : reward +0.00, gradient -0.00499
// disliked: reward +0.20, gradient +0.00747
// liked   : reward +0.20, gradient -0.00498
// the same, both a nat lower: loss 0.5801
