// SPDX-License-Identifier: Apache-2.0
//
// Proves the kernels of the trust-region update: every instruction set, memory layout and executor
// gives the bits of the scalar code, in every pair of types, with every special value in every
// lane; and that stochastic rounding is fair, leaves exact values alone and repeats no pattern.
// (The formula itself is held against quad precision in trust_region_test.cpp.)

#define PREFOPT_GENERIC_SIMD  // before the first header: every set that can be compiled

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <prefopt/trust_region.hpp>

#include "support/catch.hpp"
#include "support/guarded.hpp"
#include "support/mixes.hpp"
#include "support/sets.hpp"

namespace {

using prefopt::bf16;
using prefopt::fp16;
using prefopt::instruction_set;
using prefopt::rounding;

template <class T>
T make(double x) {
    T t{};
    prefopt::detail::store(&t, x);
    return t;
}
template <class T>
double value_of(const T& x) {
    return static_cast<double>(prefopt::detail::load(&x));
}
template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

/// Zeros, subnormals, ends, infinities; NaN quiet and signalling, with a payload.
template <class T>
std::vector<T> specials() {
    using bits =
        std::conditional_t<sizeof(T) == 8, std::uint64_t,
                           std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>>;
    const bits infinity = std::bit_cast<bits>(make<T>(std::numeric_limits<double>::infinity()));
    const bits sign = static_cast<bits>(bits{1} << (8 * sizeof(T) - 1));
    const bits one = std::bit_cast<bits>(make<T>(1));
    const bits unit = infinity & static_cast<bits>(~infinity + 1);  // the least normal
    std::vector<T> all;
    for (const bits b : {bits{0}, bits{1}, static_cast<bits>(unit - 1), unit,
                         static_cast<bits>(one + 3), static_cast<bits>(infinity - 1), infinity,
                         static_cast<bits>(infinity + 5),                // signalling
                         static_cast<bits>(infinity + unit / 2 + 9)}) {  // quiet
        all.push_back(std::bit_cast<T>(b));
        all.push_back(std::bit_cast<T>(static_cast<bits>(b | sign)));
    }
    return all;
}

prefopt::tr_dpo moving(double alpha, rounding to = rounding::nearest, std::uint64_t seed = 7) {
    return {.update = prefopt::soft_update({.alpha = alpha, .rounding = to, .seed = seed})};
}

/// Random numbers, many near each other, many equal.
template <class P, class R>
void fill(std::mt19937_64& random, std::span<P> policy, std::span<R> reference) {
    std::normal_distribution<double> normal(0, 3);
    for (std::size_t i = 0; i < policy.size(); ++i) {
        const double r = normal(random) * std::ldexp(1.0, static_cast<int>(random() % 40) - 20);
        reference[i] = make<R>(r);
        policy[i] = make<P>(random() % 3 == 0 ? normal(random) : r * (1 + 0.01 * normal(random)));
        if (random() % 8 == 0) policy[i] = make<P>(value_of(reference[i]));
    }
}

// -ffast-math: the scalar code may be reordered by the compiler, the vectors not.
#ifdef __FAST_MATH__
const auto first_exact = prefopt::has_instruction_set(instruction_set::generic)
                             ? instruction_set::generic
                             : instruction_set::avx2;
#else
constexpr auto first_exact = instruction_set::scalar;
#endif

}  // namespace

