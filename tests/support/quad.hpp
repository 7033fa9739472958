// SPDX-License-Identifier: Apache-2.0
//
// quad: 113-bit floating point, as the reference that the suite measures against: long double where
// that has 113 bits (AArch64), else __float128 with libquadmath. Its few functions are declared
// here, because not every compiler that has the type finds the library's header.

#pragma once

#include <cmath>
#include <limits>

#if __LDBL_MANT_DIG__ == 113

namespace test {
using quad = long double;
}

inline test::quad expq(test::quad x) noexcept { return std::exp(x); }
inline test::quad expm1q(test::quad x) noexcept { return std::expm1(x); }
inline test::quad logq(test::quad x) noexcept { return std::log(x); }
inline test::quad log1pq(test::quad x) noexcept { return std::log1p(x); }
inline test::quad fabsq(test::quad x) noexcept { return std::fabs(x); }
inline test::quad ldexpq(test::quad x, int exponent) noexcept { return std::ldexp(x, exponent); }

#else

namespace test {
__extension__ typedef __float128 quad;
}

extern "C" {
test::quad expq(test::quad) noexcept;
test::quad expm1q(test::quad) noexcept;
test::quad logq(test::quad) noexcept;
test::quad log1pq(test::quad) noexcept;
test::quad fabsq(test::quad) noexcept;
test::quad ldexpq(test::quad, int) noexcept;
}

#endif

namespace test {

/// A real scalar type for the library's templates: arithmetic of quad, functions found by
/// argument-dependent lookup.
struct quad_real {
    quad value = 0;

    quad_real() = default;
    quad_real(quad v) : value(v) {}  // NOLINT: implicit, like the built-in types
    explicit quad_real(double v) : value(static_cast<quad>(v)) {}
    explicit quad_real(int v) : value(static_cast<quad>(v)) {}

    friend quad_real operator+(quad_real a, quad_real b) { return a.value + b.value; }
    friend quad_real operator-(quad_real a, quad_real b) { return a.value - b.value; }
    friend quad_real operator*(quad_real a, quad_real b) { return a.value * b.value; }
    friend quad_real operator/(quad_real a, quad_real b) { return a.value / b.value; }
    friend quad_real operator-(quad_real a) { return -a.value; }
    friend bool operator<(quad_real a, quad_real b) { return a.value < b.value; }
    friend bool operator>(quad_real a, quad_real b) { return a.value > b.value; }
    friend bool operator<=(quad_real a, quad_real b) { return a.value <= b.value; }
    friend bool operator>=(quad_real a, quad_real b) { return a.value >= b.value; }
    friend bool operator==(quad_real a, quad_real b) { return a.value == b.value; }

    friend quad_real exp(quad_real x) { return expq(x.value); }
    friend quad_real expm1(quad_real x) { return expm1q(x.value); }
    friend quad_real log(quad_real x) { return logq(x.value); }
    friend quad_real log1p(quad_real x) { return log1pq(x.value); }
};

/// The unit in the last place of an exact value as a T: never below the least subnormal.
template <class T>
quad unit_in_the_last_place(quad exact) {
    constexpr int digits = std::numeric_limits<T>::digits;
    constexpr int least = std::numeric_limits<T>::min_exponent - digits;  // exponent of denorm_min
    const auto magnitude = static_cast<long double>(fabsq(exact));  // 0 where it is below any T
    int exponent = least;
    if (magnitude > 0) {
        int e = 0;
        std::frexp(magnitude, &e);
        exponent = e - digits > least ? e - digits : least;
    }
    return ldexpq(quad(1), exponent);
}

/// |computed - exact| in units of the last place of the exact value, floored at the least
/// subnormal.
template <class T>
double ulps(T computed, quad exact) {
    return static_cast<double>(fabsq(static_cast<quad>(computed) - exact) /
                               unit_in_the_last_place<T>(exact));
}

}  // namespace test
