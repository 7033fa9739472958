// SPDX-License-Identifier: Apache-2.0
//
// Memory in the layouts of libraries that describe theirs by a pointer and strides: where the
// elements of a tensor lie, worked out without any adapter.

#pragma once

#include <array>
#include <cstddef>
#include <memory>

namespace test {

enum class memory_order { rows, columns, padded, repeated };

/// N... elements of S: as rows (last index fastest), as columns, as rows of every second element
/// with three elements more after each row, from the second element on, or as one element that is
/// all of them (strides of 0; see `one_element`).
template <class S, memory_order Order, std::size_t... N>
struct strided_memory {
    static constexpr std::size_t rank = sizeof...(N), size = (N * ...);
    static constexpr std::size_t offset = Order == memory_order::padded ? 1 : 0;
    std::array<std::ptrdiff_t, rank> extents{static_cast<std::ptrdiff_t>(N)...}, strides{};
    std::unique_ptr<S[]> memory;

    explicit strided_memory(const S* row_major) {
        std::ptrdiff_t step = Order == memory_order::padded ? 2 : 1;
        for (std::size_t i = 0; i < rank; ++i) {
            const std::size_t axis = Order == memory_order::columns ? i : rank - 1 - i;
            strides[axis] = step;
            step = step * extents[axis] + (Order == memory_order::padded ? 6 : 0);
        }
        if (Order == memory_order::repeated) strides = {};
        memory = std::make_unique<S[]>(static_cast<std::size_t>(step) + offset);
        for (std::size_t i = 0; i < (Order == memory_order::repeated ? 1 : size); ++i) {
            std::ptrdiff_t at = 0;
            auto rest = static_cast<std::ptrdiff_t>(i);
            for (std::size_t axis = rank; axis-- > 0; rest /= extents[axis])
                at += rest % extents[axis] * strides[axis];
            data()[at] = row_major[i];
        }
    }
    S* data() { return memory.get() + offset; }
};

}  // namespace test
