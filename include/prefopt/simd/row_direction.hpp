// SPDX-License-Identifier: Apache-2.0
//
// The row kernels: one row of logits and one label -> log p(label), and the direction
// onehot(label) - softmax. Where the time goes: everything else here is bookkeeping around these
// two functions. Rows go to the vector kernels of the machine; those with NaN, +infinity or logits
// of absurd size, and all rows on a machine without vectors, to the scalar code here.
//
// log p(y) is computed as log_sigmoid(x_y - lse of the others). This is exact at both ends: a
// confident token keeps its digits ([20, 0 x 999] gives -2.05909e-6, not 0), and no rounding can
// make a log-prob positive.

#pragma once

#include <cstddef>
#include <limits>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/math/libm.hpp>
#include <prefopt/math/log_sigmoid.hpp>
#include <prefopt/math/log_sum_exp.hpp>
#include <prefopt/simd/row_kernels.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// What the forward pass knows of a row, and all that the backward pass needs.
/// T is float for 32- and 16-bit logits, double for 64-bit ones.
template <class T>
struct row_statistics {
    double log_prob = 0;  ///< log p(label) <= 0; NaN where the row has a NaN or +infinity
    double miss = 0;      ///< 1 - p(label), with all its digits
    double sum = 0;       ///< 0 for a row of -infinity alone, whose softmax is taken as 0
    T maximum = 0;        ///< scalar: softmax_j = exp(x_j - maximum) / sum
    double exponent = 0;  ///< vectors: softmax_j = exp(x_j) / (sum * 2^exponent)
    instruction_set set = instruction_set::scalar;  ///< who computed it, and goes on with it
};

/// x as a double that has been rounded: what -ffast-math must not regroup.
inline double rounded(double x) noexcept {
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__)
    volatile double stored = x;
    return stored;
#else
    return x;
#endif
}

/// A double and what its rounding lost.
struct double_double {
    double high = 0;
    double low = 0;

    /// a + b with its rounding error (Knuth).
    static double_double sum(double a, double b) noexcept {
        const double high = rounded(a + b);
        if (!is_finite(high)) return {high, 0};
        const double b_part = rounded(high - a);
        return {high, rounded(a - rounded(high - b_part)) + rounded(b - b_part)};
    }
};

/// exponent * ln 2 - x.
PREFOPT_NOINLINE inline double_double lag(double exponent, double x) noexcept {
    constexpr double ln2 = 0.6931471805599453;
    const double product = exponent * ln2;
    const double_double difference = double_double::sum(product, -x);
    return {difference.high, libm::fma(exponent, ln2, -product) +
                                 exponent * 2.3190468138462996e-17 + difference.low};
}

/// exponent * ln 2 - x + log(sum): how far the label is behind the log-sum-exp of the others.
inline double_double lag(double exponent, double x, double sum) noexcept {
    const double_double difference = lag(exponent, x);
    const double_double total = double_double::sum(difference.high, libm::log(sum));
    return {total.high, difference.low + total.low};
}

/// log p(label) and 1 - p(label) from how far the label is behind. A confident token's log-prob is
/// the exponential of that number, so its low part counts.
template <class T>
void finish_statistics(row_statistics<T>& r, double_double behind) noexcept {
    const auto [value, derivative] = log_sigmoid_and_derivative(-behind.high);
    r.log_prob = value - derivative * behind.low;
    r.miss = derivative + derivative * (1 - derivative) * behind.low;
}

/// The statistics of a row with logit x at the label, from the sum of the others.
template <class T>
row_statistics<T> vector_statistics(double x, const base2_sum& others,
                                    instruction_set set) noexcept {
    row_statistics<T> r;
    if (others.sum != 0) finish_statistics(r, lag(others.exponent, x, others.sum));
    const double own = reference_of(x);
    r.exponent = others.sum == 0 || own > others.exponent ? own : others.exponent;
    const double_double behind = lag(r.exponent, x);
    r.sum = others.sum * libm::exp2(others.exponent - r.exponent) +
            libm::exp(-behind.high) * (1 - behind.low);
    r.set = set;
    return r;
}

/// Whether the direction of a row is the vectors': a factor that is not an ordinary number of
/// their type keeps its digits in scalar.
template <class T>
bool goes_to_vectors(const row_statistics<T>& r, double factor) noexcept {
    constexpr double least = static_cast<double>(std::numeric_limits<T>::min());
    return r.set != instruction_set::scalar && is_finite(factor) && libm::fabs(factor) > least &&
           libm::fabs(factor) < 1 / least;
}

/// Writes coefficient * (onehot(label) - softmax) into `to`, which may be the row itself.
/// A coefficient of 0 selects zeros: the row is not read. The row may be a part of the one that `r`
/// is about; label is -1 where it is in another part. `stream`: past the caches, for outputs larger
/// than they are.
template <real_scalar S, real_scalar G>
void row_direction(const S* row, std::ptrdiff_t stride, G* to, std::ptrdiff_t to_stride,
                   std::ptrdiff_t vocab, std::ptrdiff_t label,
                   const row_statistics<compute_t<S>>& r, double coefficient,
                   bool stream = false) noexcept {
    if (is_zero(coefficient) || (is_zero(r.sum) && !is_nan(coefficient))) {
        for (std::ptrdiff_t i = 0; i < vocab; ++i) store(to + i * to_stride, 0.0);
        return;
    }
    const double factor = -coefficient / r.sum;
    if (goes_to_vectors(r, factor)) {
        with_set(
            r.set,
            [&](auto level) {
                scaled_exponentials(level, row, stride, to, to_stride, vocab, r.exponent, factor,
                                    stream);
            },
            [] {});
        if (label >= 0) store(to + label * to_stride, coefficient * r.miss);
        return;
    }
    const bool scalar = r.set == instruction_set::scalar;
    const auto maximum = static_cast<double>(r.maximum);
    for (std::ptrdiff_t i = 0; i < vocab; ++i) {
        // A far difference, rounded, would cost a small entry its last digits.
        const auto x = static_cast<double>(load(row + i * stride));
        const double_double d = scalar ? double_double::sum(maximum, -x) : lag(r.exponent, x);
        // + 0.0: an entry of -infinity gives +0, not -0
        store(to + i * to_stride, factor * (libm::exp(-d.high) * (1 - d.low)) + 0.0);
    }
    if (label >= 0) store(to + label * to_stride, coefficient * r.miss);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
