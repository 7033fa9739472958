// SPDX-License-Identifier: Apache-2.0
//
// log_sigmoid, sigmoid, softplus and log1mexp: the primitives of every preference loss, for any
// real scalar type T: float, double, long double, a dual number or a multiprecision number, each
// in its own precision (`formula_scalar` says what T must offer). In constant expressions too, of
// float and double.
//
// Accurate over the whole range, in float and double with the usual C library: the logarithms to at
// most 2 ULP, sigmoid and the derivatives to 2.5 (docs/accuracy.md). No form cancels, overflows, or
// loses the tail below exp(-88). NaN in, NaN out.

#pragma once

#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/math/functions.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// A value and its first derivative, computed from one exponential.
template <class T>
struct value_and_derivative {
    T value;
    T derivative;
};

/// sigmoid(x) = 1 / (1 + exp(-x)), in [0, 1]. `1 - sigmoid(x)` is `sigmoid(-x)`: write it so.
/// The left tail keeps its digits down to the least subnormal: sigmoid(-88.75f) = 2.86e-39f.
template <class T>
constexpr T sigmoid(const T& x) {
    if constexpr (detail::brings_primitives<T>) {
        return sigmoid(x);  // the type's own
    } else {
        static_assert(detail::require_order<T>());
        if (x < T(0)) {
            const T e = detail::exp_of(x);
            return e / (T(1) + e);
        }
        return T(1) / (T(1) + detail::exp_of(T(-x)));
    }
}

/// log sigmoid(x) = min(x, 0) - log1p(exp(-|x|)), and its derivative sigmoid(-x).
template <class T>
constexpr value_and_derivative<T> log_sigmoid_and_derivative(const T& x) {
    if constexpr (detail::brings_primitives<T>) {
        return log_sigmoid_and_derivative(x);  // the type's own
    } else {
        static_assert(detail::require_order<T>());
        if (x < T(0)) {
            const T e = detail::exp_of(x);
            return {x - detail::log1p_of(e), T(1) / (T(1) + e)};
        }
        const T e = detail::exp_of(T(-x));
        return {-detail::log1p_of(e), e / (T(1) + e)};
    }
}

/// log sigmoid(x) = min(x, 0) - log1p(exp(-|x|)) <= 0. At 16.75f it is -5.3e-8f, not 0.
template <class T>
constexpr T log_sigmoid(const T& x) {
    return prefopt::log_sigmoid_and_derivative(x).value;  // the unused division falls away
}

/// softplus(x) = log(1 + exp(x)) = -log_sigmoid(-x) >= 0, and its derivative sigmoid(x).
template <class T>
constexpr value_and_derivative<T> softplus_and_derivative(const T& x) {
    if constexpr (detail::brings_primitives<T>) {
        return softplus_and_derivative(x);  // the type's own
    } else {
        const auto [value, derivative] = prefopt::log_sigmoid_and_derivative(T(-x));
        return {-value, derivative};
    }
}

/// softplus(x) = log(1 + exp(x)) = -log_sigmoid(-x) >= 0.
template <class T>
constexpr T softplus(const T& x) {
    return prefopt::softplus_and_derivative(x).value;
}

/// log1mexp(a) = log(1 - exp(-a)) for a >= 0. Note the sign: `a` is minus a log-probability, so
/// log(1 - p) = log1mexp(-log p). -infinity at 0, NaN below. The two branches meet at log 2, where
/// each is accurate (Maechler, "Accurately computing log(1 - exp(-|a|))").
template <class T>
constexpr T log1mexp(const T& a) {
    const T opposite = -a;
    if (a < T(0.6931471805599453)) return detail::log_of(T(-detail::expm1_of(opposite)));
    return detail::log1p_of(T(-detail::exp_of(opposite)));
}

/// d log1mexp(a) / da = 1 / expm1(a) = exp(-a) / (1 - exp(-a)): the second form, because expm1(a)
/// overflows where the result is still a number. +infinity at both zeros.
template <class T>
constexpr T log1mexp_derivative(const T& a) {
    const T opposite = -a;
    return detail::exp_of(opposite) / (T(0) - detail::expm1_of(opposite));
}

}  // namespace prefopt::inline PREFOPT_ABI
