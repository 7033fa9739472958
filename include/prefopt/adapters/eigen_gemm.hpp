// SPDX-License-Identifier: Apache-2.0
//
// Eigen (3.4 and 5) as the matrix product of linear_log_probs: nothing to link, as fast as the
// instruction set that the program is compiled for (-march=native). Eigen takes memory of its own
// for large products, and threads of its own under OpenMP.
//
//     auto scored = prefopt::linear_log_probs(prefopt::eigen_gemm, hidden, weights, labels);

#pragma once

#include <Eigen/Core>
#include <cstddef>

#include <prefopt/core/gemm.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

struct eigen_gemm_fn {
    template <class T>
    void operator()(const gemm_task<T>& t) const {
        const Eigen::Map<matrix_of<T, Eigen::RowMajor>, Eigen::Unaligned, Eigen::OuterStride<>> c(
            t.c, t.m, t.n, Eigen::OuterStride<>(t.c_stride));
        with_factor(t.a, t.m, t.k, [&](const auto& a) {
            with_factor(t.b, t.k, t.n, [&](const auto& b) {
                auto to = c;  // a Map is a reference
                if (t.accumulate)
                    to.noalias() += a * b;
                else
                    to.noalias() = a * b;
            });
        });
    }

private:
    template <class T, int Order>
    using matrix_of = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Order>;

    /// Calls f with the factor as a Map; what is transposed is column-major to Eigen.
    template <class T, class F>
    static void with_factor(const gemm_factor<T>& m, std::ptrdiff_t rows, std::ptrdiff_t columns,
                            const F& f) {
        const Eigen::OuterStride<> stride(m.stride);
        if (m.transposed)
            f(Eigen::Map<const matrix_of<T, Eigen::ColMajor>, Eigen::Unaligned,
                         Eigen::OuterStride<>>(m.data, rows, columns, stride));
        else
            f(Eigen::Map<const matrix_of<T, Eigen::RowMajor>, Eigen::Unaligned,
                         Eigen::OuterStride<>>(m.data, rows, columns, stride));
    }
};

}  // namespace detail

inline constexpr detail::eigen_gemm_fn eigen_gemm{};

}  // namespace prefopt::inline PREFOPT_ABI
