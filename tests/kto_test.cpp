// SPDX-License-Identifier: Apache-2.0
//
// KTO over a batch of single answers, and its reference point: flags of every kind, weights,
// layouts and storage types; the clamp comes after the mean, merges are exact, NaN is not clamped
// away; and the reference point is a constant, which a finite difference that moves it must refute.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <prefopt/kto.hpp>

#include "support/catch.hpp"
#include "support/quad.hpp"
#include "support/reference.hpp"
#include "support/sets.hpp"

namespace {

using namespace prefopt;
using test::quad;
using test::same_bits;
using test::same_number;
namespace exact = test::exact;

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

template <class S>
double wide(S x) {
    return static_cast<double>(detail::load(&x));
}

template <class S>
struct answers {
    std::vector<S> policy, reference;
    std::vector<bool> desirable;
    std::vector<double> weights;

    explicit answers(std::size_t n) : policy(n), reference(n), desirable(n), weights(n) {
        std::mt19937_64 random(51 + n);
        std::normal_distribution<float> log_prob(-80, 20), drift(1, 8);
        for (std::size_t i = 0; i < n; ++i) {
            const float r = log_prob(random);
            reference[i] = S(r);
            policy[i] = S(r + drift(random));
            desirable[i] = random() % 3 != 0;
            weights[i] = i % 4 == 1 ? 0.0 : 0.5 * static_cast<double>(1 + random() % 5);
        }
    }
};

template <class T>
bool same_vectors(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace

TEMPLATE_TEST_CASE("kto: a batch is its terms, weighted and reduced", "[losses][kto]", float,
                   double, bf16, fp16) {
    using S = TestType;
    const kto loss{.beta = 0.2, .desirable_weight = 1.0, .undesirable_weight = 1.5};
    const double kl = 1.75;
    const auto set = GENERATE(from_range(test::instruction_sets()));
    const test::forced here(set);
    CAPTURE(to_string(set));
    for (const std::size_t n : {1U, 15U, 16U, 17U, 63U, 64U, 65U, 1000U})
        for (const bool weighted : {false, true})
            for (const auto how : {reduction::mean, reduction::sum}) {
                const answers<S> b(n);
                unpaired_options o{.reduction = how};
                if (weighted) o.weights = b.weights;
                const auto got = loss(b.policy, b.reference, b.desirable, kl, o);
                using R = typename decltype(got.losses)::value_type;
                // Without vectors each result is the term, rounded; with them, as exact as R.
                const bool scalar = test::exact_scalar();
                const double units = scalar ? 0 : 5;
                int wrong = 0;
                quad total = 0;
                for (std::size_t i = 0; i < n; ++i) {
                    const double w = weighted ? b.weights[i] : 1.0;
                    const double scale = how == reduction::mean ? w / static_cast<double>(n) : w;
                    const double r = wide(b.policy[i]) - wide(b.reference[i]);
                    const auto t = loss.term(r, bool(b.desirable[i]), kl);
                    const double g = scale * t.d_log_ratio;
                    total += quad(scale) * exact::kto(quad(0.2), b.desirable[i] ? 1 : quad(1.5),
                                                      quad(r), b.desirable[i], quad(kl));
                    wrong += scalar ? !same_number(got.losses[i], static_cast<R>(t.value))
                                    : !test::close(got.losses[i], t.value, units);
                    wrong += !same_number(got.rewards[i], static_cast<R>(0.2 * r));
                    wrong += !test::close(got.grad[i], g, 2 + units);
                    wrong += b.desirable[i] ? wide(got.grad[i]) > 0 : wide(got.grad[i]) < 0;
                }
                CAPTURE(n, weighted, how == reduction::mean);
                CHECK(wrong == 0);
                const double last = scalar || std::is_same_v<R, double> ? 1e-14 : 3e-7;
                CHECK(fabsq(quad(got.loss) - total) <= quad(last) * total);
                const auto left_out = std::count(b.weights.begin(), b.weights.end(), 0.0);
                CHECK(got.summary.unweighted == (weighted ? left_out : 0));
                CHECK(got.summary.chosen + got.summary.rejected + got.summary.unweighted ==
                      static_cast<std::int64_t>(n));
            }
}

TEST_CASE("kto: flags of every kind, memory of every layout, the same bits", "[losses][kto]") {
    const kto loss{.beta = 0.1, .desirable_weight = 0.9, .undesirable_weight = 1.1};
    const std::size_t n = 131;
    const answers<float> b(n);
    const auto want = loss(b.policy, b.reference, b.desirable, 0.5, {.weights = b.weights});
    std::vector<unsigned char> bytes(n);
    std::vector<std::int64_t> integers(n);
    for (std::size_t i = 0; i < n; ++i) {
        bytes[i] = b.desirable[i] ? static_cast<unsigned char>(1 + 253 * (i % 2)) : 0;
        integers[i] = b.desirable[i] ? -7 : 0;  // not zero: true
    }
    const auto same = [&](const auto& got) {
        return same_bits(got.loss, want.loss) && same_vectors(got.losses, want.losses) &&
               same_vectors(got.grad, want.grad) && same_vectors(got.rewards, want.rewards);
    };
    CHECK(same(loss(b.policy, b.reference, bytes, 0.5, {.weights = b.weights})));
    CHECK(same(loss(b.policy, b.reference, integers, 0.5, {.weights = b.weights})));

    std::vector<float> spread(3 * n + 1, std::numeric_limits<float>::quiet_NaN());
    std::vector<std::int64_t> flags(2 * n, -1);
    for (std::size_t i = 0; i < n; ++i) {
        spread[1 + 3 * i] = b.policy[i];
        flags[2 * (n - 1 - i)] = integers[i];
    }
    const auto count = static_cast<std::ptrdiff_t>(n);
    const view<float, 1> every_third(spread.data() + 1, {count}, {std::ptrdiff_t{3}});
    const view<std::int64_t, 1> backwards(flags.data() + 2 * (n - 1), {count},
                                          {std::ptrdiff_t{-2}});
    CHECK(same_bits(loss(every_third, b.reference, backwards, 0.5, {.weights = b.weights}).loss,
                    want.loss));

    // The caller's memory: gradients in place of the log-probs; only what is asked for.
    std::vector<float> eaten = b.policy, rewards(n);
    const auto whole = loss.into(eaten, b.reference, b.desirable, 0.5,
                                 {.grad = eaten, .rewards = rewards}, {.weights = b.weights});
    CHECK(same_bits(whole.loss, want.loss));
    CHECK(same_vectors(eaten, want.grad));
    CHECK(same_vectors(rewards, want.rewards));
}

TEST_CASE("kto: bad numbers stay in their row; bad parameters are refused", "[losses][kto]") {
    const kto loss{.beta = 0.1};
    answers<double> b(70);
    const auto want = loss(b.policy, b.reference, b.desirable, 0.5);
    b.policy[65] = not_a_number;
    b.policy[3] = -infinite;
    b.desirable[3] = true;
    auto got = loss(b.policy, b.reference, b.desirable, 0.5);
    CHECK(is_nan(got.loss));
    CHECK(is_nan(got.grad[65]));
    CHECK(got.losses[3] == 1);  // the worst that a desirable answer can be
    CHECK(got.grad[3] == 0);
    CHECK(got.summary.nonfinite == 1);
    bool same = true;
    for (std::size_t i = 0; i < 70; ++i)
        same = same && (i == 3 || i == 65 || same_bits(got.grad[i], want.grad[i]));
    CHECK(same);
    std::vector<double> w(70, 1.0);
    w[65] = 0;
    got = loss(b.policy, b.reference, b.desirable, 0.5, {.weights = w});
    CHECK(is_finite(got.loss));
    CHECK(got.grad[65] == 0);
    CHECK(got.summary.unweighted == 1);
    CHECK(got.summary.nonfinite == 0);

    CHECK(is_nan(loss(b.policy, b.reference, b.desirable, not_a_number).grad[0]));
    CHECK_THROWS_AS(loss(b.policy, b.reference, b.desirable, -0.5), error);
    CHECK(loss.check(b.policy, b.reference, b.desirable, -0.5).code == errc::bad_parameter);
    b.desirable.pop_back();
    CHECK(loss.check(b.policy, b.reference, b.desirable, 0).code == errc::shape_mismatch);
    const std::vector<double> none;
    CHECK(loss.check(none, none, std::vector<int>{}, 0).code == errc::empty_batch);
}

TEST_CASE("kto: the reference point is clamped after the mean", "[kto]") {
    const std::vector<double> zero(4, 0.0);
    CHECK(kl_estimate(std::vector<double>{3, -1, 4, -2}, zero) == 1);  // clamped before: 1.75
    CHECK(kl_estimate(zero, std::vector<double>{3, -1, 4, -2}) == 0);
    CHECK_FALSE(std::signbit(kl_estimate(zero, std::vector<double>{3, -1, 4, -2})));
    CHECK_FALSE(std::signbit(kl_estimate(std::vector<double>{-0.0}, std::vector<double>{0.0})));
    CHECK(is_nan(kl_estimate(std::vector<double>{-5, not_a_number, -5, -5}, zero)));
    CHECK(is_nan(kl_estimate(std::vector<double>{infinite, -infinite, 0, 0}, zero)));
    CHECK_THROWS_AS(kl_estimate(std::vector<double>{}, std::vector<double>{}), error);
    CHECK(kl_estimate.check(zero, std::vector<double>{}).code == errc::shape_mismatch);

    // Against quad, with sums that cancel.
    const answers<double> b(1000);
    quad sum = 0;
    for (std::size_t i = 0; i < 1000; ++i) sum += quad(b.policy[i]) - quad(b.reference[i]);
    CHECK(std::fabs(kl_estimate(b.policy, b.reference) - static_cast<double>(sum / 1000)) < 1e-14);
}

TEST_CASE("kto: statistics of parts merge to those of the whole", "[kto]") {
    std::mt19937_64 random(52);
    std::vector<double> p(640), r(640);
    for (std::size_t i = 0; i < 640; ++i) {  // multiples of 1/8: every sum is exact
        p[i] = 0.125 * static_cast<double>(random() % 4000) - 300;
        r[i] = p[i] + 0.125 * static_cast<double>(random() % 64) - 4;
    }
    const kl_statistics whole = kl_estimate.statistics(p, r);
    CHECK(whole.count == 640);
    for (const std::size_t cut :
         {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{333}, std::size_t{640}}) {
        const auto at = static_cast<std::ptrdiff_t>(cut);
        kl_statistics parts =
            kl_estimate.statistics(std::vector<double>(p.begin(), p.begin() + at),
                                   std::vector<double>(r.begin(), r.begin() + at));
        parts.merge(kl_estimate.statistics(std::vector<double>(p.begin() + at, p.end()),
                                           std::vector<double>(r.begin() + at, r.end())));
        CHECK(parts.count == whole.count);
        CHECK(parts.sum == whole.sum);
        CHECK(parts.estimate() == kl_estimate(p, r));
    }
    // Two halves, one of them below zero: clamping each of them first would say 2.
    kl_statistics low{.sum = -40, .count = 10};
    low.merge({.sum = 40, .count = 10});
    CHECK(low.estimate() == 0);
    CHECK_THROWS_AS(kl_statistics{}.estimate(), error);
}

TEST_CASE("kto: the reference point is never differentiated", "[kto]") {
    // One policy log-prob moves; the reference point is estimated from the same batch. The
    // gradient is that of the loss with the point held, and not that with the point moving along.
    const kto loss{.beta = 0.5};
    const std::vector<double> reference(6, 0.0);
    const std::vector<double> policy{1.5, 0.25, 2.0, -0.5, 0.75, 3.0};
    const std::vector<bool> desirable{true, true, false, true, true, true};
    const double held = kl_estimate(policy, reference);
    REQUIRE(held > 1);
    const auto result = loss(policy, reference, desirable, held);
    const double step = 1e-6;
    for (std::size_t i = 0; i < policy.size(); ++i) {
        auto up = policy, down = policy;
        up[i] += step;
        down[i] -= step;
        const double with_point_held = (loss(up, reference, desirable, held).loss -
                                        loss(down, reference, desirable, held).loss) /
                                       (2 * step);
        const double with_point_moving =
            (loss(up, reference, desirable, kl_estimate(up, reference)).loss -
             loss(down, reference, desirable, kl_estimate(down, reference)).loss) /
            (2 * step);
        CAPTURE(i);
        CHECK(std::fabs(result.grad[i] - with_point_held) < 1e-9);
        CHECK(std::fabs(result.grad[i] - with_point_moving) > 1e-3);
    }
}
