// SPDX-License-Identifier: Apache-2.0
//
// Several rows at once. Rows whose tokens are contiguous go one after the other; rows that lie side
// by side in memory (column-major logits: the next element belongs to the next row) go in tiles of
// up to 64, because a cache line holds one token of many of them: those without a label are then
// read with their neighbours, and make no difference. Either way each row's results have the same
// bits.

#pragma once

#include <cstddef>
#include <new>
#include <type_traits>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/simd/row_partial.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// The most rows that a call sees.
inline constexpr std::ptrdiff_t tile_rows = lane_count;

/// Rows of logits that lie side by side: element i of row r is rows[i * stride + r].
template <class S>
struct logits_tile {
    const S* rows;
    std::ptrdiff_t stride;
    std::ptrdiff_t count;
    std::ptrdiff_t vocab;
    const std::ptrdiff_t* label;                                ///< per row; negative: none
    std::ptrdiff_t labels = 0;                                  ///< in `order`
    std::ptrdiff_t order[static_cast<std::size_t>(tile_rows)];  ///< rows with a label, by label

    logits_tile(const S* rows_, std::ptrdiff_t stride_, std::ptrdiff_t count_,
                std::ptrdiff_t vocab_, const std::ptrdiff_t* label_)
        : rows(rows_), stride(stride_), count(count_), vocab(vocab_), label(label_) {
        for (std::ptrdiff_t r = 0; r < count; ++r) {
            if (label[r] < 0) continue;
            std::ptrdiff_t i = labels++;
            for (; i > 0 && label[order[i - 1]] > label[r]; --i) order[i] = order[i - 1];
            order[i] = r;
        }
    }
};

}  // namespace prefopt::inline PREFOPT_ABI::detail

#define PREFOPT_KERNELS <prefopt/simd/strided_rows.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

namespace prefopt::inline PREFOPT_ABI::detail {

/// What a tile's rows leave behind, before it is known: memory, no element of which is made until
/// its row is. Clearing 64 of them for every call would cost as much as the short rows of many.
template <class T>
struct of_tile {
    union {
        T row[static_cast<std::size_t>(tile_rows)];
    };
    of_tile() {}  // NOLINT: makes nothing
};

/// Rows of logits or directions: element i of row r is data[r * row_stride + i * stride].
template <class S>
struct row_range {
    S* data = nullptr;
    std::ptrdiff_t row_stride = 0;
    std::ptrdiff_t stride = 0;
    std::ptrdiff_t count = 0;  ///< rows, at most tile_rows
    std::ptrdiff_t vocab = 0;

