// SPDX-License-Identifier: Apache-2.0
//
// 2. From logits, and back: a language model of one table learns what is preferred.
//
// The model is a bigram table (V, V): row a holds the logits of what follows token a. The logits of
// a sequence are a copy of its rows, so their gradient is added back to the rows they came from.
// The step between is the library's: logits to sequence log-probs, a loss, and the loss's gradient
// to the gradient of the logits, written over the logits themselves.

#include <array>
#include <cstddef>
#include <cstdio>
#include <vector>

#include <prefopt/dpo.hpp>
#include <prefopt/log_probs.hpp>

namespace {

constexpr std::size_t V = 5;  // tokens: a b c d e
constexpr std::size_t T = 4;  // tokens of a sequence, the first of which is the prompt
using sequence = std::array<int, T>;
using table = std::vector<float>;  // (V, V)

/// The logits (1, T, V) of one sequence.
prefopt::tensor<float, 3> forward(const table& model, const sequence& tokens) {
    prefopt::tensor<float, 3> logits({1, T, V});
    for (std::size_t t = 0; t < T; ++t)
        for (std::size_t v = 0; v < V; ++v)
            logits(0, t, v) = model[static_cast<std::size_t>(tokens[t]) * V + v];
    return logits;
}

/// model -= rate * gradient, where each row of the gradient belongs to the token it came from.
void descend(table& model, const sequence& tokens, const prefopt::tensor<float, 3>& gradient,
             float rate) {
    for (std::size_t t = 0; t < T; ++t)
        for (std::size_t v = 0; v < V; ++v)
            model[static_cast<std::size_t>(tokens[t]) * V + v] -= rate * gradient(0, t, v);
}

}  // namespace

int main() {
    const sequence chosen{0, 1, 2, 3};    // after "a", "bcd" is preferred ...
    const sequence rejected{0, 4, 4, 4};  // ... to "eee"
    const auto labels_of = [](const sequence& tokens) {
        prefopt::view tokens_view(tokens.data(), {std::size_t{1}, T});
        return prefopt::shift_labels(
            tokens_view);  // what each token is followed by; the last: -100
    };
    const auto chosen_labels = labels_of(chosen);
    const auto rejected_labels = labels_of(rejected);

    table policy(V * V, 0.0F);
    const table reference = policy;
    const prefopt::dpo loss{.beta = 0.5};
    const auto score = [&](const table& model, const sequence& tokens, const auto& labels) {
        return prefopt::sequence_log_probs(forward(model, tokens), labels).sum;
    };
    const auto reference_chosen = score(reference, chosen, chosen_labels);
    const auto reference_rejected = score(reference, rejected, rejected_labels);

    for (int step = 0; step <= 40; ++step) {
        auto chosen_logits = forward(policy, chosen);
        auto rejected_logits = forward(policy, rejected);
        const auto c = prefopt::sequence_log_probs(chosen_logits, chosen_labels);
        const auto r = prefopt::sequence_log_probs(rejected_logits, rejected_labels);
        const auto result = loss(c.sum, r.sum, reference_chosen, reference_rejected);

        // The gradient takes the logits' place: they are not needed any more.
        prefopt::sequence_log_probs_backward(chosen_logits, chosen_labels, result.grad_chosen,
                                             chosen_logits);
        prefopt::sequence_log_probs_backward(rejected_logits, rejected_labels, result.grad_rejected,
                                             rejected_logits);
        descend(policy, chosen, chosen_logits, 0.5F);
        descend(policy, rejected, rejected_logits, 0.5F);

        if (step % 10 == 0)
            std::printf(
                "step %2d: loss %.3f, log-prob of the chosen %6.2f, of the rejected %6.2f\n", step,
                result.loss, c.sum[0], r.sum[0]);
    }
}

// Output:
// step  0: loss 0.693, log-prob of the chosen  -4.83, of the rejected  -4.83
// step 10: loss 0.108, log-prob of the chosen  -3.45, of the rejected  -7.79
// step 20: loss 0.054, log-prob of the chosen  -3.10, of the rejected  -8.87
// step 30: loss 0.036, log-prob of the chosen  -2.91, of the rejected  -9.52
// step 40: loss 0.027, log-prob of the chosen  -2.78, of the rejected  -9.99
