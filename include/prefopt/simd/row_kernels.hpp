// SPDX-License-Identifier: Apache-2.0
//
// The kernels of one row of logits on every instruction set; row_log_prob.hpp chooses among them.

#pragma once

#include <prefopt/core/config.hpp>
#include <prefopt/simd/constants.hpp>
#include <prefopt/simd/ops.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// sum of exponentials = sum * 2^exponent, the exponent an integer.
struct base2_sum {
    double sum = 0;
    double exponent = 0;
};

/// Above this a logit times log2(e) has no digits after the point in float: the scalar kernel's.
inline constexpr double largest_vector_logit = 1e8;

}  // namespace prefopt::inline PREFOPT_ABI::detail

#define PREFOPT_KERNELS <prefopt/simd/row_kernels.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS
