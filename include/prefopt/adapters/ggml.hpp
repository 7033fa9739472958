// SPDX-License-Identifier: Apache-2.0
//
// ggml: a ggml_tensor, by reference or by pointer, recognised by its members. ggml counts
// dimensions from the fastest: the logits (N, V) have ne = {V, N, 1, 1}. It also does not tell a
// matrix of one row from a vector: like ggml_n_dims, the adapter drops the outermost extents of 1.
// Where that matters, say the rank:
//
//     ggml_tensor* logits = ...;   // (1, T, V): ne = {V, T, 1, 1}
//     auto scored = prefopt::sequence_log_probs(prefopt::ggml_rank<3>(logits), labels);
//
// F32, F64, F16, BF16 and integers, on the host; anything else is refused by name. Results are a
// std::vector or a prefopt::tensor of double; calls with outputs write into ggml's tensors.
// For gradients ggml minimises ggml_sum(ggml_mul(logits, gradient)), with the gradient a constant.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#if __has_include(<ggml-backend.h>)
#include <ggml-backend.h>  // only to ask whether a buffer is on the host
#endif

#include <prefopt/core/adapter.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

template <class T>
concept ggml_like = std::is_class_v<T> && requires(const T& t) {
    requires std::is_enum_v<decltype(t.type)>;
    static_cast<const std::int64_t*>(t.ne);
    static_cast<const std::size_t*>(t.nb);
    static_cast<void*>(t.data);
    t.buffer;
    t.view_src;
};
template <class T>
concept ggml_pointer =
    std::is_pointer_v<T> && ggml_like<std::remove_cv_t<std::remove_pointer_t<T>>>;

/// Why elements of a ggml_type that is none of those below cannot be read.
constexpr const char* ggml_refusal(int type) noexcept {
    switch (type) {
        case 2: return "is quantized (Q4_0); dequantize it first";
        case 3: return "is quantized (Q4_1); dequantize it first";
        case 6: return "is quantized (Q5_0); dequantize it first";
        case 7: return "is quantized (Q5_1); dequantize it first";
        case 8: return "is quantized (Q8_0); dequantize it first";
        case 9: return "is quantized (Q8_1); dequantize it first";
        case 10: return "is quantized (Q2_K); dequantize it first";
        case 11: return "is quantized (Q3_K); dequantize it first";
        case 12: return "is quantized (Q4_K); dequantize it first";
        case 13: return "is quantized (Q5_K); dequantize it first";
        case 14: return "is quantized (Q6_K); dequantize it first";
        case 15: return "is quantized (Q8_K); dequantize it first";
        case 16: return "is quantized (IQ2_XXS); dequantize it first";
        case 17: return "is quantized (IQ2_XS); dequantize it first";
        case 18: return "is quantized (IQ3_XXS); dequantize it first";
        case 19: return "is quantized (IQ1_S); dequantize it first";
        case 20: return "is quantized (IQ4_NL); dequantize it first";
        case 21: return "is quantized (IQ3_S); dequantize it first";
        case 22: return "is quantized (IQ2_S); dequantize it first";
        case 23: return "is quantized (IQ4_XS); dequantize it first";
        case 29: return "is quantized (IQ1_M); dequantize it first";
        case 34: return "is quantized (TQ1_0); dequantize it first";
        case 35: return "is quantized (TQ2_0); dequantize it first";
        case 39: return "is quantized (MXFP4); dequantize it first";
        case 40: return "is quantized (NVFP4); dequantize it first";
        case 41: return "is quantized (Q1_0); dequantize it first";
        case 42: return "is quantized (Q2_0); dequantize it first";
        default: return "has elements of a ggml type that prefopt does not know";
    }
}

/// Why the tensor's memory cannot be read here, if so. Without a buffer it is a context's.
template <class T>
const char* ggml_elsewhere(const T& t) {
    if (t.buffer == nullptr) return nullptr;
    if constexpr (requires { ggml_backend_buffer_is_host(t.buffer); })
        return ggml_backend_buffer_is_host(t.buffer)
                   ? nullptr
                   : "is in a buffer that is not on the host; ggml_backend_tensor_get copies it";
    else
        return "is in a backend's buffer, and <ggml-backend.h>, which tells where that is, is not "
               "on the include path";
}

/// `rank` 0: what ggml_n_dims says.
template <class T>
dynamic_view ggml_view(const T& t, std::size_t rank) {
    using enum element_kind;
    constexpr std::size_t all = dynamic_view::most_dimensions;
    std::size_t own = all;
    while (own > 1 && t.ne[own - 1] == 1) --own;
    if (rank == 0) rank = own;
    if (own > rank) return dynamic_view::refused("has more dimensions than ggml_rank<> gives it");

    std::underlying_type_t<decltype(t.type)> type;  // a file may have a number that ggml.h has not
    std::memcpy(&type, &t.type, sizeof type);
    element_kind kind = f32;
    switch (type) {  // the numbers are ggml's file format and ABI
        case 0: kind = f32; break;
        case 1: kind = fp16; break;
        case 24: kind = i8; break;
        case 25: kind = i16; break;
        case 26: kind = i32; break;
        case 27: kind = i64; break;
        case 28: kind = f64; break;
        case 30: kind = bf16; break;
        default: return dynamic_view::refused(ggml_refusal(static_cast<int>(type)));
    }
    if (const char* why = ggml_elsewhere(t)) return dynamic_view::refused(why);

    std::array<std::int64_t, all> extents{};
    std::array<std::int64_t, all> strides{};
    const auto size = static_cast<std::size_t>(size_of(kind));
    for (std::size_t i = 0; i < rank; ++i) {
        extents[rank - 1 - i] = t.ne[i];
        strides[rank - 1 - i] = static_cast<std::int64_t>(t.nb[i] / size);
        if (t.ne[i] > 1 && t.nb[i] % size != 0)
            return dynamic_view::refused("has a stride that is no multiple of its element size",
                                         errc::bad_stride);
    }
    return {static_cast<void*>(t.data), kind, std::span(extents).first(rank),
            std::span(strides).first(rank)};
}

/// A ggml tensor whose rank somebody said.
template <class T>
struct ggml_ranked {
    T* tensor;
    std::size_t rank;
};

}  // namespace detail

/// The tensor as one of rank R, the outermost extents of 1 included. Refers to it.
template <std::size_t R, detail::ggml_like T>
    requires(R >= 1 && R <= dynamic_view::most_dimensions)
constexpr detail::ggml_ranked<T> ggml_rank(T* tensor) noexcept { return {tensor, R}; }

template <detail::ggml_like T>
struct adapter<T> {
    static constexpr std::size_t rank = dynamic_rank;
    static dynamic_view view(const T& t) { return detail::ggml_view(t, 0); }
};

template <class T>
struct adapter<detail::ggml_ranked<T>> {
    static constexpr std::size_t rank = dynamic_rank;
    static constexpr bool borrowed = true;
    static dynamic_view view(const detail::ggml_ranked<T>& t) {
        if (t.tensor == nullptr)
            return dynamic_view::refused("is a null pointer", errc::null_pointer);
        dynamic_view v = detail::ggml_view(*t.tensor, t.rank);
        v.writable = !std::is_const_v<T>;
        return v;
    }
};

template <detail::ggml_pointer T>
struct adapter<T> {
    static constexpr std::size_t rank = dynamic_rank;
    static constexpr bool borrowed = true;
    static dynamic_view view(const T& t) {
        using ranked = detail::ggml_ranked<std::remove_pointer_t<T>>;
        return adapter<ranked>::view({t, 0});
    }
};

}  // namespace prefopt::inline PREFOPT_ABI
