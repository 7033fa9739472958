// SPDX-License-Identifier: Apache-2.0
//
// view<T, R>: pointer, extents, signed strides. All that a kernel ever sees of a tensor.

#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <type_traits>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// A non-owning strided view of host memory of rank R. Strides are in elements and may be zero or
/// negative (for what is only read). Trivially copyable; T may be const.
///
///     prefopt::view logits{pointer, {rows, vocab}};                     // row-major
///     prefopt::view padded{pointer, {rows, vocab}, {padded_vocab, 1}};  // any strides
template <class T, std::size_t R>
struct view {
    static_assert(R >= 1 && R <= 4, "prefopt: a view has rank 1 to 4");
    using element_type = T;
    static constexpr std::size_t rank = R;

    T* data = nullptr;
    std::array<std::ptrdiff_t, R> extents{};
    std::array<std::ptrdiff_t, R> strides{};

    constexpr view() = default;

    /// Contiguous, last index fastest.
    template <std::integral I>
    constexpr view(T* pointer, const I (&shape)[R]) noexcept : data(pointer) {
        std::ptrdiff_t step = 1;
        for (std::size_t i = R; i-- > 0;) {
            extents[i] = static_cast<std::ptrdiff_t>(shape[i]);
            strides[i] = step;
            // An absurd extent is reported by the checks; it must not overflow here first.
            step = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(step) *
                                               static_cast<std::size_t>(extents[i]));
        }
    }

    /// Any strides, in elements.
    template <std::integral I, std::integral J>
    constexpr view(T* pointer, const I (&shape)[R], const J (&step)[R]) noexcept : data(pointer) {
        for (std::size_t i = 0; i < R; ++i) {
            extents[i] = static_cast<std::ptrdiff_t>(shape[i]);
            strides[i] = static_cast<std::ptrdiff_t>(step[i]);
        }
    }

    constexpr view(T* pointer, std::array<std::ptrdiff_t, R> shape,
                   std::array<std::ptrdiff_t, R> step) noexcept
        : data(pointer), extents(shape), strides(step) {}

    /// A view of mutable elements is one of const elements too.
    constexpr operator view<const T, R>() const noexcept requires(!std::is_const_v<T>) {
        return {data, extents, strides};
    }

    [[nodiscard]] constexpr std::ptrdiff_t extent(std::size_t i) const noexcept {
        return extents[i];
    }
    [[nodiscard]] constexpr std::ptrdiff_t size() const noexcept {
        std::ptrdiff_t n = 1;
        for (const std::ptrdiff_t e : extents) n *= e;
        return n;
    }

    /// The element at (i, j, ...). Unchecked: the checks stand at the library's door.
    template <std::integral... I>
        requires(sizeof...(I) == R)
    constexpr T& operator()(I... index) const noexcept {
        std::size_t axis = 0;
        std::ptrdiff_t offset = 0;
        ((offset += static_cast<std::ptrdiff_t>(index) * strides[axis++]), ...);
        return data[offset];
    }
};

template <class T, class I, std::size_t R>
view(T*, const I (&)[R]) -> view<T, R>;
template <class T, class I, class J, std::size_t R>
view(T*, const I (&)[R], const J (&)[R]) -> view<T, R>;
template <class T, std::size_t R>
view(T*, std::array<std::ptrdiff_t, R>, std::array<std::ptrdiff_t, R>) -> view<T, R>;

}  // namespace prefopt::inline PREFOPT_ABI
