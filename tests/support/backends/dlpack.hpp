// SPDX-License-Identifier: Apache-2.0
//
// DLPack's structs as of version 1.3, for the tests, which the adapter takes for DLPack's own; and
// tensors of them: compact without strides, with strides and an offset, managed, with flags.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <prefopt/adapters/dlpack.hpp>

#include "backend.hpp"
#include "strided.hpp"

namespace stand_in {

enum where : std::int32_t {
    cpu = 1,
    cuda = 2,
    cuda_host = 3,
    rocm = 10,
    cuda_managed = 13,
    trainium = 18
};
enum type_code { of_int, of_uint, of_float, of_handle, of_bfloat, of_complex, of_bool, of_float8 };

struct device {
    where device_type;
    std::int32_t device_id;
};
struct data_type {
    std::uint8_t code;
    std::uint8_t bits;
    std::uint16_t lanes;
};
struct dl_tensor {
    void* data;
    stand_in::device device;
    std::int32_t ndim;
    data_type dtype;
    std::int64_t* shape;
    std::int64_t* strides;
    std::uint64_t byte_offset;
};
struct managed_tensor {
    stand_in::dl_tensor dl_tensor;
    void* manager_ctx;
    void (*deleter)(managed_tensor*);
};
struct managed_tensor_versioned {
    std::uint32_t version[2];
    void* manager_ctx;
    void (*deleter)(managed_tensor_versioned*);
    std::uint64_t flags;
    stand_in::dl_tensor dl_tensor;
};

template <class S>
constexpr data_type type_of() {
    constexpr auto bits = static_cast<std::uint8_t>(8 * sizeof(S));
    if constexpr (std::is_same_v<S, prefopt::bf16>)
        return {of_bfloat, bits, 1};
    else if constexpr (std::is_same_v<S, bool>)
        return {of_bool, bits, 1};
    else if constexpr (prefopt::real_scalar<S>)
        return {of_float, bits, 1};
    else
        return {std::is_signed_v<S> ? of_int : of_uint, bits, 1};
}

}  // namespace stand_in

namespace test {

template <memory_order Order, class Handle = stand_in::dl_tensor>
struct dlpack_tensors {
    static constexpr bool writable = Order != memory_order::repeated;
    template <class S, std::size_t... N>
    static constexpr bool has = writable || one_element::has<S, N...>;
    template <class S, std::size_t... N>
    struct tensor {
        using memory = strided_memory<S, Order, N...>;
        memory own;
        std::array<std::int64_t, memory::rank> shape{}, strides{};
        Handle handle{};

        explicit tensor(const S* x) : own(x) {}
        auto& get() {
            std::copy(own.extents.begin(), own.extents.end(), shape.begin());
            std::copy(own.strides.begin(), own.strides.end(), strides.begin());
            stand_in::dl_tensor t{own.memory.get(),
                                  {stand_in::cpu, 0},
                                  static_cast<std::int32_t>(memory::rank),
                                  stand_in::type_of<S>(),
                                  shape.data(),
                                  Order == memory_order::rows ? nullptr : strides.data(),
                                  memory::offset * sizeof(S)};
            if constexpr (std::is_same_v<Handle, stand_in::dl_tensor>)
                handle = t;
            else
                handle.dl_tensor = t;
            return handle;
        }
    };
};

}  // namespace test
