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
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <prefopt/batch/sequences.hpp>
#include <prefopt/core/arithmetic.hpp>
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

/// What the non-allocating form writes; each is optional.
struct sequence_outputs {
    output<1> sum{};                                 ///< (B)
    std::optional<std::span<std::int64_t>> count{};  ///< (B)
    /// (N), one per row: with them backward need not take the sums of exponentials again. Those of
    /// unscored rows are left alone.
    std::optional<std::span<row_partial>> partials{};
};

namespace detail {

/// Rows whose log-probs are kept on the stack until they are summed: 32 KiB.
inline constexpr std::ptrdiff_t wave_rows = 4096;

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

/// The rows of a tile in logits or directions, S their storage type.
template <class S, class Operand>
row_range<S> rows_of(const Operand& x, const row_tile& tile) {
    return {element_of<std::remove_const_t<S>>(x, tile.outer, tile.t, 0), x.strides[1],
            x.strides[2], tile.count, x.extents[2]};
}

/// Writes one sequence's results.
inline auto writer(const sequence_outputs& out) {
    return [&out](std::ptrdiff_t b, double sum, std::int64_t count) {
        store_element(out.sum, sum, b);
        if (out.count) (*out.count)[static_cast<std::size_t>(b)] = count;
    };
}

/// The log-probs of a wave of rows, until they are summed.
struct wave {
    std::ptrdiff_t begin = 0;
    std::ptrdiff_t end = 0;
    std::array<double, static_cast<std::size_t>(wave_rows)> log_probs;

    wave() {}  // NOLINT: whoever scores the rows fills them
    [[nodiscard]] double& operator[](std::ptrdiff_t row) noexcept {
        return log_probs[static_cast<std::size_t>(row - begin)];
    }
};

/// Sums all rows up by sequence; `score`, called with a range of the wave's rows, fills it in.
///
/// Log-probs are computed wave by wave, each wave in any order, and summed on the calling thread in
/// the order of the rows, each into the lane of its position among the scored: neither the executor
/// nor padding changes a bit.
inline sequence_report sum_sequences(const sequence_batch& s, const sequence_outputs& out, wave& w,
                                     const range_task& score) {
    const auto write = writer(out);
    sequence_report report;
    report.rows = s.rows();
    for (std::ptrdiff_t b = 0; b < s.sequences(); ++b) {
        lane_sum<> sum;
        std::int64_t count = 0;
        const std::ptrdiff_t outer = s.offsets.has_value ? 0 : b;
        const std::ptrdiff_t first = outer * s.logits.extents[1];  // of the outer index
        const std::ptrdiff_t end = s.start(b + 1);
        for (std::ptrdiff_t row = s.start(b); row < end; ++row) {
            if (row == w.end) {
                w.begin = w.end;
                w.end = smaller(w.begin + wave_rows, s.rows());
                s.for_range(w.end - w.begin, score);
            }
            if (s.label(outer, row - first) < 0) continue;
            const double log_prob = w[row];
            if (!is_finite(log_prob)) ++report.nonfinite;
            sum.add(count++, log_prob);
        }
        report.scored += count;
        if (count == 0) ++report.empty;
        write(b, sum.total(), count);
    }
    return report;
}

/// What is done with the rows of a tile that have been scored, on the executor's threads: nothing,
/// or run(context, tile, statistics). Statistics are known where the label is not negative.
template <class S>
struct after_scoring {
    const void* context = nullptr;
    void (*run)(const void*, const row_tile&, const row_statistics<compute_t<S>>*) = nullptr;
};

/// Scores all rows and sums them up by sequence.
template <class S>
sequence_report score_sequences(const sequence_batch& s, const sequence_outputs& out,
                                const after_scoring<S>& then = {}) {
    wave w;
    const instruction_set set = active_instruction_set();
    const auto score_rows = [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        of_tile<row_partial> partials;
        of_tile<row_statistics<compute_t<S>>> statistics;
        row_partial* const p = partials.row;
        row_statistics<compute_t<S>>* const r = statistics.row;
        s.for_each_tile(w.begin + begin, w.begin + end, [&](const row_tile& tile) {
            row_partials(rows_of<const S>(s.logits, tile), tile.label, set, p);
            finish_rows(p, tile.label, tile.count, set, r);
            for (std::ptrdiff_t i = 0; i < tile.count; ++i) {
                if (tile.label[i] < 0) continue;
                w[tile.number + i] = r[i].log_prob;
                if (out.partials) (*out.partials)[static_cast<std::size_t>(tile.number + i)] = p[i];
            }
            if (then.run != nullptr) then.run(then.context, tile, r);
        });
    };
    return sum_sequences(s, out, w, score_rows);
}

/// Allocates the scores in the family of the logits and lets `fill` write them.
template <class Logits, class Fill>
auto make_scores(const Logits& logits, const sequence_batch& s, const Fill& fill) {
    const std::array<std::ptrdiff_t, 1> b{s.sequences()};
    auto sum = make_like<double>(logits, b);
    auto count = make_like<std::int64_t>(logits, b);
    sequence_scores<decltype(sum), decltype(count)> r{std::move(sum), std::move(count), {}};
    const auto n = static_cast<std::size_t>(b[0]);
    void* const counts = adapter<decltype(count)>::view(r.count).data;
    r.report = fill(sequence_outputs{
        r.sum, std::span<std::int64_t>(n == 0 ? nullptr : static_cast<std::int64_t*>(counts), n)});
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
                    if (m.given_partials)
                        p = m.given_partials->data() + tile.number;
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