TEMPLATE_LIST_TEST_CASE("every instruction set moves a reference to the same bits", "[update]",
                        test::mixes) {
    using P = typename TestType::policy;
    using R = typename TestType::reference;
    std::mt19937_64 random(3);
    const auto agree = [](const std::vector<P>& policy, const std::vector<R>& start) {
        for (const auto to : {rounding::nearest, rounding::stochastic})
            for (const double alpha : {0.005, 0.6, 1.0}) {
                std::vector<R> expected;
                for (const auto set : test::instruction_sets()) {
                    if (set < first_exact) continue;
                    const test::forced here(set);
                    std::vector<R> reference = start;
                    moving(alpha, to).step(policy, reference);
                    if (set == first_exact) expected = reference;
                    CAPTURE(to_string(set), alpha, to == rounding::stochastic);
                    CHECK(same_bytes(reference, expected));
                }
            }
    };
    SECTION("of random numbers") {
        std::vector<P> policy(4099);
        std::vector<R> reference(4099);
        fill<P, R>(random, policy, reference);
        agree(policy, reference);
    }
    SECTION("with every pair of special values, in every lane") {
        const auto ps = specials<P>();
        const auto rs = specials<R>();
        for (std::size_t lane = 0; lane < 16; ++lane) {  // one pair a vector, then all together
            std::vector<P> policy(ps.size() * rs.size() * 16, make<P>(1.5));
            std::vector<R> reference(policy.size(), make<R>(-0.7));
            for (std::size_t i = 0; i < policy.size() / 16; ++i) {
                policy[16 * i + lane] = ps[i % ps.size()];
                reference[16 * i + lane] = rs[i / ps.size()];
            }
            agree(policy, reference);
        }
        std::vector<P> policy;
        std::vector<R> reference;
        for (const P& p : ps)
            for (const R& r : rs) {
                policy.push_back(p);
                reference.push_back(r);
            }
        agree(policy, reference);
    }
    SECTION("and touches no byte beside it, whatever its length") {
        const test::guarded_memory p_memory(1);
        const test::guarded_memory r_memory(1);
        for (std::size_t n = 1; n <= 67; ++n) {
            std::vector<P> policy(n);
            std::vector<R> reference(n);
            fill<P, R>(random, policy, reference);
            const std::vector<R> start = reference;
            auto loss = moving(0.3, rounding::stochastic);
            loss.step(policy, reference);
            for (const auto set : test::instruction_sets()) {
                if (set < first_exact) continue;
                const test::forced here(set);
                for (const bool at_end : {false, true}) {
                    P* p = at_end ? p_memory.at_end<P>(n) : p_memory.at_begin<P>();
                    R* r = at_end ? r_memory.at_end<R>(n) : r_memory.at_begin<R>();
                    std::memcpy(p, policy.data(), n * sizeof(P));
                    std::memcpy(r, start.data(), n * sizeof(R));
                    moving(0.3, rounding::stochastic)
                        .step(prefopt::view{p, {n}}, prefopt::view{r, {n}});
                    CHECK(std::memcmp(r, reference.data(), n * sizeof(R)) == 0);
                }
            }
        }
    }
}

TEMPLATE_TEST_CASE("memory layout changes no bit", "[update]", float, bf16, fp16) {
    constexpr std::array<std::ptrdiff_t, 3> shape{5, 37, 19};
    constexpr std::size_t n = 5 * 37 * 19;
    std::mt19937_64 random(4);
    std::vector<float> policy(n);
    std::vector<TestType> start(n);
    fill<float, TestType>(random, policy, start);
    for (const auto to : {rounding::nearest, rounding::stochastic}) {
        std::vector<TestType> expected = start;
        moving(0.3, to).step(policy, expected);
        const auto check = [&](const std::array<std::ptrdiff_t, 3>& ps,
                               const std::array<std::ptrdiff_t, 3>& rs) {
            const auto at = [&](const auto& strides, std::size_t i) {
                const std::array<std::ptrdiff_t, 3> index{
                    static_cast<std::ptrdiff_t>(i) / (37 * 19),
                    static_cast<std::ptrdiff_t>(i) / 19 % 37, static_cast<std::ptrdiff_t>(i) % 19};
                std::ptrdiff_t offset = 0;
                for (std::size_t k = 0; k < 3; ++k)
                    offset += strides[k] < 0 ? -strides[k] * (shape[k] - 1 - index[k])
                                             : strides[k] * index[k];
                return static_cast<std::size_t>(offset);
            };
            const auto base = [&](const auto& strides) {
                std::ptrdiff_t offset = 0;
                for (std::size_t k = 0; k < 3; ++k)
                    if (strides[k] < 0) offset -= strides[k] * (shape[k] - 1);
                return offset;
            };
            std::vector<float> p(4 * n, 99.0F);
            std::vector<TestType> r(4 * n, make<TestType>(77));
            for (std::size_t i = 0; i < n; ++i) {
                p[at(ps, i)] = policy[i];
                r[at(rs, i)] = start[i];
            }
            REQUIRE(
                moving(0.3, to).step(prefopt::view<const float, 3>(p.data() + base(ps), shape, ps),
                                     prefopt::view<TestType, 3>(r.data() + base(rs), shape, rs)));
            std::vector<TestType> got(n);
            for (std::size_t i = 0; i < n; ++i)
                got[i] = std::exchange(r[at(rs, i)], make<TestType>(77));
            CHECK(same_bytes(got, expected));
            CHECK(same_bytes(r, std::vector<TestType>(4 * n, make<TestType>(77))));  // the gaps
        };
        const std::array<std::ptrdiff_t, 3> rows{703, 19, 1};
        const std::array<std::ptrdiff_t, 3> columns{1, 5, 185};
        const std::array<std::ptrdiff_t, 3> middle{37, 1, 185};
        const std::array<std::ptrdiff_t, 3> padded{888, 24, 1};
        const std::array<std::ptrdiff_t, 3> gaps{2109, 57, 3};
        const std::array<std::ptrdiff_t, 3> backwards{-703, 19, -1};
        for (const auto& ps : {rows, columns, middle, padded, gaps, backwards})
            for (const auto& rs : {rows, columns, middle, padded, gaps, backwards}) check(ps, rs);
    }
}

