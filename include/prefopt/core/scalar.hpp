// SPDX-License-Identifier: Apache-2.0
//
// The scalar types a tensor may store, and how they are read and written.
//
// Storage is float, double, bf16 or fp16. 16-bit values are widened to float on load and rounded
// once, to nearest even, on store; nothing is ever computed in them. A library's own 16-bit type
// joins by specialising scalar_traits with the kind whose bit layout it has.

#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// bfloat16: the upper half of a float (8 exponent bits, 7 stored mantissa bits).
struct bf16 {
    std::uint16_t bits = 0;

    bf16() = default;
    constexpr explicit bf16(float value) noexcept : bits(round(value)) {}
    constexpr explicit operator float() const noexcept {
        return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
    }
    friend bool operator==(bf16 a, bf16 b) noexcept {
        return static_cast<float>(a) == static_cast<float>(b);
    }

private:
    static constexpr std::uint16_t round(float value) noexcept {
        const auto u = std::bit_cast<std::uint32_t>(value);
        if (is_nan(value)) return static_cast<std::uint16_t>((u >> 16) | 0x40U);  // stays quiet
        return static_cast<std::uint16_t>((u + 0x7fffU + ((u >> 16) & 1U)) >> 16);
    }
};

/// IEEE binary16 (5 exponent bits, 10 stored mantissa bits), subnormals included.
struct fp16 {
    std::uint16_t bits = 0;

    fp16() = default;
    constexpr explicit fp16(float value) noexcept : bits(round(value)) {}
    constexpr explicit operator float() const noexcept {
        const std::uint32_t sign = (bits & 0x8000U) << 16;
        const std::uint32_t exponent = (bits >> 10) & 0x1fU;
        const std::uint32_t mantissa = bits & 0x3ffU;
        if (exponent == 0) {  // zero or subnormal: an integer number of 2^-24, exact in float
            const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
            return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
        }
        const std::uint32_t wide = exponent == 0x1fU ? 0xffU : exponent + 112U;
        return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
    }
    friend bool operator==(fp16 a, fp16 b) noexcept {
        return static_cast<float>(a) == static_cast<float>(b);
    }

private:
    static constexpr std::uint16_t round(float value) noexcept {
        const auto u = std::bit_cast<std::uint32_t>(value);
        const std::uint32_t sign = (u >> 16) & 0x8000U;
        const std::uint32_t a = u & 0x7fffffffU;
        std::uint32_t half = 0;
        if (a > 0x7f800000U) {
            half = 0x7e00U;
        } else if (a >= 0x477ff000U) {  // 65520 and above round to infinity
            half = 0x7c00U;
        } else if (a >= 0x38800000U) {  // normal: rebias, round to nearest even
            half = (a - 0x38000000U + 0xfffU + ((a >> 13) & 1U)) >> 13;
        } else if (a >= 0x33000000U) {  // subnormal: shift the mantissa out, keep the remainder
            const std::uint32_t shift = 126U - (a >> 23);
            const std::uint32_t full = (a & 0x7fffffU) | 0x800000U;
            const std::uint32_t rest = full & ((1U << shift) - 1U);
            const std::uint32_t middle = 1U << (shift - 1U);
            half = full >> shift;
            if (rest > middle || (rest == middle && (half & 1U) != 0)) ++half;
        }
        return static_cast<std::uint16_t>(sign | half);
    }
};

/// The bit layout of one stored real number. Values are part of the ABI: append only.
enum class scalar_kind : std::uint8_t { f32 = 0, f64 = 1, bf16 = 2, fp16 = 3 };

/// What the library knows of a stored scalar type: `kind`, its bit layout. Specialise it for a
/// 16-bit type of another library: `template <> struct prefopt::scalar_traits<their::half> {
/// static constexpr auto kind = prefopt::scalar_kind::fp16; };`
template <class T>
struct scalar_traits {};
template <>
struct scalar_traits<float> {
    static constexpr scalar_kind kind = scalar_kind::f32;
};
template <>
struct scalar_traits<double> {
    static constexpr scalar_kind kind = scalar_kind::f64;
};
template <>
struct scalar_traits<bf16> {
    static constexpr scalar_kind kind = scalar_kind::bf16;
};
template <>
struct scalar_traits<fp16> {
    static constexpr scalar_kind kind = scalar_kind::fp16;
};

/// A type that can hold a log-prob, logit, weight or parameter in a tensor.
template <class T>
concept real_scalar = requires {
    { scalar_traits<std::remove_cv_t<T>>::kind } -> std::convertible_to<scalar_kind>;
};

/// A type that can hold a label, ranking, offset or count: any integer of up to 64 bits but bool.
template <class T>
concept label = std::integral<std::remove_cv_t<T>> && !std::same_as<std::remove_cv_t<T>, bool> &&
                sizeof(T) <= 8;

