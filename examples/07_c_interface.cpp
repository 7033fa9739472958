// SPDX-License-Identifier: Apache-2.0
//
// 7. Behind a C interface: the one C++20 file of a trainer in C or in older C++.
//
// Everything is checked before anything is written, no exception crosses the border, and the
// gradient may take the place of the logits. 07_c_trainer.c calls it.

#include "07_c_interface.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <vector>

#include <prefopt/dpo.hpp>
#include <prefopt/log_probs.hpp>

namespace {

using index = std::ptrdiff_t;

/// (B, T, V) of rows that lie row_stride apart.
template <class T>
prefopt::view<T, 3> rows(T* data, const prefopt_shape& s) {
    const auto stride = static_cast<index>(s.row_stride);
    const auto tokens = static_cast<index>(s.tokens);
    return {data,
            {static_cast<index>(s.pairs), tokens, static_cast<index>(s.vocab)},
            {tokens * stride, stride, 1}};
}

void backward(const prefopt_shape& s, const prefopt_side& side, const std::vector<double>& grad) {
    if (side.grad_logits == nullptr) return;
    prefopt::sequence_log_probs_backward(rows(side.logits, s),
                                         prefopt::view{side.labels, {s.pairs, s.tokens}}, grad,
                                         rows(side.grad_logits, s));
    for (std::size_t row = 0; row < s.pairs * s.tokens; ++row)
        std::fill_n(side.grad_logits + row * s.row_stride + s.vocab, s.row_stride - s.vocab, 0.0F);
}

double compute(const prefopt_shape& s, const prefopt_side& chosen, const prefopt_side& rejected,
               double beta) {
    const prefopt::dpo loss{.beta = beta};
    std::array<std::vector<double>, 2> sums;
    std::array<std::vector<double>, 2> gradients;
    const std::array<const prefopt_side*, 2> sides{&chosen, &rejected};
    for (std::size_t i = 0; i < 2; ++i) {
        const prefopt_side& side = *sides[i];
        const prefopt::view labels{side.labels, {s.pairs, s.tokens}};
        sums[i] = prefopt::sequence_log_probs(rows(side.logits, s), labels).sum;
        gradients[i].resize(s.pairs);
        if (side.grad_logits == nullptr) continue;
        const prefopt::status refused =  // by backward, found out before anything is written
            prefopt::check(prefopt::sequence_log_probs_backward, rows(side.logits, s), labels,
                           gradients[i], rows(side.grad_logits, s));
        if (!refused.ok()) throw prefopt::error(refused);
    }
    const auto result = loss.into(sums[0], sums[1], prefopt::view{chosen.reference, {s.pairs}},
                                  prefopt::view{rejected.reference, {s.pairs}},
                                  {.grad_chosen = gradients[0], .grad_rejected = gradients[1]});
    backward(s, chosen, gradients[0]);
    backward(s, rejected, gradients[1]);
    return result.loss;
}

}  // namespace

int prefopt_dpo_from_logits(prefopt_shape shape, prefopt_side chosen, prefopt_side rejected,
                            double beta, double* loss, char* message, size_t message_size) {
    const auto say = [&](const char* text) {
        if (message != nullptr && message_size > 0)
            std::snprintf(message, message_size, "%s", text);
    };
    try {
        if (shape.row_stride < shape.vocab) {
            say("prefopt: row_stride must be at least vocab [bad_stride]");
            return static_cast<int>(prefopt::errc::bad_stride);
        }
        *loss = compute(shape, chosen, rejected, beta);
        return 0;
    } catch (const prefopt::error& e) {
        say(e.what());
        return static_cast<int>(e.code());
    } catch (const std::exception& e) {  // no memory
        say(e.what());
        return -1;
    }
}
