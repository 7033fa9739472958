// SPDX-License-Identifier: Apache-2.0
//
// The loop over logits that are never held: hidden rows times blocks of the weights, each block of
// logits reduced, or turned into its own gradient, while it is in cache.
//
// Blocks of the vocabulary are the outer loop, chunks of scored rows the inner one: a block of the
// weights is read from memory once. Unscored rows take no part: a chunk with gaps is gathered.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

#include <prefopt/batch/sequences.hpp>
#include <prefopt/core/arithmetic.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/simd/row_partial.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// What is computed from: hidden (outer, T, D) in the place of a sequence_batch's logits.
struct linear_batch : sequence_batch {
    input<2> weights{};
    input<1> bias{};
    input<1> grad_sum{};  ///< backward only

    template <class H, class W, class Y>
    linear_batch(const H& hidden, const W& weights_, const Y& labels_,
                 const index_input<1>& offsets_, const input<1>& bias_, const input<1>& g = {})
        : sequence_batch(hidden, labels_, offsets_, {}),
          weights(weights_),
          bias(bias_),
          grad_sum(g) {}

    [[nodiscard]] std::ptrdiff_t width() const noexcept { return logits.extents[2]; }
    [[nodiscard]] std::ptrdiff_t vocab() const noexcept { return weights.extents[0]; }
};

/// (outer, T, D) as a matrix of outer * T rows; a stride of 0 where it is none a gemm can take.
template <class Operand>
matrix_layout layout_of_rows(const Operand& t) noexcept {
    const auto [outer, inner, width] = t.extents;
    if (outer > 1 && inner > 1 && t.strides[0] != inner * t.strides[1]) return {};
    return matrix_layout::of({outer * inner, width},
                             {inner > 1 ? t.strides[1] : t.strides[0], t.strides[2]});
}
template <class Operand>
matrix_layout layout_of(const Operand& t) noexcept {
    return matrix_layout::of(t.extents, t.strides);
}

/// A scored row on its way through the vocabulary.
template <class T>
struct linear_row {
    std::ptrdiff_t row = 0;
    std::ptrdiff_t label = 0;
    double coefficient = 1;
    row_partial partial{};
    row_statistics<T> statistics{};
};

/// The sizes that the caller chose.
struct linear_blocks {
    std::ptrdiff_t rows = 0;
    std::ptrdiff_t tokens = 0;
};

inline constexpr std::ptrdiff_t linear_alignment = 64;

/// Bytes of the parts of a workspace, each a multiple of the alignment.
struct linear_sizes {
    std::ptrdiff_t list = 0;
    std::ptrdiff_t logits = 0;
    std::ptrdiff_t ones = 0;
    std::ptrdiff_t gathered = 0;

    template <class T>
    static constexpr linear_sizes of(std::ptrdiff_t scored, std::ptrdiff_t width,
                                     const linear_blocks& blocks, bool gaps) noexcept {
        const auto bytes = [](std::ptrdiff_t n, std::size_t size) {
            const std::ptrdiff_t a = linear_alignment;
            return (n * static_cast<std::ptrdiff_t>(size) + a - 1) / a * a;
        };
        const std::ptrdiff_t rows = smaller(blocks.rows, scored);
        return {bytes(scored, sizeof(linear_row<T>)), bytes(rows * blocks.tokens, sizeof(T)),
                bytes(rows, sizeof(T)), gaps ? bytes(rows * width, sizeof(T)) : 0};
    }
    [[nodiscard]] constexpr std::ptrdiff_t total() const noexcept {
        return list + logits + ones + gathered + linear_alignment;
    }
};

/// The scored rows of a batch, and how they fall into chunks of about equal size. Rows whose
/// coefficient is 0 have a gradient of 0, whatever their logits, and are left out.
template <class T>
struct linear_plan {
    std::ptrdiff_t scored = 0;
    std::ptrdiff_t chunk = 0;  ///< rows of all chunks but the last
    bool gaps = false;         ///< a chunk has unscored rows between its own

