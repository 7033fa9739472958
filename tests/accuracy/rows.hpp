// SPDX-License-Identifier: Apache-2.0
//
// Rows of logits to log-probs and back, through the public calls, against 113 bits: per storage
// type, vocabulary, kind of row and instruction set, the largest error of a log-prob and the
// largest of a gradient's entry in ULP of its type.

#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include <prefopt/log_probs.hpp>

#include "accuracy/functions.hpp"
#include "support/quad.hpp"

namespace test::accuracy {

enum class row_kind : std::uint8_t { usual, far, wide, half_masked, half_lowest, confident };
inline constexpr std::array<const char*, 6> row_kind_names{
    "N(0, 3)", "N(1000, 3)", "N(0, 10)", "half -infinity", "half lowest", "confident"};

template <class S>
constexpr const char* stored_name() {
    return std::is_same_v<S, float>           ? "float"
           : std::is_same_v<S, double>        ? "double"
           : std::is_same_v<S, prefopt::bf16> ? "bf16"
                                              : "fp16";
}

/// The error of a stored number in ULP of its own type.
template <class S>
double ulps_as_stored(const S& got, quad answer) {
    const auto value = prefopt::detail::load(&got);
    if constexpr (std::is_floating_point_v<S>) {
        return ulps(value, answer);
    } else {
        constexpr bool brain = std::is_same_v<S, prefopt::bf16>;
        const int digits = brain ? 8 : 11;
        const int least = brain ? -133 : -24;
        int e = 0;
        std::frexp(static_cast<long double>(fabsq(answer)), &e);
        const quad unit = ldexpq(quad(1), answer != 0 && e - digits > least ? e - digits : least);
        return static_cast<double>(fabsq(static_cast<quad>(value) - answer) / unit);
    }
}

template <class S>
std::vector<S> make_row(row_kind kind, std::size_t vocab, std::size_t label,
                        std::mt19937_64& random) {
    std::normal_distribution<double> normal(kind == row_kind::far ? 1000 : 0,
                                            kind == row_kind::wide ? 10 : 3);
    std::vector<S> row(vocab);
    for (S& x : row) prefopt::detail::store(&x, normal(random));
    const double lowest = std::is_same_v<S, prefopt::fp16> ? -65504.0
                          : std::is_same_v<S, double>      ? std::numeric_limits<double>::lowest()
                          : std::is_same_v<S, prefopt::bf16>
                              ? -3.3895313892515355e38
                              : static_cast<double>(std::numeric_limits<float>::lowest());
    for (std::size_t i = 0; i < vocab; ++i) {
        if (i == label || random() % 2 == 0) continue;
        if (kind == row_kind::half_masked) row[i] = S(-std::numeric_limits<float>::infinity());
        if (kind == row_kind::half_lowest) prefopt::detail::store(&row[i], lowest);
    }
    if (kind == row_kind::confident) prefopt::detail::store(&row[label], 40.0);
    return row;
}

struct row_record {
    double log_prob = 0;                                    // largest |error|
    double gradient = 0;                                    // largest, in ULP of the stored type
    std::uint64_t rows = 0, above_zero = 0, different = 0;  // from the first vector set
};

/// Both errors of some rows, for each set on the same rows.
template <class S>
std::vector<row_record> measure_rows(row_kind kind, std::size_t vocab, int rows,
                                     const std::vector<instruction_set>& sets) {
    std::mt19937_64 random(vocab * 16 + static_cast<std::size_t>(kind));
    std::vector<row_record> found(sets.size());
    std::vector<quad> e(vocab);
    for (int i = 0; i < rows; ++i) {
        const std::size_t label = random() % vocab;
        const auto row = make_row<S>(kind, vocab, label, random);
        quad top = static_cast<quad>(prefopt::detail::load(&row[0])), sum = 0, others = 0;
        const auto at = [&](std::size_t j) {
            return static_cast<quad>(prefopt::detail::load(&row[j]));
        };
        for (std::size_t j = 0; j < vocab; ++j) top = at(j) > top ? at(j) : top;
        for (std::size_t j = 0; j < vocab; ++j) {
            const quad x = at(j) - top;
            e[j] = x < -11000 ? quad(0) : expq(x);
            sum += e[j];
            if (j != label) others += e[j];
        }
        const quad exact = others < e[label] ? -log1pq(others / e[label]) : logq(e[label] / sum);
        std::vector<S> first;
        double first_log_prob = 0;
        for (std::size_t k = 0; k < sets.size(); ++k) {
            const forced here(sets[k]);
            const std::vector<std::int64_t> labels{static_cast<std::int64_t>(label)};
            const prefopt::view logits{row.data(), {std::size_t{1}, vocab}};
            std::vector<double> sum_of_one(1);
            prefopt::sequence_log_probs.into(logits, labels, {sum_of_one});
            std::vector<S> gradient(vocab);
            prefopt::sequence_log_probs_backward(
                logits, labels, std::vector<double>{1.0},
                prefopt::view{gradient.data(), {std::size_t{1}, vocab}});
            const double log_prob = sum_of_one[0];
            row_record& r = found[k];
            ++r.rows;
            r.above_zero += log_prob > 0;
            r.log_prob = std::max(r.log_prob,
                                  static_cast<double>(fabsq(static_cast<quad>(log_prob) - exact)));
            for (std::size_t j = 0; j < vocab; ++j) {
                const quad answer = j == label ? others / sum : -e[j] / sum;
                r.gradient = std::max(r.gradient, ulps_as_stored(gradient[j], answer));
            }
            if (sets[k] == instruction_set::scalar) continue;
            if (first.empty()) {
                first = gradient;
                first_log_prob = log_prob;
            }
            r.different += !same_bits(log_prob, first_log_prob) ||
                           std::memcmp(first.data(), gradient.data(), vocab * sizeof(S)) != 0;
        }
    }
    return found;
}

/// What the library promises of a row: log-probs are computed in float but for double logits, and a
/// gradient is rounded once to its type.
template <class S>
bool row_within_bounds(const row_record& r) {
    const bool wide = std::is_same_v<S, double>;
    return r.above_zero == 0 && r.log_prob <= (wide ? 2e-14 : 2e-6) &&
           r.gradient <= (wide                          ? 12.0
                          : std::is_floating_point_v<S> ? 8.0
                                                        : 1.0);
}

/// The rows of the table for one storage type.
template <class S>
bool measure_rows_of(std::uint64_t share, const std::vector<instruction_set>& sets) {
    bool good = true;
    for (const std::size_t vocab : {std::size_t{1000}, std::size_t{32000}, std::size_t{128256}})
        for (std::size_t kind = 0; kind < row_kind_names.size(); ++kind) {
            const std::uint64_t full = vocab == 1000 ? 512 : vocab == 32000 ? 32 : 8;
            const auto rows = static_cast<int>(full / share > 0 ? full / share : 1);
            if (share > 8 && vocab > 1000) continue;
            const auto found = measure_rows<S>(static_cast<row_kind>(kind), vocab, rows, sets);
            for (std::size_t i = 0; i < sets.size(); ++i) {
                const row_record& r = found[i];
                const bool within = row_within_bounds<S>(r);
                good = good && within && r.rows > 0;
                std::string names = prefopt::to_string(sets[i]);
                if (i > 1 && r.different == 0 && within) continue;  // as the first vector set
                for (std::size_t j = 2; i == 1 && j < sets.size(); ++j)
                    if (found[j].different == 0) names += std::string(", ") + to_string(sets[j]);
                std::printf("| %s | %zu | %s | %s | %llu | %.1e | %.2f |%s\n", stored_name<S>(),
                            vocab, row_kind_names[kind], names.c_str(),
                            static_cast<unsigned long long>(r.rows), r.log_prob, r.gradient,
                            within ? "" : " OUT OF BOUNDS");
            }
            std::fflush(stdout);
        }
    return good;
}

inline bool measure_all_rows(std::uint64_t share) {
    auto sets = instruction_sets();
    if (share < 8) std::erase(sets, instruction_set::generic);
    std::printf(
        "\n| logits | V | rows | instruction set | how many | log-prob, largest error | "
        "gradient, largest error in ULP |\n|---|---|---|---|---|---|---|\n");
    bool good = measure_rows_of<float>(share, sets);
    good = measure_rows_of<prefopt::bf16>(share, sets) && good;
    good = measure_rows_of<prefopt::fp16>(share, sets) && good;
    return measure_rows_of<double>(share, sets) && good;
}

}  // namespace test::accuracy
