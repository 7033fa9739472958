// SPDX-License-Identifier: Apache-2.0
//
// From logits to sequence log-probs and back: where a trainer's time goes.
//
// `labels[b, t]` is the token that `logits[b, t]` predicts: already shifted (shift_labels does it).
// A negative label is not scored: its row is never read and gets a zero gradient. Sums are
// accumulated and returned in double whatever the logits are stored in.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include <prefopt/batch/sequences.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/math/lane_sum.hpp>
#include <prefopt/shift_labels.hpp>
#include <prefopt/simd/strided_rows.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// Counts over all sequences of a call.
struct sequence_report {
    std::int64_t rows = 0;       ///< all rows
    std::int64_t scored = 0;     ///< rows with a label
    std::int64_t nonfinite = 0;  ///< scored rows whose log-prob is NaN or infinite
    std::int64_t empty = 0;      ///< sequences without a scored row: sum 0, count 0
};

/// What scoring returns; the vectors are of the family of the logits.
template <class Sums, class Counts>
struct sequence_scores {
    Sums sum;      ///< (B) double: sum of log p(label) over the scored tokens, in nats
    Counts count;  ///< (B) std::int64_t: how many tokens were scored
    sequence_report report{};
};

/// What the non-allocating form writes; each is (B) and optional.
struct sequence_outputs {
    output<1> sum{};
    std::optional<std::span<std::int64_t>> count{};
};

namespace detail {

/// Outputs above this, in bytes, are written past the caches: no cache of one core's share holds
/// them until they are read.
inline constexpr std::ptrdiff_t streamed_bytes = std::ptrdiff_t{32} << 20;

/// Rows t to t + n of logits or directions, S their storage type.
template <class S, class Operand>
row_range<S> rows_of(const Operand& x, std::ptrdiff_t outer, std::ptrdiff_t t, std::ptrdiff_t n) {
    return {element_of<std::remove_const_t<S>>(x, outer, t, 0), x.strides[1], x.strides[2], n,
            x.extents[2]};
}

/// Scores every sequence; `rows(outer, t, n, labels, statistics)` sees rows t to t + n, whose
/// statistics are known where the label is not negative. S is the storage type of the logits.
template <class S, class Rows, class Done>
sequence_report score_sequences(const sequence_batch& s, const Rows& rows,
                                const Done& done) noexcept {
    sequence_report report;
    row_statistics<compute_t<S>> r[static_cast<std::size_t>(tile_rows)];
    for (std::ptrdiff_t b = 0; b < s.sequences(); ++b) {
        lane_sum<> sum;
        std::int64_t count = 0;
        s.for_each_tile(b, [&](std::ptrdiff_t outer, std::ptrdiff_t t, std::ptrdiff_t n,
                               const std::ptrdiff_t* label) {
            report.rows += n;
            row_log_probs(rows_of<const S>(s.logits, outer, t, n), label, r);
            for (std::ptrdiff_t i = 0; i < n; ++i) {
                if (label[i] < 0) continue;
                if (!is_finite(r[i].log_prob)) ++report.nonfinite;
                // by position among the scored: padding changes nothing
                sum.add(count++, r[i].log_prob);
            }
            rows(outer, t, n, label, r);
        });
        report.scored += count;
        if (count == 0) ++report.empty;
        done(b, sum.total(), count);
    }
    return report;
}

inline constexpr auto ignore = [](auto&&...) {};

/// Writes one sequence's results.
inline auto writer(const sequence_outputs& out) {
    return [&out](std::ptrdiff_t b, double sum, std::int64_t count) {
        store_block(out.sum, b, 1, &sum);
        if (out.count) (*out.count)[static_cast<std::size_t>(b)] = count;
    };
}

/// Allocates the scores in the family of the logits and lets `fill` write them.
template <class Logits, class Fill>
auto make_scores(const Logits& logits, const sequence_batch& s, const Fill& fill) {
    const std::array<std::ptrdiff_t, 1> b{s.sequences()};
    auto sum = make_like<double>(logits, b);
    auto count = make_like<std::int64_t>(logits, b);
    sequence_scores<decltype(sum), decltype(count)> r{std::move(sum), std::move(count), {}};
    const auto n = static_cast<std::size_t>(b[0]);
    r.report = fill(sequence_outputs{
        r.sum, std::span<std::int64_t>(
                   n == 0 ? nullptr : adapter<decltype(count)>::view(r.count).data, n)});
    return r;
}

struct sequence_log_probs_fn {
    /// sum over t of log softmax(logits[b, t])[labels[b, t]].
    ///
    /// logits: (B, T, V), or packed (N, V) with `.offsets` (B + 1), or (N, V) as one sequence;
    /// float, double, bf16 or fp16, any strides. labels: (B, T) or (N), any integer type.
    /// Returns sum and count (B) and a report.
    ///
    /// A log-prob is never above 0 and confident tokens keep their digits. A row with NaN or
    /// +infinity scores NaN; a label at -infinity scores -infinity; both are counted. A sequence
    /// without scored tokens has sum 0, count 0, and is counted.
    ///
    /// Errors: shape_mismatch, bad_offsets, label_out_of_range (label >= V, with its index), ...
    ///
    ///     auto scored = prefopt::sequence_log_probs(logits, labels);
    template <class L, class Y>
    auto operator()(const L& logits, const Y& labels, const sequence_options& o = {}) const {
        const auto& held = hold(logits);
        const auto& held_labels = hold(labels);
        const sequence_batch s(held, held_labels, o);
        require(check_sequences(s, "", {}, {}, {}));
        return make_scores(held, s, [&](const sequence_outputs& out) { return run(s, out); });
    }

