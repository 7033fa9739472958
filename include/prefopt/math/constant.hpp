// SPDX-License-Identifier: Apache-2.0
//
// exp, expm1, log and log1p in constant expressions, where the standard library's are not allowed
// before C++26: of float and double, within 2 ULP, the same bits from every compiler. At run time
// nothing here is called.

#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI::detail::constant {

inline constexpr double infinity = infinity_of<double>;
inline constexpr double log_2 = 0.6931471805599453;
/// log(2) cut short, so that its product with an exponent is exact; and what was cut off.
inline constexpr double log_2_short = 0x1.62e42fefa38p-1;
inline constexpr double log_2_rest = 5.497923018708371175e-14;

/// 2^n for a normal result.
constexpr double power_of_two(int n) noexcept {
    return std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
}

/// x = n log(2) + r with |r| <= log(2) / 2, and e^r - 1.
struct reduced {
    int n;
    double rest;
};
constexpr reduced reduce(double x) noexcept {
    const double turns = x / log_2;
    const int n = static_cast<int>(turns + (x < 0 ? -0.5 : 0.5));
    const double high = x - n * log_2_short;  // exact
    const double r = high - n * log_2_rest;
    double sum = 1;  // Horner's scheme for r + r^2 / 2 + r^3 / 6 + ..., but for its first term
    for (int i = 15; i > 2; --i) sum = 1 + sum * r / i;
    const double square = r * r / 2;
    return {n, r + square * sum};
}

constexpr double exp(double x) noexcept {
    if (is_nan(x)) return x;
    if (x > 1024 * log_2) return infinity;
    if (x < -1075 * log_2) return 0;
    const auto [n, rest] = reduce(x);
    const int first = n / 2;  // of two exact factors; a subnormal result is rounded once
    return (1 + rest) * power_of_two(first) * power_of_two(n - first);
}

constexpr double expm1(double x) noexcept {
    if (is_nan(x) || is_zero(x)) return x;
    if (x > 700) return exp(x);
    if (x < -40) return -1;
    const auto [n, rest] = reduce(x);
    if (n == 0) return rest;
    const double minus_one = 1 - power_of_two(-n);
    return (rest + minus_one) * power_of_two(n);
}

/// log(x) + lost / x for a positive, finite x: `lost` is what x itself has lost by rounding.
constexpr double log_with(double x, double lost) noexcept {
    const bool subnormal = x < std::numeric_limits<double>::min();
    const auto bits = std::bit_cast<std::uint64_t>(subnormal ? x * 0x1p54 : x);
    int k = static_cast<int>(bits >> 52) - (subnormal ? 1023 + 54 : 1023);
    double m = std::bit_cast<double>((bits & 0xfffffffffffffU) | 0x3ff0000000000000U);
    if (m > 1.4142135623730951) {
        m /= 2;
        ++k;
    }
    // log(1 + f) = 2 artanh(s), s = f / (2 + f), written as f - s (f - R) with
    // R = 2 s^2 / 3 + 2 s^4 / 5 + ...: f is exact, and the error of s counts for little.
    const double f = m - 1;
    const double s = f / (2 + f);
    const double square = s * s;
    double sum = 0;
    for (int i = 25; i >= 3; i -= 2) sum = (sum + 2.0 / i) * square;
    const double less = s * (f - sum);
    const double low = k * log_2_rest + lost / x - less;
    return k == 0 ? f + low : k * log_2_short + (f + low);
}

constexpr double log(double x) noexcept {
    if (is_nan(x)) return x;
    if (is_zero(x)) return -infinity;
    if (x < 0) return quiet_nan_of<double>;
    return is_infinite(x) ? x : log_with(x, 0);
}

constexpr double log1p(double x) noexcept {
    if (is_nan(x) || is_zero(x)) return x;
    if (x == -1) return -infinity;
    if (x < -1) return quiet_nan_of<double>;
    if (is_infinite(x)) return x;
    const double u = 1 + x;
    const double back = u - 1;
    return log_with(u, x < 1 ? x - back : 0);  // of a large u the loss does not count
}

/// A result in double as a float; out of its range, infinity.
constexpr float narrow(double x) noexcept {
    constexpr double limit = 0x1.fffffep127;
    if (x > limit) return infinity_of<float>;
    return static_cast<float>(x);  // none is below the least float
}
constexpr float exp(float x) noexcept { return narrow(exp(static_cast<double>(x))); }
constexpr float expm1(float x) noexcept { return narrow(expm1(static_cast<double>(x))); }
constexpr float log(float x) noexcept { return narrow(log(static_cast<double>(x))); }
constexpr float log1p(float x) noexcept { return narrow(log1p(static_cast<double>(x))); }

}  // namespace prefopt::inline PREFOPT_ABI::detail::constant
