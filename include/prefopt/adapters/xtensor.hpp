// SPDX-License-Identifier: Apache-2.0
//
// xtensor (0.24 to 0.27): xt::xtensor, xt::xtensor_fixed, xt::xarray, what xt::adapt makes of other
// memory, and the views of all of these that have strides: xt::view, row, col, strided_view,
// transpose, flip. Results are owning tensors of the same storage order: an xt::xtensor of an
// xt::xtensor, an xt::xarray of an xt::xarray, whose rank is known only at run time.
//
//     const xt::xtensor<float, 1> policy_chosen = ..., ...;
//     auto result = loss(policy_chosen, xt::row(log_probs, 1), reference_chosen, a + b);
//
// Everything else (a + b, xt::sum, xt::broadcast, views with xt::keep or of an expression) is
// evaluated once, into a value that lives for the call.

#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#if __has_include(<xtensor/containers/xtensor.hpp>)  // since 0.26
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xfixed.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/core/xeval.hpp>
#include <xtensor/views/xstrided_view.hpp>
#include <xtensor/views/xview.hpp>
#else
#if !__has_include(<xtensor/xtensor.hpp>)
#error "prefopt: <prefopt/adapters/xtensor.hpp> needs xtensor, which is not on the include path"
#endif
#include <xtensor/xarray.hpp>
#include <xtensor/xeval.hpp>
#include <xtensor/xfixed.hpp>
#include <xtensor/xstrided_view.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif

#include <prefopt/core/adapter.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

template <class D>
void derived_from_xtensor(const xt::xexpression<D>&);

template <class T>
concept xtensor_expression = std::is_class_v<T> && requires(const T& t) {
    derived_from_xtensor(t);
};

/// With memory and strides of its own. data() is where the storage begins, not the first element.
template <class T>
concept xtensor_direct = xtensor_expression<T> && requires(const T& t) {
    { *t.data() } -> std::same_as<const typename T::value_type&>;
    { t.storage().data() } -> std::convertible_to<const typename T::value_type*>;
    t.data_offset();
    t.strides();
};

/// Whether a view or an adaptor refers to memory of others, all the way down.
template <class T>
struct xtensor_refers : std::is_lvalue_reference<T> {};
template <class E, class... S>
struct xtensor_refers<xt::xview<E, S...>> : xtensor_refers<E> {};
template <class E, class S, xt::layout_type L, class G>
struct xtensor_refers<xt::xstrided_view<E, S, L, G>> : xtensor_refers<E> {};
template <class E, std::size_t N, xt::layout_type L, class G>
struct xtensor_refers<xt::xtensor_adaptor<E, N, L, G>> : xtensor_refers<E> {};
template <class E, xt::layout_type L, class S, class G>
struct xtensor_refers<xt::xarray_adaptor<E, L, S, G>> : xtensor_refers<E> {};
template <class E, class S, xt::layout_type L, bool B, class G>
struct xtensor_refers<xt::xfixed_adaptor<E, S, L, B, G>> : xtensor_refers<E> {};
template <class P, class A>
struct xtensor_refers<xt::xbuffer_adaptor<P, xt::no_ownership, A>> : std::true_type {};

/// A shape whose length is known only at run time, or to the compiler, or that is constant; and the
/// family of results of tensors of that shape.
template <class Shape>
struct xtensor_shape {
    static constexpr std::size_t rank = dynamic_rank;
    template <class S, std::size_t, xt::layout_type L>
    using like = xt::xarray<S, L>;
};
template <class I, std::size_t N>
struct xtensor_shape<std::array<I, N>> {
    static constexpr std::size_t rank = N;
    template <class S, std::size_t R, xt::layout_type L>
    using like = xt::xtensor<S, R, L>;
};
template <std::size_t... N>
struct xtensor_shape<xt::fixed_shape<N...>> {
    static constexpr std::size_t rank = sizeof...(N);
    template <class S, std::size_t R, xt::layout_type L>
    using like =
        std::conditional_t<R == sizeof...(N), xt::xtensor_fixed<S, xt::fixed_shape<N...>, L>,
                           xt::xtensor<S, R, L>>;
};

/// The storage order: of a view, that of what it shows. Dynamic where only the tensor knows it.
template <class T>
constexpr xt::layout_type xtensor_order() {
    if constexpr (T::static_layout == xt::layout_type::any)
        return xt::layout_type::row_major;  // of a number
    else if constexpr (T::static_layout != xt::layout_type::dynamic)
        return T::static_layout;
    else if constexpr (requires { typename T::xexpression_type; })
        return xtensor_order<std::remove_cv_t<typename T::xexpression_type>>();
    else
        return xt::layout_type::dynamic;
}

template <class T>
struct xtensor_results {
    using family = xtensor_shape<typename T::shape_type>;
    static constexpr std::size_t rank = family::rank;

    template <class S, std::size_t R>
    static auto make_like(const T& t, std::array<std::ptrdiff_t, R> extents) {
        using enum xt::layout_type;
        constexpr xt::layout_type order = xtensor_order<T>();
        using result = typename family::template like<S, R, order>;
        if constexpr (requires(typename result::shape_type & to) { to[0] = std::size_t{}; }) {
            typename result::shape_type to{};
            if constexpr (rank == dynamic_rank) to.resize(R);
            for (std::size_t i = 0; i < R; ++i) to[i] = static_cast<std::size_t>(extents[i]);
            const auto ours = t.layout() == column_major ? column_major : row_major;
            return result(to, S{}, order == dynamic ? ours : order);
        } else {
            result constant;
            constant.fill(S{});
            return constant;
        }
    }
};

}  // namespace detail

template <detail::xtensor_direct T>
struct adapter<T> : detail::xtensor_results<T> {
    static constexpr bool borrowed = detail::xtensor_refers<T>::value;
    using detail::xtensor_results<T>::rank;
    using scalar = typename T::value_type;

    static auto view(auto& t) {
        if constexpr (rank == dynamic_rank) {
            return dynamic_view(first(t), t.shape(), t.strides());
        } else {
            std::array<std::ptrdiff_t, rank> extents{};
            std::array<std::ptrdiff_t, rank> strides{};
            for (std::size_t i = 0; i < rank; ++i) {
                extents[i] = static_cast<std::ptrdiff_t>(t.shape()[i]);
                strides[i] = static_cast<std::ptrdiff_t>(t.strides()[i]);
            }
            return prefopt::view(first(t), extents, strides);
        }
    }

private:
    /// The first element. A view or an adaptor of const memory has const elements, mutable or not.
    template <class U>
    static auto first(U& t) {
        if constexpr (std::is_same_v<typename T::reference, typename T::value_type&>)
            return t.data() + t.data_offset();
        else
            return std::as_const(t).data() + t.data_offset();
    }
};

template <class T>
    requires(detail::xtensor_expression<T> && !detail::xtensor_direct<T>)
struct adapter<T> : detail::xtensor_results<T> {
    // Not by xt::eval, which in 0.24 and C++20 takes a run-time length of a shape for 4.
    static auto materialise(const T& t) {
        constexpr xt::layout_type order = detail::xtensor_order<T>() == xt::layout_type::dynamic
                                              ? xt::layout_type::row_major
                                              : detail::xtensor_order<T>();
        using family = typename detail::xtensor_results<T>::family;
        using value = typename family::template like<typename T::value_type, family::rank, order>;
        return value(t);
    }
};

}  // namespace prefopt::inline PREFOPT_ABI
