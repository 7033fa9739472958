// SPDX-License-Identifier: Apache-2.0
//
// Proves the trust region: that the reference moves by exactly the weight it was told, when it was
// told, in every mix of storage types, and by nothing at all when something is wrong; that stale
// log-probs are refused. (What it accepts as parameters: trust_region_parameters_test.cpp.)

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <prefopt/trust_region.hpp>

#include "support/catch.hpp"
#include "support/mixes.hpp"
#include "support/quad.hpp"

namespace {

using prefopt::bf16;
using prefopt::errc;
using prefopt::fp16;
using test::quad;

template <class T>
struct format;  // significant bits; exponent of the least subnormal; largest value; a NaN, a
                // payload
template <>
struct format<float> {
    static constexpr int digits = 24, least = -149;
    static constexpr double top = 0x1.fffffep127;
    static float nan() { return std::bit_cast<float>(0xffc12345U); }
};
template <>
struct format<double> {
    static constexpr int digits = 53, least = -1074;
    static constexpr double top = 0x1.fffffffffffffp1023;
    static double nan() { return std::bit_cast<double>(0x7ff8000000abcdefULL); }
};
template <>
struct format<bf16> {
    static constexpr int digits = 8, least = -133;
    static constexpr double top = 0x1.fep127;
    static bf16 nan() { return std::bit_cast<bf16>(std::uint16_t{0xffd5}); }
};
template <>
struct format<fp16> {
    static constexpr int digits = 11, least = -24;
    static constexpr double top = 65504;
    static fp16 nan() { return std::bit_cast<fp16>(std::uint16_t{0x7e2b}); }
};

template <class T>
T make(double x) {
    if constexpr (std::is_floating_point_v<T>)
        return static_cast<T>(x);
    else
        return T(static_cast<float>(x));
}
template <class T>
double value_of(T x) {
    if constexpr (std::is_floating_point_v<T>)
        return static_cast<double>(x);
    else
        return static_cast<double>(static_cast<float>(x));
}
template <class T>
bool same_bits(const T& a, const T& b) {
    return std::memcmp(&a, &b, sizeof(T)) == 0;
}
template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// |got - exact| in units of the last place of type T at a value of that magnitude.
template <class T>
double units(double got, quad exact, quad magnitude) {
    int exponent = 0;
    std::frexp(static_cast<long double>(fabsq(magnitude)), &exponent);
    const int last = exponent - format<T>::digits;
    const quad unit = ldexpq(quad(1), last > format<T>::least ? last : format<T>::least);
    return static_cast<double>(fabsq(static_cast<quad>(got) - exact) / unit);
}

template <class T>
const T infinity = make<T>(std::numeric_limits<double>::infinity());

prefopt::tr_dpo mixing(double alpha, std::int64_t every = 1) {
    return {.loss = {}, .update = {.alpha = alpha, .every = every}};
}

template <class F>
prefopt::status refusal(const F& f) {
    try {
        f();
    } catch (const prefopt::error& e) {
        return e.status();
    }
    return {};
}

// Weights that float holds exactly, so that the exact answer is one for all types.
constexpr std::array<double, 6> weights{0x1p-10,       0.25,          0.5,
                                        0x1.333334p-1, 0x1.cccccep-1, 1.0 - 0x1.0p-24};

}  // namespace

TEMPLATE_LIST_TEST_CASE("an update is the exact mix to one unit in the last place",
                        "[trust_region]", test::mixes) {
    using P = typename TestType::policy;
    using R = typename TestType::reference;
    std::mt19937_64 random(11);
    std::uniform_real_distribution<double> uniform(0.5, 8.0);
    double worst_same = 0;
    double worst_opposite = 0;
    int outside = 0;
    int moved = 0;
    for (const double alpha : weights) {
        std::vector<P> policy(600);
        std::vector<R> before(600);
        for (std::size_t i = 0; i < policy.size(); ++i) {
            before[i] = make<R>(i % 2 == 0 ? uniform(random) : -uniform(random));
            const double near = value_of(before[i]) * (1 + 0.01 * uniform(random));
            policy[i] = make<P>(i % 3 == 0 ? near : uniform(random) * (i % 3 == 1 ? 1 : -1));
        }
        std::vector<R> reference = before;
        REQUIRE(mixing(alpha).step(policy, reference));
        for (std::size_t i = 0; i < policy.size(); ++i) {
            const double p = value_of(policy[i]);
            const double r = value_of(before[i]);
            const double got = value_of(reference[i]);
            const quad exact = quad(r) + quad(alpha) * (quad(p) - quad(r));
            if (p * r > 0)
                worst_same = std::max(worst_same, units<R>(got, exact, exact));
            else  // the sum cancels: the last place of what went in is the best there is
                worst_opposite =
                    std::max(worst_opposite,
                             units<R>(got, exact, quad(std::max(std::fabs(p), std::fabs(r)))));
            const double rounded = value_of(make<R>(p));
            if (got < std::min(r, rounded) || got > std::max(r, rounded)) ++outside;
            if (got != r) ++moved;
        }
    }
#ifdef __FAST_MATH__
    constexpr double bound = 8;  // Clang takes the two fused operations apart and reorders them
#else
    constexpr double bound = 1;
#endif
    CHECK(worst_same <= bound);
    CHECK(worst_opposite <= bound);
    CHECK(outside == 0);
    CHECK(moved > 2000);
}

TEST_CASE("double parameters see a weight in double", "[trust_region]") {
    const std::vector<double> policy{3.0};
    std::vector<double> reference{1.0};
    REQUIRE(mixing(0.1).step(policy, reference));
    CHECK(test::ulps(reference[0], quad(1) + quad(0.1) * quad(2)) <= 2.0);  // in float: 10^8

    std::vector<float> narrow{1.0F};  // a float reference of a double policy: still double inside
    REQUIRE(mixing(0.1).step(policy, narrow));
    CHECK(test::ulps(narrow[0], quad(1) + quad(0.1) * quad(2)) <= 0.5000001);
}

TEMPLATE_LIST_TEST_CASE("the ends and the fixed points of an update are exact", "[trust_region]",
                        test::mixes) {
    using P = typename TestType::policy;
    using R = typename TestType::reference;
    const double inf = std::numeric_limits<double>::infinity();
    std::vector<P> policy;
    std::vector<R> reference;
    for (const double p : {-0.0, 0.0, 1.5, -65504.0, inf, -inf})
        for (const double r : {-0.0, 0.0, 2.75, 65504.0, inf, -inf}) {
            policy.push_back(make<P>(p));
            reference.push_back(make<R>(r));
        }
    policy.push_back(format<P>::nan());
    reference.push_back(make<R>(1));
    policy.push_back(make<P>(1));
    reference.push_back(format<R>::nan());
    const std::vector<R> before = reference;

    SECTION("weight 0 changes no bit, whatever the policy holds, and is no move") {
        auto loss = mixing(0);
        CHECK_FALSE(loss.step(policy, reference));
        CHECK(same_bytes(reference, before));
        CHECK(loss.version() == 0);
        CHECK(loss.state.steps == 1);
    }
    SECTION("weight 1 copies every bit") {
        auto loss = mixing(1);
        CHECK(loss.step(policy, reference));
        for (std::size_t i = 0; i < policy.size(); ++i) {
            CAPTURE(i);
            if constexpr (std::is_same_v<P, R>)
                CHECK(same_bits(reference[i], policy[i]));
            else if (prefopt::is_nan(value_of(policy[i])))
                CHECK(prefopt::is_nan(value_of(reference[i])));
            else
                CHECK(same_bits(reference[i], make<R>(value_of(policy[i]))));
        }
    }
    SECTION("equal entries keep every bit, infinity included, at any weight") {
        std::vector<P> p;
        std::vector<R> r;
        for (const double x : {-0.0, 0.0, 1.0, -1.25, 3.0, 1000.0, inf, -inf}) {
            p.push_back(make<P>(x));
            r.push_back(make<R>(x));
        }
        const std::vector<R> start = r;
        for (const double alpha : weights) CHECK(mixing(alpha).step(p, r));
        CHECK(same_bytes(r, start));
    }
    SECTION("NaN and infinity in the policy propagate") {
        std::vector<P> p{format<P>::nan(), infinity<P>, make<P>(-inf), make<P>(2)};
        std::vector<R> r{make<R>(1), make<R>(1), make<R>(1), format<R>::nan()};
        CHECK(mixing(0.5).step(p, r));
        CHECK(prefopt::is_nan(value_of(r[0])));
        CHECK(prefopt::is_infinite(value_of(r[1])));
        CHECK(value_of(r[1]) > 0);
        CHECK(prefopt::is_infinite(value_of(r[2])));
        CHECK(value_of(r[2]) < 0);
        CHECK(prefopt::is_nan(value_of(r[3])));
    }
    SECTION("opposite extremes do not overflow") {
        const double top = std::min(format<P>::top, format<R>::top);
        std::vector<P> p{make<P>(top), make<P>(-top)};
        std::vector<R> r{make<R>(-top), make<R>(top)};
        const double start = value_of(r[1]);
        CHECK(mixing(0.75).step(p, r));
        CHECK(prefopt::is_finite(value_of(r[0])));
        CHECK(std::fabs(value_of(r[0]) / start - 0.5) < 0.01);
        CHECK(std::fabs(value_of(r[1]) / start + 0.5) < 0.01);
    }
}

