// SPDX-License-Identifier: Apache-2.0
//
// Eigen's backends, for the table: matrices and arrays, owned or mapped, of either storage order;
// Refs, blocks and transposes; and lazy expressions, which are evaluated for the call.

#pragma once

#include <cstddef>
#include <type_traits>

#include <prefopt/adapters/eigen.hpp>

#include "backend.hpp"

namespace test {

/// Eigen's own type of a scalar of ours.
template <class S>
struct eigen_scalar {
    using type = S;
};
template <>
struct eigen_scalar<prefopt::fp16> {
    using type = Eigen::half;
};
template <>
struct eigen_scalar<prefopt::bf16> {
    using type = Eigen::bfloat16;
};

enum class eigen {
    matrix,          // VectorX, MatrixX
    row_major,       // RowVectorX, row-major MatrixX
    array,           // ArrayX
    fixed,           // of fixed size
    map,             // Map with strides
    ref,             // Ref with an outer stride
    block,           // a block, or a column, of a larger matrix
    row_of_columns,  // a row of a column-major matrix; a transpose
    sum,             // a + 0: lazy
    product          // (a * 2) / 2: lazy
};

template <eigen Kind>
struct eigens {
    static constexpr bool writable = Kind != eigen::sum && Kind != eigen::product;
    template <class S, std::size_t... N>
    static constexpr bool has = sizeof...(N) <= 2;

    template <class S, std::size_t First, std::size_t Second = 1>
    struct tensor {
        using scalar = typename eigen_scalar<S>::type;
        static constexpr int dynamic = Eigen::Dynamic;
        static constexpr int rows = static_cast<int>(First);
        static constexpr int columns = static_cast<int>(Second);
        static constexpr bool by_rows = Kind == eigen::row_major;
        static constexpr int order = by_rows && columns > 1 ? Eigen::RowMajor : Eigen::ColMajor;

        // A vector is a column; or a row, where that is the point.
        static constexpr bool is_row =
            columns == 1 && (Kind == eigen::row_major || Kind == eigen::row_of_columns);
        static constexpr int r = is_row ? 1 : rows;
        static constexpr int c = is_row ? rows : columns;

        template <template <class, int, int, int, int, int> class Family, int R, int C>
        using of = Family<scalar, R, C, R == 1 ? int(Eigen::RowMajor) : order, R, C>;
        using plain = std::conditional_t<
            Kind == eigen::fixed, of<Eigen::Matrix, r, c>,
            std::conditional_t<Kind == eigen::array,
                               of<Eigen::Array, dynamic, c == 1 ? 1 : dynamic>,
                               of<Eigen::Matrix, r == 1 ? 1 : dynamic, c == 1 ? 1 : dynamic>>>;
        using large = Eigen::Matrix<scalar, dynamic, dynamic>;
        using strides = Eigen::Stride<dynamic, dynamic>;

        // In a larger matrix from (2, 1); transposed for what is a transpose.
        static constexpr bool apart = Kind == eigen::map || Kind == eigen::ref ||
                                      Kind == eigen::block || Kind == eigen::row_of_columns;
        plain value;
        large memory;

        explicit tensor(const S* x) {
            if constexpr (apart) memory = large::Zero(64, 80);
            if constexpr (!apart) value = plain::Zero(r, c);
            auto&& to = elements();
            for (int i = 0; i < r; ++i)
                for (int j = 0; j < c; ++j) to(i, j) = as<scalar>(x[i * c + j]);
        }
        auto get_apart() {
            if constexpr (Kind == eigen::map)
                return Eigen::Map<plain, 0, strides>(&memory(2, 1), r, c, strides(64 * 2, 2));
            else if constexpr (Kind == eigen::ref)
                return Eigen::Ref<plain, 0, Eigen::OuterStride<>>(ref_block());
            else if constexpr (Kind == eigen::block && columns == 1)
                return memory.col(1).segment(2, r);
            else if constexpr (Kind == eigen::block)
                return memory.block(2, 1, r, c);
            else if constexpr (is_row)
                return memory.row(2).segment(1, c);
            else
                return memory.block(2, 1, c, r).transpose();
        }
        auto ref_block() {
            if constexpr (columns == 1)
                return memory.col(1).segment(2, r);
            else
                return memory.block(2, 1, r, c);
        }
        decltype(auto) elements() {
            if constexpr (apart)
                return get_apart();
            else
                return (value);
        }
        decltype(auto) get() {
            if constexpr (Kind == eigen::sum)
                return value + plain::Zero(r, c);
            else if constexpr (Kind == eigen::product)
                return (value * scalar(2)) / scalar(2);
            else
                return elements();
        }
    };
};

}  // namespace test
