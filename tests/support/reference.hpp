// SPDX-License-Identifier: Apache-2.0
//
// The formulas of the papers in 113 bits, as they are printed: what the losses and primitives are
// measured against. A quad reaches exp(11000), so that the textbook forms, which would cancel or
// overflow in double, are exact enough here; none of the library's rearrangements is repeated.

#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include <prefopt/core/classify.hpp>

#include "support/quad.hpp"

namespace test::exact {

template <class T>
quad wide(T x) {
    return static_cast<quad>(x);
}
inline double narrow(quad x) { return static_cast<double>(x); }
inline quad larger(quad a, quad b) { return a > b ? a : b; }

/// 1 / (1 + exp(-x)).
inline quad sigmoid(quad x) {
    if (x < -11000) return 0;
    return 1 / (1 + expq(-x));
}
/// log(1 / (1 + exp(-x))).
inline quad log_sigmoid(quad x) {
    if (x < -11000) return x;
    return -log1pq(expq(-x));
}
/// log(1 - exp(-a)); below 1 as log(exp(a) - 1) - a.
inline quad log1mexp(quad a) { return a < 1 ? logq(expm1q(a)) - a : log1pq(-expq(-a)); }

/// Rafailov et al., equation 7; with Mitchell's smoothing e.
inline quad dpo(quad beta, quad e, quad chosen, quad rejected) {
    const quad z = beta * chosen - beta * rejected;
    const quad kept = -(1 - e) * log_sigmoid(z);
    return e > 0 ? kept - e * log_sigmoid(-z) : kept;
}
/// Azar et al., equation 17.
inline quad ipo(quad tau, quad chosen, quad rejected) {
    const quad off = (chosen - rejected) - 1 / tau / 2;
    return off * off;
}
/// Ethayarajh et al., equation 7: lambda - v, v = lambda sigmoid(x). For the digits of its far tail
/// lambda - lambda / (1 + exp(-x)) is brought over one denominator.
inline quad kto(quad beta, quad lambda, quad log_ratio, bool desirable, quad kl) {
    const quad x = desirable ? beta * (log_ratio - kl) : beta * (kl - log_ratio);
    return x > 20 ? lambda * expq(-x) / (1 + expq(-x)) : lambda - lambda * sigmoid(x);
}
/// Ouyang et al., equation 1, with the margin of Touvron et al. and the centring of Eisenstein et
/// al.
inline quad bradley_terry(quad margin, quad centering, quad chosen, quad rejected) {
    const quad sum = chosen + rejected;
    return -log_sigmoid(chosen - rejected - margin) + centering * sum * sum;
}

/// Rafailov et al., appendix A.3: minus the log of the product of softmax choices, of which the
/// first `placed` are known. The scores are beta times the log-ratios, best first.
inline quad plackett_luce(quad beta, const std::vector<quad>& log_ratios, std::size_t placed) {
    quad loss = 0;
    for (std::size_t k = 0; k < placed && k < log_ratios.size(); ++k) {
        quad others = 0;  // of exp(s_j - s_k)
        for (std::size_t j = k + 1; j < log_ratios.size(); ++j)
            others += expq(beta * (log_ratios[j] - log_ratios[k]));
        loss += log1pq(others);
    }
    return loss;
}

/// (f(x + h) - f(x - h)) / 2h: good to about 1e-20 relative for a smooth f.
template <class F>
quad slope(const F& f, quad x) {
    const quad h = ldexpq(larger(1, fabsq(x)), -45);
    return (f(x + h) - f(x - h)) / (2 * h);
}

}  // namespace test::exact

namespace test {

#ifdef __FAST_MATH__
inline constexpr bool precise = false;
inline constexpr double relaxed = 2;  // vectorised functions, reciprocals instead of divisions
#else
inline constexpr bool precise = true;
inline constexpr double relaxed = 1;
#endif

/// What rounding may do to a value or a derivative: a multiple of u times this.
struct slack {
    quad value, gradient;
};

/// An error in units of what is allowed.
inline quad excess(quad error, quad allowed) {
    return error > 0 ? (allowed > 0 ? error / allowed : quad(1e9)) : quad(0);
}

/// An error that no type can avoid: a subnormal, or all of them where they are flushed.
template <class T>
quad floor_of() {
    using limits = std::numeric_limits<T>;
    return exact::wide(precise ? limits::denorm_min() : 2 * limits::min());
}

template <class T>
bool same_bits(T a, T b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

/// Equal bits, of two computations that a compiler may have been allowed to write differently:
/// -ffast-math regroups and vectorises, and fused multiply-adds are contracted where it likes.
template <class T>
bool same_number(T a, T b) {
#if defined(__FAST_MATH__) || defined(__FMA__)
    return std::fabs(a - b) <= 64 * std::numeric_limits<T>::epsilon() * (std::fabs(b) + T(1));
#else
    return same_bits(a, b);
#endif
}

/// Sums over rows add in place.
inline quad_real& operator+=(quad_real& a, quad_real b) { return a = a + b; }
inline quad_real& operator*=(quad_real& a, quad_real b) { return a = a * b; }

/// What a test over many points has seen, so that an empty loop cannot pass.
struct visited {
    std::int64_t points = 0, subnormal = 0, infinite = 0, nan = 0, negative = 0, positive = 0;

    template <class T>
    void add(T x) {
        ++points;
        if (prefopt::is_nan(x)) {
            ++nan;
            return;
        }
        infinite += prefopt::is_infinite(x);
        const bool below = std::signbit(x);
        const bool tiny = prefopt::detail::magnitude_bits(x) != 0 &&
                          prefopt::detail::magnitude_bits(x) <
                              prefopt::detail::magnitude_bits(std::numeric_limits<T>::min());
        subnormal += tiny;
        (below ? negative : positive) += 1;
    }
};

/// Points of all magnitudes: log-uniform with subnormals, uniform in +-120, random bit patterns.
template <class T>
std::vector<T> many_points(std::size_t each, std::uint64_t seed) {
    using bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    std::mt19937_64 random(seed);
    std::vector<T> points;
    points.reserve(3 * each);
    std::uniform_real_distribution<double> wide(-120, 120), unit(1, 2);
    const int low = std::numeric_limits<T>::min_exponent - std::numeric_limits<T>::digits;
    std::uniform_int_distribution<int> exponent(low, std::numeric_limits<T>::max_exponent - 2);
    for (std::size_t i = 0; i < each; ++i) {
        // Through quad, whose rounding to a subnormal no floating-point mode changes.
        const quad x = ldexpq(exact::wide(unit(random)), exponent(random));
        points.push_back(static_cast<T>(i % 2 == 0 ? x : -x));
        points.push_back(static_cast<T>(wide(random)));
        points.push_back(std::bit_cast<T>(static_cast<bits>(random())));
    }
    return points;
}

}  // namespace test
