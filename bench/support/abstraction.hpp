// SPDX-License-Identifier: Apache-2.0
//
// What a backend costs: the public call on its tensors, with its checks, views and adapter, beside
// a loop over raw pointers that calls the same kernel, and, for pairs, beside the same call on
// spans. On short rows and few pairs too, where there is little to hide behind.

#pragma once

#include "ours.hpp"

namespace prefopt_bench {

struct abstraction_size {
    std::ptrdiff_t rows;
    std::ptrdiff_t vocab;
};
inline constexpr abstraction_size abstraction_sizes[] = {{64, 512}, {64, 4096}, {64, 32000}};
inline constexpr std::ptrdiff_t abstraction_pairs[] = {1000, 100000};

/// Sum of the log-probs of all rows, without the library around its kernel.
inline double raw_loop(const float* x, const std::int64_t* y, std::ptrdiff_t rows,
                       std::ptrdiff_t vocab) {
    double sum = 0;
    for (std::ptrdiff_t r = 0; r < rows; ++r)
        sum += prefopt::detail::row_log_prob<float>(x + r * vocab, vocab, 1, y[r]).log_prob;
    return sum;
}

/// The sides of a backend: `tensors.matrix(pointer, rows, columns)` and `tensors.vector(pointer,
/// n)` wrap floats that are there already, `tensors.labels(vector)` the labels.
template <class Tensors>
void add_abstraction(const std::string& backend, const Tensors& tensors) {
    for (const auto [rows, vocab] : abstraction_sizes)
        add(row_name<float>("abstraction", 1, rows, vocab) + backend,
            row_work<float>(rows, vocab, 1, 1), [rows = rows, vocab = vocab, backend, tensors] {
                auto& memory = const_cast<array<float>&>(logits<float>(rows, vocab));
                auto& y = const_cast<std::vector<std::int64_t>&>(labels(rows, vocab));
                const auto call = [x = tensors.matrix(memory.data(), rows, vocab),
                                   of_rows = tensors.labels(y)] {
                    double sum = 0;
                    prefopt::sequence_log_probs.into(x, of_rows,
                                                     {.sum = prefopt::view<double, 1>(&sum, {1})});
                    return sum;
                };
                expect_close(call(), expected_score<float>(rows, vocab), 0, backend);
                return [call] { benchmark::DoNotOptimize(call()); };
            });
    for (const std::ptrdiff_t n : abstraction_pairs)
        add(vector_name<float>("abstraction_dpo", n) + backend, pair_work<float>(n),
            [n, backend, tensors] {
                auto& p = shared_pairs<float>(n);
                const double want = dpo_step(p).loss;
                const auto wrap = [&](array<float>& a) { return tensors.vector(a.data(), n); };
                auto call = [pc = wrap(p.policy_chosen), pr = wrap(p.policy_rejected),
                             rc = wrap(p.reference_chosen), rr = wrap(p.reference_rejected),
                             losses = wrap(p.losses), gc = wrap(p.grad_chosen),
                             gr = wrap(p.grad_rejected)]() mutable {
                    const prefopt::dpo loss{.beta = 0.1};
                    return loss
                        .into(pc, pr, rc, rr,
                              {.losses = losses, .grad_chosen = gc, .grad_rejected = gr})
                        .loss;
                };
                expect_close(call(), want, 0, backend);
                return [call]() mutable { benchmark::DoNotOptimize(call()); };
            });
}

/// Backends whose labels are a std::vector.
struct vectors {
    static const std::vector<std::int64_t>& labels(std::vector<std::int64_t>& y) { return y; }
};

/// Pointers, extents, and no other library.
struct views : vectors {
    static auto matrix(float* x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        return prefopt::view<float, 2>(x, {rows, columns});
    }
    static auto vector(float* x, std::ptrdiff_t n) { return prefopt::view<float, 1>(x, {n}); }
};

/// The sides that every program has.
inline void add_raw_sides() {
    add_abstraction("view", views{});
    for (const auto [rows, vocab] : abstraction_sizes)
        add(row_name<float>("abstraction", 1, rows, vocab) + "raw_loop",
            row_work<float>(rows, vocab, 1, 1), [rows = rows, vocab = vocab] {
                const float* x = logits<float>(rows, vocab).data();
                const std::int64_t* y = labels(rows, vocab).data();
                expect_close(raw_loop(x, y, rows, vocab), expected_score<float>(rows, vocab), 1e-12,
                             "raw_loop");
                return [=] { benchmark::DoNotOptimize(raw_loop(x, y, rows, vocab)); };
            });
    for (const std::ptrdiff_t n : abstraction_pairs)
        add(vector_name<float>("abstraction_dpo", n) + "spans", pair_work<float>(n), [=] {
            auto& p = shared_pairs<float>(n);
            return [&p] { benchmark::DoNotOptimize(dpo_step(p).loss); };
        });
}

}  // namespace prefopt_bench