TEST_CASE("axes that continue each other are one run", "[update]") {
    const auto rank = [](std::array<std::ptrdiff_t, 3> shape, std::array<std::ptrdiff_t, 3> ps,
                         std::array<std::ptrdiff_t, 3> rs, bool numbered = false) {
        prefopt::detail::operand p;
        p.extents = prefopt::detail::shape_of(shape);
        prefopt::detail::operand r = p;
        std::copy(ps.begin(), ps.end(), p.strides.begin());
        std::copy(rs.begin(), rs.end(), r.strides.begin());
        const prefopt::detail::nested_loops loops(p, r, numbered);
        return std::pair(loops.rank, loops.axes[loops.rank - 1].n);
    };
    using result = std::pair<std::size_t, std::ptrdiff_t>;
    CHECK(rank({9, 1000, 8}, {8000, 8, 1}, {8000, 8, 1}) == result(1, 72000));
    CHECK(rank({9, 1000, 8}, {8000, 8, 1}, {8000, 8, 1}, true) == result(1, 72000));
    CHECK(rank({9, 1000, 8}, {1, 9, 9000}, {1, 9, 9000}) == result(1, 72000));
    CHECK(rank({9, 1000, 8}, {1, 9, 9000}, {1, 9, 9000}, true) == result(3, 9));
    CHECK(rank({9, 1000, 8}, {8000, 8, 1}, {9000, 9, 1}) == result(2, 8));
    CHECK(rank({9, 1000, 8}, {9000, 8, 1}, {9000, 8, 1}) == result(2, 8000));
    CHECK(rank({9, 1, 8}, {8, 777, 1}, {8, -5, 1}) == result(1, 72));
    CHECK(rank({1, 1, 1}, {3, 4, 5}, {6, 7, 8}, true) == result(1, 1));
}

namespace {

/// Ranges from the back.
struct backwards {
    void operator()(std::ptrdiff_t n, const prefopt::range_task& f) const {
        for (std::ptrdiff_t i = n; i-- > 0;) f(i, i + 1);
    }
};
/// Ranges of random lengths, some of them empty, in random order.
struct shuffled {
    std::mt19937_64& random;
    void operator()(std::ptrdiff_t n, const prefopt::range_task& f) const {
        std::vector<std::ptrdiff_t> cuts{0, n, n};
        for (int i = 0; i < 20; ++i)
            cuts.push_back(static_cast<std::ptrdiff_t>(random() % static_cast<std::uint64_t>(n)));
        std::sort(cuts.begin(), cuts.end());
        std::vector<std::size_t> order(cuts.size() - 1);
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::shuffle(order.begin(), order.end(), random);
        for (const std::size_t i : order) f(cuts[i], cuts[i + 1]);
    }
};
struct threads {
    int count;
    void operator()(std::ptrdiff_t n, const prefopt::range_task& f) const {
        std::vector<std::thread> all;
        for (int i = 0; i < count; ++i)
            all.emplace_back([=, count = count] { f(n * i / count, n * (i + 1) / count); });
        for (auto& t : all) t.join();
    }
};

}  // namespace

