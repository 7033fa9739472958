// SPDX-License-Identifier: Apache-2.0
//
// Rows of logits as sequences: (B, T, V) with labels (B, T), or packed (N, V) with labels (N) and
// offsets (B + 1), seen as one thing, and the checks that both need.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include <prefopt/core/arithmetic.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/simd/strided_rows.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// Options of sequence_log_probs_backward.
struct sequence_backward_options {
    /// As in sequence_options, which convert to these.
    index_input<1> offsets{};
    prefopt::executor executor{};
    /// (N), one per row, as sequence_log_probs wrote them for these logits and labels: the sums of
    /// exponentials need not be taken again. Those of unscored rows are not looked at.
    buffer<const row_partial> partials{};
};

/// Options of the functions over logits.
struct sequence_options {
    /// Packed batches: (B + 1) row offsets into (N, V) logits; sequence b is rows
    /// [offsets(b), offsets(b + 1)). Equal neighbours are an empty sequence. Without offsets,
    /// (N, V) rows are one sequence.
    index_input<1> offsets{};

    /// Runs ranges of rows, see core/executor.hpp: `{.executor = pool}`. Serial without one. The
    /// results have the same bits, whatever runs them.
    prefopt::executor executor{};

    constexpr operator sequence_backward_options() const noexcept {  // NOLINT: implicit by design
        return {.offsets = offsets, .executor = executor};
    }
};

namespace detail {

/// The operand with a leading extent of 1: (N, V) as (1, N, V), (N) as (1, N).
template <template <std::size_t> class Operand, std::size_t R>
Operand<R + 1> with_leading_one(const Operand<R>& t) {
    Operand<R + 1> lifted;
    lifted.data = t.data;
    lifted.kind = t.kind;
    lifted.has_value = t.has_value;
    lifted.alignment = t.alignment;
    lifted.fault = t.fault;
    lifted.given_rank = t.given_rank;
    lifted.refusal = t.refusal;
    lifted.extents[0] = 1;
    for (std::size_t i = 0; i < R; ++i) {
        lifted.extents[i + 1] = t.extents[i];
        lifted.strides[i + 1] = t.strides[i];
    }
    return lifted;
}

template <class T, std::size_t R>
constexpr bool require_rank_or_less() {
    static_assert(require_tensor<T>());
    if constexpr (viewable<T>) {
        constexpr std::size_t rank = adapter<T>::rank;
        constexpr bool fits = rank == R || rank == R - 1 || rank == dynamic_rank;
        static_assert(fits,
                      "prefopt: wrong rank. Logits are (B, T, V) with labels (B, T), or (N, V) "
                      "with labels (N).");
    }
    return true;
}

/// A tensor of rank R or R - 1 as an operand of rank R.
template <template <std::size_t> class Operand, std::size_t R, class T>
Operand<R> lift(T&& t) {
    using tensor_type = std::remove_cvref_t<T>;
    static_assert(require_rank_or_less<tensor_type, R>());
    if constexpr (viewable<tensor_type>) {
        constexpr std::size_t rank = adapter<tensor_type>::rank;
        if constexpr (rank == dynamic_rank)
            return rank_of(t) == R - 1 ? with_leading_one(Operand<R - 1>(static_cast<T&&>(t)))
                                       : Operand<R>(static_cast<T&&>(t));
        else if constexpr (rank == R)
            return Operand<R>(static_cast<T&&>(t));
        else if constexpr (rank == R - 1)
            return with_leading_one(Operand<R - 1>(static_cast<T&&>(t)));
    } else {
        return Operand<R>(static_cast<T&&>(t));  // which says why not
    }
    return {};
}

/// Rows of a batch that are seen at once: row (outer, t) of the logits and those after it.
struct row_tile {
    std::ptrdiff_t number = 0;  ///< of the first row
    std::ptrdiff_t outer = 0;
    std::ptrdiff_t t = 0;
    std::ptrdiff_t count = 0;
    std::ptrdiff_t most = 1;                                    ///< rows in a tile
    std::ptrdiff_t label[static_cast<std::size_t>(tile_rows)];  ///< negative: not scored
};

/// Rows of logits, their labels, how they fall into sequences, and who runs them. Rows are numbered
/// through, 0 to rows(), whether they are (B, T) or packed; a sequence is a range of them.
struct sequence_batch {
    input<3> logits{};
    index_input<2> labels{};
    index_input<1> offsets{};
    prefopt::executor executor{};
    std::size_t rank = 3;  ///< of the caller's logits

