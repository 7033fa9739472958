// SPDX-License-Identifier: Apache-2.0
//
// Rows of logits scored on anybody's threads and summed up by sequence: what log-probs alone and
// log-probs with directions share.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <prefopt/batch/sequences.hpp>
#include <prefopt/core/arithmetic.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/math/lane_sum.hpp>
#include <prefopt/simd/strided_rows.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// Counts over all sequences of a call.
struct sequence_report {
    std::int64_t rows = 0;       ///< all rows
    std::int64_t scored = 0;     ///< rows with a label
    std::int64_t nonfinite = 0;  ///< scored rows whose log-prob is NaN or infinite
    std::int64_t empty = 0;      ///< sequences without a scored row: sum 0, count 0
};

/// What the non-allocating form writes; each is optional.
struct sequence_outputs {
    output<1> sum{};               ///< (B)
    buffer<std::int64_t> count{};  ///< (B)
    /// (N), one per row: with them backward need not take the sums of exponentials again. Those of
    /// unscored rows are left alone.
    buffer<row_partial> partials{};
};

namespace detail {

/// Rows whose log-probs are kept on the stack until they are summed: 32 KiB.
inline constexpr std::ptrdiff_t wave_rows = 4096;

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
        if (out.count.has_value) out.count[b] = count;
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
        const auto score = [&](const row_tile& tile) {
            row_partials(rows_of<const S>(s.logits, tile), tile.label, set, p);
            finish_rows(p, tile.label, tile.count, set, r);
            for (std::ptrdiff_t i = 0; i < tile.count; ++i) {
                if (tile.label[i] < 0) continue;
                w[tile.number + i] = r[i].log_prob;
                if (out.partials.has_value) out.partials[tile.number + i] = p[i];
            }
            if (then.run != nullptr) then.run(then.context, tile, r);
        };
        // What comes after finds its row in the cache; where nothing does, a tile costs less a row.
        s.for_each_tile(w.begin + begin, w.begin + end, score, then.run != nullptr ? 1 : tile_rows);
    };
    return sum_sequences(s, out, w, score_rows);
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