TEMPLATE_TEST_CASE("executors change no bit", "[update]", float, bf16) {
    std::mt19937_64 random(5);
    std::vector<std::vector<float>> policy;
    std::vector<std::vector<TestType>> start;
    for (const std::size_t n :
         std::array<std::size_t, 12>{1, 0, 63, 64, 65, 0, 40000, 1, 1, 5000, 130, 0}) {
        policy.emplace_back(n);
        start.emplace_back(n);
        fill<float, TestType>(random, policy.back(), start.back());
    }
    const auto after = [&](prefopt::executor e) {
        auto reference = start;
        auto loss = moving(0.3, rounding::stochastic);
        for (int i = 0; i < 3; ++i) REQUIRE(loss.step(policy, reference, {.executor = e}));
        return reference;
    };
    const auto expected = after({});
    const auto same = [&](const auto& got) {
        for (std::size_t i = 0; i < got.size(); ++i)
            if (!same_bytes(got[i], expected[i])) return false;
        return true;
    };
    for (std::size_t i = 0; i < start.size(); ++i)  // and every tensor did move
        CHECK((start[i].empty() || !same_bytes(start[i], expected[i]) || start[i].size() == 1));
    CHECK(same(after(backwards{})));
    for (int i = 0; i < 20; ++i) CHECK(same(after(shuffled{random})));
    for (const int n : {1, 2, 3, 7}) CHECK(same(after(threads{n})));
}

namespace {

/// The two values of S around x, x itself twice where S holds it; found by trial, not by bits.
template <class S>
std::pair<double, double> neighbours(double x) {
    double low = -1e300;
    double high = 1e300;
    for (std::uint32_t b = 0; b < 0x10000; ++b) {
        const double v = value_of(std::bit_cast<S>(static_cast<std::uint16_t>(b)));
        if (!prefopt::is_finite(v)) continue;  // -ffast-math compares as if it were
        if (v <= x && v > low) low = v;
        if (v >= x && v < high) high = v;
    }
    return {low, high};
}

/// n stochastic roundings of one number.
template <class S>
std::vector<S> roundings(double x, std::size_t n, std::uint64_t seed, std::uint64_t version = 0) {
    const std::vector<float> policy(n, static_cast<float>(x));
    std::vector<S> reference(n, make<S>(0.125));
    auto loss = moving(1.0, rounding::stochastic, seed);
    loss.state.version = version;
    loss.step(policy, reference);
    return reference;
}

/// Whether `count` of n fair coins is within five standard errors.
bool fair(std::size_t count, std::size_t n, double p = 0.5) {
    const auto mean = static_cast<double>(n) * p;
    return std::fabs(static_cast<double>(count) - mean) <= 5 * std::sqrt(mean * (1 - p)) + 1e-9;
}

}  // namespace

TEMPLATE_TEST_CASE("a stochastic rounding is one of two neighbours, and fair", "[update]", bf16,
                   fp16) {
    constexpr std::size_t n = 40000;
    const bool half = std::is_same_v<TestType, fp16>;
    std::vector<double> numbers{1.0 + 0x1p-12, 1.0 + 0x1p-20, 3.14159, -2.71828,  1e-3,   -1.9999,
                                0x1p-14 * 1.3, 0.1,           65000.5, -0x1p-126, 0.99999};
    if (half)
        for (const double x : {0x1.8p-15, -0x1.23456p-16, 0x1.8p-24, 0x1p-25, -0x1p-27, 0x1p-40})
            numbers.push_back(x);
    else
        for (const double x : {0x1.8p-132, -0x1.23456p-128, 0x1.8p-133, 0x1p-134, 3e38, 0x1p-149})
            numbers.push_back(x);
    for (const double number : numbers) {
        const auto x = static_cast<double>(static_cast<float>(number));
        CAPTURE(x);
        const auto [low, high] = neighbours<TestType>(x);
        std::size_t ups = 0;
        std::size_t strangers = 0;
        for (const TestType& got : roundings<TestType>(x, n, 11)) {
            const double v = value_of(got);
            if (v == high)
                ++ups;
            else if (v != low)
                ++strangers;
        }
        CHECK(strangers == 0);
        if (low == high)
            CHECK(ups == n);
        else
            CHECK(fair(ups, n, (x - low) / (high - low)));
    }
}

