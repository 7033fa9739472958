// SPDX-License-Identifier: Apache-2.0
//
// The intrinsics of AVX-512 that ops_avx512.inc uses, for GCC 12, whose header of them has three
// thousand more and is a fifth of what it costs to include a loss. The names and the meaning are
// those of the vendor's manual; what is behind them is GCC 12's own instruction, of all lanes where
// there is a mask. They are in the set's namespace: whoever includes <immintrin.h> has the
// compiler's own beside them.

#pragma once

#include <prefopt/core/config.hpp>
#include <prefopt/simd/intrinsics.hpp>
#include <prefopt/simd/region.hpp>

#if defined(PREFOPT_SIMD_OWN_AVX512)

PREFOPT_REGION_BEGIN
PREFOPT_REGION_TARGET("avx512f,avx512dq")
namespace prefopt::inline PREFOPT_ABI::detail::avx512 {

using __m512 [[gnu::vector_size(64), gnu::may_alias]] = float;
using __m512d [[gnu::vector_size(64), gnu::may_alias]] = double;
using __m512i [[gnu::vector_size(64), gnu::may_alias]] = long long;
using __m512_u [[gnu::vector_size(64), gnu::may_alias, gnu::aligned(1)]] = float;
using __m512d_u [[gnu::vector_size(64), gnu::may_alias, gnu::aligned(1)]] = double;
using __mmask8 = unsigned char;
using __mmask16 = unsigned short;

/// What lies behind the integer vector, and masks of all lanes.
struct lanes {
    using i16 [[gnu::vector_size(32)]] = short;
    using i32 [[gnu::vector_size(64)]] = int;
    using u32 [[gnu::vector_size(64)]] = unsigned;
    using i64 [[gnu::vector_size(64)]] = long long;
    using u64 [[gnu::vector_size(64)]] = unsigned long long;
    static constexpr __mmask8 all8 = 0xff;
    static constexpr __mmask16 all16 = 0xffff;
};

#define PREFOPT_INTRINSIC [[gnu::always_inline, gnu::artificial]] inline

PREFOPT_INTRINSIC __m512 _mm512_loadu_ps(const float* p) {
    return *reinterpret_cast<const __m512_u*>(p);
}
PREFOPT_INTRINSIC __m512d _mm512_loadu_pd(const double* p) {
    return *reinterpret_cast<const __m512d_u*>(p);
}
PREFOPT_INTRINSIC void _mm512_storeu_ps(float* p, __m512 x) { *reinterpret_cast<__m512_u*>(p) = x; }
PREFOPT_INTRINSIC void _mm512_storeu_pd(double* p, __m512d x) {
    *reinterpret_cast<__m512d_u*>(p) = x;
}
PREFOPT_INTRINSIC void _mm512_stream_ps(float* p, __m512 x) { __builtin_ia32_movntps512(p, x); }
PREFOPT_INTRINSIC void _mm512_stream_pd(double* p, __m512d x) { __builtin_ia32_movntpd512(p, x); }

PREFOPT_INTRINSIC __m512 _mm512_set1_ps(float x) {
    return __m512{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}
PREFOPT_INTRINSIC __m512d _mm512_set1_pd(double x) { return __m512d{x, x, x, x, x, x, x, x}; }
PREFOPT_INTRINSIC __m512i _mm512_set1_epi32(int x) {
    return reinterpret_cast<__m512i>(lanes::i32{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x});
}
PREFOPT_INTRINSIC __m512i _mm512_set1_epi64(long long x) { return __m512i{x, x, x, x, x, x, x, x}; }
PREFOPT_INTRINSIC __m512i _mm512_set_epi32(int p, int o, int n, int m, int l, int k, int j, int i,
                                           int h, int g, int f, int e, int d, int c, int b, int a) {
    return reinterpret_cast<__m512i>(lanes::i32{a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p});
}

PREFOPT_INTRINSIC __m512i _mm512_castps_si512(__m512 x) { return reinterpret_cast<__m512i>(x); }
PREFOPT_INTRINSIC __m512 _mm512_castsi512_ps(__m512i x) { return reinterpret_cast<__m512>(x); }
PREFOPT_INTRINSIC __m512i _mm512_castpd_si512(__m512d x) { return reinterpret_cast<__m512i>(x); }
PREFOPT_INTRINSIC __m512d _mm512_castsi512_pd(__m512i x) { return reinterpret_cast<__m512d>(x); }
PREFOPT_INTRINSIC __m256 _mm512_castps512_ps256(__m512 x) {
    return __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7);
}
PREFOPT_INTRINSIC __m512 _mm512_castps256_ps512(__m256 x) { return __builtin_ia32_ps512_256ps(x); }
PREFOPT_INTRINSIC __m256 _mm512_extractf32x8_ps(__m512 x, int half) {
    return __builtin_ia32_extractf32x8_mask(x, half, __m256{}, lanes::all8);
}
PREFOPT_INTRINSIC __m512 _mm512_insertf32x8(__m512 x, __m256 part, int half) {
    return __builtin_ia32_insertf32x8_mask(x, part, half, x, lanes::all16);
}

PREFOPT_INTRINSIC __m512i _mm512_add_epi32(__m512i a, __m512i b) {
    return reinterpret_cast<__m512i>(reinterpret_cast<lanes::u32>(a) +
                                     reinterpret_cast<lanes::u32>(b));
}
PREFOPT_INTRINSIC __m512i _mm512_mullo_epi32(__m512i a, __m512i b) {
    return reinterpret_cast<__m512i>(reinterpret_cast<lanes::u32>(a) *
                                     reinterpret_cast<lanes::u32>(b));
}
PREFOPT_INTRINSIC __m512i _mm512_sub_epi64(__m512i a, __m512i b) {
    return reinterpret_cast<__m512i>(reinterpret_cast<lanes::u64>(a) -
                                     reinterpret_cast<lanes::u64>(b));
}
PREFOPT_INTRINSIC __m512i _mm512_and_si512(__m512i a, __m512i b) { return a & b; }
PREFOPT_INTRINSIC __m512i _mm512_xor_si512(__m512i a, __m512i b) { return a ^ b; }
PREFOPT_INTRINSIC __m512i _mm512_slli_epi32(__m512i x, int n) {
    return reinterpret_cast<__m512i>(reinterpret_cast<lanes::u32>(x) << n);
}
PREFOPT_INTRINSIC __m512i _mm512_srli_epi32(__m512i x, int n) {
    return reinterpret_cast<__m512i>(reinterpret_cast<lanes::u32>(x) >> n);
}
PREFOPT_INTRINSIC __m512i _mm512_slli_epi64(__m512i x, int n) {
    return reinterpret_cast<__m512i>(reinterpret_cast<lanes::u64>(x) << n);
}
PREFOPT_INTRINSIC __m512i _mm512_srai_epi64(__m512i x, int n) { return x >> n; }
PREFOPT_INTRINSIC __mmask16 _mm512_cmpgt_epi32_mask(__m512i a, __m512i b) {
    return static_cast<__mmask16>(__builtin_ia32_pcmpgtd512_mask(
        reinterpret_cast<lanes::i32>(a), reinterpret_cast<lanes::i32>(b), -1));
}
PREFOPT_INTRINSIC __mmask8 _mm512_cmpgt_epi64_mask(__m512i a, __m512i b) {
    return static_cast<__mmask8>(__builtin_ia32_pcmpgtq512_mask(
        reinterpret_cast<lanes::i64>(a), reinterpret_cast<lanes::i64>(b), -1));
}
PREFOPT_INTRINSIC __m512i _mm512_mask_add_epi32(__m512i no, __mmask16 m, __m512i a, __m512i b) {
    return reinterpret_cast<__m512i>(__builtin_ia32_paddd512_mask(
        reinterpret_cast<lanes::i32>(a), reinterpret_cast<lanes::i32>(b),
        reinterpret_cast<lanes::i32>(no), m));
}
PREFOPT_INTRINSIC __m512i _mm512_mask_or_epi32(__m512i no, __mmask16 m, __m512i a, __m512i b) {
    return reinterpret_cast<__m512i>(__builtin_ia32_pord512_mask(
        reinterpret_cast<lanes::i32>(a), reinterpret_cast<lanes::i32>(b),
        reinterpret_cast<lanes::i32>(no), m));
}
PREFOPT_INTRINSIC __m512i _mm512_mask_mov_epi32(__m512i no, __mmask16 m, __m512i a) {
    return reinterpret_cast<__m512i>(__builtin_ia32_movdqa32_512_mask(
        reinterpret_cast<lanes::i32>(a), reinterpret_cast<lanes::i32>(no), m));
}
PREFOPT_INTRINSIC __mmask16 _mm512_kunpackb(__mmask16 high, __mmask16 low) {
    return static_cast<__mmask16>(__builtin_ia32_kunpckhi(high, low));
}

PREFOPT_INTRINSIC __m512i _mm512_cvtepu16_epi32(__m256i x) {
    return reinterpret_cast<__m512i>(__builtin_ia32_pmovzxwd512_mask(
        reinterpret_cast<lanes::i16>(x), lanes::i32{}, lanes::all16));
}
PREFOPT_INTRINSIC __m256i _mm512_cvtepi32_epi16(__m512i x) {
    return reinterpret_cast<__m256i>(
        __builtin_ia32_pmovdw512_mask(reinterpret_cast<lanes::i32>(x), lanes::i16{}, lanes::all16));
}
PREFOPT_INTRINSIC __m512 _mm512_cvtepi32_ps(__m512i x) {
    return __builtin_ia32_cvtdq2ps512_mask(reinterpret_cast<lanes::i32>(x), __m512{}, lanes::all16,
                                           _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512i _mm512_cvttps_epi32(__m512 x) {
    return reinterpret_cast<__m512i>(
        __builtin_ia32_cvttps2dq512_mask(x, lanes::i32{}, lanes::all16, _MM_FROUND_CUR_DIRECTION));
}
PREFOPT_INTRINSIC __m512d _mm512_cvtepi64_pd(__m512i x) {
    return __builtin_ia32_cvtqq2pd512_mask(reinterpret_cast<lanes::i64>(x), __m512d{}, lanes::all8,
                                           _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512d _mm512_cvtps_pd(__m256 x) {
    return __builtin_ia32_cvtps2pd512_mask(x, __m512d{}, lanes::all8, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m256 _mm512_cvtpd_ps(__m512d x) {
    return __builtin_ia32_cvtpd2ps512_mask(x, __m256{}, lanes::all8, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m256 _mm512_cvt_roundpd_ps(__m512d x, int how) {
    return __builtin_ia32_cvtpd2ps512_mask(x, __m256{}, lanes::all8, how);
}
PREFOPT_INTRINSIC __m512 _mm512_cvtph_ps(__m256i x) {
    return __builtin_ia32_vcvtph2ps512_mask(reinterpret_cast<lanes::i16>(x), __m512{}, lanes::all16,
                                            _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m256i _mm512_cvtps_ph(__m512 x, int how) {
    return reinterpret_cast<__m256i>(
        __builtin_ia32_vcvtps2ph512_mask(x, how, lanes::i16{}, lanes::all16));
}

PREFOPT_INTRINSIC __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
    return __builtin_ia32_vfmaddps512_mask(a, b, c, lanes::all16, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512 _mm512_max_ps(__m512 a, __m512 b) {
    return __builtin_ia32_maxps512_mask(a, b, __m512{}, lanes::all16, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512 _mm512_scalef_ps(__m512 a, __m512 b) {
    return __builtin_ia32_scalefps512_mask(a, b, __m512{}, lanes::all16, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512 _mm512_roundscale_ps(__m512 x, int how) {
    return __builtin_ia32_rndscaleps_mask(x, how, __m512{}, lanes::all16, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512 _mm512_reduce_ps(__m512 x, int how) {
    return __builtin_ia32_reduceps512_mask(x, how, __m512{}, lanes::all16);
}
PREFOPT_INTRINSIC __m512 _mm512_abs_ps(__m512 x) {
    return _mm512_castsi512_ps(_mm512_castps_si512(x) & _mm512_set1_epi32(0x7fffffff));
}
PREFOPT_INTRINSIC __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int how) {
    return static_cast<__mmask16>(
        __builtin_ia32_cmpps512_mask(a, b, how, -1, _MM_FROUND_CUR_DIRECTION));
}
PREFOPT_INTRINSIC __mmask16 _mm512_fpclass_ps_mask(__m512 x, int classes) {
    return static_cast<__mmask16>(__builtin_ia32_fpclassps512_mask(x, classes, lanes::all16));
}
PREFOPT_INTRINSIC __m512 _mm512_mask_blend_ps(__mmask16 m, __m512 no, __m512 yes) {
    return __builtin_ia32_blendmps_512_mask(no, yes, m);
}
PREFOPT_INTRINSIC __m512d _mm512_fmadd_pd(__m512d a, __m512d b, __m512d c) {
    return __builtin_ia32_vfmaddpd512_mask(a, b, c, lanes::all8, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512d _mm512_max_pd(__m512d a, __m512d b) {
    return __builtin_ia32_maxpd512_mask(a, b, __m512d{}, lanes::all8, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512d _mm512_scalef_pd(__m512d a, __m512d b) {
    return __builtin_ia32_scalefpd512_mask(a, b, __m512d{}, lanes::all8, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512d _mm512_roundscale_pd(__m512d x, int how) {
    return __builtin_ia32_rndscalepd_mask(x, how, __m512d{}, lanes::all8, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __m512d _mm512_reduce_pd(__m512d x, int how) {
    return __builtin_ia32_reducepd512_mask(x, how, __m512d{}, lanes::all8);
}
PREFOPT_INTRINSIC __m512d _mm512_abs_pd(__m512d x) {
    return _mm512_castsi512_pd(_mm512_castpd_si512(x) & _mm512_set1_epi64(0x7fffffffffffffff));
}
PREFOPT_INTRINSIC __m512d _mm512_xor_pd(__m512d a, __m512d b) {
    return __builtin_ia32_xorpd512_mask(a, b, __m512d{}, lanes::all8);
}
PREFOPT_INTRINSIC __m512d _mm512_mask_add_pd(__m512d no, __mmask8 m, __m512d a, __m512d b) {
    return __builtin_ia32_addpd512_mask(a, b, no, m, _MM_FROUND_CUR_DIRECTION);
}
PREFOPT_INTRINSIC __mmask8 _mm512_cmp_pd_mask(__m512d a, __m512d b, int how) {
    return static_cast<__mmask8>(
        __builtin_ia32_cmppd512_mask(a, b, how, -1, _MM_FROUND_CUR_DIRECTION));
}
PREFOPT_INTRINSIC __mmask8 _mm512_fpclass_pd_mask(__m512d x, int classes) {
    return static_cast<__mmask8>(__builtin_ia32_fpclasspd512_mask(x, classes, lanes::all8));
}
PREFOPT_INTRINSIC __m512d _mm512_mask_blend_pd(__mmask8 m, __m512d no, __m512d yes) {
    return __builtin_ia32_blendmpd_512_mask(no, yes, m);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail::avx512
PREFOPT_REGION_TARGET_END
PREFOPT_REGION_END

#endif