    /// Calls f(row, label, coefficient) for every row that takes part.
    template <class F>
    static void for_each(const linear_batch& s, const F& f) {
        std::ptrdiff_t row = 0;
        for (std::ptrdiff_t b = 0; b < s.sequences(); ++b) {
            double coefficient = 1;
            if (s.grad_sum.has_value) coefficient = load_element(s.grad_sum, b);
            for (const std::ptrdiff_t end = s.start(b + 1); row < end; ++row)
                if (const std::ptrdiff_t y = s.label(row); y >= 0 && !is_zero(coefficient))
                    f(row, y, coefficient);
        }
    }

    linear_plan(const linear_batch& s, const linear_blocks& blocks) {
        for_each(s, [&](auto...) { ++scored; });
        const std::ptrdiff_t chunks = (scored + blocks.rows - 1) / blocks.rows;
        if (chunks == 0) return;
        const std::ptrdiff_t even = (scored + chunks - 1) / chunks;
        chunk = smaller(blocks.rows, (even + 15) / 16 * 16);
        std::ptrdiff_t i = 0;
        std::ptrdiff_t last = 0;
        for_each(s, [&](std::ptrdiff_t row, auto...) {
            gaps = gaps || (i % chunk != 0 && row != last + 1);
            last = row;
            ++i;
        });
    }

    [[nodiscard]] linear_sizes sizes(const linear_batch& s,
                                     const linear_blocks& blocks) const noexcept {
        const linear_blocks used{blocks.rows, smaller(blocks.tokens, s.vocab())};
        return linear_sizes::of<T>(scored, s.width(), used, gaps);
    }
};

/// One block of logits, and what it was made of.
template <class T>
struct linear_tile {
    std::span<linear_row<T>> rows;
    std::ptrdiff_t first_row = 0;    ///< its place among the scored rows
    std::ptrdiff_t first_token = 0;  ///< its place in the vocabulary
    matrix<T> logits{};              ///< (rows, tokens)
    matrix<const T> hidden{};        ///< (rows, D)
    matrix<const T> weights{};       ///< (tokens, D)
    bool first_visit = false;        ///< of this block of the vocabulary

    /// Where the label of row i lies in the block; -1 where it does not.
    [[nodiscard]] std::ptrdiff_t label(std::ptrdiff_t i) const noexcept {
        const std::ptrdiff_t y = rows[static_cast<std::size_t>(i)].label - first_token;
        return y >= 0 && y < logits.columns ? y : -1;
    }
};

/// A batch with memory to work in.
template <class T>
class linear_work {
public:
    /// `memory` holds at least plan.sizes(...).total() bytes.
    linear_work(const linear_batch& s, const linear_plan<T>& plan, const linear_blocks& blocks,
                const buffer<std::byte>& memory)
        : batch_(s), chunk_(plan.chunk), tokens_(smaller(blocks.tokens, s.vocab())) {
        const linear_sizes sizes = plan.sizes(s, blocks);
        std::byte* p = align_up(memory.data, linear_alignment);
        const auto take = [&p](std::ptrdiff_t bytes) {
            std::byte* const here = p;
            p += bytes;
            return here;
        };
        auto* const list = reinterpret_cast<linear_row<T>*>(take(sizes.list));
        logits_ = reinterpret_cast<T*>(take(sizes.logits));
        ones_ = reinterpret_cast<T*>(take(sizes.ones));
        gathered_ = reinterpret_cast<T*>(take(sizes.gathered));
        rows_ = {list, static_cast<std::size_t>(plan.scored)};
        std::ptrdiff_t i = 0;
        linear_plan<T>::for_each(s, [&](std::ptrdiff_t row, std::ptrdiff_t y, double coefficient) {
            ::new (static_cast<void*>(list + i++)) linear_row<T>{row, y, coefficient, {}, {}};
        });
        for (std::ptrdiff_t j = 0; j < smaller(chunk_, plan.scored); ++j) ones_[j] = T(1);
        hidden_ = {static_cast<const T*>(s.logits.data), s.rows(), s.width(),
                   layout_of_rows(s.logits)};
        weights_ = {static_cast<const T*>(s.weights.data), s.vocab(), s.width(),
                    layout_of(s.weights)};
    }