TEMPLATE_TEST_CASE("what 16 bits hold, and what they cannot, is left to rounding to nearest",
                   "[update]", bf16, fp16) {
    std::vector<float> policy;
    for (std::uint32_t b = 0; b < 0x10000; ++b)  // every value there is, NaN too
        policy.push_back(prefopt::detail::load(
            std::make_unique<TestType>(std::bit_cast<TestType>(static_cast<std::uint16_t>(b)))
                .get()));
    const double top = value_of(std::bit_cast<TestType>(
        static_cast<std::uint16_t>(std::is_same_v<TestType, bf16> ? 0x7f7f : 0x7bff)));
    for (const double x : {1.0000001, 1.001, 1.003, 1.0039})
        for (const double sign : {-1.0, 1.0})
            policy.push_back(static_cast<float>(std::min(sign * x * top, 3.4028234e38)));
    const std::uint32_t tie = std::is_same_v<TestType, bf16> ? 0x7f7f8000U : 0x477ff000U;
    for (const std::uint32_t b : {tie - 1, tie, tie + 1}) policy.push_back(std::bit_cast<float>(b));
    policy.push_back(std::numeric_limits<float>::infinity());
    std::vector<TestType> nearest(policy.size());
    std::vector<TestType> stochastic(policy.size());
    moving(1.0).step(policy, nearest);
    for (const auto set : test::instruction_sets()) {
        const test::forced here(set);
        for (std::uint64_t seed = 0; seed < 4; ++seed) {
            moving(1.0, rounding::stochastic, seed).step(policy, stochastic);
            CHECK(same_bytes(nearest, stochastic));
        }
    }
    // Where both sides are equal nothing moves, and other references are rounded to nearest.
    std::vector<float> wide(100, 1.25F);
    std::vector<float> too(100, 1.25F);
    const std::vector<float> target(100, 1.2500001F);
    moving(0.3).step(target, wide);
    moving(0.3, rounding::stochastic).step(target, too);
    CHECK(same_bytes(wide, too));
}

TEST_CASE("stochastic rounding repeats no pattern", "[update]") {
    constexpr std::size_t n = 65536;
    const auto coins = [](std::uint64_t seed, std::uint64_t version) {
        std::vector<int> up;
        for (const bf16 x : roundings<bf16>(1.0 + 0x1p-8, n, seed, version))
            up.push_back(value_of(x) > 1 ? 1 : 0);
        return up;
    };
    const auto agreement = [](const std::vector<int>& a, const std::vector<int>& b,
                              std::size_t lag) {
        std::size_t same = 0;
        for (std::size_t i = 0; i + lag < n; ++i) same += a[i] == b[i + lag] ? 1U : 0U;
        return same;
    };
    const std::vector<std::size_t> lags{1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 64, 128, 1024};
    for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
        CAPTURE(seed);
        const auto base = coins(seed, 0);
        for (const std::size_t lag : lags) CHECK(fair(agreement(base, base, lag), n - lag));
        for (std::uint64_t version = 1; version < 12; ++version)
            for (const std::size_t lag : std::array<std::size_t, 3>{0, 1, 16}) {
                CAPTURE(version, lag);
                CHECK(fair(agreement(base, coins(seed, version), lag), n - lag));
            }
        CHECK(fair(agreement(base, coins(seed + 1, 0), 0), n));
        CHECK(fair(agreement(base, coins(seed ^ (std::uint64_t{1} << 63), 0), 0), n));
        // Runs of eight: 256 patterns, chi-squared with 255 degrees of freedom.
        std::array<double, 256> count{};
        for (std::size_t i = 0; i < n; i += 8) {
            std::size_t pattern = 0;
            for (std::size_t j = 0; j < 8; ++j)
                pattern = 2 * pattern + static_cast<std::size_t>(base[i + j]);
            ++count[pattern];
        }
        double chi = 0;
        for (const double c : count) chi += (c - n / 2048.0) * (c - n / 2048.0) / (n / 2048.0);
        CHECK(std::fabs(chi - 255) < 5 * std::sqrt(2 * 255.0));
    }
    // Another tensor of the same step.
    const std::vector<std::vector<float>> policy(2, std::vector<float>(n, 1.0F + 0x1p-8F));
    std::vector<std::vector<bf16>> reference(2, std::vector<bf16>(n));
    moving(1.0, rounding::stochastic).step(policy, reference);
    std::size_t same = 0;
    for (std::size_t i = 0; i < n; ++i) same += reference[0][i] == reference[1][i] ? 1U : 0U;
    CHECK(fair(same, n));
}

