// SPDX-License-Identifier: Apache-2.0
//
// adapter<T>: the one customisation point. It says how a tensor type is seen as a view.
//
//     template <>
//     struct prefopt::adapter<my::tensor> {
//         static constexpr std::size_t rank = 1;                                        // required
//         static auto view(auto& t) { return prefopt::view{t.data(), {t.size()}}; }     // required
//     };
//
// Optional members: `make_like<S>(t, extents)`, an owning result of the same family with scalar S
// and std::array<std::ptrdiff_t, R> extents (without it: std::vector, or prefopt::tensor for rank
// 2 and more); `materialise(t)` for a lazy expression, which then needs no `view`.
//
// Built in: contiguous standard containers, spans and arrays, C arrays of any rank up to 4,
// prefopt::view and prefopt::tensor. Backends have a header each in adapters/.

#pragma once

#include <array>
#include <cstddef>
#include <ranges>
#include <span>
#include <type_traits>
#include <vector>

#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/core/tensor.hpp>
#include <prefopt/core/view.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

/// The default for types that nobody has adapted: nothing.
template <class T>
struct structural {};

template <class T>
concept plain_range = std::ranges::contiguous_range<T> && std::ranges::sized_range<T> &&
    (real_scalar<std::ranges::range_value_t<T>> || std::integral<std::ranges::range_value_t<T>> ||
     std::same_as<std::ranges::range_value_t<T>, std::byte>);

template <plain_range T>
    requires(!std::is_array_v<T>)
struct structural<T> {
    static constexpr std::size_t rank = 1;
    static auto view(auto& t) {
        return prefopt::view{std::ranges::data(t), {std::ranges::size(t)}};
    }
    template <class S>
    static auto make_like(const T&, std::array<std::ptrdiff_t, 1> extents) {
        return std::vector<S>(static_cast<std::size_t>(extents[0]));
    }
};

template <class U, std::size_t N>
    requires plain_range<std::array<U, N>>
struct structural<std::array<U, N>> {
    static constexpr std::size_t rank = 1;
    static auto view(auto& t) { return prefopt::view{t.data(), {N}}; }
    template <class S>
    static auto make_like(const std::array<U, N>&, std::array<std::ptrdiff_t, 1>) {
        return std::array<S, N>{};
    }
};

template <class T>
    requires std::is_array_v<T>
struct structural<T> {
    static constexpr std::size_t rank = std::rank_v<T>;
    static auto view(auto& t) {
        std::ptrdiff_t shape[rank] = {};
        fill<T>(shape);
        return prefopt::view(first(t), shape);
    }
    template <class S, std::size_t R>
    static auto make_like(const T&, std::array<std::ptrdiff_t, R> extents) {
        if constexpr (R == 1 && rank == 1)
            return std::array<S, std::extent_v<T>>{};
        else if constexpr (R == 1)
            return std::vector<S>(static_cast<std::size_t>(extents[0]));
        else
            return tensor<S, R>(extents);
    }

private:
    template <class A>
    static constexpr void fill(std::ptrdiff_t* shape) {
        if constexpr (std::is_array_v<A>) {
            *shape = static_cast<std::ptrdiff_t>(std::extent_v<A>);
            fill<std::remove_extent_t<A>>(shape + 1);
        }
    }
    template <class A>
    static constexpr auto* first(A& a) {
        if constexpr (std::is_array_v<A>)
            return first(a[0]);
        else
            return &a;
    }
};

template <class T, std::size_t R>
struct structural<prefopt::view<T, R>> {
    static constexpr std::size_t rank = R;
    static auto view(const prefopt::view<T, R>& t) { return t; }
};

template <class T, std::size_t R>
struct structural<tensor<T, R>> {
    static constexpr std::size_t rank = R;
    static auto view(auto& t) { return t.view(); }
};

}  // namespace detail

/// The customisation point. The primary template inherits the structural default, so that a
/// specialisation never clashes with it.
template <class T>
struct adapter : detail::structural<T> {};

/// A lazy expression: it has to be evaluated before it can be seen.
template <class T>
concept expression = requires(const T& t) {
    adapter<T>::materialise(t);
};

/// A tensor of host memory that an adapter can show as a view.
template <class T>
concept viewable = requires(T& t) {
    { adapter<T>::rank } -> std::convertible_to<std::size_t>;
    adapter<T>::view(t);
};

/// Anything that may be passed as an input: a tensor, or an expression of one.
template <class T>
concept tensor_like = viewable<T> || expression<T>;

namespace detail {

template <class T>
struct is_view : std::false_type {};
template <class T, std::size_t R>
struct is_view<prefopt::view<T, R>> : std::true_type {};

/// Whether a temporary of this type refers to memory that outlives it.
template <class T>
concept borrowed = is_view<T>::value || std::ranges::borrowed_range<T> || requires {
    requires bool(adapter<T>::borrowed);
};

/// Stops the compiler at a sentence that says what to do.
template <class T>
constexpr bool require_tensor() {
    static_assert(tensor_like<T>,
                  "prefopt: no adapter for this type. Include the header of its library from "
                  "<prefopt/adapters/...> (for Eigen: <prefopt/adapters/eigen.hpp>), or "
                  "specialise prefopt::adapter<T> (see <prefopt/core/adapter.hpp>).");
    return true;
}

/// The tensor itself, or its value if it is an expression: `auto&& held = hold(argument);` keeps
/// the value alive to the end of the enclosing block.
template <class T>
constexpr decltype(auto) hold(const T& t) {
    if constexpr (!std::is_same_v<T, std::vector<bool>>)  // flags, which have no memory to view
        static_assert(require_tensor<T>());
    if constexpr (expression<T>)
        return adapter<T>::materialise(t);
    else
        return (t);
}

template <class T>
using held_t = std::remove_cvref_t<decltype(hold(std::declval<const T&>()))>;

/// The scalar type of a tensor, without const.
template <class T>
using element_t = std::remove_cv_t<
    std::remove_pointer_t<decltype(adapter<std::remove_cv_t<T>>::view(std::declval<T&>()).data)>>;

/// An owning result of `t`'s family with scalar S.
template <class S, class T, std::size_t R>
auto make_like(const T& t, std::array<std::ptrdiff_t, R> extents) {
    if constexpr (requires { adapter<T>::template make_like<S>(t, extents); })
        return adapter<T>::template make_like<S>(t, extents);
    else if constexpr (R == 1)
        return std::vector<S>(static_cast<std::size_t>(extents[0]));
    else
        return tensor<S, R>(extents);
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