    [[nodiscard]] std::span<linear_row<T>> rows() const noexcept { return rows_; }
    [[nodiscard]] const linear_batch& batch() const noexcept { return batch_; }

    /// A row of n ones.
    [[nodiscard]] matrix<const T> ones(std::ptrdiff_t n) const noexcept {
        return {ones_, 1, n, {n, false}};
    }

    /// Computes every block of logits, in an order of its own, and shows it to visit(tile).
    template <class Gemm, class Visit>
    void for_each_tile(const Gemm& gemm, const Visit& visit) const {
        const auto scored = static_cast<std::ptrdiff_t>(rows_.size());
        if (scored == 0) return;
        const std::ptrdiff_t chunks = (scored + chunk_ - 1) / chunk_;
        std::ptrdiff_t held = -1;  // the chunk whose rows are gathered
        linear_tile<T> tile;
        for (std::ptrdiff_t v = 0, pass = 0; v < batch_.vocab(); v += tokens_, ++pass) {
            tile.first_token = v;
            tile.weights = weights_.slice(v, smaller(tokens_, batch_.vocab() - v));
            for (std::ptrdiff_t j = 0; j < chunks; ++j) {
                // To and fro: the chunk that was gathered last is the next block's first.
                const std::ptrdiff_t c = pass % 2 == 0 ? j : chunks - 1 - j;
                tile.first_row = c * chunk_;
                tile.first_visit = j == 0;
                const std::ptrdiff_t n = smaller(chunk_, scored - tile.first_row);
                tile.rows = rows_.subspan(static_cast<std::size_t>(tile.first_row),
                                          static_cast<std::size_t>(n));
                tile.hidden = hidden_of(tile.rows, c == held);
                if (tile.hidden.data == gathered_) held = c;
                tile.logits = {
                    logits_, n, tile.weights.rows, {tile.weights.rows, /*transposed=*/false}};
                const bool biased = batch_.bias.has_value;
                if (biased) copy_bias(tile);
                multiply<T>(gemm, tile.logits, tile.hidden, tile.weights.transpose(), biased);
                visit(tile);
            }
        }
    }

private:
    /// The rows of a chunk as one matrix: where they lie if they are neighbours, else a copy.
    [[nodiscard]] matrix<const T> hidden_of(std::span<const linear_row<T>> rows,
                                            bool gathered) const noexcept {
        const auto n = static_cast<std::ptrdiff_t>(rows.size());
        if (rows.back().row - rows.front().row == n - 1) return hidden_.slice(rows.front().row, n);
        const matrix<T> copy{gathered_, n, hidden_.columns, {hidden_.columns, false}};
        if (gathered) return copy;
        for (std::ptrdiff_t i = 0; i < n; ++i)
            copy_row(hidden_, rows[static_cast<std::size_t>(i)].row, copy, i);
        return copy;
    }

    /// Every row of logits starts at the bias, to which the product is added.
    void copy_bias(const linear_tile<T>& tile) const noexcept {
        const T* const bias = element_of<T>(batch_.bias, tile.first_token);
        T* const first = tile.logits.data;
        const std::ptrdiff_t n = tile.logits.columns;
        for (std::ptrdiff_t j = 0; j < n; ++j) first[j] = bias[j * batch_.bias.strides[0]];
        for (std::ptrdiff_t i = 1; i < tile.logits.rows; ++i)
            std::memcpy(tile.logits.at(i, 0), first, static_cast<std::size_t>(n) * sizeof(T));
    }

public:
    template <class S>
    static void copy_row(const matrix<S>& from, std::ptrdiff_t i, const matrix<T>& to,
                         std::ptrdiff_t k) noexcept {
        if (!from.layout.transposed && !to.layout.transposed) {
            if (from.columns > 0)
                std::memcpy(to.at(k, 0), from.at(i, 0),
                            static_cast<std::size_t>(from.columns) * sizeof(T));
            return;
        }
        for (std::ptrdiff_t j = 0; j < from.columns; ++j) *to.at(k, j) = *from.at(i, j);
    }

private:
    const linear_batch& batch_;
    std::ptrdiff_t chunk_;
    std::ptrdiff_t tokens_;
    std::span<linear_row<T>> rows_{};
    T* logits_ = nullptr;
    T* ones_ = nullptr;
    T* gathered_ = nullptr;
    matrix<const T> hidden_{};
    matrix<const T> weights_{};
};

