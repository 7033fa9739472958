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
// Optional members, each with a complete example in docs/adapters.md:
//     make_like<S>(t, extents)      an owning result of the same family with scalar S and
//                                   std::array<std::ptrdiff_t, R> extents (without it: std::vector,
//                                   or prefopt::tensor for rank 2 and more)
//     materialise(t)                the value of a lazy expression, which then needs no `view`
//     borrowed = true               a temporary T refers to memory that outlives it
// Tensors with element type or rank known only at run time say `rank = prefopt::dynamic_rank`, and
// their `view` returns a prefopt::dynamic_view; then also
//     scalar                        the element type, if that is known after all
//     make_like(t, kind, extents)   a result of a prefopt::element_kind and a span of extents
//     evaluate(operation, options, tensors...)   computes a whole call (for automatic gradients)
//     check(operation, options, outputs, tensors...)   and says what it would refuse
//     announce_write(t)             told that t was handed over as an output
//
// Built in: contiguous standard containers, spans and arrays, C arrays of any rank up to 4,
// prefopt::view and prefopt::tensor. Backends have a header each in adapters/.

#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include <prefopt/core/config.hpp>
#include <prefopt/core/dynamic_view.hpp>
#include <prefopt/core/ranges.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/core/tensor.hpp>
#include <prefopt/core/view.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

/// The default for types that nobody has adapted: nothing.
template <class T>
struct structural {};

/// Another library's tensor, and no vector, even if it is a range.
template <class T>
concept has_shape = requires(const T& t) {
    t.shape();
};

template <class T>
concept plain_range =
    !has_shape<T> && std::ranges::contiguous_range<T> && std::ranges::sized_range<T> &&
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