    /// The same into the caller's memory; never allocates.
    template <class L, class Y>
    sequence_report into(const L& logits, const Y& labels, const sequence_outputs& out,
                         const sequence_options& o = {}) const {
        const sequence_batch s(logits, labels, o);
        require(check_sequences(s, "", {}, {}, out.sum, out.count));
        return run(s, out);
    }

    template <class L, class Y>
    status check(const L& logits, const Y& labels, const sequence_options& o = {},
                 const sequence_outputs& out = {}) const {
        const auto& held = hold(logits);
        const auto& held_labels = hold(labels);
        const sequence_batch s(held, held_labels, o);
        return check_sequences(s, "", {}, {}, out.sum, out.count);
    }

private:
    static sequence_report run(const sequence_batch& s, const sequence_outputs& out) noexcept {
        return with_scalar(s.logits.kind,
                           [&]<class S>() { return score_sequences<S>(s, ignore, writer(out)); });
    }
};

struct sequence_log_probs_backward_fn {
    /// grad_logits[b, t, :] = grad_sum[b] * (onehot(labels[b, t]) - softmax(logits[b, t])), and
    /// zero where nothing was scored: the gradient of a loss with d loss / d sum = grad_sum.
    ///
    /// grad_sum (B); grad_logits like the logits, and possibly the same memory. 16-bit gradients
    /// are rounded once. A coefficient of 0 gives a row of zeros, whatever the logits.
    ///
    /// Errors: as sequence_log_probs; aliasing for memory shared in any other way.
    ///
    ///     prefopt::sequence_log_probs_backward(logits, labels, result.grad_chosen, grad_logits);
    template <class L, class Y, class G, class O>
    void operator()(const L& logits, const Y& labels, const G& grad_sum, O&& grad_logits,
                    const sequence_options& o = {}) const {
        const auto& held = hold(logits);
        const auto& held_labels = hold(labels);
        const auto& held_grad = hold(grad_sum);
        const sequence_batch s(held, held_labels, o);
        const auto to = lift<output, 3>(static_cast<O&&>(grad_logits));
        const input<1> coefficients(held_grad);
        require(check_sequences(s, "grad_logits", to, coefficients, {}));
        with_scalar(s.logits.kind, [&]<class S>() {
            with_scalar(to.kind, [&]<class W>() { run<S, W>(s, coefficients, to); });
        });
    }

    template <class L, class Y, class G, class O>
    status check(const L& logits, const Y& labels, const G& grad_sum, O&& grad_logits,
                 const sequence_options& o = {}) const {
        const auto& held = hold(logits);
        const auto& held_labels = hold(labels);
        const auto& held_grad = hold(grad_sum);
        const sequence_batch s(held, held_labels, o);
        return check_sequences(s, "grad_logits", lift<output, 3>(static_cast<O&&>(grad_logits)),
                               input<1>(held_grad), {});
    }

private:
    template <class S, class W>
    static void run(const sequence_batch& s, const input<1>& coefficients,
                    const output<3>& to) noexcept {
        const bool stream =
            to.data != s.logits.data && s.logits.extents[0] * s.logits.extents[1] * s.vocab() *
                                                static_cast<std::ptrdiff_t>(sizeof(W)) >=
                                            streamed_bytes;
        row_statistics<compute_t<S>> r[static_cast<std::size_t>(tile_rows)];
        for (std::ptrdiff_t b = 0; b < s.sequences(); ++b) {
            double coefficient = 0;
            load_block(coefficients, b, 1, &coefficient);
            s.for_each_tile(b, [&](std::ptrdiff_t outer, std::ptrdiff_t t, std::ptrdiff_t n,
                                   std::ptrdiff_t* label) {
                if (is_zero(coefficient)) std::fill(label, label + n, std::ptrdiff_t{-1});
                const auto rows = rows_of<const S>(s.logits, outer, t, n);
                row_log_probs(rows, label, r);
                row_directions(rows, rows_of<W>(to, outer, t, n), label, r, coefficient, stream);
            });
        }
    }
};

struct sequence_log_probs_in_place_fn {
    /// Scores, and leaves onehot(label) - softmax in the logits, zero where nothing was scored.
    ///
    /// One sweep instead of two: the gradient of any preference loss is one coefficient per
    /// sequence times this direction, so a trainer that owns the memory multiplies the coefficient
    /// into the (N, D) rows around its next matrix product rather than into (N, V).
    ///
    /// Shapes, types and errors as for sequence_log_probs; the logits must be writable.
    ///
    ///     auto scored = prefopt::sequence_log_probs_in_place(logits, labels);
    template <class L, class Y>
    auto operator()(L&& logits, const Y& labels, const sequence_options& o = {}) const {
        const auto& held_labels = hold(labels);
        const auto to = lift<output, 3>(static_cast<L&&>(logits));
        const sequence_batch s(logits, held_labels, o);
        require(check_sequences(s, name, to, {}, {}));
        return make_scores(logits, s, [&](const sequence_outputs& out) { return run(s, to, out); });
    }

    /// The same into the caller's memory; never allocates.
    template <class L, class Y>
    sequence_report into(L&& logits, const Y& labels, const sequence_outputs& out,
                         const sequence_options& o = {}) const {
        const auto to = lift<output, 3>(static_cast<L&&>(logits));
        const sequence_batch s(logits, labels, o);
        require(check_sequences(s, name, to, {}, out.sum, out.count));
        return run(s, to, out);
    }

    template <class L, class Y>
    status check(L&& logits, const Y& labels, const sequence_options& o = {},
                 const sequence_outputs& out = {}) const {
        const auto& held_labels = hold(labels);
        const auto to = lift<output, 3>(static_cast<L&&>(logits));
        return check_sequences(sequence_batch(logits, held_labels, o), name, to, {}, out.sum,
                               out.count);
    }

private:
    static constexpr const char* name = "logits";

    static sequence_report run(const sequence_batch& s, const output<3>& to,
                               const sequence_outputs& out) noexcept {
        return with_scalar(s.logits.kind, [&]<class S>() {
            const auto rows = [&](std::ptrdiff_t outer, std::ptrdiff_t t, std::ptrdiff_t n,
                                  const std::ptrdiff_t* label, const auto* r) {
                const auto here = rows_of<S>(to, outer, t, n);
                row_directions(rows_of<const S>(s.logits, outer, t, n), here, label, r, 1.0, false);
            };
            return score_sequences<S>(s, rows, writer(out));
        });
    }
};

}  // namespace detail

inline constexpr detail::sequence_log_probs_fn sequence_log_probs{};
inline constexpr detail::sequence_log_probs_backward_fn sequence_log_probs_backward{};
inline constexpr detail::sequence_log_probs_in_place_fn sequence_log_probs_in_place{};

}  // namespace prefopt::inline PREFOPT_ABI
