// SPDX-License-Identifier: Apache-2.0
//
// The intrinsics of the processor. On x86-64 that is <immintrin.h>, most of which is about other
// instruction sets than ours, and which takes longer to read than everything else together that a
// header of this library includes. GCC 12 keeps each set in a header of its own; those of AVX2, FMA
// and F16C stand alone once they believe that <immintrin.h> asks for them, and what we need of
// AVX-512 is in avx512_gcc12.hpp. Who includes <immintrin.h> afterwards still gets all of it. Other
// compilers give us all of it at once: this is about the insides of one.

#pragma once

#include <prefopt/simd/instruction_set.hpp>

#if PREFOPT_SIMD_AVX512 && defined(__GNUC__) && __GNUC__ == 12 && !defined(__clang__) &&           \
    !defined(__EDG__) && !defined(_IMMINTRIN_H_INCLUDED)
#define _IMMINTRIN_H_INCLUDED
// Each needs those before it.
// clang-format off
#include <smmintrin.h>
#include <avxintrin.h>
#include <avx2intrin.h>
#include <fmaintrin.h>
#include <f16cintrin.h>
// clang-format on
#undef _IMMINTRIN_H_INCLUDED
#define PREFOPT_SIMD_OWN_AVX512
#elif PREFOPT_SIMD_AVX512
#include <immintrin.h>
#elif PREFOPT_SIMD_NEON
#include <arm_neon.h>
#endif
