// SPDX-License-Identifier: Apache-2.0
//
// The operations of every instruction set: in the namespace of each, f32 and f64 (a vector type and
// what is done with it) and `level`, an empty type that names the set. Kernels are functions in
// those namespaces that take a `level` first, so that with_set can call the right one by name.

#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/math/lane_sum.hpp>
#include <prefopt/math/libm.hpp>
#include <prefopt/simd/avx512_gcc12.hpp>
#include <prefopt/simd/constants.hpp>
#include <prefopt/simd/instruction_set.hpp>
#include <prefopt/simd/intrinsics.hpp>
#include <prefopt/simd/region.hpp>

#define PREFOPT_KERNELS PREFOPT_OPS
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

#define PREFOPT_KERNELS <prefopt/simd/exp2.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

namespace prefopt::inline PREFOPT_ABI::detail {

/// Calls vector(level) with the `level` of a vector set, or scalar(), and returns what it returns.
/// `vector` is a generic lambda that calls a kernel by its unqualified name: it is looked up where
/// `level` lives.
template <class Vector, class Scalar>
inline decltype(auto) with_set(instruction_set set, const Vector& vector, const Scalar& scalar) {
    static_cast<void>(vector);  // where there are no vectors
    switch (set) {
#if PREFOPT_SIMD_AVX512
        case instruction_set::avx512: return vector(avx512::level{});
#endif
#if PREFOPT_SIMD_AVX2
        case instruction_set::avx2: return vector(avx2::level{});
#endif
#if PREFOPT_SIMD_GENERIC
        case instruction_set::generic: return vector(generic::level{});
#endif
        default: return scalar();
    }
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