TEST_CASE("the gap to a policy at rest shrinks by 1 - alpha a step", "[trust_region]") {
    for (const double alpha : {0.1, 0.5, 0.6, 0.9}) {
        CAPTURE(alpha);
        auto loss = mixing(alpha);
        const std::vector<double> policy{3.0, -2.0};
        std::vector<double> reference{1.0, 7.0};
        quad left = 1;
        for (int n = 1; n <= 50; ++n) {
            REQUIRE(loss.step(policy, reference));
            left *= quad(1) - quad(alpha);
            for (std::size_t i = 0; i < 2; ++i) {
                const quad gap = (i == 0 ? quad(-2) : quad(9)) * left;
                const quad got = quad(reference[i]) - quad(policy[i]);
                CHECK(static_cast<double>(fabsq(got - gap)) <= n * 0x1p-50);
            }
        }
        CHECK(loss.version() == 50);
    }
}

TEST_CASE("the reference moves after every n-th optimizer step and says so", "[trust_region]") {
    auto loss = prefopt::tr_ipo{.update = prefopt::hard_update({.every = 3})};
    std::vector<float> reference{0.0F};
    for (int step = 1; step <= 10; ++step) {
        const std::vector<float> policy{static_cast<float>(step)};
        const std::vector<float> before = reference;
        const bool moved = loss.step(policy, reference);
        CHECK(moved == (step % 3 == 0));
        CHECK(same_bytes(reference, moved ? policy : before));
        CHECK(loss.state.steps == static_cast<std::uint64_t>(step));
        CHECK(loss.version() == static_cast<std::uint64_t>(step / 3));
    }
    CHECK(prefopt::hard_update().alpha == 1.0);
    CHECK(prefopt::hard_update().every == 512);
    CHECK(prefopt::soft_update().alpha == 0.6);
    CHECK(prefopt::soft_update().every == 1);
}

TEST_CASE("a saved and restored state continues as if nothing had happened", "[trust_region]") {
    const auto policy_at = [](int step) { return std::vector<double>{std::sin(step), 2.0 * step}; };
    auto straight = mixing(0.3, 4);
    std::vector<double> expected{1, 2};
    auto first = mixing(0.3, 4);
    std::vector<double> reference{1, 2};
    for (int step = 0; step < 21; ++step) {
        if (step == 10) {  // between two updates: 10 mod 4 = 2
            auto second = mixing(0.3, 4);
            second.state = first.state;
            first = second;
        }
        CHECK(first.step(policy_at(step), reference) == straight.step(policy_at(step), expected));
    }
    CHECK(same_bytes(reference, expected));
    CHECK(first.version() == 5);
}

