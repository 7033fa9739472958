// SPDX-License-Identifier: Apache-2.0
//
// The vectorised kernels of every instruction set in one translation unit, compiled with whatever
// flags the user has: each set's region carries its own target. Everything is included before the
// first region opens, because what is first included inside one would be compiled for it.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <type_traits>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/math/lane_sum.hpp>
#include <prefopt/simd/instruction_set.hpp>

#if PREFOPT_SIMD_X86
#include <immintrin.h>
#endif

namespace prefopt::inline PREFOPT_ABI::detail {

/// sum of exponentials = sum * 2^exponent, the exponent an integer.
struct base2_sum {
    double sum = 0;
    double exponent = 0;
};

/// Above this a logit times log2(e) has no digits after the point in float: the scalar kernel's.
inline constexpr double largest_vector_logit = 1e8;

template <class T>
inline constexpr T log2e = T(1.4426950408889634);
/// log2(e) - log2e<T>.
template <class T>
inline constexpr T log2e_rest = T(0);
template <>
inline constexpr float log2e_rest<float> = 1.9259629911266174e-8F;
template <>
inline constexpr double log2e_rest<double> = 2.035527374093103e-17;

/// 2^f on [-1/2, 1/2], highest power first, minimax in relative error with 2^0 = 1 kept.
template <class T>
inline constexpr T exp2_coefficients[1] = {};
template <>
inline constexpr float exp2_coefficients<float>[] = {1.5461444698569128e-4F,
                                                     1.3400428177615838e-3F,
                                                     9.618056678524638e-3F,
                                                     5.550327226670302e-2F,
                                                     0.2402265092229876F,
                                                     0.6931472067028326F,
                                                     1.0F};
template <>
inline constexpr double exp2_coefficients<double>[] = {
    4.079636838385359825e-10, 7.072026162870801770e-9, 1.018055811734534923e-7,
    1.321544551796400010e-6,  1.525272782235407224e-5, 1.540353043668435036e-4,
    1.333355815270778669e-3,  9.618129107610063495e-3, 5.550410866479490498e-2,
    0.2402265069591009295,    0.6931471805599456233,   1.0};

}  // namespace prefopt::inline PREFOPT_ABI::detail

#if PREFOPT_SIMD_X86

#pragma GCC diagnostic push
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#endif
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wsign-conversion"  // of masks, in the compiler's own header at -O0

#if defined(__clang__)
#pragma float_control(precise, on, push)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#if !defined(__OPTIMIZE__)
#pragma GCC optimize("O2")
#endif
#if defined(__FAST_MATH__)
#pragma GCC optimize("no-fast-math")
#endif
#endif
namespace prefopt::inline PREFOPT_ABI::detail::avx2 {
#include <prefopt/simd/ops_avx2.inc>
//
#include <prefopt/simd/row_kernels.inc>
}  // namespace prefopt::inline PREFOPT_ABI::detail::avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c")
#if !defined(__OPTIMIZE__)
#pragma GCC optimize("O2")
#endif
#if defined(__FAST_MATH__)
#pragma GCC optimize("no-fast-math")
#endif
#endif
namespace prefopt::inline PREFOPT_ABI::detail::avx512 {
#include <prefopt/simd/ops_avx512.inc>
//
#include <prefopt/simd/row_kernels.inc>
}  // namespace prefopt::inline PREFOPT_ABI::detail::avx512
#if defined(__clang__)
#pragma clang attribute pop
#pragma float_control(pop)
#else
#pragma GCC pop_options
#endif

#pragma GCC diagnostic pop

#endif  // PREFOPT_SIMD_X86
