// SPDX-License-Identifier: Apache-2.0
//
// The machine's own bandwidth. Vectors of 64 bytes are GNU vectors: the compiler splits them where
// the machine is narrower.

#include <cstring>

#include "peers.hpp"

#if defined(__AVX512F__) || defined(__AVX__)
#include <immintrin.h>
#endif

namespace prefopt_bench::memory {
namespace {

using vector = float __attribute__((vector_size(64), aligned(4), may_alias));
constexpr std::ptrdiff_t lanes = 16;
constexpr std::ptrdiff_t unroll = 8;

/// A store around the cache; `to` is aligned to 64 bytes.
inline void stream(float* to, const vector& v) {
#if defined(__AVX512F__)
    _mm512_stream_ps(to, reinterpret_cast<const __m512&>(v));
#elif defined(__AVX__)
    __m256 half[2];
    std::memcpy(half, &v, sizeof half);
    _mm256_stream_ps(to, half[0]);
    _mm256_stream_ps(to + 8, half[1]);
#else
    std::memcpy(to, &v, sizeof v);
#endif
}

inline void fence() {
#if defined(__AVX__)
    _mm_sfence();
#endif
}

/// Floats before `to` reaches a boundary of 64 bytes.
std::ptrdiff_t misaligned(const float* to) {
    return static_cast<std::ptrdiff_t>((64 - reinterpret_cast<std::uintptr_t>(to) % 64) % 64 / 4);
}

const vector& at(const float* p) { return *reinterpret_cast<const vector*>(p); }
vector& at(float* p) { return *reinterpret_cast<vector*>(p); }

/// The loads were not for nothing.
void keep(const vector (&sum)[unroll]) {
    vector total = sum[0];
    for (std::ptrdiff_t j = 1; j < unroll; ++j) total += sum[j];
    asm volatile("" : : "r"(&total) : "memory");
}

}  // namespace

void read(const void* from, std::ptrdiff_t bytes) {
    const auto* p = static_cast<const float*>(from);
    const std::ptrdiff_t n = bytes / 4;
    vector sum[unroll] = {};
    for (std::ptrdiff_t i = misaligned(p); i + lanes * unroll <= n; i += lanes * unroll)
#pragma GCC unroll 8
        for (std::ptrdiff_t j = 0; j < unroll; ++j) sum[j] += at(p + i + j * lanes);
    keep(sum);
}

void read_four_streams(const void* from, std::ptrdiff_t bytes) {
    const auto* p = static_cast<const float*>(from);
    const std::ptrdiff_t quarter = bytes / 4 / 4 / lanes * lanes;
    vector sum[unroll] = {};
    for (std::ptrdiff_t i = misaligned(p); i + 2 * lanes <= quarter; i += 2 * lanes)
#pragma GCC unroll 4
        for (std::ptrdiff_t j = 0; j < 4; ++j) {
            sum[2 * j] += at(p + j * quarter + i);
            sum[2 * j + 1] += at(p + j * quarter + i + lanes);
        }
    keep(sum);
}

void write(void* to, std::ptrdiff_t bytes, bool streaming) {
    auto* p = static_cast<float*>(to);
    const std::ptrdiff_t n = bytes / 4;
    const vector ones = vector{} + 1.0F;
    if (streaming) {
        for (std::ptrdiff_t i = misaligned(p); i + lanes <= n; i += lanes) stream(p + i, ones);
        fence();
    } else {
        for (std::ptrdiff_t i = misaligned(p); i + lanes <= n; i += lanes) at(p + i) = ones;
    }
}

void copy(const void* from, void* to, std::ptrdiff_t bytes, bool streaming) {
    const auto* f = static_cast<const float*>(from);
    auto* t = static_cast<float*>(to);
    const std::ptrdiff_t n = bytes / 4;
    const std::ptrdiff_t first = misaligned(t);
    if (streaming) {
        for (std::ptrdiff_t i = first; i + lanes <= n; i += lanes) stream(t + i, at(f + i));
        fence();
    } else {
        for (std::ptrdiff_t i = first; i + lanes <= n; i += lanes) at(t + i) = at(f + i);
    }
}

void scale(float* to, std::ptrdiff_t n) {
    for (std::ptrdiff_t i = misaligned(to); i + lanes <= n; i += lanes)
        at(to + i) = at(to + i) * 1.0000001F;
}

void triad(const float* from, float* to, std::ptrdiff_t n, float a) {
    for (std::ptrdiff_t i = misaligned(to); i + lanes <= n; i += lanes)
        at(to + i) = at(to + i) + (at(from + i) - at(to + i)) * a;
}

void four_to_three(const float* const from[4], float* const to[3], std::ptrdiff_t n,
                   bool streaming) {
    const bool aligned =
        misaligned(to[0]) == misaligned(to[1]) && misaligned(to[0]) == misaligned(to[2]);
    const auto sweep = [&](const auto& put) {
        for (std::ptrdiff_t i = misaligned(to[0]); i + lanes <= n; i += lanes) {
            const vector chosen = at(from[0] + i) - at(from[2] + i);
            const vector rejected = at(from[1] + i) - at(from[3] + i);
            put(to[0] + i, chosen - rejected);
            put(to[1] + i, chosen);
            put(to[2] + i, rejected);
        }
    };
    if (streaming && aligned) {
        sweep([](float* p, const vector& v) { stream(p, v); });
        fence();
    } else {
        sweep([](float* p, const vector& v) { at(p) = v; });
    }
}

}  // namespace prefopt_bench::memory
