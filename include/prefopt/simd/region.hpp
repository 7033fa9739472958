// SPDX-License-Identifier: Apache-2.0
//
// Regions: stretches of a header that are compiled for an instruction set of their own, whatever
// the translation unit is compiled for, and with exact floating-point arithmetic even under
// -ffast-math. for_each_set.inc opens one per set around the text of a kernel.
//
// What is first included or defined outside a region keeps the unit's own flags when it is called
// inside one, unless it is inlined. So every header is included before the first region opens, and
// what must be fast is defined inside.

#pragma once

#include <prefopt/core/config.hpp>

#define PREFOPT_PRAGMA(...) _Pragma(#__VA_ARGS__)

/// Before a loop with a few turns, known to the compiler: takes it apart, so that arrays of vectors
/// become registers.
#if defined(__clang__)
#define PREFOPT_UNROLL PREFOPT_PRAGMA(clang loop unroll(full))
#elif defined(__GNUC__)
#define PREFOPT_UNROLL PREFOPT_PRAGMA(GCC unroll 16)
#else
#define PREFOPT_UNROLL
#endif

#if defined(__clang__)

// Where Clang cannot change the mode (version 14 on AArch64) it says so and goes on: -ffast-math
// then holds in the region too, and costs digits.
#define PREFOPT_REGION_BEGIN                                                                       \
    PREFOPT_PRAGMA(GCC diagnostic push)                                                            \
    PREFOPT_PRAGMA(GCC diagnostic ignored "-Wignored-pragmas")                                     \
    PREFOPT_PRAGMA(float_control(precise, on, push))
#define PREFOPT_REGION_TARGET(set)                                                                 \
    PREFOPT_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define PREFOPT_REGION_TARGET_END PREFOPT_PRAGMA(clang attribute pop)
#define PREFOPT_REGION_END PREFOPT_PRAGMA(float_control(pop)) PREFOPT_PRAGMA(GCC diagnostic pop)

#elif defined(__GNUC__)

#if defined(__OPTIMIZE__)
#define PREFOPT_REGION_OPTIMIZE
#else
#define PREFOPT_REGION_OPTIMIZE PREFOPT_PRAGMA(GCC optimize("O2"))
#endif
#if defined(__FAST_MATH__)
#define PREFOPT_REGION_EXACT PREFOPT_PRAGMA(GCC optimize("no-fast-math"))
#else
#define PREFOPT_REGION_EXACT
#endif

// The warnings are false, and about the compiler's own header of intrinsics.
#define PREFOPT_REGION_BEGIN                                                                       \
    PREFOPT_PRAGMA(GCC diagnostic push)                                                            \
    PREFOPT_PRAGMA(GCC diagnostic ignored "-Wmaybe-uninitialized")                                 \
    PREFOPT_PRAGMA(GCC diagnostic ignored "-Wuninitialized")                                       \
    PREFOPT_PRAGMA(GCC diagnostic ignored "-Wsign-conversion")                                     \
    PREFOPT_PRAGMA(GCC push_options) PREFOPT_REGION_OPTIMIZE PREFOPT_REGION_EXACT
#define PREFOPT_REGION_TARGET(set) PREFOPT_PRAGMA(GCC push_options) PREFOPT_PRAGMA(GCC target set)
#define PREFOPT_REGION_TARGET_END PREFOPT_PRAGMA(GCC pop_options)
#define PREFOPT_REGION_END PREFOPT_PRAGMA(GCC pop_options) PREFOPT_PRAGMA(GCC diagnostic pop)

#endif
