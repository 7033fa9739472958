// SPDX-License-Identifier: Apache-2.0
//
// mdspans for the tests: the standard library's or Kokkos' where there is one, else our own small
// one; of dynamic and static extents, in three layouts.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <version>

#include <prefopt/adapters/mdspan.hpp>

#if defined(__cpp_lib_mdspan)
#include <mdspan>
namespace test::md {
using std::dynamic_extent, std::extents, std::mdspan, std::default_accessor;
using std::layout_left, std::layout_right, std::layout_stride;
}  // namespace test::md
#elif __has_include(<mdspan/mdspan.hpp>)
#include <mdspan/mdspan.hpp>
namespace test::md {
using Kokkos::dynamic_extent, Kokkos::extents, Kokkos::mdspan, Kokkos::default_accessor;
using Kokkos::layout_left, Kokkos::layout_right, Kokkos::layout_stride;
}  // namespace test::md
#else
#include "../mdspan.hpp"
namespace test::md {
using namespace mini;
}
#endif

#include "backend.hpp"
#include "strided.hpp"

namespace test {

/// With dynamic extents of a signed or unsigned type.
template <memory_order Order, class Index = std::int32_t>
struct mdspans {
    static constexpr bool writable = Order != memory_order::repeated;
    template <class S, std::size_t... N>
    static constexpr bool has = writable || one_element::has<S, N...>;
    template <class S, std::size_t... N>
    struct tensor : strided_memory<S, Order, N...> {
        using strided_memory<S, Order, N...>::strided_memory;
        auto get() {
            using shape = md::extents<Index, (static_cast<void>(N), md::dynamic_extent)...>;
            const shape sizes(N...);
            if constexpr (Order == memory_order::rows)
                return md::mdspan<S, shape>(this->data(), sizes);
            else if constexpr (Order == memory_order::columns)
                return md::mdspan<S, shape, md::layout_left>(this->data(), sizes);
            else
                return md::mdspan<S, shape, md::layout_stride>(
                    this->data(), md::layout_stride::mapping<shape>(sizes, this->strides));
        }
    };
};

struct mdspans_of_static_extents {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor : strided_memory<S, memory_order::rows, N...> {
        using strided_memory<S, memory_order::rows, N...>::strided_memory;
        auto get() {
            return md::mdspan<S, md::extents<std::size_t, N...>>(
                this->data(), md::extents<std::size_t, N...>(N...));
        }
    };
};

}  // namespace test
