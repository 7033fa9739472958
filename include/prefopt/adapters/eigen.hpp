// SPDX-License-Identifier: Apache-2.0
//
// Eigen (3.4 and 5): Matrix, Array, Map, Ref, Block, rows, columns, transposes, of either storage
// order. Vectors have rank 1, everything else rank 2. Results are plain Eigen objects. Expressions
// without memory of their own (a + b) are evaluated once, into a value that lives for the call.
//
// Logits are best stored row-major: in a column-major matrix the vocabulary has a stride.

#pragma once

#include <Eigen/Core>
#include <array>
#include <cstddef>
#include <type_traits>

#include <prefopt/core/adapter.hpp>

namespace prefopt::inline PREFOPT_ABI {

template <>
struct scalar_traits<Eigen::half> {
    static constexpr scalar_kind kind = scalar_kind::fp16;
};
template <>
struct scalar_traits<Eigen::bfloat16> {
    static constexpr scalar_kind kind = scalar_kind::bf16;
};

namespace detail {

template <class D>
void derived_from_eigen(const Eigen::DenseBase<D>&);

template <class T>
concept eigen_dense = std::is_class_v<T> && requires(const T& t) {
    derived_from_eigen(t);
};

/// With memory and strides of its own. Eigen's flags are unscoped enums: they are cast to bool, or
/// the constraint would be a hard error for every type that is not Eigen's.
template <class T>
concept eigen_direct = eigen_dense<T> &&
    bool(Eigen::internal::traits<T>::Flags& Eigen::DirectAccessBit);

/// Results have the family's shape type: a matrix for a matrix, an array for an array.
template <eigen_dense T>
struct eigen_family {
    using plain = typename T::PlainObject;
    static constexpr bool is_array = std::is_base_of_v<Eigen::ArrayBase<plain>, plain>;
    static constexpr bool is_vector = bool(T::IsVectorAtCompileTime);
    static constexpr int order = bool(plain::IsRowMajor) ? Eigen::RowMajor : Eigen::ColMajor;

    template <class S, int Rows, int Columns, int Order>
    using make = std::conditional_t<is_array, Eigen::Array<S, Rows, Columns, Order>,
                                    Eigen::Matrix<S, Rows, Columns, Order>>;
    /// As `plain`, with another scalar.
    template <class S>
    using like = make<S, plain::RowsAtCompileTime, plain::ColsAtCompileTime, order>;
    template <class S>
    using vector = make<S, Eigen::Dynamic, 1, Eigen::ColMajor>;
};

template <eigen_dense T>
struct eigen_results {
    static constexpr std::size_t rank = eigen_family<T>::is_vector ? 1 : 2;

    template <class S, std::size_t R>
    static auto make_like(const T&, std::array<std::ptrdiff_t, R> extents) {
        using family = eigen_family<T>;
        static_assert(R <= 2, "prefopt: Eigen has no dense tensor of that rank");
        if constexpr (R == 1 && rank == 1) {
            typename family::template like<S> v;
            v.setZero(family::plain::RowsAtCompileTime == 1 ? 1 : extents[0],
                      family::plain::RowsAtCompileTime == 1 ? extents[0] : 1);
            return v;
        } else if constexpr (R == 1) {
            typename family::template vector<S> v;
            v.setZero(extents[0]);
            return v;
        } else {
            typename family::template like<S> m;
            m.setZero(extents[0], extents[1]);
            return m;
        }
    }
};

}  // namespace detail

template <detail::eigen_direct T>
struct adapter<T> : detail::eigen_results<T> {
    /// Maps, Refs and Blocks refer to memory of others.
    static constexpr bool borrowed = !std::is_base_of_v<Eigen::PlainObjectBase<T>, T>;

    static auto view(auto& t) {
        if constexpr (detail::eigen_family<T>::is_vector)
            return prefopt::view(t.data(), {t.size()}, {t.innerStride()});
        else if constexpr (bool(T::IsRowMajor))
            return prefopt::view(t.data(), {t.rows(), t.cols()},
                                 {t.outerStride(), t.innerStride()});
        else
            return prefopt::view(t.data(), {t.rows(), t.cols()},
                                 {t.innerStride(), t.outerStride()});
    }
};

template <class T>
    requires(detail::eigen_dense<T> && !detail::eigen_direct<T>)
struct adapter<T> : detail::eigen_results<T> {
    static auto materialise(const T& t) { return typename T::PlainObject(t); }
};

}  // namespace prefopt::inline PREFOPT_ABI
