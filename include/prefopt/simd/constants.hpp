// SPDX-License-Identifier: Apache-2.0
//
// The numbers of the vector kernels: the same on every instruction set, so that the bits are too.

#pragma once

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

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

/// What log(2) loses by rounding to double.
inline constexpr double log_2 = 0.6931471805599453;
inline constexpr double log_2_rest = 2.3190468138462996e-17;

/// (log(1 + r) - r) / r^2, highest power first, minimax in the relative error of log(1 + r): in
/// float on [0, 1], 1.6e-9; in double on [sqrt(1/2) - 1, sqrt(2) - 1], 1.9e-17.
template <class T>
inline constexpr T log1p_coefficients[1] = {};
template <>
inline constexpr float log1p_coefficients<float>[] = {
    0.0021833064175179775F, -0.014176879738674098F, 0.043126971070318294F, -0.084406453209211625F,
    0.12560773822538968F,   -0.16170069703547047F,  0.19908705903825090F,  -0.24990208523733894F,
    0.33332812810536243F,   -0.49999990598801785F};
template <>
inline constexpr double log1p_coefficients<double>[] = {
    0.028295137411444494006,  -0.062710909436487530731, 0.065573280646139631255,
    -0.055911849211364653498, 0.056305023868355377087,  -0.062052189330917060071,
    0.066913889596303489285,  -0.071493517527292479998, 0.076909260287993174356,
    -0.083328690408093492021, 0.090909539992795528727,  -0.10000018859138693092,
    0.1111111029419922214,    -0.12499999560723349714,  0.14285714293176697514,
    -0.16666666672162148198,  0.19999999999973217089,   -0.24999999999968795169,
    0.33333333333333351985,   -0.50000000000000052021};

}  // namespace prefopt::inline PREFOPT_ABI::detail
