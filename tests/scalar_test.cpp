// SPDX-License-Identifier: Apache-2.0
//
// bf16 and fp16: all 65536 patterns come back from float as they went, and a float becomes the
// nearest of them, ties to even, which is found here by comparing exact distances in a table of
// every value; overflow, subnormals, signed zeros and NaN; and memory is rounded once on store.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <prefopt/core/scalar.hpp>

#include "support/catch.hpp"

namespace {

using namespace prefopt;

template <class S>
struct format;
template <>
struct format<bf16> {
    static constexpr int mantissa = 7, bias = 127;
};
template <>
struct format<fp16> {
    static constexpr int mantissa = 10, bias = 15;
};

/// The value of a pattern of a format, exact in double. Infinity stands where the next power of two
/// would: that is how far away it is for rounding.
double value_of(std::uint32_t pattern, int mantissa, int bias) {
    const auto exponent = static_cast<int>(pattern >> mantissa);
    const auto fraction = static_cast<double>(pattern & ((1U << mantissa) - 1U));
    const double one = exponent == 0 ? 0 : std::ldexp(1.0, mantissa);
    return std::ldexp(one + fraction, (exponent == 0 ? 1 : exponent) - bias - mantissa);
}

/// All values of a format from 0 to infinity; the index is the pattern.
template <class S>
const std::vector<double>& ladder() {
    static const std::vector<double> values = [] {
        std::vector<double> v;
        const std::uint32_t infinite = static_cast<std::uint32_t>(2 * format<S>::bias + 1)
                                       << format<S>::mantissa;
        for (std::uint32_t pattern = 0; pattern <= infinite; ++pattern)
            v.push_back(value_of(pattern, format<S>::mantissa, format<S>::bias));
        return v;
    }();
    return values;
}

/// The pattern nearest to x >= 0, ties to the even pattern.
template <class S>
std::uint32_t nearest(double x) {
    const auto& values = ladder<S>();
    const auto above = std::lower_bound(values.begin(), values.end(), x);
    if (above == values.end()) return static_cast<std::uint32_t>(values.size() - 1);
    const auto high = static_cast<std::uint32_t>(above - values.begin());
    if (*above == x || high == 0) return high;
    const double to_low = x - values[high - 1], to_high = values[high] - x;  // exact
    if (to_low != to_high) return to_low < to_high ? high - 1 : high;
    return high % 2 == 0 ? high : high - 1;
}

/// What S should become of the float with these bits (not NaN).
template <class S>
std::uint32_t expected(std::uint32_t bits) {
    const std::uint32_t sign = (bits >> 16) & 0x8000U;
    return sign | nearest<S>(value_of(bits & 0x7fffffffU, 23, 127));
}

template <class S>
std::uint32_t rounded(std::uint32_t bits) {
    return S(std::bit_cast<float>(bits)).bits;
}

template <class S>
constexpr std::uint32_t infinity_pattern = static_cast<std::uint32_t>(2 * format<S>::bias + 1)
                                           << format<S>::mantissa;

}  // namespace

TEMPLATE_TEST_CASE("scalar: every 16-bit pattern survives a trip through float", "[core]", bf16,
                   fp16) {
    using S = TestType;
    int changed = 0, wrong_value = 0, nan = 0, lost_nan = 0;
    for (std::uint32_t pattern = 0; pattern < 0x10000U; ++pattern) {
        S x;
        x.bits = static_cast<std::uint16_t>(pattern);
        const auto wide = static_cast<float>(x);
        const std::uint32_t magnitude = pattern & 0x7fffU;
        if (magnitude > infinity_pattern<S>) {
            ++nan;
            const S back(wide);
            lost_nan += !is_nan(wide) || (back.bits & 0x7fffU) <= infinity_pattern<S>;
            continue;
        }
        changed += S(wide).bits != pattern;
        const auto bits = std::bit_cast<std::uint32_t>(wide);
        if (magnitude == infinity_pattern<S>)
            wrong_value += !is_infinite(wide);
        else
            wrong_value += value_of(bits & 0x7fffffffU, 23, 127) != ladder<S>()[magnitude];
        wrong_value += (bits >> 31) != (pattern >> 15);
    }
    CHECK(changed == 0);
    CHECK(wrong_value == 0);
    CHECK(lost_nan == 0);
    CHECK(nan == 2 * ((1 << format<S>::mantissa) - 1));
}