/// A number that a loss's formula can be evaluated in: float, double, long double, a dual number, a
/// multiprecision number; not an integer, in which beta would be 0. This is all that is asked of a
/// scalar T, and docs/scalars.md says which loss asks for how much of it:
///
///     T(0.5)  T(1)                   from a double (a parameter, taken exactly) and from an int
///     a + b  a - b  a * b  a / b  -a     a T, or an expression that becomes one
///     a < b  a == b                  as bool; every loss but ipo
///     exp(a)  log(a)                 found by argument-dependent lookup, or in std; not for ipo
///     log1p(a)  expm1(a)             used where there are any; else series do it
///
/// The concept is the arithmetic. What else is missing stops the compiler at a sentence.
template <class T>
concept formula_scalar =
    !std::integral<T> && std::copy_constructible<T> && std::constructible_from<T, double> &&
    std::constructible_from<T, int> && requires(const T& a, const T& b) {
    { a + b } -> std::convertible_to<T>;
    { a - b } -> std::convertible_to<T>;
    { a* b } -> std::convertible_to<T>;
    { a / b } -> std::convertible_to<T>;
    { -a } -> std::convertible_to<T>;
};

/// What results are returned in: the type itself, or float for 16-bit storage (a log-prob, a
/// loss or its gradient never comes back in 16 bits unless the caller's own memory is 16-bit).
template <real_scalar T>
using result_scalar_t =
    std::conditional_t<scalar_traits<std::remove_cv_t<T>>::kind == scalar_kind::f64, double, float>;

namespace detail {

/// Stops the compiler where T is not a number that formulas run on.
template <class T>
constexpr bool require_scalar() {
    static_assert(!std::integral<T>,
                  "prefopt: a formula cannot be evaluated in integers, beta would be 0: pass "
                  "floating-point numbers.");
    static_assert(std::integral<T> || std::constructible_from<T, double>,
                  "prefopt: this is not a number that a formula can be evaluated in: it cannot be "
                  "made from a double. Of a lazy expression, pass its value: T(a - b).");
    static_assert(std::integral<T> || !std::constructible_from<T, double> || formula_scalar<T>,
                  "prefopt: this scalar lacks some of the arithmetic of a formula: T(1), a + b, "
                  "a - b, a * b, a / b and -a, with results that convert to T "
                  "(docs/scalars.md).");
    return true;
}

/// Stops the compiler where the formula must compare, and cannot.
template <class T>
constexpr bool require_order() {
    constexpr bool ordered = requires(const T& a, const T& b) {
        { a < b } -> std::convertible_to<bool>;
        { a == b } -> std::convertible_to<bool>;
    };
    static_assert(ordered,
                  "prefopt: this scalar lacks a < b and a == b, as bool, which every loss but ipo "
                  "needs (docs/scalars.md).");
    return true;
}

/// A type of many numbers, whose comparisons are masks and which chooses with a `select` of its
/// own, brings its own sigmoid, log_sigmoid_and_derivative and softplus_and_derivative too, and
/// says so with `using brings_primitives = void`. Of other types no function but exp, log, log1p
/// and expm1 is looked up: a namespace may hold a sigmoid without changing what a loss is.
template <class T>
concept brings_primitives = requires {
    typename T::brings_primitives;
};

constexpr std::ptrdiff_t size_of(scalar_kind kind) noexcept {
    return kind == scalar_kind::f64 ? 8 : kind == scalar_kind::f32 ? 4 : 2;
}

/// Calls `f.template operator()<S>()` with the library's own type of that layout.
template <class F>
constexpr decltype(auto) with_scalar(scalar_kind kind, F&& f) {
    switch (kind) {
        case scalar_kind::f32: return f.template operator()<float>();
        case scalar_kind::f64: return f.template operator()<double>();
        case scalar_kind::bf16: return f.template operator()<bf16>();
        default: return f.template operator()<fp16>();
    }
}

/// The library's own type of each kind.
template <scalar_kind Kind>
struct stored_as {
    using type = float;
};
template <>
struct stored_as<scalar_kind::f64> {
    using type = double;
};
template <>
struct stored_as<scalar_kind::bf16> {
    using type = prefopt::bf16;
};
template <>
struct stored_as<scalar_kind::fp16> {
    using type = prefopt::fp16;
};

/// The type a scalar is computed in after loading: float or double.
template <real_scalar S>
using compute_t = result_scalar_t<S>;

/// Reads one stored scalar. Memory of a foreign 16-bit type is read through its bytes, so that no
/// aliasing rule is bent.
template <real_scalar S>
inline compute_t<S> load(const S* p) noexcept {
    if constexpr (std::floating_point<S>) {
        return *p;
    } else {
        S value;
        std::memcpy(&value, p, sizeof value);
        return static_cast<float>(value);
    }
}

/// A double as a float rounded to odd: what rounds it further, to nearest, rounds it only once.
constexpr float to_odd(double value) noexcept {
    const auto near = static_cast<float>(value);
    if (!is_finite(near) || static_cast<double>(near) == value) return near;
    auto bits = std::bit_cast<std::uint32_t>(near);
    const double magnitude = value < 0 ? -value : value;
    const double rounded = static_cast<double>(near < 0 ? -near : near);
    if (rounded > magnitude) --bits;  // towards zero, then odd: the lost digits stay visible
    return std::bit_cast<float>(bits | 1U);
}

/// Writes one scalar, rounded once.
template <real_scalar S>
inline void store(S* p, double value) noexcept {
    if constexpr (std::floating_point<S>) {
        *p = static_cast<S>(value);
    } else {
        const S rounded(to_odd(value));
        std::memcpy(p, &rounded, sizeof rounded);
    }
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
