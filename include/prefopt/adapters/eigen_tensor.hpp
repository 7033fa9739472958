// SPDX-License-Identifier: Apache-2.0
//
// Eigen's unsupported Tensor (3.4 and 5): Tensor, TensorFixedSize and TensorMap of rank 1 to 4 and
// either storage order. Results are an Eigen::Tensor of the same order. Everything else (a + b,
// chips, slices, reductions, TensorRef) is evaluated once, into a value that lives for the call.
//
//     Eigen::Tensor<float, 3, Eigen::RowMajor> logits(batch, tokens, vocab);
//     auto scored = prefopt::sequence_log_probs(logits, labels);   // scored.sum: Tensor<double, 1>
//
// Eigen's default is column-major: there the vocabulary has the largest stride of all.

#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <unsupported/Eigen/CXX11/Tensor>

#include <prefopt/adapters/eigen.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

template <class D>
void derived_from_eigen_tensor(const Eigen::TensorBase<D, Eigen::ReadOnlyAccessors>&);

template <class T>
concept eigen_tensor_like = std::is_class_v<T> && requires(const T& t) {
    derived_from_eigen_tensor(t);
};

/// With memory of its own, or of others as a map.
template <class T>
struct eigen_tensor_memory : std::false_type {};
template <class S, int N, int O, class I>
struct eigen_tensor_memory<Eigen::Tensor<S, N, O, I>> : std::true_type {};
template <class S, class D, int O, class I>
struct eigen_tensor_memory<Eigen::TensorFixedSize<S, D, O, I>> : std::true_type {};
template <class P, int O, template <class> class M>
struct eigen_tensor_memory<Eigen::TensorMap<P, O, M>> : std::true_type {
    static constexpr bool borrowed = true;
};

template <class T>
struct eigen_tensor_results {
    using traits = Eigen::internal::traits<T>;
    static constexpr std::size_t rank = static_cast<std::size_t>(traits::NumDimensions);
    static constexpr bool row_major = int{traits::Layout} == int{Eigen::RowMajor};

    template <class S, std::size_t R>
    using like =
        Eigen::Tensor<S, static_cast<int>(R), row_major ? Eigen::RowMajor : Eigen::ColMajor,
                      typename traits::Index>;

    template <class S, std::size_t R>
    static auto make_like(const T&, std::array<std::ptrdiff_t, R> extents) {
        typename like<S, R>::Dimensions dimensions;
        for (std::size_t i = 0; i < R; ++i)
            dimensions[i] = static_cast<typename traits::Index>(extents[i]);
        like<S, R> made(dimensions);
        made.setZero();
        return made;
    }
};

}  // namespace detail

template <detail::eigen_tensor_like T>
requires detail::eigen_tensor_memory<T>::value struct adapter<T> : detail::eigen_tensor_results<T> {
    static constexpr bool borrowed = requires { detail::eigen_tensor_memory<T>::borrowed; };

    static auto view(auto& t) {
        using results = detail::eigen_tensor_results<T>;
        std::array<std::ptrdiff_t, results::rank> extents{};
        std::array<std::ptrdiff_t, results::rank> strides{};
        std::ptrdiff_t step = 1;
        for (std::size_t i = 0; i < results::rank; ++i) {
            const std::size_t axis = results::row_major ? results::rank - 1 - i : i;
            using index = std::conditional_t<borrowed, typename T::Index, std::size_t>;
            extents[axis] = static_cast<std::ptrdiff_t>(t.dimension(static_cast<index>(axis)));
            strides[axis] = step;
            step *= extents[axis];
        }
        return prefopt::view(t.data(), extents, strides);
    }
};

template <detail::eigen_tensor_like T>
    requires(!detail::eigen_tensor_memory<T>::value)
struct adapter<T> : detail::eigen_tensor_results<T> {
    static auto materialise(const T& t) {
        using results = detail::eigen_tensor_results<T>;
        using scalar = std::remove_const_t<typename results::traits::Scalar>;
        return typename results::template like<scalar, results::rank>(t);
    }
};

}  // namespace prefopt::inline PREFOPT_ABI
