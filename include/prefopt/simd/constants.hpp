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

/// log(2) cut short, so that its product with an exponent is exact; and what was cut off.
template <class T>
inline constexpr T log_2_short = T(0);
template <>
inline constexpr float log_2_short<float> = 0x1.62e4p-1F;
template <>
inline constexpr double log_2_short<double> = 0x1.62e42fefa38p-1;
template <class T>
inline constexpr T log_2_short_rest = T(0);
template <>
inline constexpr float log_2_short_rest<float> = 1.428606820309417232e-6F;
template <>
inline constexpr double log_2_short_rest<double> = 5.497923018708371175e-14;

/// (e^r - 1 - r) / r^2 on [-log(2) / 2, log(2) / 2], highest power first, minimax in the relative
/// error of e^r: 1.1e-10 in float, 8.4e-18 in double.
template <class T>
inline constexpr T exp_coefficients[1] = {};
template <>
inline constexpr float exp_coefficients<float>[] = {
    1.989927406943394455e-4F, 1.394110853373981396e-3F, 8.333298483621827288e-3F,
    4.166635289557691997e-2F, 0.1666666671899780815F,   0.5000000047118027495F};
template <>
inline constexpr double exp_coefficients<double>[] = {
    2.510520647533483384e-8, 2.762635737327897739e-7, 2.755725542550290200e-6,
    2.480150434668099867e-5, 1.984126987480068394e-4, 1.388888893248884780e-3,
    8.333333333326140829e-3, 4.166666666657314190e-2, 0.1666666666666667099,
    0.5000000000000005617};

/// (log(1 + r) - r) / r^2, highest power first, minimax in the relative error of log(1 + r): in
/// float on [0, 1], 1.6e-9; in double on [-1/4, 1/2], 3.1e-18.
template <class T>
inline constexpr T log1p_coefficients[1] = {};
template <>
inline constexpr float log1p_coefficients<float>[] = {
    0.0021833064175179775F, -0.014176879738674098F, 0.043126971070318294F, -0.084406453209211625F,
    0.12560773822538968F,   -0.16170069703547047F,  0.19908705903825090F,  -0.24990208523733894F,
    0.33332812810536243F,   -0.49999990598801785F};
template <>
inline constexpr double log1p_coefficients<double>[] = {
    -0.0062209406094597041739, 0.024354855328925983536, -0.045103236555513782904,
    0.055948911958981937129,   -0.05804874431151803655, 0.059149379443519471765,
    -0.062268998967937979267,  0.066583485053079897405, -0.07143331445285905207,
    0.07692927056940682556,    -0.08333376524486869669, 0.090908862801598857531,
    -0.099999969210514914746,  0.1111111155532329885,   -0.12500000082935143357,
    0.14285714281382339126,    -0.16666666665608919409, 0.20000000000017671412,
    -0.25000000000005812743,   0.33333333333333314688,  -0.49999999999999990809};

}  // namespace prefopt::inline PREFOPT_ABI::detail
