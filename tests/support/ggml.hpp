// SPDX-License-Identifier: Apache-2.0
//
// The part of ggml's tensor that an adapter can see, member for member, for machines without ggml.

#pragma once

#include <cstddef>
#include <cstdint>

namespace stand_in {

struct ggml_backend_buffer {
    bool is_host;
};
inline bool ggml_backend_buffer_is_host(const ggml_backend_buffer* b) { return b->is_host; }

enum ggml_type : int {
    f32 = 0,
    f16 = 1,
    q4_0 = 2,
    q8_0 = 8,
    i8 = 24,
    i16,
    i32,
    i64,
    f64,
    bf16 = 30
};

struct ggml_tensor {
    ggml_type type;
    ggml_backend_buffer* buffer;
    std::int64_t ne[4];  // elements, fastest dimension first
    std::size_t nb[4];   // strides in bytes
    ggml_tensor* view_src;
    std::size_t view_offs;
    void* data;
    char name[64];
};

}  // namespace stand_in
