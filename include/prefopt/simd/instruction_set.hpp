// SPDX-License-Identifier: Apache-2.0
//
// Which kernels run: chosen once, at run time, from what the processor has. A program compiled for
// baseline x86-64 gets the widest kernels of the machine it runs on.
//
// Define PREFOPT_NO_SIMD to compile the scalar kernels only. Compilers that are not known here get
// them too. Define PREFOPT_GENERIC_SIMD to compile the generic vectors also where they are not the
// processor's own: tests do, to force every set on one machine.

#pragma once

#include <cstdint>

#include <prefopt/core/config.hpp>

#if !defined(__GNUC__)
#include <atomic>
#endif

#if !defined(PREFOPT_NO_SIMD) && (defined(__GNUC__) || defined(__clang__))
#define PREFOPT_SIMD 1
#else
#define PREFOPT_SIMD 0
#endif

#if PREFOPT_SIMD && defined(__x86_64__)
#define PREFOPT_SIMD_AVX512 1
#else
#define PREFOPT_SIMD_AVX512 0
#endif

// A region adds to what the unit is compiled for. Where that is AVX-512 to begin with, the narrower
// sets would be AVX-512 in disguise: they are left out.
#if PREFOPT_SIMD_AVX512 && defined(__AVX512F__) && defined(__AVX512BW__) &&                        \
    defined(__AVX512DQ__) && defined(__AVX512VL__)
#define PREFOPT_SIMD_NARROW 0
#else
#define PREFOPT_SIMD_NARROW PREFOPT_SIMD
#endif

#if PREFOPT_SIMD_AVX512 && PREFOPT_SIMD_NARROW
#define PREFOPT_SIMD_AVX2 1
#else
#define PREFOPT_SIMD_AVX2 0
#endif

// Clang keeps something of -ffast-math in every region: its comparisons, even as intrinsics, take
// NaN to be impossible, and it has no exact fma where the processor has none. Operators are exact.
#if defined(__clang__) && defined(__FAST_MATH__)
#define PREFOPT_SIMD_EXACT 0
#else
#define PREFOPT_SIMD_EXACT 1
#endif

#if PREFOPT_SIMD && defined(__aarch64__) && defined(__ARM_NEON)
#define PREFOPT_SIMD_NEON 1
#else
#define PREFOPT_SIMD_NEON 0
#endif

#if PREFOPT_SIMD_NEON ||                                                                           \
    (PREFOPT_SIMD_NARROW && PREFOPT_SIMD_EXACT && defined(PREFOPT_GENERIC_SIMD))
#define PREFOPT_SIMD_GENERIC 1
#else
#define PREFOPT_SIMD_GENERIC 0
#endif

namespace prefopt::inline PREFOPT_ABI {

/// From narrow to wide. generic means vectors of 16 bytes that the compiler maps to what there is:
/// NEON on AArch64. avx2 means AVX2 with FMA and F16C; avx512 means F, BW, DQ and VL.
enum class instruction_set : std::uint8_t { scalar = 0, generic = 1, avx2 = 2, avx512 = 3 };

constexpr const char* to_string(instruction_set set) noexcept {
    return set == instruction_set::avx512    ? "avx512"
           : set == instruction_set::avx2    ? "avx2"
           : set == instruction_set::generic ? "generic"
                                             : "scalar";
}

/// Whether its kernels are compiled in and run on this machine.
inline bool has_instruction_set(instruction_set set) noexcept {
    switch (set) {
#if PREFOPT_SIMD_AVX512
        case instruction_set::avx512:
            return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
#if PREFOPT_SIMD_AVX2
        case instruction_set::avx2:
            // Every processor with both has F16C, which not every compiler can ask for.
            return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#if PREFOPT_SIMD_GENERIC
        case instruction_set::generic: return true;
#endif
        default: return set == instruction_set::scalar;
    }
}

/// The one that is best on this machine. generic where it is NEON; on other processors it may lack
/// a fused multiply-add and is slower than scalar: there it is used when asked for.
inline instruction_set widest_instruction_set() noexcept {
    if (has_instruction_set(instruction_set::avx512)) return instruction_set::avx512;
    if (has_instruction_set(instruction_set::avx2)) return instruction_set::avx2;
    return PREFOPT_SIMD_NEON ? instruction_set::generic : instruction_set::scalar;
}

namespace detail {

/// An instruction_set that threads may read and change at once: std::atomic, relaxed, which GCC and
/// Clang have without all that <atomic> includes.
class shared_instruction_set {
public:
    explicit shared_instruction_set(instruction_set set) noexcept
        : set_(static_cast<std::uint8_t>(set)) {}
#if defined(__GNUC__)
    [[nodiscard]] instruction_set load() const noexcept {
        return static_cast<instruction_set>(__atomic_load_n(&set_, __ATOMIC_RELAXED));
    }
    void store(instruction_set set) noexcept {
        __atomic_store_n(&set_, static_cast<std::uint8_t>(set), __ATOMIC_RELAXED);
    }

private:
    std::uint8_t set_;
#else
    [[nodiscard]] instruction_set load() const noexcept {
        return static_cast<instruction_set>(set_.load(std::memory_order_relaxed));
    }
    void store(instruction_set set) noexcept {
        set_.store(static_cast<std::uint8_t>(set), std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint8_t> set_;
#endif
};

inline shared_instruction_set& chosen_instruction_set() noexcept {
    static shared_instruction_set chosen{widest_instruction_set()};
    return chosen;
}

}  // namespace detail

/// The one in use.
inline instruction_set active_instruction_set() noexcept {
    return detail::chosen_instruction_set().load();
}

/// For tests and measurements: takes the wanted set or, where this machine lacks it, the next
/// narrower one that it has. Returns the one that is now in use. The bits of results of all sets
/// but scalar are the same; those of scalar differ within the documented bounds.
inline instruction_set use_instruction_set(instruction_set wanted) noexcept {
    while (!has_instruction_set(wanted))
        wanted = static_cast<instruction_set>(static_cast<std::uint8_t>(wanted) - 1U);
    detail::chosen_instruction_set().store(wanted);
    return wanted;
}

}  // namespace prefopt::inline PREFOPT_ABI