    [[nodiscard]] S* row(std::ptrdiff_t r) const noexcept { return data + r * row_stride; }
    [[nodiscard]] bool side_by_side() const noexcept { return row_stride == 1 && stride != 1; }
};

/// How many rows with these strides are best seen at once.
constexpr std::ptrdiff_t rows_at_once(std::ptrdiff_t row_stride, std::ptrdiff_t stride) noexcept {
    return row_stride == 1 && stride != 1 ? tile_rows : 1;
}

inline bool any_label(const std::ptrdiff_t* label, std::ptrdiff_t count) noexcept {
    for (std::ptrdiff_t i = 0; i < count; ++i)
        if (label[i] >= 0) return true;
    return false;
}

/// sum_of_exponentials of every row with a label, on a set of vectors; done[r] is what it would
/// have returned.
template <class S>
void sums_of_exponentials(instruction_set set, const logits_tile<S>& tile, base2_sum* sum,
                          bool* done) {
    using T = compute_t<S>;
    constexpr auto size = static_cast<std::size_t>(tile_rows);
    for (std::ptrdiff_t r = 0; r < tile.count; ++r) {
        sum[r] = {};
        done[r] = tile.label[r] >= 0;
    }
    for (std::ptrdiff_t first = 0; first < tile.vocab; first += row_block) {
        const std::ptrdiff_t last = smaller(tile.vocab, first + row_block);
        bool fresh = false;
        for (std::ptrdiff_t r = 0; r < tile.count; ++r) fresh |= done[r] && !sum[r].referenced;
        T maxima[size] = {};
        double k[size] = {};
        T minus_k[size] = {};
        double terms[size] = {};
        const auto none = [] {};
        if (fresh)
            with_set(
                set, [&](auto level) { tile_maxima(level, tile, first, last, maxima); }, none);
        for (std::ptrdiff_t r = 0; r < tile.count; ++r) {
            if (sum[r].referenced)
                k[r] = sum[r].exponent;
            else if (fresh && is_finite(maxima[r]))
                k[r] = reference_of(static_cast<double>(maxima[r]));
            minus_k[r] = static_cast<T>(-k[r]);
        }
        with_set(
            set, [&](auto level) { tile_sums(level, tile, first, last, minus_k, terms); }, none);
        for (std::ptrdiff_t r = 0; r < tile.count; ++r) {
            if (!done[r]) continue;
            const logits_row<S> row{tile.rows + r, tile.stride, tile.vocab, tile.label[r]};
            done[r] = add_block(
                sum[r],
                [&](double at) {
                    return at == k[r] ? terms[r] : block_sum(set, row, first, last, at);
                },
                [&] {
                    return fresh ? static_cast<double>(maxima[r])
                                 : block_maximum(set, row, first, last);
                });
        }
    }
    for (std::ptrdiff_t r = 0; r < tile.count; ++r) restore_base<T>(sum[r]);
}

/// p[i] = partial_of row i, left alone where label[i] is negative.
template <real_scalar S>
void row_partials(const row_range<const S>& rows, const std::ptrdiff_t* label, instruction_set set,
                  row_partial* p) noexcept {
    // Made where it stays: a copy, in vectors, of what was just written in parts waits for it.
    const auto alone = [&](std::ptrdiff_t i) {
        ::new (p + i) row_partial(partial_of(rows.row(i), rows.vocab, rows.stride, label[i], set));
    };
    if (set == instruction_set::scalar || !rows.side_by_side() || rows.count == 1 ||
        !any_label(label, rows.count)) {
        for (std::ptrdiff_t i = 0; i < rows.count; ++i)
            if (label[i] >= 0) alone(i);
        return;
    }
    bool done[static_cast<std::size_t>(tile_rows)];
    base2_sum others[static_cast<std::size_t>(tile_rows)];
    sums_of_exponentials(set, logits_tile<S>(rows.data, rows.stride, rows.count, rows.vocab, label),
                         others, done);
    for (std::ptrdiff_t i = 0; i < rows.count; ++i) {
        if (label[i] < 0) continue;
        if (done[i])
            p[i] = {others[i].sum, others[i].exponent, 0,
                    static_cast<double>(load(rows.row(i) + label[i] * rows.stride))};
        else
            alone(i);
    }
}

/// r[i] = finish(p[i]), left alone where label[i] is negative.
template <class T>
void finish_rows(const row_partial* p, const std::ptrdiff_t* label, std::ptrdiff_t count,
                 instruction_set set, row_statistics<T>* r) noexcept {
    for (std::ptrdiff_t i = 0; i < count; ++i)
        if (label[i] >= 0) ::new (r + i) row_statistics<T>(finish<T>(p[i], set));
}

/// row_direction of every row; zeros where label[i] is negative.
template <real_scalar S, real_scalar G>
void row_directions(const row_range<const S>& rows, const row_range<G>& to,
                    const std::ptrdiff_t* label, const row_statistics<compute_t<S>>* r,
                    double coefficient, bool stream) noexcept {
    if (!any_label(label, rows.count)) {
        const bool across = to.side_by_side();
        const std::ptrdiff_t outer = across ? to.vocab : to.count;
        const std::ptrdiff_t inner = across ? to.count : to.vocab;
        for (std::ptrdiff_t i = 0; i < outer; ++i)
            for (std::ptrdiff_t j = 0; j < inner; ++j)
                store(across ? to.data + i * to.stride + j : to.row(i) + j * to.stride, 0.0);
        return;
    }
    if constexpr (std::is_same_v<S, G>)
        if (rows.side_by_side() && to.side_by_side() && rows.count > 1) {
            double k[static_cast<std::size_t>(tile_rows)] = {};
            double factor[static_cast<std::size_t>(tile_rows)] = {};
            instruction_set set = instruction_set::scalar;
            bool alike = true;
            for (std::ptrdiff_t i = 0; alike && i < rows.count; ++i) {
                if (label[i] < 0) continue;
                k[i] = r[i].exponent;
                factor[i] = -coefficient / r[i].sum;
                alike = goes_to_vectors(r[i], factor[i]);
                set = r[i].set;
            }
            if (alike && set != instruction_set::scalar) {
                with_set(
                    set,
                    [&](auto level) {
                        tile_scaled_exponentials(level, rows.data, rows.stride, to.data, to.stride,
                                                 rows.count, rows.vocab, k, factor, stream);
                    },
                    [] {});
                for (std::ptrdiff_t i = 0; i < rows.count; ++i)
                    if (label[i] >= 0)
                        store(to.row(i) + label[i] * to.stride, coefficient * r[i].miss);
                return;
            }
        }
    for (std::ptrdiff_t i = 0; i < rows.count; ++i) {
        if (label[i] >= 0) {
            row_direction(rows.row(i), rows.stride, to.row(i), to.stride, rows.vocab, label[i],
                          r[i], coefficient, stream);
            continue;
        }
        for (std::ptrdiff_t j = 0; j < to.vocab; ++j) store(to.row(i) + j * to.stride, 0.0);
    }
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