TEST_CASE("the upper random bits are each fair and each moved by each bit of the element's number",
          "[update]") {
    constexpr std::size_t n = 20000;
    using prefopt::detail::random_bits;
    const auto key = prefopt::detail::make_random_key(1, 2, 3, 0);
    for (int out = 14; out < 32; ++out) {
        std::size_t ones = 0;
        for (std::uint32_t i = 0; i < n; ++i) ones += random_bits(key, i) >> out & 1U;
        CAPTURE(out);
        CHECK(fair(ones, n));
        for (int in = 0; in < 32; ++in) {
            std::size_t flips = 0;
            for (std::uint32_t i = 0; i < n; ++i) {
                const std::uint32_t other = i ^ (std::uint32_t{1} << in);
                flips += (random_bits(key, i) ^ random_bits(key, other)) >> out & 1U;
            }
            CAPTURE(in);
            // Flipped pairs are seen twice for the low bits: twice the variance.
            CHECK(std::fabs(static_cast<double>(flips) - n / 2.0) < 6 * std::sqrt(n / 2.0));
        }
    }
}

TEST_CASE("the random bits are these, today and tomorrow", "[update]") {
    using prefopt::detail::make_random_key;
    using prefopt::detail::random_bits;
    const auto bits = [](std::uint64_t seed, std::uint64_t version, std::uint64_t tensor,
                         std::uint64_t element) {
        return random_bits(make_random_key(seed, version, tensor, element >> 32),
                           static_cast<std::uint32_t>(element));
    };
    CHECK(bits(0, 0, 0, 0) == 214040467U);
    CHECK(bits(1, 0, 0, 0) == 3755368924U);
    CHECK(bits(0, 1, 0, 0) == 3299632221U);
    CHECK(bits(0, 0, 1, 0) == 3683820201U);
    CHECK(bits(0, 0, 0, 1) == 3855468236U);
    CHECK(bits(0, 0, 0, std::uint64_t{1} << 32) == 2269687865U);
    CHECK(bits(~std::uint64_t{0}, 12345, 678, 0x123456789abcdefU) == 1001780248U);
}

