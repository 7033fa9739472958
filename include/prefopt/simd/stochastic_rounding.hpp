// SPDX-License-Identifier: Apache-2.0
//
// Stochastic rounding to 16 bits: up or down at random, so that the mean is the number itself.
// With rounding to nearest, a bf16 weight never takes a step below half its spacing (0.2 % of
// itself); with this it takes the whole spacing as often as it must.
//
// The random bits are a hash of (seed, version, tensor, element): no state, and the same bits for
// any threads, any order, any memory layout and any instruction set. A 64-bit mixer makes a key of
// the first three and of the element's number above bit 31; per element there are three
// multiply-xorshift rounds of 32 bits with that key in two places. Multipliers and shifts are those
// of the permutation of three rounds that Chris Wellons' search (hash-prospector) found to have the
// least avalanche bias; the tests measure what is made of it here. Not for cryptography.

#pragma once

#include <bit>
#include <cstdint>
#include <initializer_list>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// How a result becomes 16 bits: to the nearest, ties to even; or to one of the two neighbours, the
/// upper one with probability (x - lower) / (upper - lower).
enum class rounding : std::uint8_t { nearest, stochastic };

namespace detail {

/// What the random bits of 2^32 elements have in common.
struct random_key {
    std::uint32_t first = 0;
    std::uint32_t second = 0;
};

/// A permutation of 64 bits that leaves no pattern (the finaliser of SplitMix64).
constexpr std::uint64_t scrambled(std::uint64_t x) noexcept {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

constexpr random_key make_random_key(std::uint64_t seed, std::uint64_t version,
                                     std::uint64_t tensor, std::uint64_t high_word) noexcept {
    std::uint64_t h = 0;
    for (const std::uint64_t part : {seed, version, tensor, high_word})
        h = scrambled((h ^ part) + 0x9e3779b97f4a7c15U);
    return {static_cast<std::uint32_t>(h), static_cast<std::uint32_t>(h >> 32)};
}

/// 32 bits for one element, of which the upper 18 are random; the vectors' is in
/// update_kernels.inc.
constexpr std::uint32_t random_bits(random_key key, std::uint32_t index) noexcept {
    std::uint32_t x = index + key.first;
    x = (x ^ (x >> 17)) * 0xed5ad4bbU;
    x = x ^ (x >> 11) ^ key.second;
    x = x * 0xac4c1b51U;
    return (x ^ (x >> 15)) * 0x31848babU;  // their last step, x ^ (x >> 14), is of low bits only
}

/// Where a float is cut to become an S, in bits of the float.
template <class S>
struct cut;
template <>
struct cut<bf16> {
    static constexpr int length = 16;                      ///< bits that go
    static constexpr std::uint32_t largest = 0x7f7f0000U;  ///< the largest finite S
    static constexpr std::uint32_t least_normal = 0;       ///< below: counted in 2^-24
};
template <>
struct cut<fp16> {
    static constexpr int length = 13;
    static constexpr std::uint32_t largest = 0x477fe000U;
    static constexpr std::uint32_t least_normal = 0x38800000U;
};

/// x rounded stochastically to a value that S holds exactly. NaN, infinity and what lies beyond the
/// largest finite S, where there is no upper neighbour, are left to rounding to nearest; the sign
/// stays, of zero too. Random bits count as they are needed: 16 for bf16, which decides exactly; 13
/// for fp16, exactly too; 18 for its subnormals.
template <class S>
constexpr float round_stochastically(float x, std::uint32_t random) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    if (magnitude >= cut<S>::largest) return x;
    if (magnitude < cut<S>::least_normal) {
        const float scaled = std::bit_cast<float>(magnitude) * 0x1p42F;  // < 2^28
        const std::uint32_t steps = (static_cast<std::uint32_t>(scaled) + (random >> 14)) >> 18;
        const float rounded = static_cast<float>(steps) * 0x1p-24F;
        return std::bit_cast<float>(std::bit_cast<std::uint32_t>(rounded) | (bits ^ magnitude));
    }
    constexpr std::uint32_t gone = (1U << cut<S>::length) - 1;
    return std::bit_cast<float>((bits + (random >> (32 - cut<S>::length))) & ~gone);
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