    template <class L, class Y>
    PREFOPT_NOINLINE sequence_batch(const L& logits_, const Y& labels_,
                                    const index_input<1>& offsets_,
                                    const prefopt::executor& executor_)
        : logits(lift<input, 3>(logits_)),
          labels(lift<index_input, 2>(labels_)),
          offsets(offsets_),
          executor(executor_),
          rank(rank_of(logits_) == 2 ? 2 : 3) {
        static_assert(require_rank_or_less<L, 3>() && require_rank_or_less<Y, 2>());
        constexpr std::size_t of_logits = adapter<L>::rank;
        constexpr std::size_t of_labels = adapter<Y>::rank;
        constexpr bool fits =
            of_logits == dynamic_rank || of_labels == dynamic_rank || of_logits == of_labels + 1;
        static_assert(fits,
                      "prefopt: labels have one dimension less than logits: (B, T, V) with (B, T), "
                      "(N, V) with (N)");
        if (rank_of(labels_) + 1 != rank) {
            labels.given_rank = static_cast<std::uint8_t>(rank_of(labels_));
            labels.refuse("must have one dimension less than the logits", errc::shape_mismatch);
        }
    }

    [[nodiscard]] std::ptrdiff_t sequences() const noexcept {
        return offsets.has_value ? offsets.extents[0] - 1 : logits.extents[0];
    }
    [[nodiscard]] std::ptrdiff_t rows() const noexcept {
        return logits.extents[0] * logits.extents[1];
    }
    [[nodiscard]] std::ptrdiff_t vocab() const noexcept { return logits.extents[2]; }

    /// Sequence b is the rows [start(b), start(b + 1)). Integers come in nine types: one copy of
    /// what reads them.
    [[nodiscard]] PREFOPT_NOINLINE std::ptrdiff_t start(std::ptrdiff_t b) const noexcept {
        return offsets.has_value ? static_cast<std::ptrdiff_t>(offsets(b)) : b * logits.extents[1];
    }

    /// Of row t of an outer index. One copy, like `start`.
    [[nodiscard]] PREFOPT_NOINLINE std::ptrdiff_t label(std::ptrdiff_t outer,
                                                        std::ptrdiff_t t) const noexcept {
        return static_cast<std::ptrdiff_t>(labels(outer, t));
    }

    [[nodiscard]] std::ptrdiff_t label(std::ptrdiff_t row) const noexcept {
        const std::ptrdiff_t outer = row / logits.extents[1];
        return label(outer, row - outer * logits.extents[1]);
    }

    /// The sequence that a row belongs to.
    [[nodiscard]] std::ptrdiff_t sequence_of(std::ptrdiff_t row) const noexcept {
        if (!offsets.has_value) return row / logits.extents[1];
        std::ptrdiff_t first = 0;  // start(first) <= row < start(last)
        for (std::ptrdiff_t last = sequences(); last - first > 1;) {
            const std::ptrdiff_t middle = first + (last - first) / 2;
            (start(middle) <= row ? first : last) = middle;
        }
        return first;
    }

    /// Calls f(tile) for the rows [begin, end), as many at once as their layout wants, or `most`. f
    /// may change the labels.
    template <class F>
    void for_each_tile(std::ptrdiff_t begin, std::ptrdiff_t end, const F& f,
                       std::ptrdiff_t most = 1) const {
        row_tile tile;
        tile.most = larger(most, rows_at_once(logits.strides[1], logits.strides[2]));
        tile.number = begin;
        tile.outer = begin < end ? begin / logits.extents[1] : 0;
        tile.t = begin - tile.outer * logits.extents[1];
        while (next_tile(tile, end)) f(tile);
    }

    /// The tile after this one, whose count is 0 before the first; false if there is none.
    PREFOPT_NOINLINE bool next_tile(row_tile& tile, std::ptrdiff_t end) const noexcept {
        const std::ptrdiff_t inner = logits.extents[1];
        tile.number += tile.count;
        tile.t += tile.count;
        if (tile.number >= end) return false;
        if (tile.t == inner) {
            ++tile.outer;
            tile.t = 0;
        }
        tile.count = smaller(tile.most, smaller(inner - tile.t, end - tile.number));
        for (std::ptrdiff_t i = 0; i < tile.count; ++i)
            tile.label[i] = label(tile.outer, tile.t + i);
        return true;
    }

