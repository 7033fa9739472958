// SPDX-License-Identifier: Apache-2.0
//
// What is measured: the elementwise functions, how each is computed on an instruction set, and what
// the answer is - fast and a little better than the type for every point, in 113 bits for those
// that decide.

#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include <prefopt/simd/elementwise.hpp>

#include "support/reference.hpp"
#include "support/sets.hpp"

#define PREFOPT_KERNELS "accuracy/pack_arrays.inc"
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

namespace test::accuracy {

using prefopt::instruction_set;
using test::forced;
using test::instruction_sets;

enum class function : std::uint8_t {
    log_sigmoid,
    derivative,  // of log_sigmoid: sigmoid(-x)
    sigmoid,
    softplus,
    log1mexp,
    log1mexp_derivative,
    exp,
    log,
};
inline constexpr std::size_t function_count = 8;
inline constexpr std::array<const char*, function_count> function_names{
    "log_sigmoid", "its derivative", "sigmoid", "softplus",
    "log1mexp",    "its derivative", "exp",     "log"};

constexpr std::size_t index(function f) { return static_cast<std::size_t>(f); }

/// Defined for a >= 0 alone; NaN below.
constexpr bool needs_positive(function f) {
    return f == function::log1mexp || f == function::log1mexp_derivative || f == function::log;
}

/// One array per function; empty where an instruction set has no such function of its own.
template <class T>
using results = std::array<std::vector<T>, function_count>;

/// All functions of an instruction set on the same points.
template <class T>
void evaluate(instruction_set set, const std::vector<T>& x, results<T>& to) {
    const forced here(set);
    const auto room = [&](function f) -> std::vector<T>& {
        to[index(f)].resize(x.size());
        return to[index(f)];
    };
    prefopt::log_sigmoid_and_derivative<T>(x, room(function::log_sigmoid),
                                           room(function::derivative));
    prefopt::sigmoid<T>(x, room(function::sigmoid));
    if (set == instruction_set::scalar) {
        auto& softplus = room(function::softplus);
        auto& log1mexp = room(function::log1mexp);
        auto& slope = room(function::log1mexp_derivative);
        for (std::size_t i = 0; i < x.size(); ++i) {
            softplus[i] = prefopt::softplus(x[i]);
            log1mexp[i] = prefopt::log1mexp(x[i]);
            slope[i] = prefopt::log1mexp_derivative(x[i]);
        }
    } else if constexpr (std::is_same_v<T, double>) {
        const auto n = static_cast<std::ptrdiff_t>(x.size());
        auto& exp = room(function::exp);
        auto& log = room(function::log);
        prefopt::detail::with_set(
            set,
            [&](auto level) {
                exp_of_packs(level, x.data(), n, exp.data());
                log_of_packs(level, x.data(), n, log.data());
            },
            [] {});
    }
}

/// The type of the fast reference: its own error is far below what is measured.
template <class T>
using wide_t = std::conditional_t<std::is_same_v<T, float>, double, long double>;

/// How much the fast reference may mislead, in ULP of T (verified against quad by the caller).
template <class T>
inline constexpr double margin = std::is_same_v<T, float> ? 1e-6 : 1e-2;

/// All functions at a and at -a, for finite a > 0, from one exponential.
template <class W>
void fast_reference(W a, std::array<W, function_count>& at, std::array<W, function_count>& below) {
    const W reach = W(std::is_same_v<W, double> ? 700 : 11000);  // e^a as good as infinite
    const W e = a < 2 * reach ? std::exp(-a) : W(0);
    const W l = std::log1p(e);
    const W one = W(1) / (W(1) + e);
    const W small = e / (W(1) + e);
    at[index(function::log_sigmoid)] = -l;
    below[index(function::log_sigmoid)] = -a - l;
    at[index(function::derivative)] = below[index(function::sigmoid)] = small;
    below[index(function::derivative)] = at[index(function::sigmoid)] = one;
    at[index(function::softplus)] = a + l;
    below[index(function::softplus)] = l;
    const W complement = std::expm1(-a);
    at[index(function::log1mexp)] = a < W(0.7) ? std::log(-complement) : std::log1p(-e);
    at[index(function::log1mexp_derivative)] = e / -complement;
    at[index(function::exp)] = std::exp(a < reach ? a : reach);
    below[index(function::exp)] = e;
    at[index(function::log)] = std::log(a);
    for (const auto f : {function::log1mexp, function::log1mexp_derivative, function::log})
        below[index(f)] = 0;  // never looked at
}

/// f(x) in 113 bits, from the textbook forms.
inline quad exact_value(function f, quad x) {
    switch (f) {
        case function::log_sigmoid: return exact::log_sigmoid(x);
        case function::derivative: return exact::sigmoid(-x);
        case function::sigmoid: return exact::sigmoid(x);
        case function::softplus: return -exact::log_sigmoid(-x);
        case function::log1mexp: return exact::log1mexp(x);
        case function::log1mexp_derivative: return x > 5000 ? expq(-x) : 1 / expm1q(x);
        case function::exp: return expq(x);
        default: return logq(x);
    }
}

/// What f must return for NaN, the infinities, zeros where it has a pole, and where it is
/// undefined; nothing for ordinary points.
template <class T>
std::optional<T> special_value(function f, T x) {
    constexpr T infinity = std::numeric_limits<T>::infinity();
    constexpr T nan = std::numeric_limits<T>::quiet_NaN();
    if (prefopt::is_nan(x)) return nan;
    const bool zero = prefopt::is_zero(x);
    const bool negative = std::signbit(x) && !zero;
    if (needs_positive(f)) {
        if (negative) {  // 1 / expm1(a) goes on below 0, undocumented
            if (f == function::log1mexp_derivative) return std::nullopt;
            return nan;
        }
        if (zero) return f == function::log1mexp_derivative ? infinity : -infinity;
    }
    if (prefopt::is_finite(x)) return std::nullopt;
    switch (f) {
        case function::log_sigmoid: return negative ? -infinity : T(0);
        case function::derivative: return negative ? T(1) : T(0);
        case function::sigmoid: return negative ? T(0) : T(1);
        case function::softplus:
        case function::exp: return negative ? T(0) : infinity;
        case function::log: return infinity;
        default: return T(0);
    }
}

/// NaN for NaN, else the same number; zeros of either sign.
template <class T>
bool agrees(T got, T wanted) {
    if (prefopt::is_nan(wanted)) return prefopt::is_nan(got);
    return same_bits(got, wanted) || (prefopt::is_zero(got) && prefopt::is_zero(wanted));
}

}  // namespace test::accuracy
