// SPDX-License-Identifier: Apache-2.0
//
// DLPack: DLTensor, DLManagedTensor and DLManagedTensorVersioned, by reference or by pointer, as
// NumPy, PyTorch, JAX, TVM and others hand their arrays around. Recognised by their members, so
// that any copy of dlpack.h will do; none is included here. Type, rank and strides are looked at
// when a call is made; what lies on a device, or is of a type that is not known, is refused by
// name.
//
//     DLManagedTensor* logits = ...;
//     prefopt::sequence_log_probs_in_place(logits, labels);   // labels: another, of any integers
//
// A DLTensor does not own: results are a std::vector or a prefopt::tensor of double. Calls with
// outputs write into DLTensors, unless their flags say read-only.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <prefopt/core/adapter.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

template <class T>
concept dlpack_tensor = std::is_class_v<T> && requires(const T& t) {
    static_cast<std::byte*>(t.data) + t.byte_offset;
    static_cast<int>(t.device.device_type);
    static_cast<const std::int64_t*>(t.shape);
    static_cast<const std::int64_t*>(t.strides);
    t.ndim + t.dtype.code + t.dtype.bits + t.dtype.lanes;
};

template <class T>
concept dlpack_managed = std::is_class_v<T> && requires(const T& t) {
    requires dlpack_tensor<std::remove_cvref_t<decltype(t.dl_tensor)>>;
};

template <class T>
concept dlpack = dlpack_tensor<T> || dlpack_managed<T>;

/// Why memory of a device cannot be read here; null where the host can read it.
constexpr const char* dlpack_refusal(int device) noexcept {
    switch (device) {
        case 1:   // the host's memory
        case 3:   // pinned, for CUDA
        case 11:  // pinned, for ROCm
        case 13:  // CUDA's managed memory
            return nullptr;
        case 2: return "is on a CUDA device; copy it to the host first";
        case 4: return "is on an OpenCL device; copy it to the host first";
        case 7: return "is on a Vulkan device; copy it to the host first";
        case 8: return "is on a Metal device; copy it to the host first";
        case 10: return "is on a ROCm device; copy it to the host first";
        case 14: return "is on a oneAPI device; copy it to the host first";
        case 15: return "is on a WebGPU device; copy it to the host first";
        case 16: return "is on a Hexagon device; copy it to the host first";
        case 17: return "is on a MAIA device; copy it to the host first";
        case 18: return "is on a Trainium device; copy it to the host first";
        default: return "is on a device that is not the host; copy it to the host first";
    }
}

/// The element kind of a type code and a width, which `refuse` says are unknown.
template <class Refuse>
constexpr element_kind dlpack_kind(int code, int bits, const Refuse& refuse) {
    using enum element_kind;
    const auto of_width = [&](element_kind w8, element_kind w16, element_kind w32,
                              element_kind w64) {
        if (bits != 8 && bits != 16 && bits != 32 && bits != 64)
            refuse("has elements that are not 8, 16, 32 or 64 bits wide");
        return bits == 8 ? w8 : bits == 16 ? w16 : bits == 32 ? w32 : w64;
    };
    switch (code) {
        case 0: return of_width(i8, i16, i32, i64);
        case 1: return of_width(u8, u16, u32, u64);
        case 2:
            if (bits == 8) refuse("has 8-bit floats");
            return of_width(fp16, fp16, f32, f64);
        case 4:
            if (bits != 16) refuse("has bfloats that are not 16 bits wide");
            return bf16;
        case 5: refuse("has complex numbers"); return f32;
        case 6:
            if (bits != 8) refuse("has flags that are not 8 bits wide");
            return boolean;
        default:
            refuse(code > 6 && code < 15 ? "has 8-bit floats"
                                         : "has elements of a type that prefopt does not know");
            return f32;
    }
}

template <dlpack_tensor T>
dynamic_view dlpack_view(const T& t) {
    if (const char* why = dlpack_refusal(static_cast<int>(t.device.device_type)))
        return dynamic_view::refused(why);
    const auto rank = static_cast<std::size_t>(t.ndim);
    if (t.ndim < 0 || rank > dynamic_view::most_dimensions)
        return dynamic_view::refused("has more than 4 dimensions");
    if (rank > 0 && t.shape == nullptr)
        return dynamic_view::refused("has no shape", errc::null_pointer);
    const std::span shape(static_cast<const std::int64_t*>(t.shape), rank);
    std::array<std::int64_t, dynamic_view::most_dimensions> strides{};
    std::uint64_t compact = 1;  // an absurd extent is for the checks: it must not overflow here
    for (std::size_t i = rank; i-- > 0; compact *= static_cast<std::uint64_t>(shape[i]))
        strides[i] = t.strides != nullptr ? t.strides[i] : static_cast<std::int64_t>(compact);

    const char* unknown = t.dtype.lanes == 1 ? nullptr : "has vectors for elements";
    const element_kind kind = dlpack_kind(t.dtype.code, t.dtype.bits, [&](const char* why) {
        if (unknown == nullptr) unknown = why;
    });
    if (unknown != nullptr) return dynamic_view::refused(unknown);
    auto* const data = static_cast<std::byte*>(t.data);
    return {static_cast<void*>(data == nullptr ? data : data + t.byte_offset), kind, shape,
            std::span(strides).first(rank)};
}

}  // namespace detail

template <detail::dlpack T>
struct adapter<T> {
    static constexpr std::size_t rank = dynamic_rank;
    static constexpr bool borrowed = true;
    static dynamic_view view(const T& t) {
        if constexpr (detail::dlpack_tensor<T>) {
            return detail::dlpack_view(t);
        } else {
            dynamic_view v = detail::dlpack_view(t.dl_tensor);
            if constexpr (requires { t.flags; }) v.writable = (t.flags & 1) == 0;
            return v;
        }
    }
};

template <class T>
    requires(std::is_pointer_v<T>&& detail::dlpack<std::remove_cv_t<std::remove_pointer_t<T>>>)
struct adapter<T> {
    static constexpr std::size_t rank = dynamic_rank;
    static constexpr bool borrowed = true;
    static dynamic_view view(const T& t) {
        if (t == nullptr) return dynamic_view::refused("is a null pointer", errc::null_pointer);
        return adapter<std::remove_cv_t<std::remove_pointer_t<T>>>::view(*t);
    }
};

}  // namespace prefopt::inline PREFOPT_ABI
