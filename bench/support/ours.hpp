// SPDX-License-Identifier: Apache-2.0
//
// The sides named "prefopt": what is measured beside every peer and every yardstick, in whichever
// program the peer lives. All through the public calls, into memory that is there already.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <prefopt/dpo.hpp>
#include <prefopt/log_probs.hpp>
#include <prefopt/simd/elementwise.hpp>
#include <prefopt/trust_region.hpp>
#include <span>
#include <string>
#include <vector>

#include "data.hpp"
#include "measure.hpp"
#include "threads.hpp"

namespace prefopt_bench {

inline constexpr double coefficient = 0.5;

template <class S>
prefopt::view<const S, 2> rows_view(const array<S>& x, std::ptrdiff_t begin, std::ptrdiff_t end,
                                    std::ptrdiff_t vocab) {
    return prefopt::view<const S, 2>(x.data() + begin * vocab, {end - begin, vocab});
}
template <class S>
prefopt::view<S, 2> rows_view(array<S>& x, std::ptrdiff_t begin, std::ptrdiff_t end,
                              std::ptrdiff_t vocab) {
    return prefopt::view<S, 2>(x.data() + begin * vocab, {end - begin, vocab});
}
inline std::span<const std::int64_t> rows_labels(const std::vector<std::int64_t>& y,
                                                 std::ptrdiff_t begin, std::ptrdiff_t end) {
    return std::span(y).subspan(static_cast<std::size_t>(begin),
                                static_cast<std::size_t>(end - begin));
}

/// One sequence of all rows, scored.
template <class S>
double score(const array<S>& x, std::ptrdiff_t rows, std::ptrdiff_t vocab, int threads) {
    const auto& y = labels(rows, vocab);
    double sums[2] = {0, 0};
    with_threads(threads, rows, prefopt::sequence_options{},
                 [&](std::ptrdiff_t begin, std::ptrdiff_t end, const auto& options) {
                     const prefopt::view<double, 1> sum(&sums[begin == 0 ? 0 : 1], {1});
                     prefopt::sequence_log_probs.into(rows_view(x, begin, end, vocab),
                                                      rows_labels(y, begin, end), {.sum = sum},
                                                      options);
                 });
    return sums[0] + sums[1];
}

/// Its gradient, into memory that may be that of the logits.
template <class S>
void score_backward(const array<S>& x, array<S>& to, std::ptrdiff_t rows, std::ptrdiff_t vocab,
                    int threads, double grad = coefficient) {
    const auto& y = labels(rows, vocab);
    with_threads(threads, rows, prefopt::sequence_options{},
                 [&](std::ptrdiff_t begin, std::ptrdiff_t end, const auto& options) {
                     prefopt::sequence_log_probs_backward(
                         rows_view(x, begin, end, vocab), rows_labels(y, begin, end),
                         std::array{grad}, rows_view(to, begin, end, vocab), options);
                 });
}

/// Both in one sweep.
template <class S>
double score_in_place(array<S>& x, std::ptrdiff_t rows, std::ptrdiff_t vocab, int threads) {
    const auto& y = labels(rows, vocab);
    double sums[2] = {0, 0};
    with_threads(threads, rows, prefopt::sequence_options{},
                 [&](std::ptrdiff_t begin, std::ptrdiff_t end, const auto& options) {
                     const prefopt::view<double, 1> sum(&sums[begin == 0 ? 0 : 1], {1});
                     prefopt::sequence_log_probs_in_place.into(rows_view(x, begin, end, vocab),
                                                               rows_labels(y, begin, end),
                                                               {.sum = sum}, options);
                 });
    return sums[0] + sums[1];
}

/// What the peers' sum must be close to; computed once.
template <class S>
double expected_score(std::ptrdiff_t rows, std::ptrdiff_t vocab) {
    return shared<double>(std::string("score ") + type_name<S>(), rows, vocab,
                          [&] { return score(logits<S>(rows, vocab), rows, vocab, 1); });
}

/// What the peers' gradient must be close to: its first and last row.
template <class S>
void expect_gradient(const S* got, std::ptrdiff_t rows, std::ptrdiff_t vocab, double tolerance) {
    const auto& want =
        shared<array<S>>(std::string("gradient ") + type_name<S>(), rows, vocab, [&] {
            array<S> to(static_cast<std::size_t>(rows * vocab));
            score_backward(logits<S>(rows, vocab), to, rows, vocab, 1);
            return to;
        });
    using prefopt::detail::load;
    for (const std::ptrdiff_t first : {std::ptrdiff_t{0}, (rows - 1) * vocab})
        for (std::ptrdiff_t i = first; i < first + vocab; ++i)
            expect_close(static_cast<double>(load(got + i)),
                         static_cast<double>(load(want.data() + i)), tolerance,
                         "gradient of logit " + std::to_string(i));
}

// Names and bytes of what more than one program measures.

template <class S>
std::string row_name(const char* what, int threads, std::ptrdiff_t rows, std::ptrdiff_t vocab) {
    return std::string(what) + thread_suffix(threads) + "/" + type_name<S>() + "/" +
           size_name(rows, vocab) + "/";
}
/// `sweeps` reads or writes of the logits.
template <class S>
work row_work(std::ptrdiff_t rows, std::ptrdiff_t vocab, int sweeps, int threads) {
    const auto n = static_cast<double>(rows * vocab);
    return {sweeps * n * static_cast<double>(sizeof(S)), n, threads};
}

template <class S>
void add_forward(std::ptrdiff_t rows, std::ptrdiff_t vocab, int threads) {
    add(row_name<S>("forward", threads, rows, vocab) + "prefopt",
        row_work<S>(rows, vocab, 1, threads), [=] {
            const auto& x = logits<S>(rows, vocab);
            expect_close(score(x, rows, vocab, threads), expected_score<S>(rows, vocab), 1e-12,
                         "threads");
            return [=, &x] { benchmark::DoNotOptimize(score(x, rows, vocab, threads)); };
        });
}

template <class S>
void add_backward(std::ptrdiff_t rows, std::ptrdiff_t vocab, int threads) {
    add(row_name<S>("backward", threads, rows, vocab) + "prefopt",
        row_work<S>(rows, vocab, 2, threads), [=] {
            const auto& x = logits<S>(rows, vocab);
            auto& to = scratch<S>(rows, vocab);
            return [=, &x, &to] { score_backward(x, to, rows, vocab, threads); };
        });
}

template <class S>
void add_backward_in_place(std::ptrdiff_t rows, std::ptrdiff_t vocab, int threads) {
    add(row_name<S>("backward_in_place", threads, rows, vocab) + "prefopt",
        row_work<S>(rows, vocab, 2, threads), [=] {
            auto& x = fresh_logits<S>(rows, vocab);
            return [=, &x] { score_backward(x, x, rows, vocab, threads); };
        });
}

/// One DPO loss and its gradients; `n` pairs.
template <class S>
prefopt::batch_result dpo_step(pairs<S>& p) {
    const prefopt::dpo loss{.beta = 0.1};
    return loss.into(
        p.policy_chosen, p.policy_rejected, p.reference_chosen, p.reference_rejected,
        {.losses = p.losses, .grad_chosen = p.grad_chosen, .grad_rejected = p.grad_rejected});
}

/// Four arrays in, three out.
template <class S>
work pair_work(std::ptrdiff_t n) {
    return {static_cast<double>(n) * 7.0 * static_cast<double>(sizeof(S)), static_cast<double>(n)};
}

template <class S>
std::string vector_name(const char* what, std::ptrdiff_t n) {
    return std::string(what) + "/" + type_name<S>() + "/" + std::to_string(n) + "/";
}

template <class S>
void add_dpo(std::ptrdiff_t n) {
    add(vector_name<S>("dpo", n) + "prefopt", pair_work<S>(n), [=] {
        auto& p = shared_pairs<S>(n);
        return [&p] { benchmark::DoNotOptimize(dpo_step(p).loss); };
    });
}

/// Weights of a policy and of a reference.
template <class S>
void add_soft_update(std::ptrdiff_t n) {
    const double bytes = static_cast<double>(n) * 3.0 * static_cast<double>(sizeof(S));
    add(vector_name<S>("soft_update", n) + "prefopt", {bytes, static_cast<double>(n)}, [=] {
        const auto& policy = logits<S>(n, 1, "policy weights");
        auto& reference = fresh_logits<S>(n, 1, "reference weights");
        return [&, update =
                       prefopt::tr_dpo{.update = prefopt::soft_update({.alpha = 0.01})}]() mutable {
            update.step(policy, reference);
        };
    });
}

/// Everywhere from far left to far right of the bend.
template <class T>
const array<T>& margins(std::ptrdiff_t n) {
    return shared<array<T>>("margins", n, 1, [&] { return normal_values<T>(n, 0, 6, 5); });
}

/// That a peer's values are log-sigmoids; Eigen's are a little off.
template <class T>
void expect_log_sigmoid(std::span<const T> x, std::span<const T> value) {
    for (std::size_t i = 0; i < x.size(); i += 1 + x.size() / 1000)
        expect_close(static_cast<double>(value[i]),
                     static_cast<double>(prefopt::log_sigmoid(static_cast<double>(x[i]))), 1e-5,
                     "log_sigmoid of entry " + std::to_string(i));
}

template <class T>
void add_log_sigmoid(std::ptrdiff_t n) {
    const double items = static_cast<double>(n);
    const double bytes = items * static_cast<double>(sizeof(T));
    add(vector_name<T>("log_sigmoid", n) + "prefopt", {2 * bytes, items}, [=] {
        const std::span<const T> x(margins<T>(n));
        const std::span<T> value(scratch<T>(n, 1, "values"));
        prefopt::log_sigmoid<T>(x, value);
        expect_log_sigmoid<T>(x, value);
        return [=] { prefopt::log_sigmoid<T>(x, value); };
    });
    add(vector_name<T>("log_sigmoid_and_derivative", n) + "prefopt", {3 * bytes, items}, [=] {
        const std::span<const T> x(margins<T>(n));
        const std::span<T> value(scratch<T>(n, 1, "values"));
        const std::span<T> derivative(scratch<T>(n, 1, "derivatives"));
        return [=] { prefopt::log_sigmoid_and_derivative<T>(x, value, derivative); };
    });
}

}  // namespace prefopt_bench
