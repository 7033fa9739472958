// SPDX-License-Identifier: Apache-2.0
//
// What the compiler was told, and the name that keeps the consequences apart.
//
// Everything that changes the code generated from these headers (version, instruction set,
// floating-point mode, assertion level, exceptions) is part of the inline namespace PREFOPT_ABI.
// Two translation units built with different flags therefore link, and each keeps its own code.

#pragma once

#include <prefopt/version.hpp>

#if !defined(__cplusplus) ||                                                                       \
    (__cplusplus < 202002L && !(defined(_MSVC_LANG) && _MSVC_LANG >= 202002L))
#error "prefopt needs C++20: pass -std=c++20 (or /std:c++20)"
#endif

/// Internal invariants (never input checks): 0 none, 1 fast (a trap), 2 debug (text, then abort).
#ifndef PREFOPT_ASSERT_LEVEL
#define PREFOPT_ASSERT_LEVEL 1
#endif

/// 1 where a failed check throws prefopt::error, 0 where it prints the same text and ends.
#ifndef PREFOPT_EXCEPTIONS
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define PREFOPT_EXCEPTIONS 1
#else
#define PREFOPT_EXCEPTIONS 0
#endif
#endif

/// PREFOPT_NOINLINE: one copy of a function, which -ffast-math then cannot regroup in several ways,
/// and which is compiled once. PREFOPT_COLD: what is called only when something is wrong: for size.
#if defined(__GNUC__)
#define PREFOPT_NOINLINE [[gnu::noinline]]
#define PREFOPT_COLD [[gnu::cold, gnu::noinline]]
#else
#define PREFOPT_NOINLINE
#define PREFOPT_COLD
#endif

#if defined(__AVX512FP16__)
#define PREFOPT_ABI_ISA avx512fp16
#elif defined(__AVX512VBMI__)
#define PREFOPT_ABI_ISA avx512vbmi
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) &&                    \
    defined(__AVX512VL__)
#define PREFOPT_ABI_ISA avx512
#elif defined(__AVX512F__)
#define PREFOPT_ABI_ISA avx512f
#elif defined(__AVX2__) && defined(__FMA__)
#define PREFOPT_ABI_ISA avx2fma
#elif defined(__AVX2__)
#define PREFOPT_ABI_ISA avx2
#elif defined(__FMA__)
#define PREFOPT_ABI_ISA fma
#elif defined(__AVX__)
#define PREFOPT_ABI_ISA avx
#elif defined(__SSE4_1__)
#define PREFOPT_ABI_ISA sse4
#elif defined(__SSE3__)
#define PREFOPT_ABI_ISA sse3
#elif defined(__ARM_FEATURE_SVE2)
#define PREFOPT_ABI_ISA sve2
#elif defined(__ARM_FEATURE_SVE)
#define PREFOPT_ABI_ISA sve
#elif defined(__ARM_NEON)
#define PREFOPT_ABI_ISA neon
#else
#define PREFOPT_ABI_ISA base
#endif

#if defined(__FAST_MATH__)
#define PREFOPT_ABI_FP fast
#elif defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0
#define PREFOPT_ABI_FP finite
#elif defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#define PREFOPT_ABI_FP unsafe
#else
#define PREFOPT_ABI_FP ieee
#endif

#if defined(PREFOPT_NO_SIMD)
#define PREFOPT_ABI_KERNELS nosimd
#elif defined(PREFOPT_GENERIC_SIMD)
#define PREFOPT_ABI_KERNELS allsimd
#else
#define PREFOPT_ABI_KERNELS simd
#endif

#define PREFOPT_ABI_JOIN_(major, minor, patch, isa, fp, kernels, level, exceptions)                \
    v##major##_##minor##_##patch##_##isa##_##fp##_##kernels##_a##level##_x##exceptions
#define PREFOPT_ABI_JOIN(major, minor, patch, isa, fp, kernels, level, exceptions)                 \
    PREFOPT_ABI_JOIN_(major, minor, patch, isa, fp, kernels, level, exceptions)
#define PREFOPT_ABI                                                                                \
    PREFOPT_ABI_JOIN(PREFOPT_VERSION_MAJOR, PREFOPT_VERSION_MINOR, PREFOPT_VERSION_PATCH,          \
                     PREFOPT_ABI_ISA, PREFOPT_ABI_FP, PREFOPT_ABI_KERNELS, PREFOPT_ASSERT_LEVEL,   \
                     PREFOPT_EXCEPTIONS)

#if PREFOPT_ASSERT_LEVEL >= 2
#include <cstdio>
#include <cstdlib>
#define PREFOPT_ASSERT(condition)                                                                  \
    ((condition)                                                                                   \
         ? void()                                                                                  \
         : (std::fputs("prefopt: broken invariant: " #condition "\n", stderr), std::abort()))
#elif PREFOPT_ASSERT_LEVEL == 1 && (defined(__GNUC__) || defined(__clang__))
#define PREFOPT_ASSERT(condition) ((condition) ? void() : __builtin_trap())
#else
#define PREFOPT_ASSERT(condition) static_cast<void>(0)
#endif
