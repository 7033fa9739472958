// SPDX-License-Identifier: Apache-2.0
//
// The row kernels: one row of logits and one label -> log p(label), and the direction
// onehot(label) - softmax. Where the time goes: everything else here is bookkeeping around these
// two functions, and vectorised kernels replace them and nothing else.
//
// log p(y) is computed as log_sigmoid(x_y - lse of the others). This is exact at both ends: a
// confident token keeps its digits ([20, 0 x 999] gives -2.05909e-6, not 0), and no rounding can
// make a log-prob positive.

#pragma once

#include <cmath>
#include <cstddef>
#include <limits>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/math/log_sigmoid.hpp>
#include <prefopt/math/log_sum_exp.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// What the forward pass knows of a row, and all that the backward pass needs.
/// T is float for 32- and 16-bit logits, double for 64-bit ones.
template <class T>
struct row_statistics {
    double log_prob = 0;  ///< log p(label) <= 0; NaN where the row has a NaN or +infinity
    double miss = 0;      ///< 1 - p(label), with all its digits
    T maximum = 0;        ///< softmax_j = exp(x_j - maximum) / sum
    double sum = 0;       ///< 0 for a row of -infinity alone, whose softmax is taken as 0
};

/// Statistics of one row of `vocab` logits at `stride` elements; 0 <= label < vocab.
/// A row of -infinity alone has log-prob -infinity and zero gradient; any NaN or +infinity gives
/// NaN; -infinity entries beside finite ones (a masked vocabulary) contribute exactly nothing.
template <real_scalar S>
row_statistics<compute_t<S>> row_log_prob(const S* row, std::ptrdiff_t vocab, std::ptrdiff_t stride,
                                          std::ptrdiff_t label) noexcept {
    using T = compute_t<S>;
    const auto at = [=](std::ptrdiff_t i) { return load(row + i * stride); };
    const T x = at(label);
    const auto [others, sum] = sum_of_exponentials<T>(vocab, at, label);
    row_statistics<T> r;
    r.maximum = x > others ? x : others;
    if (is_minus_infinity(x) && is_minus_infinity(others) && !is_nan(sum)) {
        r.log_prob = -std::numeric_limits<double>::infinity();
        return r;
    }
    if (is_nan(x) || is_nan(sum) || (is_infinite(x) && x > 0)) {
        r.log_prob = r.miss = r.sum = std::numeric_limits<double>::quiet_NaN();
        return r;
    }
    // lse of the others, relative to the label's logit; the difference of two floats is exact here
    const double behind =
        sum == 0 ? -std::numeric_limits<double>::infinity()
                 : (static_cast<double>(others) - static_cast<double>(x)) + std::log(sum);
    const auto [value, derivative] = log_sigmoid_and_derivative(-behind);
    r.log_prob = value;
    r.miss = derivative;
    r.sum = x > others ? 1 + sum * std::exp(static_cast<double>(others) - static_cast<double>(x))
                       : sum + std::exp(static_cast<double>(x) - static_cast<double>(others));
    return r;
}

/// Writes coefficient * (onehot(label) - softmax) into `to`, which may be the row itself.
/// A coefficient of 0 selects zeros: the row is not read.
template <real_scalar S, real_scalar G>
void row_direction(const S* row, std::ptrdiff_t stride, G* to, std::ptrdiff_t to_stride,
                   std::ptrdiff_t vocab, std::ptrdiff_t label,
                   const row_statistics<compute_t<S>>& r, double coefficient) noexcept {
    if (is_zero(coefficient) || (is_zero(r.sum) && !is_nan(coefficient))) {
        for (std::ptrdiff_t i = 0; i < vocab; ++i) store(to + i * to_stride, 0.0);
        return;
    }
    const double factor = -coefficient / r.sum;
    const auto reference = static_cast<double>(r.maximum);
    for (std::ptrdiff_t i = 0; i < vocab; ++i) {
        // In double: a far difference rounded to float would cost a small entry its last digits.
        const double e = std::exp(static_cast<double>(load(row + i * stride)) - reference);
        store(to + i * to_stride, factor * e + 0.0);  // +0, not -0, where e is 0
    }
    store(to + label * to_stride, coefficient * r.miss);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
