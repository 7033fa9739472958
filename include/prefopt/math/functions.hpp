// SPDX-License-Identifier: Apache-2.0
//
// exp, log, log1p and expm1 of any scalar, as the formulas call them: the type's own, found by
// argument-dependent lookup, or the standard library's; in a constant expression of float or
// double, those of constant.hpp. What a scalar must offer is written at `formula_scalar`.

#pragma once

#include <concepts>
#include <type_traits>

#include <prefopt/core/config.hpp>
#include <prefopt/math/constant.hpp>
#include <prefopt/math/libm.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// What a function of a T may return: a T, or an expression that becomes one. Not a double where T
/// is something else: on the way to it the derivative, or the digits, have been lost.
template <class R, class T>
concept result_of_scalar = std::convertible_to<R, T> &&
    (std::is_arithmetic_v<T> || !std::is_arithmetic_v<std::remove_cvref_t<R>>);

}  // namespace prefopt::inline PREFOPT_ABI::detail

namespace prefopt::inline PREFOPT_ABI::detail::functions {

using libm::exp;
using libm::expm1;
using libm::log;
using libm::log1p;

#if defined(__SIZEOF_FLOAT128__) && defined(__GLIBC__)
// No namespace is associated with __float128, so nothing that is declared later would be found.
// These are the C library's, whose own declarations differ between compilers.
__extension__ typedef __float128 float128;
float128 exp(float128) noexcept __asm__("expf128");
float128 expm1(float128) noexcept __asm__("expm1f128");
float128 log(float128) noexcept __asm__("logf128");
float128 log1p(float128) noexcept __asm__("log1pf128");
#endif

template <class T>
concept has_exp = requires(const T& x) {
    { exp(x) } -> result_of_scalar<T>;
};
template <class T>
concept has_log = requires(const T& x) {
    { log(x) } -> result_of_scalar<T>;
};
template <class T>
concept has_log1p = requires(const T& x) {
    { log1p(x) } -> result_of_scalar<T>;
};
template <class T>
concept has_expm1 = requires(const T& x) {
    { expm1(x) } -> result_of_scalar<T>;
};

}  // namespace prefopt::inline PREFOPT_ABI::detail::functions

namespace prefopt::inline PREFOPT_ABI::detail {

/// The types that constant.hpp computes in.
template <class T>
concept has_constants = std::is_same_v<T, float> || std::is_same_v<T, double>;

/// e^x.
template <class T>
constexpr T exp_of(const T& x) {
    using functions::exp;
    static_assert(functions::has_exp<T>,
                  "prefopt: this scalar lacks exp, found by argument-dependent lookup: declare "
                  "`T exp(const T&)` in the namespace of T (docs/scalars.md).");
    if constexpr (has_constants<T>)
        if (std::is_constant_evaluated()) return constant::exp(x);
    return T(exp(x));
}

/// log(x).
template <class T>
constexpr T log_of(const T& x) {
    using functions::log;
    static_assert(functions::has_log<T>,
                  "prefopt: this scalar lacks log, found by argument-dependent lookup: declare "
                  "`T log(const T&)` in the namespace of T (docs/scalars.md).");
    if constexpr (has_constants<T>)
        if (std::is_constant_evaluated()) return constant::log(x);
    return T(log(x));
}

/// Whether the n-th term no longer counts in a series, nor do its first two derivatives, which
/// converge as n times and n^2 times that. Series end at the latest after `most_terms`: of NaN.
inline constexpr int most_terms = 10000;
template <class T>
constexpr bool is_negligible(const T& term, const T& sum, int n) {
    const T with = sum + term * T(n * n);
    return with == sum;
}

/// log(1 + x) for x > -1, with the digits of a small x. Without log1p a series does it, and no
/// compensated logarithm: trainers build with -ffast-math.
template <class T>
constexpr T log1p_of(const T& x) {
    using functions::log1p;
    if constexpr (has_constants<T>)
        if (std::is_constant_evaluated()) return constant::log1p(x);
    if constexpr (functions::has_log1p<T>) {
        return T(log1p(x));
    } else {
        if (x < T(-0.5) || T(0.5) < x) return log_of(T(T(1) + x));
        const T s = x / T(T(2) + x);  // log(1 + x) = 2 artanh(s) = 2 s + 2 s^3 / 3 + ...
        const T square = s * s;
        T power = s + s;
        T sum = power;
        for (int n = 3; n < most_terms; n += 2) {
            power = power * square;
            if (is_negligible(power, sum, n)) break;
            sum = sum + power / T(n);
        }
        return sum;
    }
}

/// e^x - 1, with the digits of a small x.
template <class T>
constexpr T expm1_of(const T& x) {
    using functions::expm1;
    if constexpr (has_constants<T>)
        if (std::is_constant_evaluated()) return constant::expm1(x);
    if constexpr (functions::has_expm1<T>) {
        return T(expm1(x));
    } else {
        if (x < T(-0.5) || T(0.5) < x) return exp_of(x) - T(1);
        T term = x;
        T sum = x;
        for (int n = 2; n < most_terms; ++n) {
            term = term * x / T(n);
            if (is_negligible(term, sum, n)) break;
            sum = sum + term;
        }
        return sum;
    }
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
