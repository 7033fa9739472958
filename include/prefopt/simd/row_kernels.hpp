// SPDX-License-Identifier: Apache-2.0
//
// The sum of exponentials of one row of logits, block by block: the kernels of every instruction
// set, and what is done with a block's sum, which is the same for all.

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <prefopt/core/config.hpp>
#include <prefopt/math/libm.hpp>
#include <prefopt/simd/constants.hpp>
#include <prefopt/simd/ops.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

inline constexpr std::ptrdiff_t group = lane_count;  // elements that fill every lane once
inline constexpr std::ptrdiff_t row_block = 32 * lane_count;

/// One row of logits.
template <class S>
struct logits_row {
    const S* data = nullptr;
    std::ptrdiff_t stride = 1;
    std::ptrdiff_t vocab = 0;
    std::ptrdiff_t skip = -1;  ///< the label, which is left out; -1: none
};

/// sum of exponentials = sum * 2^exponent, the exponent an integer.
struct base2_sum {
    double sum = 0;
    double exponent = 0;
    bool referenced = false;  ///< whether the exponent has been chosen
};

/// Above this the integers around a logit times log2(e) are not all floats: the scalar kernel's.
inline constexpr double largest_vector_logit = 1e7;

/// The exponent for a maximum: 2^k is the power of two nearest to its exponential.
inline double reference_of(double maximum) noexcept {
    return libm::nearbyint(maximum * log2e<double>);
}

/// factor * 2^(x log2(e) - k) as digits * 2^(x log2(e) + minus_k): the factor's power of two goes
/// to the reference, its digits (at least 1, below 2) into the coefficients of the exponential.
template <class T>
struct row_scale {
    T minus_k = 0;
    T digits = 0;
    T lost = 0;   ///< what rounding took from the digits, as a logit times log2e_rest
    T least = 0;  ///< logits below this give 0, subnormals and all

    row_scale() = default;
    /// For an ordinary factor: no zero, no subnormal, nothing that is not finite.
    row_scale(double k, double factor) noexcept {
        constexpr std::uint64_t one = 0x3ff0000000000000;
        constexpr std::uint64_t exponents = 0x7ff0000000000000;
        const auto bits = std::bit_cast<std::uint64_t>(factor);
        const double power = static_cast<double>((bits & exponents) >> 52) - 1023.0;
        const double steps = std::is_same_v<T, double> ? 1100.0 : 160.0;
        minus_k = static_cast<T>(power - k);
        least = static_cast<T>((k - power - steps) * 0.6931471805599453);
        const auto exact = std::bit_cast<double>((bits & ~exponents) | one);
        digits = static_cast<T>(exact);
        const double rest = exact / static_cast<double>(digits) - 1;
        lost = static_cast<T>(rest * log2e<double> / static_cast<double>(log2e_rest<T>));
    }

    /// Of number i of 2^f.
    [[nodiscard]] T coefficient(std::size_t i) const noexcept {
        return exp2_coefficients<T>[i] * digits;
    }
};

}  // namespace prefopt::inline PREFOPT_ABI::detail

#define PREFOPT_KERNELS <prefopt/simd/row_kernels.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

namespace prefopt::inline PREFOPT_ABI::detail {

/// Adds one block to a row's sum: sum(k) is the block's at reference k, maximum() its maximum.
/// False where a logit is NaN, +infinity or of absurd size.
template <class Sum, class Maximum>
bool add_block(base2_sum& r, const Sum& sum, const Maximum& maximum) {
    // A block of terms up to 2 stays below this; one that passes it has a term far above the
    // reference, whose t would be large and therefore coarse.
    constexpr double limit = 2.0 * static_cast<double>(row_block);
    if (r.referenced) {
        const double terms = sum(r.exponent);
        if (magnitude_bits(terms) < magnitude_bits(limit)) {
            r.sum += terms;
            return true;
        }
    }
    const double top = maximum();
    if (is_infinite(top) && top < 0) return is_finite(sum(0.0));  // nothing, or a NaN
    if (!(magnitude_bits(top) < magnitude_bits(largest_vector_logit))) return false;
    const double k = reference_of(top);
    if (r.referenced) r.sum *= libm::exp2(r.exponent - k);
    r.exponent = k;
    r.referenced = true;
    const double terms = sum(k);
    r.sum += terms;
    return is_finite(terms);
}

/// What log2(e) lost by rounding to T shifts every term by its logit: nearly alike.
template <class T>
void restore_base(base2_sum& r) {
    r.sum *= libm::exp2(r.exponent / log2e<double> * static_cast<double>(log2e_rest<T>));
}

/// block_sum and block_maximum of a set of vectors.
template <class S>
PREFOPT_NOINLINE double block_sum(instruction_set set, const logits_row<S>& row,
                                  std::ptrdiff_t first, std::ptrdiff_t last, double k) {
    return with_set(
        set, [&](auto level) { return block_sum(level, row, first, last, k); }, [] { return 0.0; });
}
template <class S>
PREFOPT_NOINLINE double block_maximum(instruction_set set, const logits_row<S>& row,
                                      std::ptrdiff_t first, std::ptrdiff_t last) {
    return with_set(
        set, [&](auto level) { return block_maximum(level, row, first, last); },
        [] { return 0.0; });
}

/// The sum of exponentials of a row without the label. False where a logit is NaN, +infinity or of
/// absurd size, and where there are no vectors: the scalar code knows what to do with those.
template <class S>
bool sum_of_exponentials(instruction_set set, const logits_row<S>& row, base2_sum& r) {
    r = {};
    if (set == instruction_set::scalar) return false;
    for (std::ptrdiff_t first = 0; first < row.vocab; first += row_block) {
        const std::ptrdiff_t last = row.vocab - first < row_block ? row.vocab : first + row_block;
        const bool done = add_block(
            r, [&](double k) { return block_sum(set, row, first, last, k); },
            [&] { return block_maximum(set, row, first, last); });
        if (!done) return false;
    }
    restore_base<compute_t<S>>(r);
    return true;
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
