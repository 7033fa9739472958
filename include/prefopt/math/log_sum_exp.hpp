// SPDX-License-Identifier: Apache-2.0
//
// log_sum_exp, and the sum of exponentials under it: taken block by block with the maximum removed,
// each block summed in 64 fixed lanes, in double for float data. One pass over memory, no overflow
// at any finite input, and an error that hardly grows with the length.

#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/math/functions.hpp>
#include <prefopt/math/lane_sum.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

/// What sums are kept in: double for float, the type itself otherwise.
template <class T>
using accumulator_t = std::conditional_t<std::is_same_v<T, float>, double, T>;

/// sum_i exp(x_i) = sum * exp(maximum). `maximum` is -infinity when there is no term above it.
template <class T>
struct scaled_sum {
    T maximum;
    accumulator_t<T> sum;
};

/// -infinity as any scalar type that can be made from a double (std::numeric_limits is silently 0
/// for a type that does not specialise it).
template <class T>
constexpr T minus_infinity() {
    return T(-infinity_of<double>);
}

/// Whether x is -infinity, under any compiler flag.
template <class T>
constexpr bool is_minus_infinity(const T& x) {
    if constexpr (has_constants<T>)
        return is_infinite(x) && is_negative(x);
    else
        return x == minus_infinity<T>();
}

/// Whether x is NaN; for float and double, under any compiler flag.
template <class T>
constexpr bool is_nan_scalar(const T& x) {
    if constexpr (has_constants<T>)
        return is_nan(x);
    else
        return !(x == x);  // NOLINT(misc-redundant-expression): false for NaN alone
}

/// The scaled sum of exp(at(i)) over i in [0, n), i != skip. `at` returns T; NaN propagates into
/// the sum, -infinity contributes exactly nothing.
template <class T, class At>
constexpr scaled_sum<T> sum_of_exponentials(std::ptrdiff_t n, const At& at,
                                            std::ptrdiff_t skip = -1) {
    using A = accumulator_t<T>;
    constexpr std::ptrdiff_t block = 2048;
    T maximum = minus_infinity<T>();
    A sum(0);
    // A block is at most two runs: the skipped position splits it.
    const auto in_runs = [skip](std::ptrdiff_t first, std::ptrdiff_t last, const auto& visit) {
        while (first < last) {
            const std::ptrdiff_t end = first <= skip && skip < last ? skip : last;
            visit(first, end);
            first = end + 1;
        }
    };
    for (std::ptrdiff_t first = 0; first < n; first += block) {
        const std::ptrdiff_t last = n - first < block ? n : first + block;
        T top = maximum;
        in_runs(first, last, [&](std::ptrdiff_t i, std::ptrdiff_t end) {
            for (; i < end; ++i) {
                const T x = at(i);
                if (top < x) top = x;
            }
        });
        if (maximum < top) {
            if (!is_minus_infinity(maximum)) sum = sum * exp_of(A(A(maximum) - A(top)));
            maximum = top;
        }
        // With no finite maximum yet, nothing is subtracted: exp(-infinity) is 0, NaN stays NaN.
        const T reference = is_minus_infinity(maximum) ? T(0) : maximum;
        lane_sum<A> lanes;
        in_runs(first, last, [&](std::ptrdiff_t i, std::ptrdiff_t end) {
            for (; i < end; ++i) lanes.add(i, A(exp_of(T(at(i) - reference))));
        });
        sum = sum + lanes.total();
    }
    return {maximum, sum};
}

}  // namespace detail

/// log sum_i exp(x_i) over a row. Empty and all -infinity: -infinity. One element: that element.
/// Any NaN: NaN. Any +infinity without NaN: +infinity. Else finite, between max and max + log n.
///
///     float y = prefopt::log_sum_exp(std::span<const float>(row));
template <class T, std::size_t N>
constexpr std::remove_cv_t<T> log_sum_exp(std::span<T, N> row) {
    using V = std::remove_cv_t<T>;
    const auto n = static_cast<std::ptrdiff_t>(row.size());
    const auto at = [&](std::ptrdiff_t i) -> V { return row[static_cast<std::size_t>(i)]; };
    const auto [maximum, sum] = detail::sum_of_exponentials<V>(n, at);
    using A = detail::accumulator_t<V>;
    if (detail::is_minus_infinity(maximum) || detail::is_minus_infinity(V(-maximum))) {
        for (const V& x : row)  // all -infinity, or some +infinity: unless there is a NaN
            if (detail::is_nan_scalar(x)) return x;
        return maximum;
    }
    return V(A(maximum) + detail::log_of(sum));
}

/// log(exp(a) + exp(b)), the two-term case.
template <class T>
constexpr T log_add_exp(const T& a, const T& b) {
    const T both[] = {a, b};
    return log_sum_exp(std::span<const T, 2>(both));
}

}  // namespace prefopt::inline PREFOPT_ABI
