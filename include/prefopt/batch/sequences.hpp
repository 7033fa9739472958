// SPDX-License-Identifier: Apache-2.0
//
// Rows of logits as sequences: (B, T, V) with labels (B, T), or packed (N, V) with labels (N) and
// offsets (B + 1), seen as one thing, and the checks that both need.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include <prefopt/core/core.hpp>
#include <prefopt/simd/strided_rows.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// Options of the functions over logits.
struct sequence_options {
    /// Packed batches: (B + 1) row offsets into (N, V) logits; sequence b is rows
    /// [offsets(b), offsets(b + 1)). Equal neighbours are an empty sequence. Without offsets,
    /// (N, V) rows are one sequence.
    index_input<1> offsets{};
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
    lifted.extents[0] = 1;
    for (std::size_t i = 0; i < R; ++i) {
        lifted.extents[i + 1] = t.extents[i];
        lifted.strides[i + 1] = t.strides[i];
    }
    return lifted;
}

/// A tensor of rank R or R - 1 as an operand of rank R.
template <template <std::size_t> class Operand, std::size_t R, class T>
Operand<R> lift(T&& t) {
    using tensor_type = std::remove_cvref_t<T>;
    static_assert(require_tensor<tensor_type>());
    if constexpr (viewable<tensor_type>) {
        static_assert(adapter<tensor_type>::rank == R || adapter<tensor_type>::rank == R - 1,
                      "prefopt: wrong rank. Logits are (B, T, V) with labels (B, T), or (N, V) "
                      "with labels (N).");
        if constexpr (adapter<tensor_type>::rank == R)
            return Operand<R>(static_cast<T&&>(t));
        else if constexpr (adapter<tensor_type>::rank == R - 1)
            return with_leading_one(Operand<R - 1>(static_cast<T&&>(t)));
    }
    return {};
}

/// Describes a lifted operand with the rank it really has.
template <class Operand>
operand describe_as(const char* name, const Operand& t, std::size_t rank, shape wanted = {},
                    const char* like = "") {
    operand o = describe(name, t, wanted, like);
    if (o.extents.rank == rank) return o;
    o.extents.rank = rank;
    for (std::size_t i = 0; i < rank; ++i) {
        o.extents.extents[i] = o.extents.extents[i + 1];
        o.strides[i] = o.strides[i + 1];
    }
    return o;
}

/// Rows of logits, their labels, and how they fall into sequences.
struct sequence_batch {
    input<3> logits{};
    index_input<2> labels{};
    index_input<1> offsets{};
    std::size_t rank = 3;  ///< of the caller's logits

    template <class L, class Y>
    sequence_batch(const L& logits_, const Y& labels_, const sequence_options& o)
        : logits(lift<input, 3>(logits_)),
          labels(lift<index_input, 2>(labels_)),
          offsets(o.offsets),
          rank(adapter<L>::rank) {
        static_assert(adapter<L>::rank == adapter<Y>::rank + 1,
                      "prefopt: labels have one dimension less than logits: (B, T, V) with (B, T), "
                      "(N, V) with (N)");
    }

    [[nodiscard]] std::ptrdiff_t sequences() const noexcept {
        return offsets.has_value ? offsets.extents[0] - 1 : logits.extents[0];
    }
    [[nodiscard]] std::ptrdiff_t vocab() const noexcept { return logits.extents[2]; }

    /// Calls f(outer, row, n, labels) for the rows of sequence b, [row, row + n) of `outer` of the
    /// logits, in order and as many at once as their layout wants. f may change the labels.
    template <class F>
    void for_each_tile(std::ptrdiff_t b, const F& f) const {
        const std::ptrdiff_t outer = offsets.has_value ? 0 : b;
        const auto first = offsets.has_value ? static_cast<std::ptrdiff_t>(offsets(b)) : 0;
        const auto last =
            offsets.has_value ? static_cast<std::ptrdiff_t>(offsets(b + 1)) : logits.extents[1];
        const std::ptrdiff_t most = rows_at_once(logits.strides[1], logits.strides[2]);
        std::ptrdiff_t label[static_cast<std::size_t>(tile_rows)];
        for (std::ptrdiff_t row = first; row < last; row += most) {
            const std::ptrdiff_t n = last - row < most ? last - row : most;
            for (std::ptrdiff_t i = 0; i < n; ++i)
                label[i] = static_cast<std::ptrdiff_t>(labels(outer, row + i));
            f(outer, row, n, label);
        }
    }
};

inline status check_offsets(const index_input<1>& offsets, std::ptrdiff_t rows) noexcept {
    if (!offsets.has_value) return {};
    const auto bad = [&](std::ptrdiff_t i, const char* expected) {
        return fault_value(errc::bad_offsets, "offsets", expected, offsets(i), i);
    };
    const std::ptrdiff_t last = offsets.extents[0] - 1;
    if (last < 0)
        return fault_shape(errc::bad_offsets, "offsets", "must hold B + 1 numbers, 0 first",
                           shape_of(offsets.extents));
    if (offsets(0) != 0) return bad(0, "must start at 0");
    for (std::ptrdiff_t i = 1; i <= last; ++i) {
        if (offsets(i) < offsets(i - 1)) return bad(i, "must not decrease");
        if (offsets(i) > rows) return bad(i, "must not pass the number of rows");
    }
    if (offsets(last) != rows) return bad(last, "must end at the number of rows");
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

/// Everything a call over logits checks; grad_sum, written, sums and counts may be absent.
inline status check_sequences(const sequence_batch& s, const char* written_name,
                              const output<3>& written, const input<1>& grad_sum,
                              const output<1>& sums,
                              std::optional<std::span<std::int64_t>> counts = {}) {
    const std::size_t rank = s.rank;
    operand logits = describe_as("logits", s.logits, rank);
    shape rows = logits.extents;
    rows.rank = rank - 1;
    // What is written in place is checked as an output only.
    const bool in_place = written.has_value && std::string_view(written_name) == logits.name;
    if (s.offsets.has_value && rank == 3)
        return fault(errc::bad_parameter, "offsets",
                     "is for packed (N, V) logits; (B, T, V) has its sequences already");
    logits.present = !in_place;
    const shape b = length(s.offsets.has_value && s.offsets.extents[0] == 0 ? 0 : s.sequences());
    const status found = check_operands(
        {logits, describe_as("labels", s.labels, rank - 1, rows), describe("offsets", s.offsets),
         describe("grad_sum", grad_sum, b),
         describe_as(written_name, written, rank, logits.extents, in_place ? "" : "logits"),
         describe("sum", sums, b), describe_memory("count", counts, b)});
    if (!found.ok()) return found;
    if (const status bad = check_offsets(s.offsets, s.logits.extents[1]); !bad.ok()) return bad;
    return check_labels(s.labels, s.vocab());
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