TEMPLATE_TEST_CASE("scalar: a float becomes the nearest, ties to even", "[core]", bf16, fp16) {
    using S = TestType;
    int wrong = 0, ties = 0, overflow = 0, tiny = 0, points = 0;
    std::uint32_t first_wrong = 0;
    const auto visit = [&](std::uint32_t bits) {
        if ((bits & 0x7fffffffU) > 0x7f800000U) return;
        const std::uint32_t want = expected<S>(bits);
        ++points;
        overflow += (want & 0x7fffU) == infinity_pattern<S>;
        tiny += (want & 0x7fffU) < (1U << format<S>::mantissa);
        if (rounded<S>(bits) == want) return;
        if (wrong++ == 0) first_wrong = bits;
    };
    // Around every value and every midpoint of two neighbours, on both sides, both signs.
    const auto& values = ladder<S>();
    for (std::size_t i = 0; i + 1 < values.size(); ++i)
        for (const double x : {values[i], (values[i] + values[i + 1]) / 2}) {
            // The bits of x as a float, without rounding through a flushed subnormal.
            int e = 0;
            const double m = std::frexp(x, &e);  // m has its leading one: it counts as exponent 1
            const std::uint32_t bits = x == 0 ? 0U
                                       : e > -126
                                           ? (static_cast<std::uint32_t>(e + 125) << 23) +
                                                 static_cast<std::uint32_t>(std::ldexp(m, 24))
                                           : static_cast<std::uint32_t>(std::ldexp(x, 149));
            ties += x != values[i] && value_of(bits, 23, 127) == x;
            for (const std::uint32_t near : {bits - (bits > 0), bits, bits + 1})
                for (const std::uint32_t sign : {0U, 0x80000000U}) visit(near | sign);
        }
    std::mt19937_64 random(21);
    for (int i = 0; i < 200000; ++i) visit(static_cast<std::uint32_t>(random()));
    for (const std::uint32_t bits : {0U, 1U, 0x7f7fffffU, 0x7f800000U, 0x477fefffU, 0x477ff000U,
                                     0x33000000U, 0x33000001U, 0x38800000U, 0x387fffffU})
        visit(bits);
    CAPTURE(first_wrong);
    CHECK(wrong == 0);
    CHECK(points > 500000);
    CHECK(ties > 30000);
    CHECK(overflow >= 8);
    CHECK(tiny > 1000);
}

TEMPLATE_TEST_CASE("scalar: NaN stays NaN, whatever its payload", "[core]", bf16, fp16) {
    using S = TestType;
    std::mt19937_64 random(22);
    int lost = 0;
    for (int i = 0; i < 20000; ++i) {
        const auto payload =
            static_cast<std::uint32_t>(i < 23 ? 1U << i : 1 + random() % 0x7fffffU);
        for (const std::uint32_t sign : {0U, 0x80000000U})
            lost += (rounded<S>(sign | 0x7f800000U | payload) & 0x7fffU) <= infinity_pattern<S>;
    }
    CHECK(lost == 0);
    CHECK(rounded<S>(0x80000000U) == 0x8000U);  // the sign of zero
    CHECK(S(0.0F) == S(-0.0F));
}

TEMPLATE_TEST_CASE("scalar: a double is rounded once on its way to 16 bits", "[core]", bf16, fp16) {
    using S = TestType;
    // A hair beside the midpoint of two 16-bit values: rounded to float first, it would become
    // the midpoint itself and then go to the even side, which may be the wrong one.
    const auto& values = ladder<S>();
    int wrong = 0, points = 0;
    for (std::size_t i = 1; i + 1 < values.size(); i += 7) {
        const double middle = (values[i] + values[i + 1]) / 2;
#ifdef __FAST_MATH__
        if (middle < 0x1p-126) continue;  // a float that small is flushed on the way
#endif
        for (const double x : {middle, middle * (1 + 0x1p-40), middle * (1 - 0x1p-40)}) {
            S stored;
            detail::store(&stored, x);
            wrong += stored.bits != nearest<S>(x);
            ++points;
        }
    }
    CAPTURE(wrong, points);
    CHECK(points > 10000);
    CHECK(wrong == 0);
}