TEST_CASE("the number of an element does not end at 2^32", "[update]") {
    namespace d = prefopt::detail;
    constexpr std::ptrdiff_t border = std::ptrdiff_t{1} << 32;
    constexpr std::ptrdiff_t n = border + 4096;
    const test::guarded_memory p_memory(2 * static_cast<std::size_t>(n));
    const test::guarded_memory r_memory(2 * static_cast<std::size_t>(n));
    auto* p = p_memory.at_begin<bf16>();
    auto* r = r_memory.at_begin<bf16>();
    // The same elements as one run and as two rows stored as columns.
    const auto check = [&](std::array<std::ptrdiff_t, 2> shape,
                           std::array<std::ptrdiff_t, 2> strides, std::ptrdiff_t first,
                           std::ptrdiff_t last) {
        const prefopt::view<bf16, 2> pv(p, shape, strides);
        const prefopt::view<bf16, 2> rv(r, shape, strides);
        const auto policy = d::describe("policy_parameters", prefopt::input<2>(pv));
        const auto reference = d::describe("reference_parameters", prefopt::output<2>(rv));
        for (std::ptrdiff_t i = first; i < last; ++i) {
            p[i] = bf16(1.0078125F);  // the next above 1
            r[i] = bf16(1.0F);
        }
        for (const auto set : test::instruction_sets()) {
            const test::forced here(set);
            for (std::ptrdiff_t i = first; i < last; ++i) r[i] = bf16(1.0F);
            d::update_elements(policy, reference, r, 5, first, last,
                               {.alpha = 0.5, .to = rounding::stochastic, .seed = 9, .version = 2});
            int wrong = 0;
            for (std::ptrdiff_t i = first; i < last; ++i) {
                const std::ptrdiff_t row = strides[0] == 1 ? i % shape[0] : i / shape[1];
                const std::ptrdiff_t column = strides[0] == 1 ? i / shape[0] : i % shape[1];
                const auto number = static_cast<std::uint64_t>(row * shape[1] + column);
                const auto random = d::random_bits(d::make_random_key(9, 2, 5, number >> 32),
                                                   static_cast<std::uint32_t>(number));
                const bool up = (random >> 16) + 0x8000U > 0xffffU;
                if (value_of(r[i]) != (up ? 1.0078125 : 1.0)) ++wrong;
            }
            CAPTURE(to_string(set));
            CHECK(wrong == 0);
        }
    };
    check({1, n}, {n, 1}, border - 100, border + 100);
    check({4, n / 4}, {1, 4}, border - 101, border + 99);  // numbers i / 4 + (i % 4) n / 4
    check({n / 4, 4}, {1, n / 4}, n / 4 - 333, n / 4);     // a run whose numbers are 4 apart
}

TEST_CASE("a bf16 reference reaches its policy by stochastic rounding, and only so", "[update]") {
    constexpr std::size_t n = 4096;
    constexpr double alpha = 0.005;
    const std::vector<bf16> policy(n, bf16(1.0078125F));  // next to 1, 0.8 % away
    std::vector<bf16> nearest(n, bf16(1.0F));
    std::vector<bf16> stochastic = nearest;
    std::vector<float> wide(n, 1.0F);
    auto stalled = moving(alpha);
    auto moved = moving(alpha, rounding::stochastic);
    auto exact = moving(alpha);
    const auto mean = [&] {
        double sum = 0;
        for (const bf16 x : stochastic) sum += value_of(x);
        return sum / static_cast<double>(n);
    };
    for (int step = 1; step <= 2000; ++step) {
        stalled.step(policy, nearest);
        moved.step(policy, stochastic);
        exact.step(policy, wide);
        if (step % 100 != 0) continue;
        // A weight has moved with probability q = (1 - 0.995^step), a coin per weight.
        const double q = 1 - std::pow(1 - alpha, step);
        const double error = 0.0078125 * std::sqrt(q * (1 - q) / static_cast<double>(n));
        CAPTURE(step, mean());
        CHECK(std::fabs(mean() - (1 + 0.0078125 * q)) <= 5 * error);
        CHECK(std::fabs(mean() - static_cast<double>(wide[0])) <= 5 * error + 1e-5);
    }
    CHECK(same_bytes(nearest, std::vector<bf16>(n, bf16(1.0F))));
    CHECK(mean() > 1.0078);
}

TEST_CASE("stochastic rounding goes on after a restart", "[update]") {
    const std::vector<float> policy(300, 1.3F);
    std::vector<bf16> expected(300, bf16(1.0F));
    auto straight = moving(0.01, rounding::stochastic, 42);
    for (int i = 0; i < 20; ++i) straight.step(policy, expected);
    std::vector<bf16> reference(300, bf16(1.0F));
    auto first = moving(0.01, rounding::stochastic, 42);
    for (int i = 0; i < 9; ++i) first.step(policy, reference);
    auto second = moving(0.01, rounding::stochastic, 42);
    second.state = first.state;
    for (int i = 9; i < 20; ++i) second.step(policy, reference);
    CHECK(same_bytes(reference, expected));
    CHECK_FALSE(same_bytes(reference, std::vector<bf16>(300, reference[0])));
}
