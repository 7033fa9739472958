// SPDX-License-Identifier: Apache-2.0
//
// The kernel of the trust-region update: reference <- reference + a (policy - reference), fused.
//
// fma(a, p, fma(-a, r, r)) is exact at a = 0 and a = 1, never leaves [r, p], and overflows for no
// finite input; an entry equal to the policy's is left alone, so that equal weights stay equal.
// Vectorised kernels replace update_run and nothing else.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// One strided run of n entries; 0 < alpha <= 1. Computed in double where either side is double,
/// else in float; rounded once to the reference's type. alpha = 1 copies (bit for bit between equal
/// types).
template <real_scalar P, real_scalar R>
void update_run(const P* policy, std::ptrdiff_t policy_stride, R* reference,
                std::ptrdiff_t reference_stride, std::ptrdiff_t n, double alpha) noexcept {
    using T =
        std::conditional_t<std::is_same_v<P, double> || std::is_same_v<R, double>, double, float>;
    const T a = static_cast<T>(alpha);
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        const P* from = policy + i * policy_stride;
        R* to = reference + i * reference_stride;
        if constexpr (std::is_same_v<P, R>) {
            if (alpha == 1) {
                std::memcpy(to, from, sizeof(R));
                continue;
            }
        }
        const T p = static_cast<T>(load(from));
        if (alpha == 1) {
            store(to, static_cast<double>(p));
            continue;
        }
        const T r = static_cast<T>(load(to));
        // NaN first: under -ffast-math a comparison alone may call it equal
        if (!is_nan(p) && !is_nan(r) && p == r) continue;
        store(to, static_cast<double>(std::fma(a, p, std::fma(-a, r, r))));
    }
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
