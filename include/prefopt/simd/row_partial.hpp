// SPDX-License-Identifier: Apache-2.0
//
// row_partial: what is known of a row of logits after a part of its vocabulary. Parts are merged in
// any grouping, and then the row is finished as if it had been seen whole.
//
// It is a monoid: row_partial{} is the part without tokens, and merge is associative and
// commutative up to the rounding of one sum (its scaling is by powers of two, exact). It is also
// all that ranks which share a vocabulary have to exchange: 32 bytes per row, once, and each of
// them has every row's log-prob.

#pragma once

#include <cstddef>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/math/libm.hpp>
#include <prefopt/math/log_sum_exp.hpp>
#include <prefopt/simd/row_direction.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// The sum of exp(x_j) over the tokens j of a part, the label left out, and the label's logit:
///     sum * 2^exponent * exp(maximum).
/// Trivially copyable; four doubles.
struct row_partial {
    double sum = 0;       ///< 0: no token yet, or none above -infinity; NaN: a NaN or +infinity
    double exponent = 0;  ///< an integer
    double maximum = 0;   ///< 0, but for logits of absurd size and where there are no vectors
    double label = -detail::infinity_of<double>;  ///< -infinity: not in this part

    /// log p(label) <= 0, once all parts are merged. -infinity where the label was in none.
    [[nodiscard]] double log_prob() const noexcept;
};

/// The two parts as one.
inline row_partial merge(const row_partial& a, const row_partial& b) noexcept {
    row_partial r = is_zero(a.sum) ? b : a;
    r.label = is_nan(a.label) || (!is_nan(b.label) && a.label > b.label) ? a.label : b.label;
    if (is_zero(a.sum) || is_zero(b.sum)) return r;
    const double steps = a.exponent - b.exponent;
    const double rest = a.maximum - b.maximum;
    const double lead = detail::lag(steps, -rest).high;  // of a over b, in nats
    const row_partial& far = lead < 0 ? a : b;
    if (lead < 0) {
        r.exponent = b.exponent;
        r.maximum = b.maximum;
        r.sum = b.sum;
    }
    const double sign = lead < 0 ? 1.0 : -1.0;
    const double scale =
        is_zero(rest) ? detail::libm::exp2(sign * steps) : detail::libm::exp(sign * lead);
    r.sum += far.sum * scale;
    return r;
}

namespace detail {

/// The part of `n` logits of a row; `label` is its place among them, -1 where it is elsewhere.
template <real_scalar S>
PREFOPT_NOINLINE row_partial partial_of(const S* row, std::ptrdiff_t n, std::ptrdiff_t stride,
                                        std::ptrdiff_t label, instruction_set set) noexcept {
    using T = compute_t<S>;
    row_partial r;
    if (label >= 0) r.label = static_cast<double>(load(row + label * stride));
    base2_sum others;
    if (sum_of_exponentials(set, logits_row<S>{row, stride, n, label}, others)) {
        r.sum = others.sum;
        r.exponent = others.exponent;
        return r;
    }
    const auto at = [=](std::ptrdiff_t i) { return load(row + i * stride); };
    const auto [maximum, sum] = sum_of_exponentials<T>(n, at, label);
    r.sum = sum;
    r.maximum = is_minus_infinity(maximum) ? 0.0 : static_cast<double>(maximum);
    return r;
}

/// The statistics of a row all of whose parts are merged; T as in row_statistics.
template <class T>
PREFOPT_NOINLINE row_statistics<T> finish(const row_partial& p, instruction_set set) noexcept {
    row_statistics<T> r;
    const double x = p.label;
    if (is_nan(x) || is_nan(p.sum) || (is_infinite(x) && x > 0)) {
        r.log_prob = r.miss = r.sum = detail::quiet_nan_of<double>;
        return r;
    }
    const bool alone = is_zero(p.sum);
    if (alone && is_infinite(x)) {
        r.log_prob = x;
        return r;
    }
    const bool absurd = is_finite(x) && magnitude_bits(x) >= magnitude_bits(largest_vector_logit);
    if (set != instruction_set::scalar && is_zero(p.maximum) && !absurd)
        return vector_statistics<T>(x, {p.sum, p.exponent}, set);
    if (!alone) {
        const double_double lead = double_double::sum(p.maximum, -x);
        double_double behind = lag(p.exponent, -lead.high, p.sum);
        behind.low += lead.low;
        finish_statistics(r, behind);
    }
    // exp(-infinity) of a label that is masked is 0, and does not count
    const double top = lag(p.exponent, -p.maximum).high;
    r.maximum = static_cast<T>(alone || x > top ? x : top);
    const auto reference = static_cast<double>(r.maximum);
    const double_double label = double_double::sum(x, -reference);
    r.sum = libm::exp(label.high);
    if (!alone) {
        const double_double lead = double_double::sum(p.maximum, -reference);
        const double_double others = lag(p.exponent, -lead.high);
        r.sum += p.sum * libm::exp(others.high) * (1 + (others.low + lead.low));
    }
    return r;
}

/// Statistics of one row of `vocab` logits at `stride` elements; 0 <= label < vocab.
/// A row of -infinity alone has log-prob -infinity and zero gradient; any NaN or +infinity gives
/// NaN; -infinity entries beside finite ones (a masked vocabulary) contribute exactly nothing.
template <real_scalar S>
row_statistics<compute_t<S>> row_log_prob(const S* row, std::ptrdiff_t vocab, std::ptrdiff_t stride,
                                          std::ptrdiff_t label) noexcept {
    const instruction_set set = active_instruction_set();
    return finish<compute_t<S>>(partial_of(row, vocab, stride, label, set), set);
}

}  // namespace detail

inline double row_partial::log_prob() const noexcept {
    return detail::finish<double>(*this, instruction_set::scalar).log_prob;
}

}  // namespace prefopt::inline PREFOPT_ABI
