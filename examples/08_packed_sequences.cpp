// SPDX-License-Identifier: Apache-2.0
//
// 8. Packed sequences: no padding, on the threads of a pool.
//
// Answers of different lengths lie one after another as rows of one (N, V) matrix, offsets tell
// where each begins. Tokens of the prompt have a negative label: their rows are not read, and their
// gradient is zero. Pairs of answers that share a prompt are neighbours here: even sequences are
// the chosen answers, odd ones the rejected, so views with a step of two pick them out.

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <vector>

#include <prefopt/executors/thread_pool.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/log_probs.hpp>

int main() {
    constexpr std::size_t V = 6;
    const std::vector<int> offsets{0, 3, 7, 9, 14};  // four answers: 3, 4, 2 and 5 rows
    const std::vector<int> labels{-100, 2, 3, -100, 4, 4, 4, -100, 1, -100, 0, 5, 0, 5};
    std::vector<float> logits(labels.size() * V);
    for (std::size_t i = 0; i < logits.size(); ++i)
        logits[i] = static_cast<float>(std::sin(0.7 * static_cast<double>(i)));
    const prefopt::view rows(logits.data(), {labels.size(), V});

    prefopt::thread_pool pool({.threads = 2});
    const auto scored =
        prefopt::sequence_log_probs(rows, labels, {.offsets = offsets, .executor = pool});
    for (std::size_t b = 0; b < scored.sum.size(); ++b)
        std::printf("answer %zu: %2lld tokens, log-prob %.4f\n", b,
                    static_cast<long long>(scored.count[b]), scored.sum[b]);

    // Two views of one vector: every second number.
    const auto every_second = [](auto& values, std::size_t first) {
        return prefopt::view{values.data() + first, {values.size() / 2}, {2}};
    };
    const std::vector<double> reference{-3.5, -7.0, -1.5, -7.5};
    std::vector<double> gradient(scored.sum.size());
    const prefopt::ipo_averaged loss{.beta = 0.1};
    const auto result = loss.into(
        every_second(scored.sum, 0), every_second(scored.sum, 1), every_second(reference, 0),
        every_second(reference, 1),
        {.grad_chosen = every_second(gradient, 0), .grad_rejected = every_second(gradient, 1)},
        {.chosen_counts = every_second(scored.count, 0),
         .rejected_counts = every_second(scored.count, 1)});
    std::printf("loss %.4f\n", result.loss);

    // The gradient of all rows at once, over the logits.
    prefopt::sequence_log_probs_backward(rows, labels, gradient, rows,
                                         {.offsets = offsets, .executor = pool});
    double norm = 0;
    for (const float g : logits) norm += static_cast<double>(g) * static_cast<double>(g);
    std::printf("the prompt's gradient %.1f, norm of all %.4f\n", static_cast<double>(logits[0]),
                std::sqrt(norm));
}

// Output:
// answer 0:  2 tokens, log-prob -5.1997
// answer 1:  3 tokens, log-prob -6.0122
// answer 2:  1 tokens, log-prob -1.4610
// answer 3:  4 tokens, log-prob -8.3037
// loss 30.4199
// the prompt's gradient 0.0, norm of all 7.4821
