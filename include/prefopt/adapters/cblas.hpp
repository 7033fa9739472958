// SPDX-License-Identifier: Apache-2.0
//
// CBLAS as the matrix product of linear_log_probs: OpenBLAS, BLIS, MKL, ATLAS, Netlib, whichever
// <cblas.h> the program finds and links. Its threads are set as that library wants them set
// (OPENBLAS_NUM_THREADS, ...).
//
//     auto scored = prefopt::linear_log_probs(prefopt::cblas_gemm, hidden, weights, labels);

#pragma once

#include <cblas.h>

#include <cstddef>
#include <limits>
#include <type_traits>

#include <prefopt/core/gemm.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

struct cblas_gemm_fn {
    static constexpr std::ptrdiff_t largest_extent = std::numeric_limits<int>::max();

    template <class T>
        requires(std::is_same_v<T, float> || std::is_same_v<T, double>)
    void operator()(const gemm_task<T>& t) const {
        const auto as_int = [](std::ptrdiff_t n) { return static_cast<int>(n); };
        const auto how = [](const gemm_factor<T>& f) {
            return f.transposed ? CblasTrans : CblasNoTrans;
        };
        const auto call = [&](auto function) {
            function(CblasRowMajor, how(t.a), how(t.b), as_int(t.m), as_int(t.n), as_int(t.k), T(1),
                     t.a.data, as_int(t.a.stride), t.b.data, as_int(t.b.stride),
                     t.accumulate ? T(1) : T(0), t.c, as_int(t.c_stride));
        };
        if constexpr (std::is_same_v<T, float>)
            call(&cblas_sgemm);
        else
            call(&cblas_dgemm);
    }
};

}  // namespace detail

inline constexpr detail::cblas_gemm_fn cblas_gemm{};

}  // namespace prefopt::inline PREFOPT_ABI
