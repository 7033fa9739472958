// SPDX-License-Identifier: Apache-2.0
//
// Which kernels run: chosen once, at run time, from what the processor has. A program compiled for
// baseline x86-64 gets the widest kernels of the machine it runs on.
//
// Define PREFOPT_NO_SIMD to compile the scalar kernels only. Compilers and processors that are not
// known here get them too.

#pragma once

#include <atomic>
#include <cstdint>

#include <prefopt/core/config.hpp>

#if !defined(PREFOPT_NO_SIMD) && (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define PREFOPT_SIMD_X86 1
#else
#define PREFOPT_SIMD_X86 0
#endif

namespace prefopt::inline PREFOPT_ABI {

/// From narrow to wide. avx2 means AVX2 with FMA and F16C; avx512 means F, BW, DQ and VL.
enum class instruction_set : std::uint8_t { scalar = 0, avx2 = 1, avx512 = 2 };

constexpr const char* to_string(instruction_set set) noexcept {
    return set == instruction_set::avx512 ? "avx512"
           : set == instruction_set::avx2 ? "avx2"
                                          : "scalar";
}

/// The widest that this machine can run.
inline instruction_set widest_instruction_set() noexcept {
#if PREFOPT_SIMD_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return instruction_set::avx512;
    // Every processor with AVX2 and FMA has F16C, which not every compiler can ask for.
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return instruction_set::avx2;
#endif
    return instruction_set::scalar;
}

namespace detail {
inline std::atomic<instruction_set>& chosen_instruction_set() noexcept {
    static std::atomic<instruction_set> chosen{widest_instruction_set()};
    return chosen;
}
}  // namespace detail

/// The one in use.
inline instruction_set active_instruction_set() noexcept {
    return detail::chosen_instruction_set().load(std::memory_order_relaxed);
}

/// For tests and measurements: forces a narrower set (a wider one than the machine has is refused,
/// and the widest is taken). Returns the one that is now in use. The bits of results of avx2 and
/// avx512 are the same; those of scalar differ within the documented bounds.
inline instruction_set use_instruction_set(instruction_set wanted) noexcept {
    const instruction_set widest = widest_instruction_set();
    const instruction_set set = wanted > widest ? widest : wanted;
    detail::chosen_instruction_set().store(set, std::memory_order_relaxed);
    return set;
}

}  // namespace prefopt::inline PREFOPT_ABI