template <>
struct structural<dynamic_view> {
    static constexpr std::size_t rank = dynamic_rank;
    static constexpr bool borrowed = true;
    static auto view(const dynamic_view& t) { return t; }
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

/// Stops the compiler at a sentence that says what an adapter's `view` lacks.
template <class T>
constexpr void require_view() {
    constexpr bool has_rank = requires { std::size_t{adapter<T>::rank}; };
    static_assert(has_rank,
                  "prefopt: the adapter of this type has no `rank`. Add: static constexpr "
                  "std::size_t rank = 1; (or 2, 3, 4, prefopt::dynamic_rank)");
    constexpr bool sees_const = requires(const T& t) { adapter<T>::view(t); };
    static_assert(sees_const,
                  "prefopt: the adapter of this type has no `view` of a const tensor. Make it a "
                  "template: static auto view(auto& t) { return prefopt::view{...}; }");
    if constexpr (has_rank && sees_const) {
        using seen = decltype(adapter<T>::view(std::declval<const T&>()));
        constexpr bool is_dynamic = std::is_same_v<seen, dynamic_view>;
        static_assert(is_view<seen>::value || is_dynamic,
                      "prefopt: the `view` of an adapter returns, by value, a prefopt::view, or a "
                      "prefopt::dynamic_view where only the tensor knows its type or rank");
        constexpr bool says_dynamic = adapter<T>::rank == dynamic_rank;
        static_assert(!is_dynamic || says_dynamic,
                      "prefopt: an adapter whose `view` returns a prefopt::dynamic_view says "
                      "`rank = prefopt::dynamic_rank`");
        if constexpr (is_view<seen>::value) {
            constexpr bool same_rank = std::size_t{adapter<T>::rank} == seen::rank;
            static_assert(same_rank,
                          "prefopt: the `rank` of this adapter is not that of what its `view` "
                          "returns");
        }
    }
}

/// Stops the compiler at a sentence that says what to do.
template <class T>
constexpr bool require_tensor() {
    constexpr bool has_rank = requires { adapter<T>::rank; };
    constexpr bool has_view = requires(T & t) { adapter<T>::view(t); };
    constexpr bool adapted = has_rank || has_view || expression<T>;
    static_assert(adapted,
                  "prefopt: no adapter for this type. Include the header of its library from "
                  "<prefopt/adapters/...> (for Eigen: <prefopt/adapters/eigen.hpp>), or "
                  "specialise prefopt::adapter<T> (see <prefopt/core/adapter.hpp>).");
    if constexpr (expression<T>) {
        using value = decltype(adapter<T>::materialise(std::declval<const T&>()));
        constexpr bool by_value = !std::is_reference_v<value>;
        static_assert(by_value,
                      "prefopt: the `materialise` of an adapter returns the value of the "
                      "expression itself: a reference would dangle");
        require_view<std::remove_cvref_t<value>>();
    } else if constexpr (adapted) {
        require_view<T>();
    }
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

/// What an adapter shows a tensor as.
template <class T>
using view_t = decltype(adapter<std::remove_cv_t<T>>::view(std::declval<T&>()));

template <class T>
struct element {
    using type = std::remove_pointer_t<decltype(view_t<T>::data)>;
};
template <class T>
    requires requires { typename adapter<std::remove_cv_t<T>>::scalar; }
struct element<T> {
    using type = typename adapter<std::remove_cv_t<T>>::scalar;
};
/// The scalar type of a tensor, without const; void where only the tensor itself knows.
template <class T>
using element_t = std::remove_cv_t<typename element<T>::type>;

/// The rank of one tensor.
template <class T>
constexpr std::size_t rank_of(const T& t) {
    if constexpr (adapter<T>::rank == dynamic_rank)
        return adapter<T>::view(t).rank;
    else
        return adapter<T>::rank;
}

/// f(std::integral_constant<std::size_t, R>) with the rank of one tensor, which is at most 4.
template <class T, class F>
constexpr auto with_rank(const T& t, const F& f) {
    constexpr std::size_t rank = adapter<T>::rank;
    if constexpr (rank != dynamic_rank) {
        return f(std::integral_constant<std::size_t, rank>());
    } else {
        switch (rank_of(t)) {
            case 4: return f(std::integral_constant<std::size_t, 4>());
            case 3: return f(std::integral_constant<std::size_t, 3>());
            case 2: return f(std::integral_constant<std::size_t, 2>());
            default: return f(std::integral_constant<std::size_t, 1>());
        }
    }
}

/// A family that computes a whole call itself: adapter<T>::evaluate(operation, options,
/// tensors...).
template <class T, class... Arguments>
concept evaluates_itself = requires(const Arguments&... arguments) {
    adapter<T>::evaluate(arguments...);
};

/// A family that checks the calls it computes itself: adapter<T>::check(operation, options,
/// outputs, tensors...).
template <class T, class... Arguments>
concept checks_itself = requires(const Arguments&... arguments) {
    adapter<T>::check(arguments...);
};

/// A family that can make a tensor of a kind known only at run time.
template <class T>
concept makes_any_kind = requires(const T& t, std::span<const std::ptrdiff_t> extents) {
    adapter<T>::make_like(t, element_kind::f32, extents);
};

/// An owning result of `t`'s family with scalar S.
template <class S, class T, std::size_t R>
auto make_like(const T& t, std::array<std::ptrdiff_t, R> extents) {
    if constexpr (requires { adapter<T>::template make_like<S>(t, extents); })
        return adapter<T>::template make_like<S>(t, extents);
    else if constexpr (makes_any_kind<T>)
        return adapter<T>::make_like(t, element_kind_of<S>(),
                                     std::span<const std::ptrdiff_t>(extents));
    else if constexpr (R == 1)
        return std::vector<S>(static_cast<std::size_t>(extents[0]));
    else
        return tensor<S, R>(extents);
}

/// An owning result of `t`'s family, for a loss or a gradient of reals of `kind`: double of double,
/// else float (double where the family cannot say float at run time).
template <class T, std::size_t R>
auto make_result(const T& t, std::array<std::ptrdiff_t, R> extents, scalar_kind kind) {
    if constexpr (!std::is_void_v<element_t<T>>)
        return make_like<result_scalar_t<element_t<T>>>(t, extents);
    else if constexpr (makes_any_kind<T>)
        return adapter<T>::make_like(
            t, kind == scalar_kind::f64 ? element_kind::f64 : element_kind::f32,
            std::span<const std::ptrdiff_t>(extents));
    else
        return make_like<double>(t, extents);
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
