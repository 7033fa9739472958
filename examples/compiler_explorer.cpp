// SPDX-License-Identifier: Apache-2.0
//
// Two pairs of answers, from logits to the gradient of the logits, in one file for Compiler
// Explorer. The release's compiler_explorer.cpp is this program with the library written into it:
// paste it, choose GCC 12 or Clang 14 or newer, and -std=c++20 -O2. Beside a release's prefopt.hpp
// it compiles as it stands.

#include <prefopt.hpp>

#include <cstdint>
#include <cstdio>
#include <vector>

int main() {
    constexpr std::size_t answers = 2, tokens = 2, vocabulary = 3;

    // (answers, tokens, vocabulary): what the policy says about the next token.
    std::vector<float> chosen{2, 0, -1, 0, 1, 0, /**/ 0, 0, 0, 3, 1, 0};
    std::vector<float> rejected{0, 1, 0, 1, 0, 2, /**/ 1, 0, 2, 0, 0, 1};
    const std::vector<std::int32_t> chosen_labels{0, 1, /**/ 2, 0};
    const std::vector<std::int32_t> rejected_labels{2, 0, /**/ 1, -1};  // -1 is not scored
    const std::vector<double> reference_chosen{-1.5, -2.0};
    const std::vector<double> reference_rejected{-3.0, -1.0};

    // Rows of logits, packed: the first answer is rows 0 and 1, the second is rows 2 and 3.
    const std::vector<std::int64_t> offsets{0, 2, 4};
    const auto shaped = [&](std::vector<float>& logits) {
        return prefopt::view{logits.data(), {answers * tokens, vocabulary}};
    };
    const auto c = prefopt::sequence_log_probs(shaped(chosen), chosen_labels, {.offsets = offsets});
    const auto r =
        prefopt::sequence_log_probs(shaped(rejected), rejected_labels, {.offsets = offsets});

    const auto result =
        prefopt::dpo{.beta = 0.1}(c.sum, r.sum, reference_chosen, reference_rejected);
    std::printf("loss %.6f\n", result.loss);

    // In place: the logits become their own gradient.
    prefopt::sequence_log_probs_backward(shaped(chosen), chosen_labels, result.grad_chosen,
                                         shaped(chosen), {.offsets = offsets});
    for (std::size_t row = 0; row < answers * tokens; ++row)
        std::printf("gradient of row %zu: %+.5f %+.5f %+.5f\n", row, double(chosen[3 * row]),
                    double(chosen[3 * row + 1]), double(chosen[3 * row + 2]));
}
