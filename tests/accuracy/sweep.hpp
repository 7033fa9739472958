// SPDX-License-Identifier: Apache-2.0
//
// Measures every function on every instruction set over a set of points: the largest error, where,
// of how many points, of which classes; and which sets gave the same bits everywhere.
//
// Each point is compared with a reference that is a little better than the type; where the error
// may exceed the largest so far, 113 bits decide. So the maximum is that of a comparison with 113
// bits at every point, provided that the fast reference is as good as it says, which
// reference_error() measures.

#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "accuracy/functions.hpp"
#include "accuracy/points.hpp"

namespace test::accuracy {

/// Numbers of one kind each. Plain, so that it can lie in memory that processes share.
struct classes {
    std::uint64_t points, quiet, signalling, infinite, zero, subnormal, normal;

    // Without branches, because every result passes here.
    template <class T>
    void add(T x) {
        using limits = std::numeric_limits<T>;
        const auto bits = prefopt::detail::magnitude_bits(x);
        const auto top = prefopt::detail::magnitude_bits(limits::infinity());
        const auto quiet_bit = prefopt::detail::magnitude_bits(limits::quiet_NaN()) ^ top;
        const bool is_quiet = (bits & quiet_bit) != 0;
        ++points;
        quiet += bits > top && is_quiet;
        signalling += bits > top && !is_quiet;
        infinite += bits == top;
        zero += bits == 0;
        const bool tiny = bits < prefopt::detail::magnitude_bits(limits::min());
        subnormal += tiny && bits != 0;
        normal += bits < top && !tiny;
    }
    void add(const classes& c) {
        points += c.points;
        quiet += c.quiet;
        signalling += c.signalling;
        infinite += c.infinite;
        zero += c.zero;
        subnormal += c.subnormal;
        normal += c.normal;
    }
};

/// One function on one instruction set.
struct record {
    double ulp;           // the largest error
    double at;            // there
    std::uint64_t wrong;  // points with another class than the answer
    double wrong_at;
    classes results;

    void add(const record& r) {
        if (r.ulp > ulp) {
            ulp = r.ulp;
            at = r.at;
        }
        if (wrong == 0) wrong_at = r.wrong_at;
        wrong += r.wrong;
        results.add(r.results);
    }
};

inline constexpr std::size_t most_sets = 8;

struct tally {
    classes arguments;
    std::array<std::array<record, function_count>, most_sets> of;
    // differs[i][j][f]: points where sets i and j < i gave different bits, but for those of NaN.
    std::array<std::array<std::array<std::uint64_t, function_count>, most_sets>, most_sets> differs;

