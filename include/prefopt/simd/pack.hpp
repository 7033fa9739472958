// SPDX-License-Identifier: Apache-2.0
//
// pack, the number of sixteen lanes that formulas and batch loops run on, in the namespace of every
// instruction set; and in `scalar`, where its lanes are plain doubles and a formula is asked once
// per lane, for machines without vectors.

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/math/log_sigmoid.hpp>
#include <prefopt/simd/ops.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// Lanes of a pack.
inline constexpr std::ptrdiff_t pack_size = 16;

namespace scalar {
#include <prefopt/simd/ops_scalar.inc>
//
#include <prefopt/simd/pack.inc>
}  // namespace scalar

}  // namespace prefopt::inline PREFOPT_ABI::detail

#define PREFOPT_KERNELS <prefopt/simd/pack.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

#define PREFOPT_KERNELS <prefopt/simd/float_pack.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

#define PREFOPT_KERNELS <prefopt/simd/elementwise.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS
