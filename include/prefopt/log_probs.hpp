// SPDX-License-Identifier: Apache-2.0
//
// From logits to sequence log-probs and back: where a trainer's time goes.
//
// `labels[b, t]` is the token that `logits[b, t]` predicts: already shifted (shift_labels does it).
// A negative label is not scored: its row is not read (or, where rows lie side by side in memory
// as in column-major logits, read with its neighbours but not looked at) and gets a zero gradient.
// Sums are accumulated and returned in double whatever the logits are stored in.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include <prefopt/batch/score_sequences.hpp>
#include <prefopt/batch/sequences.hpp>
#include <prefopt/core/arithmetic.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/shift_labels.hpp>
#include <prefopt/simd/strided_rows.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// What scoring returns; the vectors are of the family of the logits.
template <class Sums, class Counts>
struct sequence_scores {
    Sums sum;      ///< (B) double: sum of log p(label) over the scored tokens, in nats
    Counts count;  ///< (B) std::int64_t: how many tokens were scored
    sequence_report report{};
};

namespace detail {

/// Outputs above this, in bytes, are written past the caches: no cache of one core's share holds
/// them until they are read.
inline constexpr std::ptrdiff_t streamed_bytes = std::ptrdiff_t{32} << 20;

/// f.template operator()<S>() with the library's own type of a tensor's elements: what rows of it
/// are read and written as. Only tensors of run-time type cost code for every kind.
template <class Tensor, class F>
decltype(auto) with_stored(scalar_kind kind, const F& f) {
    if constexpr (std::is_void_v<element_t<Tensor>>)
        return with_scalar(kind, f);
    else
        return f.template
        operator()<typename stored_as<scalar_traits<element_t<Tensor>>::kind>::type>();
}

/// Allocates the scores in the family of the logits and lets `fill` write them.
template <class Logits, class Fill>
auto make_scores(const Logits& logits, const sequence_batch& s, const Fill& fill) {
    const std::array<std::ptrdiff_t, 1> b{s.sequences()};
    auto sum = make_like<double>(logits, b);
    auto count = make_like<std::int64_t>(logits, b);
    sequence_scores<decltype(sum), decltype(count)> r{std::move(sum), std::move(count), {}};
    void* const counts = adapter<decltype(count)>::view(r.count).data;
    r.report = fill(sequence_outputs{r.sum, {static_cast<std::int64_t*>(counts), b[0]}});
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
        using self = sequence_log_probs_fn;
        if constexpr (evaluates_itself<held_t<L>, self, sequence_options, held_t<L>, held_t<Y>>) {
            return adapter<held_t<L>>::evaluate(*this, o, held, held_labels);
        } else {
            const sequence_batch s(held, held_labels, o.offsets, o.executor);
            require(check_sequences(s, {}));
            return make_scores(held, s,
                               [&](const sequence_outputs& out) { return run_as<L>(s, out); });
        }
    }

    /// The same into the caller's memory; never allocates.
    template <class L, class Y>
    sequence_report into(const L& logits, const Y& labels, const sequence_outputs& out,
                         const sequence_options& o = {}) const {
        const sequence_batch s(logits, labels, o.offsets, o.executor);
        require(check_sequences(s, memory(out)));
        return run_as<L>(s, out);
    }

    template <class L, class Y>
    status check(const L& logits, const Y& labels, const sequence_options& o = {},
                 const sequence_outputs& out = {}) const {
        const auto& held = hold(logits);
        const auto& held_labels = hold(labels);
        if constexpr (checks_itself<held_t<L>, sequence_log_probs_fn, sequence_options,
                                    sequence_outputs, held_t<L>, held_t<Y>>) {
            return adapter<held_t<L>>::check(*this, o, out, held, held_labels);
        } else {
            const sequence_batch s(held, held_labels, o.offsets, o.executor);
            return check_sequences(s, memory(out));
        }
    }

    // For adapters that evaluate the call themselves, too.
    static sequence_memory memory(const sequence_outputs& out) {
        return {.sum = out.sum, .count = out.count, .partials = out.partials};
    }
    template <class L>
    static sequence_report run_as(const sequence_batch& s, const sequence_outputs& out) {
        return with_stored<held_t<L>>(s.logits.kind, [&]<class S>() { return run<S>(s, out); });
    }
    template <class S>
    static sequence_report run(const sequence_batch& s, const sequence_outputs& out) {
        return score_sequences<S>(s, out);
    }
};

struct sequence_log_probs_backward_fn {
    /// grad_logits[b, t, :] = grad_sum[b] * (onehot(labels[b, t]) - softmax(logits[b, t])), and
    /// zero where nothing was scored: the gradient of a loss with d loss / d sum = grad_sum.
    ///
    /// grad_sum (B); grad_logits like the logits, and possibly the same memory. 16-bit gradients
    /// are rounded once. A coefficient of 0 gives a row of zeros, whatever the logits.
    ///
    /// With the partials that the forward call wrote, the sums of exponentials are not taken again:
    ///     prefopt::sequence_log_probs.into(logits, labels, {.sum = sums, .partials = partials});
    ///     prefopt::sequence_log_probs_backward(logits, labels, grad, grad_logits,
    ///                                          {.partials = partials});
    /// The gradient has the same bits, and takes about half the time.
    ///
    /// Errors: as sequence_log_probs; aliasing for memory shared in any other way.
    ///
    ///     prefopt::sequence_log_probs_backward(logits, labels, result.grad_chosen, grad_logits);
    template <class L, class Y, class G, class O>
    void operator()(const L& logits, const Y& labels, const G& grad_sum, O&& grad_logits,
                    const sequence_backward_options& o = {}) const {
        static_assert(require_output<O>());
        const auto& held = hold(logits);
        const auto& held_labels = hold(labels);
        const auto& held_grad = hold(grad_sum);
        const sequence_batch s(held, held_labels, o.offsets, o.executor);
        const sequence_memory m =
            memory(lift<output, 3>(static_cast<O&&>(grad_logits)), held_grad, o);
        require(check_sequences(s, m));
        with_stored<held_t<L>>(s.logits.kind, [&]<class S>() {
            with_stored<std::remove_cvref_t<O>>(m.written.kind,
                                                [&]<class W>() { run<S, W>(s, m); });
        });
    }

    template <class L, class Y, class G, class O>
    status check(const L& logits, const Y& labels, const G& grad_sum, O&& grad_logits,
                 const sequence_backward_options& o = {}) const {
        static_assert(require_output<O>());
        const auto& held = hold(logits);
        const auto& held_labels = hold(labels);
        const auto& held_grad = hold(grad_sum);
        const sequence_batch s(held, held_labels, o.offsets, o.executor);
        return check_sequences(
            s, memory(lift<output, 3>(static_cast<O&&>(grad_logits)), held_grad, o));
    }

private:
    static sequence_memory memory(const output<3>& to, const input<1>& grad_sum,
                                  const sequence_backward_options& o) {
        return {.written_name = "grad_logits",
                .written = to,
                .grad_sum = grad_sum,
                .given_partials = o.partials};
    }

    template <class S, class W>
    static void run(const sequence_batch& s, const sequence_memory& m) {
        const instruction_set set = active_instruction_set();
        const bool stream =
            m.written.data != s.logits.data &&
            s.rows() * s.vocab() * static_cast<std::ptrdiff_t>(sizeof(W)) >= streamed_bytes;
        s.for_range(s.rows(), [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            of_tile<row_partial> own;
            of_tile<row_statistics<compute_t<S>>> statistics;
            row_statistics<compute_t<S>>* const r = statistics.row;
            for (std::ptrdiff_t b = s.sequence_of(begin), at = begin; at < end; ++b) {
                const double coefficient = load_element(m.grad_sum, b);
                const std::ptrdiff_t last = smaller(end, s.start(b + 1));
                s.for_each_tile(at, last, [&](row_tile& tile) {
                    if (is_zero(coefficient))
                        for (std::ptrdiff_t i = 0; i < tile.count; ++i) tile.label[i] = -1;
                    const auto rows = rows_of<const S>(s.logits, tile);
                    const row_partial* p = own.row;
                    if (m.given_partials.has_value)
                        p = m.given_partials.data + tile.number;
                    else
                        row_partials(rows, tile.label, set, own.row);
                    finish_rows(p, tile.label, tile.count, set, r);
                    row_directions(rows, rows_of<W>(m.written, tile), tile.label, r, coefficient,
                                   stream);
                });
                at = last;
            }
        });
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
        static_assert(require_output<L>());
        const auto& held_labels = hold(labels);
        const auto to = lift<output, 3>(static_cast<L&&>(logits));
        const sequence_batch s(logits, held_labels, o.offsets, o.executor);
        require(check_sequences(s, memory(to, {})));
        return make_scores(logits, s,
                           [&](const sequence_outputs& out) { return run_as<L>(s, to, out); });
    }

    /// The same into the caller's memory; never allocates.
    template <class L, class Y>
    sequence_report into(L&& logits, const Y& labels, const sequence_outputs& out,
                         const sequence_options& o = {}) const {
        static_assert(require_output<L>());
        const auto to = lift<output, 3>(static_cast<L&&>(logits));
        const sequence_batch s(logits, labels, o.offsets, o.executor);
        require(check_sequences(s, memory(to, out)));
        return run_as<L>(s, to, out);
    }

    template <class L, class Y>
    status check(L&& logits, const Y& labels, const sequence_options& o = {},
                 const sequence_outputs& out = {}) const {
        static_assert(require_output<L>());
        const auto& held_labels = hold(labels);
        const auto to = lift<output, 3>(static_cast<L&&>(logits));
        const sequence_batch s(logits, held_labels, o.offsets, o.executor);
        return check_sequences(s, memory(to, out));
    }

private:
    static sequence_memory memory(const output<3>& to, const sequence_outputs& out) {
        return {.written_name = "logits",
                .written = to,
                .sum = out.sum,
                .count = out.count,
                .partials = out.partials};
    }
    template <class L>
    static sequence_report run_as(const sequence_batch& s, const output<3>& to,
                                  const sequence_outputs& out) {
        return with_stored<std::remove_cvref_t<L>>(to.kind,
                                                   [&]<class S>() { return run<S>(s, to, out); });
    }
    template <class S>
    static sequence_report run(const sequence_batch& s, const output<3>& to,
                               const sequence_outputs& out) {
        struct place {
            const input<3>& logits;
            const output<3>& directions;
        };
        const place here{s.logits, to};
        const auto direct = [](const void* context, const row_tile& tile, const auto* r) {
            const auto& [logits, directions] = *static_cast<const place*>(context);
            row_directions(rows_of<const S>(logits, tile), rows_of<S>(directions, tile), tile.label,
                           r, 1.0, false);
        };
        return score_sequences<S>(s, out, {&here, direct});
    }
};

}  // namespace detail

inline constexpr detail::sequence_log_probs_fn sequence_log_probs{};
inline constexpr detail::sequence_log_probs_backward_fn sequence_log_probs_backward{};
inline constexpr detail::sequence_log_probs_in_place_fn sequence_log_probs_in_place{};

}  // namespace prefopt::inline PREFOPT_ABI
