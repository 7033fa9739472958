// SPDX-License-Identifier: Apache-2.0
//
// NaN, infinity and finiteness, decided on bit patterns.
//
// Trainers build with -ffast-math, under which a compiler folds std::isnan(x), x != x and even
// !(x > 0) to constants. The exponent bits of a loaded or computed value survive that.

#pragma once

#include <bit>
#include <concepts>
#include <cstdint>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {
constexpr std::uint32_t magnitude_bits(float x) noexcept {
    return std::bit_cast<std::uint32_t>(x) & 0x7fffffffU;
}
constexpr std::uint64_t magnitude_bits(double x) noexcept {
    return std::bit_cast<std::uint64_t>(x) & 0x7fffffffffffffffU;
}
constexpr std::uint32_t infinity_bits(float) noexcept { return 0x7f800000U; }
constexpr std::uint64_t infinity_bits(double) noexcept { return 0x7ff0000000000000U; }

/// From their bits: of std::numeric_limits' Clang 18 and newer warn under -ffast-math.
template <std::floating_point T>
inline constexpr T infinity_of = std::bit_cast<T>(infinity_bits(T{}));
template <std::floating_point T>
inline constexpr T quiet_nan_of = std::bit_cast<T>(infinity_bits(T{}) | (infinity_bits(T{}) >> 1));
}  // namespace detail

/// True for every NaN, under any compiler flag. `T` is float or double.
template <std::floating_point T>
constexpr bool is_nan(T x) noexcept {
    return detail::magnitude_bits(x) > detail::infinity_bits(x);
}

/// True for +infinity and -infinity, under any compiler flag.
template <std::floating_point T>
constexpr bool is_infinite(T x) noexcept {
    return detail::magnitude_bits(x) == detail::infinity_bits(x);
}

/// True for everything that is neither NaN nor infinite, under any compiler flag.
template <std::floating_point T>
constexpr bool is_finite(T x) noexcept {
    return detail::magnitude_bits(x) < detail::infinity_bits(x);
}

/// True for +0 and -0 alone: under -ffast-math, `x == 0` may be true of NaN.
template <std::floating_point T>
constexpr bool is_zero(T x) noexcept {
    return detail::magnitude_bits(x) == 0;
}

namespace detail {
/// The sign bit, of -0 too.
template <std::floating_point T>
constexpr bool is_negative(T x) noexcept {
    using bits = decltype(magnitude_bits(x));
    return std::bit_cast<bits>(x) != magnitude_bits(x);
}
}  // namespace detail

}  // namespace prefopt::inline PREFOPT_ABI
