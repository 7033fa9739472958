// SPDX-License-Identifier: Apache-2.0
//
// log_sigmoid, sigmoid, softplus and log1mexp: the primitives of every preference loss,
// for any real scalar type T: float, double, long double, a dual number or a multiprecision number
// whose exp, log, log1p and expm1 are found by argument-dependent lookup.
//
// Accurate over the whole range, to at most 2 ULP in float and double with the usual C library:
// no form cancels, overflows, or loses the tail below exp(-88). NaN in, NaN out.

#pragma once

#include <cmath>

#include <prefopt/core/config.hpp>

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
T sigmoid(const T& x) {
    using std::exp;
    if (x >= T(0)) return T(1) / (T(1) + exp(-x));
    const T e = exp(x);
    return e / (T(1) + e);
}

/// log sigmoid(x) = min(x, 0) - log1p(exp(-|x|)), and its derivative sigmoid(-x).
template <class T>
value_and_derivative<T> log_sigmoid_and_derivative(const T& x) {
    using std::exp;
    using std::log1p;
    if (x >= T(0)) {
        const T e = exp(-x);
        return {-log1p(e), e / (T(1) + e)};
    }
    const T e = exp(x);
    return {x - log1p(e), T(1) / (T(1) + e)};
}

/// log sigmoid(x) = min(x, 0) - log1p(exp(-|x|)) <= 0. At 16.75f it is -5.3e-8f, not 0.
template <class T>
T log_sigmoid(const T& x) {
    return log_sigmoid_and_derivative(x).value;  // the unused division falls away
}

/// softplus(x) = log(1 + exp(x)) = -log_sigmoid(-x) >= 0, and its derivative sigmoid(x).
template <class T>
value_and_derivative<T> softplus_and_derivative(const T& x) {
    const auto [value, derivative] = log_sigmoid_and_derivative(T(-x));
    return {-value, derivative};
}

/// softplus(x) = log(1 + exp(x)) = -log_sigmoid(-x) >= 0.
template <class T>
T softplus(const T& x) {
    return softplus_and_derivative(x).value;
}

/// log1mexp(a) = log(1 - exp(-a)) for a >= 0. Note the sign: `a` is minus a log-probability, so
/// log(1 - p) = log1mexp(-log p). -infinity at 0, NaN below. The two branches meet at log 2, where
/// each is accurate (Maechler, "Accurately computing log(1 - exp(-|a|))").
template <class T>
T log1mexp(const T& a) {
    using std::exp;
    using std::expm1;
    using std::log;
    using std::log1p;
    return a < T(0.6931471805599453) ? T(log(-expm1(-a))) : T(log1p(-exp(-a)));
}

/// d log1mexp(a) / da = 1 / expm1(a) = exp(-a) / (1 - exp(-a)): the second form, because expm1(a)
/// overflows where the result is still a number. +infinity at both zeros.
template <class T>
T log1mexp_derivative(const T& a) {
    using std::exp;
    using std::expm1;
    return exp(-a) / (T(0) - expm1(-a));
}

}  // namespace prefopt::inline PREFOPT_ABI
