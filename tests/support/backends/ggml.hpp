// SPDX-License-Identifier: Apache-2.0
//
// ggml's tensors for the tests, its own where its header is there: compact ones, views with padded
// rows, and transposed ones.

#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <prefopt/adapters/ggml.hpp>

#include "../ggml.hpp"
#include "backend.hpp"
#include "strided.hpp"

namespace test {

#if __has_include(<ggml-backend.h>)
using ggml_struct = ::ggml_tensor;
using ggml_number = ::ggml_type;
#else
using ggml_struct = stand_in::ggml_tensor;
using ggml_number = stand_in::ggml_type;
#endif

/// ggml's number of a type; it has no unsigned integers.
template <class S>
constexpr int ggml_type_of() {
    if constexpr (std::is_same_v<S, prefopt::bf16>)
        return 30;
    else if constexpr (std::is_same_v<S, prefopt::fp16>)
        return 1;
    else if constexpr (std::is_floating_point_v<S>)
        return sizeof(S) == 4 ? 0 : 28;
    else if constexpr (std::is_integral_v<S> && std::is_signed_v<S>)
        return sizeof(S) == 1 ? 24 : sizeof(S) == 2 ? 25 : sizeof(S) == 4 ? 26 : 27;
    else
        return -1;
}

template <memory_order Order, class Tensor = ggml_struct>
struct ggml_tensors {
    static constexpr bool writable = Order != memory_order::repeated;
    template <class S, std::size_t... N>
    static constexpr bool has = ggml_type_of<S>() >= 0 && (writable || one_element::has<S, N...>);
    template <class S, std::size_t... N>
    struct tensor {
        strided_memory<S, Order, N...> own;
        Tensor t{};
        explicit tensor(const S* x) : own(x) {}
        Tensor* get() {
            t.type = static_cast<decltype(t.type)>(ggml_type_of<S>());
            t.data = own.data();
            for (std::size_t i = 0; i < 4; ++i) {
                const std::size_t axis = own.rank - 1 - i;
                t.ne[i] = i < own.rank ? own.extents[axis] : 1;
                t.nb[i] = i < own.rank ? static_cast<std::size_t>(own.strides[axis]) * sizeof(S)
                                       : t.nb[i - 1] * static_cast<std::size_t>(t.ne[i - 1]);
            }
            return &t;
        }
    };
};

}  // namespace test
