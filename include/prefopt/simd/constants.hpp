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

}  // namespace prefopt::inline PREFOPT_ABI::detail