TEST_CASE("log-probs of an older reference are refused", "[trust_region]") {
    auto loss = mixing(0.5);
    const std::vector<float> a{-1, -2, -3};
    const std::vector<float> policy{1.0F};
    std::vector<float> reference{0.0F};
    const auto call = [&](const prefopt::pairwise_options& o) {
        return refusal([&] { (void)loss(a, a, a, a, o); });
    };
    const std::uint64_t old = loss.version();
    const std::vector<std::uint64_t> all_old(3, old);
    CHECK(call({.reference_versions = old}).ok());
    CHECK(call({.reference_versions = all_old}).ok());

    REQUIRE(loss.step(policy, reference));
    REQUIRE(loss.version() == old + 1);
    const std::vector<std::uint64_t> mixed{old + 1, old + 1, old};
    const std::vector<std::uint64_t> current(3, old + 1);
    const std::vector<std::uint64_t> too_few(2, old + 1);
    CHECK(call({}).ok());
    CHECK(call({.reference_versions = loss.version()}).ok());
    CHECK(call({.reference_versions = current}).ok());
    CHECK(call({.reference_versions = old}).code == errc::stale_reference);
    CHECK(call({.reference_versions = old + 2}).code == errc::stale_reference);
    CHECK(call({.reference_versions = all_old}).index == 0);
    const prefopt::status s = call({.reference_versions = mixed});
    CHECK(s.code == errc::stale_reference);
    CHECK(s.index == 2);
    CHECK(std::string(s.argument) == "reference_versions");
    CHECK(call({.reference_versions = too_few}).code == errc::shape_mismatch);
    CHECK(prefopt::check(loss, a, a, a, a, prefopt::pairwise_options{.reference_versions = mixed})
              .index == 2);

    // A loss whose reference stays put has no version of its own, but its batch must not mix two.
    const prefopt::dpo frozen{};
    CHECK(frozen.check(a, a, a, a, {.reference_versions = all_old}).ok());
    CHECK(frozen.check(a, a, a, a, {.reference_versions = mixed}).index == 2);

    prefopt::tr_kto unpaired{};
    unpaired.state.version = 4;
    const std::vector<bool> desirable{true, false, true};
    CHECK(unpaired.check(a, a, desirable, 0.0, {.reference_versions = 4}).ok());
    CHECK(unpaired.check(a, a, desirable, 0.0, {.reference_versions = 3}).code ==
          errc::stale_reference);
    prefopt::tr_plackett_luce_dpo lists{};
    lists.state.version = 4;
    prefopt::tensor<float, 2> m({2, 3});
    CHECK(refusal([&] { (void)lists(m, m, {.reference_versions = 4}); }).ok());
    CHECK(refusal([&] { (void)lists(m, m, {.reference_versions = 5}); }).code ==
          errc::stale_reference);
}

TEST_CASE("a 16-bit reference stalls where a float one moves", "[trust_region]") {
    const std::vector<bf16> policy{bf16(1.0F + 0x1p-7F)};  // the next bf16 above 1
    std::vector<bf16> narrow{bf16(1.0F)};
    std::vector<float> wide{1.0F};
    for (int i = 0; i < 100; ++i) {
        CHECK(mixing(0.1).step(policy, narrow));
        CHECK(mixing(0.1).step(policy, wide));
    }
    CHECK(value_of(narrow[0]) == 1.0);
    CHECK(std::fabs(wide[0] - 1.0078125F) < 1e-5F);
    CHECK(mixing(0.6).step(policy, narrow));
    CHECK(value_of(narrow[0]) == 1.0078125);
}
