// SPDX-License-Identifier: Apache-2.0
//
// What a matrix product is to the library: something the caller brings. There is no home-made one.
//
// A gemm is anything that can be called as `gemm(task)` with a gemm_task<float> or
// gemm_task<double> and then does c = a b, or c += a b, in the terms of BLAS: row-major memory,
// leading dimensions, operands as they are or transposed. Ready-made: adapters/cblas.hpp and
// adapters/eigen_gemm.hpp.

#pragma once

#include <array>
#include <cstddef>
#include <limits>
#include <type_traits>

#include <prefopt/core/arithmetic.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/executor.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// A factor: row-major memory whose rows are `stride` elements apart, read as it is or transposed.
template <class T>
struct gemm_factor {
    const T* data = nullptr;
    std::ptrdiff_t stride = 0;
    bool transposed = false;
};

/// c (m, n) = a (m, k) b (k, n), or c += a b where `accumulate`.
///
/// A transposed `a` is stored as (k, m), a transposed `b` as (n, k). m, n and k are at least 1, and
/// no stride is less than the length of a stored row. Unless it accumulates, c is not read: it may
/// hold NaN. c overlaps neither factor.
template <class T>
struct gemm_task {
    std::ptrdiff_t m = 0;
    std::ptrdiff_t n = 0;
    std::ptrdiff_t k = 0;
    gemm_factor<T> a{};
    gemm_factor<T> b{};
    T* c = nullptr;
    std::ptrdiff_t c_stride = 0;
    bool accumulate = false;
};

/// Callable with a gemm_task<T>. It is called from the thread that called the library, one task
/// after the other, and may use threads of its own. What it throws passes through the call, whose
/// outputs are then unspecified. If it takes no number above some limit (the int of CBLAS), it says
/// so in a member `static constexpr std::ptrdiff_t largest_extent`.
///
///     const auto gemm = [](const auto& t) {
///         my_gemm(t.m, t.n, t.k, t.a.data, t.a.stride, t.a.transposed, t.b.data, ...);
///     };
template <class G, class T>
concept gemm_for = requires(const G& gemm, const gemm_task<T>& task) {
    gemm(task);
};

namespace detail {

/// The largest extent or stride that a gemm takes.
template <class Gemm>
constexpr std::ptrdiff_t largest_extent() noexcept {
    if constexpr (requires { Gemm::largest_extent; })
        return Gemm::largest_extent;
    else
        return std::numeric_limits<std::ptrdiff_t>::max();
}

}  // namespace detail

/// A gemm with the threads of an executor, for one that has none of its own (Eigen without OpenMP,
/// a BLAS of one thread) and may be called from several at once. Each call computes a slice of c;
/// none may throw. What the edge of a slice does to the rounding is the gemm's affair.
///
///     const prefopt::split_gemm gemm{prefopt::eigen_gemm, pool};
///     auto scored = prefopt::linear_log_probs(gemm, hidden, weights, labels, {.executor = pool});
template <class G>
struct split_gemm {
    static constexpr std::ptrdiff_t largest_extent = detail::largest_extent<G>();

    G gemm;
    prefopt::executor executor{};

    template <class T>
        requires gemm_for<G, T>
    void operator()(const gemm_task<T>& t) const {
        constexpr std::ptrdiff_t grain = 64;  // a multiple of what gemms compute at a time
        const bool by_rows = t.m >= t.n;
        const std::ptrdiff_t length = by_rows ? t.m : t.n;
        const auto slice = [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            const std::ptrdiff_t first = begin * grain;
            gemm_task<T> part = t;
            (by_rows ? part.m : part.n) = detail::smaller(end * grain, length) - first;
            gemm_factor<T>& f = by_rows ? part.a : part.b;
            f.data += by_rows == f.transposed ? first : first * f.stride;
            part.c += by_rows ? first * t.c_stride : first;
            gemm(part);
        };
        detail::for_range(executor, (length + grain - 1) / grain, t.m * t.n, slice);
    }
};
template <class G, class E>
split_gemm(G, E&&) -> split_gemm<G>;

namespace detail {

/// How a matrix lies in memory, as a gemm can take it: row-major, or row-major and transposed.
/// A stride of 0 where it lies in neither way.
struct matrix_layout {
    std::ptrdiff_t stride = 0;
    bool transposed = false;

    static constexpr matrix_layout of(const std::array<std::ptrdiff_t, 2>& extents,
                                      const std::array<std::ptrdiff_t, 2>& strides) noexcept {
        if (extents[0] == 0 || extents[1] == 0) return {1, false};  // nobody will look
        for (const std::size_t inner : {std::size_t{1}, std::size_t{0}}) {
            const std::ptrdiff_t length = larger(extents[inner], 1);
            const bool one_line = extents[1 - inner] < 2;
            if (extents[inner] > 1 && strides[inner] != 1) continue;
            if (!one_line && strides[1 - inner] < length) continue;
            return {one_line ? length : strides[1 - inner], inner == 0};
        }
        return {};
    }
};

/// A matrix in memory of either order.
template <class T>
struct matrix {
    T* data = nullptr;
    std::ptrdiff_t rows = 0;
    std::ptrdiff_t columns = 0;
    matrix_layout layout{};

    constexpr T* at(std::ptrdiff_t i, std::ptrdiff_t j) const noexcept {
        return data + (layout.transposed ? j * layout.stride + i : i * layout.stride + j);
    }
    /// n rows from `first` on.
    constexpr matrix slice(std::ptrdiff_t first, std::ptrdiff_t n) const noexcept {
        return {at(first, 0), n, columns, layout};
    }
    constexpr matrix transpose() const noexcept {
        return {data, columns, rows, {layout.stride, !layout.transposed}};
    }
    constexpr operator matrix<const T>() const noexcept requires(!std::is_const_v<T>) {
        return {data, rows, columns, layout};
    }
};

template <class T>
void fill(const matrix<T>& m, T value) noexcept {
    const matrix<T> lines = m.layout.transposed ? m.transpose() : m;
    for (std::ptrdiff_t i = 0; i < lines.rows; ++i) {
        T* const line = lines.at(i, 0);
        for (std::ptrdiff_t j = 0; j < lines.columns; ++j) line[j] = value;
    }
}

/// c = a b or c += a b, whatever the order of each, and for empty ones.
template <class T, class Gemm>
void multiply(const Gemm& gemm, const matrix<T>& c, const matrix<const T>& a,
              const matrix<const T>& b, bool accumulate) {
    if (c.rows == 0 || c.columns == 0) return;
    if (a.columns == 0) {
        if (!accumulate) fill(c, T(0));
        return;
    }
    if (c.layout.transposed)
        return multiply(gemm, c.transpose(), b.transpose(), a.transpose(), accumulate);
    const auto factor = [](const matrix<const T>& m) {
        return gemm_factor<T>{m.data, m.layout.stride, m.layout.transposed};
    };
    gemm(gemm_task<T>{c.rows, c.columns, a.columns, factor(a), factor(b), c.data, c.layout.stride,
                      accumulate});
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