/// Forward: every block goes into the partials of its rows.
template <class T, class Gemm>
void reduce_tiles(const linear_work<T>& work, const Gemm& gemm, const executor& e) {
    const instruction_set set = active_instruction_set();
    work.for_each_tile(gemm, [&](const linear_tile<T>& tile) {
        const std::ptrdiff_t n = tile.logits.rows;
        const std::ptrdiff_t tokens = tile.logits.columns;
        for_range(e, n, n * tokens, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                row_partial& p = tile.rows[static_cast<std::size_t>(i)].partial;
                p = merge(p, partial_of(static_cast<const T*>(tile.logits.at(i, 0)), tokens, 1,
                                        tile.label(i), set));
            }
        });
    });
}

/// The gradients that are wanted; data is null in those that are not.
template <class T>
struct linear_targets {
    matrix<T> hidden{};   ///< (N, D)
    matrix<T> weights{};  ///< (V, D)
    matrix<T> bias{};     ///< (1, V)
    bool accumulate = false;
};

/// Backward: every block of logits becomes its own gradient, and is multiplied onwards. While it
/// goes on, gradient i of `to.hidden` is that of the i-th scored row; then the rows are spread.
template <class T, class Gemm>
void differentiate_tiles(const linear_work<T>& work, const Gemm& gemm, const linear_targets<T>& to,
                         const executor& e) {
    work.for_each_tile(gemm, [&](const linear_tile<T>& tile) {
        const std::ptrdiff_t n = tile.logits.rows;
        const std::ptrdiff_t tokens = tile.logits.columns;
        for_range(e, n, n * tokens, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            for (std::ptrdiff_t i = begin; i < end; ++i) {
                const linear_row<T>& r = tile.rows[static_cast<std::size_t>(i)];
                T* const row = tile.logits.at(i, 0);
                row_direction(static_cast<const T*>(row), 1, row, 1, tokens, tile.label(i),
                              r.statistics, r.coefficient);
            }
        });
        if (to.hidden.data != nullptr)
            multiply<T>(gemm, to.hidden.slice(tile.first_row, n), tile.logits, tile.weights,
                        tile.first_token > 0);
        const bool add = to.accumulate || !tile.first_visit;
        const matrix<const T> transposed = matrix<const T>(tile.logits).transpose();
        if (to.weights.data != nullptr)
            multiply<T>(gemm, to.weights.slice(tile.first_token, tokens), transposed, tile.hidden,
                        add);
        if (to.bias.data != nullptr)
            multiply<T>(gemm, to.bias.transpose().slice(tile.first_token, tokens).transpose(),
                        work.ones(n), tile.logits, add);
    });
    const std::span<const linear_row<T>> rows = work.rows();
    if (rows.empty() && !to.accumulate) {
        fill(to.weights, T(0));
        fill(to.bias, T(0));
    }
    if (to.hidden.data == nullptr) return;
    auto next = static_cast<std::ptrdiff_t>(rows.size()) - 1;  // the last that is not in its place
    for (std::ptrdiff_t i = to.hidden.rows - 1; i >= 0; --i) {
        if (next < 0 || rows[static_cast<std::size_t>(next)].row != i)
            fill(to.hidden.slice(i, 1), T(0));
        else if (next-- != i)
            linear_work<T>::copy_row(to.hidden, next + 1, to.hidden, i);
    }
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
