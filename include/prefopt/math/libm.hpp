// SPDX-License-Identifier: Apache-2.0
//
// The functions of the C library that the formulas and the rows end in, for float, double and long
// double. GCC and Clang know them without <cmath>, most of which is Bessel functions and their kin,
// and which would be a tenth of what including this library costs.

#pragma once

#include <prefopt/core/config.hpp>

#if !defined(__GNUC__)
#include <cmath>
#endif

namespace prefopt::inline PREFOPT_ABI::detail::libm {

#if defined(__GNUC__)

#define PREFOPT_LIBM(name)                                                                         \
    inline float name(float x) noexcept { return __builtin_##name##f(x); }                         \
    inline double name(double x) noexcept { return __builtin_##name(x); }                          \
    inline long double name(long double x) noexcept { return __builtin_##name##l(x); }
PREFOPT_LIBM(exp)
PREFOPT_LIBM(exp2)
PREFOPT_LIBM(expm1)
PREFOPT_LIBM(fabs)
PREFOPT_LIBM(log)
PREFOPT_LIBM(log1p)
PREFOPT_LIBM(nearbyint)

inline float fma(float a, float b, float c) noexcept { return __builtin_fmaf(a, b, c); }
inline double fma(double a, double b, double c) noexcept { return __builtin_fma(a, b, c); }

#else

using std::exp;
using std::exp2;
using std::expm1;
using std::fabs;
using std::fma;
using std::log;
using std::log1p;
using std::nearbyint;

#endif

}  // namespace prefopt::inline PREFOPT_ABI::detail::libm