    void add(const tally& t) {
        arguments.add(t.arguments);
        for (std::size_t i = 0; i < most_sets; ++i)
            for (std::size_t f = 0; f < function_count; ++f) {
                of[i][f].add(t.of[i][f]);
                for (std::size_t j = 0; j < i; ++j) differs[i][j][f] += t.differs[i][j][f];
            }
    }
};

/// Upper bound of |got - exact| in ULP of T when `reference` is nearly exact.
inline double rough_ulps(float got, double reference) {
    const double low = std::fabs(reference) * (1 - 0x1p-40);
    const auto exponent = static_cast<int>(std::bit_cast<std::uint64_t>(low) >> 52) - 1023;
    const int unit = exponent - 23 > -149 ? exponent - 23 : -149;
    const auto factor = std::bit_cast<double>(static_cast<std::uint64_t>(1023 - unit) << 52);
    return std::fabs(static_cast<double>(got) - reference) * factor;
}
inline double rough_ulps(double got, long double reference) {
    const long double low = std::fabs(reference) * (1 - 0x1p-60L);
    const int exponent = low > 0 ? std::ilogb(low) : -16000;
    const int unit = exponent - 52 > -1074 ? exponent - 52 : -1074;
    return static_cast<double>(
        std::scalbn(std::fabs(static_cast<long double>(got) - reference), -unit));
}

/// The error that decides: 113 bits. An overflow is right where the answer rounds to infinity.
template <class T>
double exact_ulps(function f, T x, T got) {
    const quad answer = exact_value(f, exact::wide(x));
    if (prefopt::is_infinite(got)) {
        const quad top = exact::wide(std::numeric_limits<T>::max());
        const bool beyond = fabsq(answer) > top && std::signbit(got) == (answer < 0);
        return beyond ? 0.0 : std::numeric_limits<double>::infinity();
    }
    if (prefopt::is_nan(got)) return std::numeric_limits<double>::infinity();
    return ulps(got, answer);
}

/// Whether a number is one that -ffast-math flushes to zero when it is read or written.
template <class T>
bool flushed(T x) {
    const auto bits = prefopt::detail::magnitude_bits(x);
    return !precise && bits != 0 &&
           bits < prefopt::detail::magnitude_bits(std::numeric_limits<T>::min());
}

/// A point of a function's domain.
template <class T>
void judge(function f, T x, T got, wide_t<T> reference, record& r) {
    using W = wide_t<T>;
    if (!precise) {
        constexpr W least = 2 * static_cast<W>(std::numeric_limits<T>::min());
        if (std::fabs(reference) < least && std::fabs(static_cast<W>(got)) <= least) return;
    }
    if (prefopt::is_infinite(got)) {
        constexpr W top = static_cast<W>(std::numeric_limits<T>::max());
        const bool beyond = std::fabs(reference) > W(1.001) * top;
        if (beyond && std::signbit(got) == std::signbit(reference)) return;
    } else if (rough_ulps(got, reference) <= r.ulp - margin<T>) {  // false for NaN
        return;
    }
    const double ulp = exact_ulps(f, x, got);
    if (ulp <= r.ulp) return;
    r.ulp = ulp;
    r.at = static_cast<double>(x);
}

/// n points, all of them of the domain or possibly not.
template <class T>
void judge_all(function f, bool ordinary, std::size_t n, const T* x, const T* got,
               const wide_t<T>* reference, record& r) {
    for (std::size_t i = 0; i < n; ++i) r.results.add(got[i]);
    for (std::size_t i = 0; i < n; ++i) {
        if (flushed(x[i])) continue;
        const auto special = ordinary ? std::nullopt : special_value(f, x[i]);
        if (!special)
            judge(f, x[i], got[i], reference[i], r);
        else if (!agrees(got[i], *special) && r.wrong++ == 0)
            r.wrong_at = static_cast<double>(x[i]);
    }
}

/// Room for one chunk, kept between chunks.
template <class T>
struct workspace {
    std::vector<T> magnitudes, x;
    std::array<std::vector<wide_t<T>>, function_count> reference;
    std::array<results<T>, most_sets> got;
    std::array<std::array<record, function_count>, most_sets> part{};
    std::array<std::array<double, function_count>, most_sets> before{};
};

/// The i-th chunk to visit: hard ones (x around 1) first and the rest scattered, so that a maximum
/// near the final one is found early and few points need 113 bits.
inline std::uint64_t scattered(std::uint64_t i, std::uint64_t chunks) {
    std::uint64_t step = chunks * 5 / 8 + 1;
    while (std::gcd(step, chunks) != 1) ++step;
    return (chunks / 2 + i * step) % chunks;
}

/// Adds one chunk to a tally.
template <class T>
void sweep_chunk(const point_set<T>& points, std::uint64_t chunk,
                 const std::vector<instruction_set>& sets, workspace<T>& w, tally& total) {
    points.magnitudes(chunk, w.magnitudes);
    const std::size_t n = w.magnitudes.size();
    w.x.resize(2 * n);
    for (auto& r : w.reference) r.resize(2 * n);
    std::array<wide_t<T>, function_count> at{}, below{};
    for (std::size_t i = 0; i < n; ++i) {
        const T a = w.magnitudes[i];
        w.x[i] = a;
        w.x[n + i] = -a;
        if (prefopt::is_finite(a)) fast_reference(static_cast<wide_t<T>>(a), at, below);
        for (std::size_t f = 0; f < function_count; ++f) {
            w.reference[f][i] = at[f];
            w.reference[f][n + i] = below[f];
        }
    }
    bool ordinary = true;
    for (const T a : w.magnitudes)
        ordinary = ordinary && prefopt::is_finite(a) && !prefopt::is_zero(a);
    for (const T x : w.x) total.arguments.add(x);
    for (std::size_t i = 0; i < sets.size(); ++i) {
        evaluate(sets[i], w.x, w.got[i]);
        for (std::size_t f = 0; f < function_count; ++f) {
            const auto& got = w.got[i][f];
            if (got.empty()) continue;
            record& here = total.of[i][f];
            record& part = w.part[i][f];
            const double before = here.ulp;
            bool judged = false;
            for (std::size_t j = 0; j < i; ++j) {
                const auto& other = w.got[j][f];
                if (other.empty()) continue;
                if (std::memcmp(other.data(), got.data(), 2 * n * sizeof(T)) == 0) {
                    // The same bits: what was found then holds, if it was looked for as closely.
                    if (judged || w.before[j][f] != before) continue;
                    part = w.part[j][f];
                    judged = true;
                } else {
                    for (std::size_t k = 0; k < 2 * n; ++k)
                        total.differs[i][j][f] +=
                            !same_bits(got[k], other[k]) &&
                            !(prefopt::is_nan(got[k]) && prefopt::is_nan(other[k]));
                }
            }
            w.before[i][f] = before;
            if (!judged) {
                part = record{};
                part.ulp = before;
                const auto which = static_cast<function>(f);
                const auto* reference = w.reference[f].data();
                judge_all(which, ordinary, n, w.x.data(), got.data(), reference, part);
                // 1 / expm1(a) is documented for a >= 0 alone.
                if (which != function::log1mexp_derivative)
                    judge_all(which, ordinary && !needs_positive(which), n, w.x.data() + n,
                              got.data() + n, reference + n, part);
            }
            here.add(part);
        }
    }
}

/// The largest error of the fast reference itself, in ULP of T, at finite points spread over the
/// set: `margin` must be larger.
template <class T>
double reference_error(const point_set<T>& points, std::uint64_t count) {
    std::vector<T> magnitudes;
    std::array<wide_t<T>, function_count> at{}, below{};
    double worst = 0;
    const std::uint64_t chunks = points.chunks();
    const std::uint64_t every = chunks * chunk_size / count + 1;
    for (std::uint64_t i = 0; i < chunks; ++i) {
        points.magnitudes(i, magnitudes);
        for (std::size_t k = i % every; k < magnitudes.size(); k += every) {
            const T a = magnitudes[k];
            if (!prefopt::is_finite(a) || prefopt::is_zero(a) || flushed(a)) continue;
            fast_reference(static_cast<wide_t<T>>(a), at, below);
            for (std::size_t f = 0; f < function_count; ++f)
                for (const bool minus : {false, true}) {
                    const auto which = static_cast<function>(f);
                    if (minus && needs_positive(which)) continue;
                    const quad x = exact::wide(a);
                    const quad answer = exact_value(which, minus ? -x : x);
                    if (fabsq(answer) > exact::wide(std::numeric_limits<T>::max())) continue;
                    // In ULP of T, without rounding to T: by the ULP of the answer.
                    const quad off = fabsq(exact::wide(minus ? below[f] : at[f]) - answer);
                    worst = std::max(worst,
                                     static_cast<double>(off / unit_in_the_last_place<T>(answer)));
                }
        }
    }
    return worst;
}

}  // namespace test::accuracy
