// SPDX-License-Identifier: Apache-2.0
//
// mdspan: std::mdspan, Kokkos' and any other that has the standard's members, which are all that is
// asked for: nothing of theirs is included here, and no standard newer than C++20 is needed. Static
// and dynamic extents, every layout that always has strides (left, right, stride, padded).
//
//     std::mdspan<const float, std::dextents<int, 2>> logits(pointer, rows, vocab);
//     auto scored = prefopt::sequence_log_probs(logits, labels, {.offsets = offsets});
//
// An mdspan does not own: results are a std::vector, or a prefopt::tensor of rank 2 and more. Calls
// with outputs write into mdspans.

#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <type_traits>

#include <prefopt/core/adapter.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

template <class T>
concept mdspan_like = std::is_class_v<T> && requires(const T& t) {
    typename T::element_type;
    typename T::extents_type;
    typename T::layout_type;
    typename T::accessor_type;
    { T::rank() } -> std::convertible_to<std::size_t>;
    t.data_handle();
    t.mapping();
};

/// Memory behind a pointer: std::default_accessor, and the likes of std::aligned_accessor.
template <class T>
concept mdspan_of_memory =
    std::is_same_v<typename T::accessor_type::data_handle_type, typename T::element_type*> &&
    std::is_same_v<typename T::accessor_type::reference, typename T::element_type&>;

}  // namespace detail

template <detail::mdspan_like T>
struct adapter<T> {
    static constexpr std::size_t rank = T::rank();
    static constexpr bool borrowed = true;

    static auto view(const T& t) {
        static_assert(detail::mdspan_of_memory<T>,
                      "prefopt: this mdspan's accessor is not plain memory (a pointer to its "
                      "elements and references to them). Copy it into one that is.");
        static_assert(T::is_always_strided(),
                      "prefopt: this mdspan's layout has no strides. Copy it into one of "
                      "layout_right, layout_left or layout_stride.");
        std::array<std::ptrdiff_t, rank> extents{};
        std::array<std::ptrdiff_t, rank> strides{};
        for (std::size_t i = 0; i < rank; ++i) {
            extents[i] = static_cast<std::ptrdiff_t>(t.extents().extent(i));
            strides[i] = static_cast<std::ptrdiff_t>(t.mapping().stride(i));
        }
        typename T::element_type* const data = t.data_handle();
        return prefopt::view(data, extents, strides);
    }
};

}  // namespace prefopt::inline PREFOPT_ABI
