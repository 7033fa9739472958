// SPDX-License-Identifier: Apache-2.0
//
// What a sweep must have found: the bounds that the library's documents promise, the points and
// classes that must have been seen; and the table that is printed.

#pragma once

#include <cstdio>
#include <string>
#include <type_traits>
#include <vector>

#include "accuracy/sweep.hpp"

namespace test::accuracy {

template <class T>
constexpr const char* name_of() {
    return std::is_same_v<T, float> ? "float" : "double";
}

/// The promise, in ULP: a little above what is measured.
template <class T>
constexpr double bound(function f, bool scalar) {
    constexpr bool single = std::is_same_v<T, float>;
    switch (f) {
        case function::log_sigmoid:
        case function::softplus:
        case function::log1mexp: return scalar ? 2.0 : single ? 1.8 : 1.6;
        case function::exp: return 1.1;
        case function::log: return 1.0;
        default: return scalar ? 3.0 : 2.5;
    }
}

/// Whether the sets computed this function themselves.
inline bool has(const tally& t, std::size_t set, std::size_t f) {
    return t.of[set][f].results.points > 0;
}

template <class T>
bool within_bounds(const tally& t, const std::vector<instruction_set>& sets) {
    bool good = true;
    for (std::size_t i = 0; i < sets.size(); ++i)
        for (std::size_t f = 0; f < function_count; ++f) {
            const record& r = t.of[i][f];
            const double allowed =
                bound<T>(static_cast<function>(f), sets[i] == instruction_set::scalar);
            if (r.wrong == 0 && r.ulp <= allowed) continue;
            good = false;
            std::fprintf(stderr,
                         "%s %s %s: %.3f ULP at %a (allowed %.1f); wrong class %llu, first at %a\n",
                         name_of<T>(), prefopt::to_string(sets[i]), function_names[f], r.ulp, r.at,
                         allowed, static_cast<unsigned long long>(r.wrong), r.wrong_at);
        }
    return good;
}

/// Counts that cannot be otherwise if every point was visited.
inline bool complete(const point_set<float>& points, const tally& t,
                     const std::vector<instruction_set>& sets) {
    const classes& c = t.arguments;
    const auto twice = [&](std::uint64_t first, std::uint64_t last) {
        return 2 * points.between(first, last);
    };
    bool good = c.points == twice(0, 0x80000000) && c.zero == twice(0, 1) &&
                c.subnormal == twice(1, 0x00800000) && c.normal == twice(0x00800000, 0x7f800000) &&
                c.infinite == twice(0x7f800000, 0x7f800001) &&
                c.signalling == twice(0x7f800001, 0x7fc00000) &&
                c.quiet == twice(0x7fc00000, 0x80000000);
    for (std::size_t i = 0; i < sets.size(); ++i)
        for (std::size_t f = 0; f < index(function::softplus); ++f)
            good = good && t.of[i][f].results.points == c.points &&
                   t.of[i][f].results.quiet == c.quiet + c.signalling;
    return good;
}
inline bool complete(const point_set<double>& points, const tally& t,
                     const std::vector<instruction_set>& sets) {
    const classes& c = t.arguments;
    const std::uint64_t n = points.per_chunk();
    bool good = c.points == 2 * n * points.chunks() && c.points >= 2 * n * 17000 && c.zero == 2 &&
                c.subnormal >= 2 * n - 2 && c.infinite >= 2 && c.quiet >= n / 4 &&
                c.signalling >= n / 4 && c.quiet + c.signalling == 2 * n - 2;
    for (std::size_t i = 0; i < sets.size(); ++i)
        for (std::size_t f = 0; f < index(function::softplus); ++f)
            good = good && t.of[i][f].results.points == c.points &&
                   t.of[i][f].results.quiet == c.quiet + c.signalling;
    return good;
}

/// Rows of a table; sets that gave the same bits at every point share one.
template <class T>
void print(const tally& t, const std::vector<instruction_set>& sets) {
    const classes& c = t.arguments;
    std::printf(
        "\n%s: %llu points: %llu normal, %llu subnormal, %llu zero, %llu infinite, %llu NaN "
        "(%llu signalling)\n\n",
        name_of<T>(), static_cast<unsigned long long>(c.points),
        static_cast<unsigned long long>(c.normal), static_cast<unsigned long long>(c.subnormal),
        static_cast<unsigned long long>(c.zero), static_cast<unsigned long long>(c.infinite),
        static_cast<unsigned long long>(c.quiet + c.signalling),
        static_cast<unsigned long long>(c.signalling));
    std::printf(
        "| function | type | instruction set | largest error, ULP | at | points | of them with a "
        "subnormal result |\n|---|---|---|---|---|---|---|\n");
    for (std::size_t f = 0; f < function_count; ++f)
        for (std::size_t i = 0; i < sets.size(); ++i) {
            if (!has(t, i, f)) continue;
            bool printed = false;
            std::string names = prefopt::to_string(sets[i]);
            for (std::size_t j = 0; j < sets.size(); ++j) {
                if (j == i || !has(t, j, f)) continue;
                if (t.differs[i > j ? i : j][i > j ? j : i][f] != 0) continue;
                printed = printed || j < i;
                names += std::string(", ") + prefopt::to_string(sets[j]);
            }
            if (printed) continue;
            const record& r = t.of[i][f];
            std::printf("| %s | %s | %s | %.3f | %a | %llu | %llu |\n", function_names[f],
                        name_of<T>(), names.c_str(), r.ulp, r.at,
                        static_cast<unsigned long long>(r.results.points),
                        static_cast<unsigned long long>(r.results.subnormal));
        }
    for (std::size_t i = 0; i < sets.size(); ++i)
        for (std::size_t j = 1; j < i; ++j)  // scalar has bits of its own
            for (std::size_t f = 0; f < function_count; ++f)
                if (t.differs[i][j][f] != 0)
                    std::printf("%s and %s: %s differs at %llu points\n",
                                prefopt::to_string(sets[i]), prefopt::to_string(sets[j]),
                                function_names[f],
                                static_cast<unsigned long long>(t.differs[i][j][f]));
    std::fflush(stdout);
}

}  // namespace test::accuracy
