// SPDX-License-Identifier: Apache-2.0
//
// The kernels of one row of logits on every instruction set; row_log_prob.hpp chooses among them.

#pragma once

#include <prefopt/core/config.hpp>
#include <prefopt/math/libm.hpp>
#include <prefopt/simd/constants.hpp>
#include <prefopt/simd/ops.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// sum of exponentials = sum * 2^exponent, the exponent an integer.
struct base2_sum {
    double sum = 0;
    double exponent = 0;
    bool referenced = false;  ///< whether the exponent has been chosen
};

/// Above this the integers around a logit times log2(e) are not all floats: the scalar kernel's.
inline constexpr double largest_vector_logit = 1e7;

/// The exponent for a maximum: 2^k is the power of two nearest to its exponential.
inline double reference_of(double maximum) noexcept {
    return libm::nearbyint(maximum * log2e<double>);
}

/// Below this an exponential of T in units of 2^k is 0, subnormals and all.
template <class T>
double least_exponent(double k) noexcept {
    return (k - (std::is_same_v<T, double> ? 1100.0 : 160.0)) * 0.6931471805599453;
}

}  // namespace prefopt::inline PREFOPT_ABI::detail

#define PREFOPT_KERNELS <prefopt/simd/row_kernels.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS
