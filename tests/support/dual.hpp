// SPDX-License-Identifier: Apache-2.0
//
// Forward-mode differentiation in a few lines: the library's formulas run on it as they are.

#pragma once

#include <cmath>
#include <type_traits>

namespace test {

/// value + derivative * epsilon, over any real scalar type R.
template <class R>
struct dual {
    R value{};
    R slope{};

    dual() = default;
    dual(R v, R s) : value(v), slope(s) {}
    explicit dual(R v) : value(v), slope(R(0)) {}
    explicit dual(int v) : value(R(v)), slope(R(0)) {}
    template <class U>
        requires(!std::is_same_v<U, R> && !std::is_same_v<U, int>)
    explicit dual(U v) : value(R(v)), slope(R(0)) {}

    friend dual operator+(dual a, dual b) { return {a.value + b.value, a.slope + b.slope}; }
    friend dual operator-(dual a, dual b) { return {a.value - b.value, a.slope - b.slope}; }
    friend dual operator-(dual a) { return {-a.value, -a.slope}; }
    friend dual operator*(dual a, dual b) {
        return {a.value * b.value, a.slope * b.value + a.value * b.slope};
    }
    friend dual operator/(dual a, dual b) {
        return {a.value / b.value, (a.slope * b.value - a.value * b.slope) / (b.value * b.value)};
    }
    friend bool operator<(dual a, dual b) { return a.value < b.value; }
    friend bool operator>(dual a, dual b) { return a.value > b.value; }
    friend bool operator<=(dual a, dual b) { return a.value <= b.value; }
    friend bool operator>=(dual a, dual b) { return a.value >= b.value; }
    friend bool operator==(dual a, dual b) { return a.value == b.value; }

    friend dual exp(dual x) {
        using std::exp;
        const R e = exp(x.value);
        return {e, e * x.slope};
    }
    friend dual expm1(dual x) {
        using std::exp;
        using std::expm1;
        return {expm1(x.value), exp(x.value) * x.slope};
    }
    friend dual log(dual x) {
        using std::log;
        return {log(x.value), x.slope / x.value};
    }
    friend dual log1p(dual x) {
        using std::log1p;
        return {log1p(x.value), x.slope / (R(1) + x.value)};
    }
};

}  // namespace test