    /// f(begin, end) over `n` rows, by the executor where they are worth it: a row costs as much as
    /// some elements, however short.
    template <class F>
    void for_range(std::ptrdiff_t n, const F& f) const {
        constexpr std::ptrdiff_t least = 64;
        if (n > 0) detail::for_range(executor, n, n * larger(vocab(), least), f);
    }
};

inline status check_offsets(const index_input<1>& offsets, std::ptrdiff_t rows) noexcept {
    if (!offsets.has_value) return {};
    std::int64_t before = 0;
    const std::ptrdiff_t last = offsets.extents[0] - 1;
    if (last < 0)
        return fault_shape(errc::bad_offsets, "offsets", "must hold B + 1 numbers, 0 first",
                           shape_of(offsets.extents));
    for (std::ptrdiff_t i = 0; i <= last; ++i) {
        const std::int64_t offset = offsets(i);
        const char* const why = i == 0 && offset != 0        ? "must start at 0"
                                : offset < before            ? "must not decrease"
                                : offset > rows              ? "must not pass the number of rows"
                                : i == last && offset < rows ? "must end at the number of rows"
                                                             : nullptr;
        if (why != nullptr) return fault_value(errc::bad_offsets, "offsets", why, offset, i);
        before = offset;
    }
    return {};
}

inline status fault_label(std::int64_t label, std::ptrdiff_t index, std::ptrdiff_t vocab) noexcept {
    status s =
        fault_value(errc::label_out_of_range, "labels",
                    "must be less than the vocabulary's size (negative: not scored)", label, index);
    s.wanted = length(vocab);
    return s;
}

inline status check_labels(const index_input<2>& labels, std::ptrdiff_t vocab) noexcept {
    for (std::ptrdiff_t i = 0; i < labels.extents[0]; ++i)
        for (std::ptrdiff_t j = 0; j < labels.extents[1]; ++j)
            if (const std::int64_t y = labels(i, j); y >= vocab)
                return fault_label(y, i * labels.extents[1] + j, vocab);
    return {};
}

/// What a call over logits reads and writes beside the batch itself; all may be absent.
struct sequence_memory {
    const char* written_name = "";
    output<3> written{};
    input<1> grad_sum{};
    output<1> sum{};
    buffer<std::int64_t> count{};
    buffer<row_partial> partials{};
    buffer<const row_partial> given_partials{};
};

/// What can be said without reading a label or an offset.
inline status check_sequence_operands(const sequence_batch& s, const sequence_memory& m) {
    const std::size_t rank = s.rank;
    operand logits = describe("logits", s.logits, any_shape, "", rank);
    shape rows = logits.extents;
    rows.rank = rank - 1;
    // What is written in place is checked as an output only.
    const bool in_place = m.written.has_value && std::string_view(m.written_name) == logits.name;
    if (s.offsets.has_value && rank == 3)
        return fault(errc::bad_parameter, "offsets",
                     "is for packed (N, V) logits; (B, T, V) has its sequences already");
    logits.present = !in_place;
    const shape b = length(s.offsets.has_value && s.offsets.extents[0] == 0 ? 0 : s.sequences());
    const shape n = length(s.rows());
    return check_operands(
        {logits, describe("labels", s.labels, rows, "", rank - 1), describe("offsets", s.offsets),
         describe("grad_sum", m.grad_sum, b),
         describe(m.written_name, m.written, logits.extents, in_place ? "" : "logits", rank),
         describe("sum", m.sum, b), describe_memory("count", m.count, b),
         describe_memory("partials", m.partials, n),
         describe_memory("partials", m.given_partials, n)});
}

/// Everything a call over logits checks.
inline status check_sequences(const sequence_batch& s, const sequence_memory& m) {
    if (const status found = check_sequence_operands(s, m); !found.ok()) return found;
    if (const status bad = check_offsets(s.offsets, s.logits.extents[1]); !bad.ok()) return bad;
    return check_labels(s.labels, s.vocab());
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
