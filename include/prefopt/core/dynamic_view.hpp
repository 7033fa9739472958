// SPDX-License-Identifier: Apache-2.0
//
// dynamic_view: a tensor whose element type, or rank, is known only at run time (libtorch, DLPack,
// ggml, xt::xarray). The `view` of such an adapter returns one instead of a prefopt::view.
//
// It also carries what is wrong with a tensor that cannot be seen at all (undefined, sparse, on an
// accelerator): the library's checks then report it in the adapter's words, with the argument's
// name, before anything is written. An adapter never throws.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <prefopt/core/config.hpp>
#include <prefopt/core/error.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/core/view.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// The `rank` of an adapter whose tensors know theirs at run time.
inline constexpr std::size_t dynamic_rank = static_cast<std::size_t>(-1);

/// What an element of a tensor is. The reals first, in the order of scalar_kind.
enum class element_kind : std::uint8_t {
    f32,
    f64,
    bf16,
    fp16,
    i8,
    i16,
    i32,
    i64,
    u8,
    u16,
    u32,
    u64,
    boolean,  ///< one byte, of which everything but 0 means true
};

/// The kind of a type: a real scalar, an integer of up to 64 bits, bool or std::byte.
template <class T>
    requires(real_scalar<T> || (std::is_integral_v<T> && sizeof(T) <= 8) ||
             std::is_same_v<std::remove_cv_t<T>, std::byte>)
constexpr element_kind element_kind_of() noexcept {
    using type = std::remove_cv_t<T>;
    if constexpr (real_scalar<T>) {
        return static_cast<element_kind>(scalar_traits<type>::kind);
    } else if constexpr (std::is_same_v<type, bool> || std::is_same_v<type, std::byte>) {
        return element_kind::boolean;
    } else {
        constexpr int log2_size = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
        return static_cast<element_kind>(4 + log2_size + (std::is_signed_v<T> ? 0 : 4));
    }
}

constexpr bool is_real(element_kind k) noexcept { return k <= element_kind::fp16; }
constexpr bool is_integer(element_kind k) noexcept {
    return k > element_kind::fp16 && k < element_kind::boolean;
}
/// Bytes of an element.
constexpr std::ptrdiff_t size_of(element_kind k) noexcept {
    if (is_real(k)) return detail::size_of(static_cast<scalar_kind>(k));
    return k == element_kind::boolean ? 1 : std::ptrdiff_t{1} << (static_cast<int>(k) % 4);
}

/// Pointer, element kind, rank, extents, signed strides in elements. Of rank 0 to 4; rank 0 passes
/// for a vector of one element. Non-owning and trivially copyable.
///
///     return prefopt::dynamic_view(t.data(), t.shape(), t.strides());   // T* knows the kind
///     return prefopt::dynamic_view(bytes, prefopt::element_kind::bf16, extents, strides);
///     return prefopt::dynamic_view::refused("is a sparse tensor; call to_dense() first");
struct dynamic_view {
    static constexpr std::size_t most_dimensions = 4;

    void* data = nullptr;
    element_kind element = element_kind::f32;
    bool writable = true;
    errc fault = errc::ok;          ///< with `refusal`
    const char* refusal = nullptr;  ///< why it cannot be seen, as the end of a sentence; static
    std::size_t rank = 0;
    std::array<std::ptrdiff_t, most_dimensions> extents{};
    std::array<std::ptrdiff_t, most_dimensions> strides{};

    constexpr dynamic_view() = default;

    /// From anything with size() and operator[]: std::array, std::span, a shape of a library.
    template <class Extents, class Strides>
    constexpr dynamic_view(void* pointer, element_kind kind, const Extents& shape,
                           const Strides& step)
        : data(pointer), element(kind), rank(static_cast<std::size_t>(shape.size())) {
        if (rank > most_dimensions) {
            refuse("has more than 4 dimensions");
            rank = 0;
        }
        for (std::size_t i = 0; i < rank; ++i) {
            extents[i] = static_cast<std::ptrdiff_t>(shape[i]);
            strides[i] = static_cast<std::ptrdiff_t>(step[i]);
        }
    }
    template <class T, class Extents, class Strides>
    constexpr dynamic_view(T* pointer, const Extents& shape, const Strides& step)
        : dynamic_view(const_cast<std::remove_const_t<T>*>(pointer), element_kind_of<T>(), shape,
                       step) {
        writable = !std::is_const_v<T>;
    }
    template <class T, std::size_t R>
    constexpr dynamic_view(const view<T, R>& v)  // NOLINT: implicit by design
        : dynamic_view(v.data, v.extents, v.strides) {}

    /// Nothing that could be read, and why.
    static constexpr dynamic_view refused(const char* why, errc code = errc::bad_tensor) noexcept {
        dynamic_view v;
        v.refuse(why, code);
        return v;
    }
    constexpr void refuse(const char* why, errc code = errc::bad_tensor) noexcept {
        refusal = why;
        fault = code;
    }
};

/// Calls f(view<S, R>) with what a dynamic view of reals shows, of rank 1 to 4; does nothing for
/// integers, or without anything to see. A prefopt::view is passed on as it is.
template <class F>
void visit(const dynamic_view& v, const F& f) {
    if (v.refusal != nullptr || !is_real(v.element)) return;
    detail::with_scalar(static_cast<scalar_kind>(v.element), [&]<class S>() {
        const auto as = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) {
            view<S, R> seen;
            seen.data = static_cast<S*>(v.data);
            for (std::size_t i = 0; i < R; ++i) {
                seen.extents[i] = v.rank == 0 ? 1 : v.extents[i];
                seen.strides[i] = v.rank == 0 ? 1 : v.strides[i];
            }
            f(seen);
        };
        if (v.rank < 2) as(std::integral_constant<std::size_t, 1>());
        if (v.rank == 2) as(std::integral_constant<std::size_t, 2>());
        if (v.rank == 3) as(std::integral_constant<std::size_t, 3>());
        if (v.rank == 4) as(std::integral_constant<std::size_t, 4>());
    });
}
template <class T, std::size_t R, class F>
constexpr void visit(const view<T, R>& v, const F& f) {
    f(v);
}

}  // namespace prefopt::inline PREFOPT_ABI
