// SPDX-License-Identifier: Apache-2.0
//
// Batches on executors: the same bits whoever runs them, in whatever pieces and order; nothing is
// started unasked, and small work is not split.

#include <algorithm>
#include <cstring>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/simd/elementwise.hpp>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/sets.hpp"

namespace {

using namespace prefopt;

/// Runs ranges of random sizes, last first, some of them empty, on threads of their own.
struct scattered {
    unsigned seed = 1;
    int calls = 0;

    void operator()(std::ptrdiff_t n, const range_task& f) {
        ++calls;
        std::mt19937 random(seed);
        std::vector<std::ptrdiff_t> cuts{0, n};
        for (int i = 0; i < 7; ++i)
            cuts.push_back(static_cast<std::ptrdiff_t>(random() % static_cast<unsigned>(n + 1)));
        std::sort(cuts.begin(), cuts.end());
        std::vector<std::thread> threads;
        for (std::size_t i = cuts.size() - 1; i > 0; --i)
            threads.emplace_back([&f, begin = cuts[i - 1], end = cuts[i]] { f(begin, end); });
        for (std::thread& t : threads) t.join();
    }
};

std::vector<float> random_log_probs(std::size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(-80, 20);
    std::vector<float> x(n);
    for (float& y : x) y = normal(random);
    return x;
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}
bool same(const batch_summary& a, const batch_summary& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace

TEST_CASE("batches have the same bits on any executor", "[executor]") {
    for (const auto set : test::instruction_sets()) {
        const test::forced here(set);
        CAPTURE(to_string(set));
        for (const std::size_t n : {std::size_t{4096}, std::size_t{4097}, std::size_t{300'001}}) {
            const auto pc = random_log_probs(n, 1), pr = random_log_probs(n, 2),
                       rc = random_log_probs(n, 3), rr = random_log_probs(n, 4);
            std::vector<bool> desirable(n);
            for (std::size_t i = 0; i < n; ++i) desirable[i] = i % 3 != 0;
            const auto pairs = dpo{}(pc, pr, rc, rr);
            const auto answers = kto{}(pc, rc, desirable, 0.5);
            const auto kl = kl_estimate(pc, rc);
            for (unsigned seed = 1; seed < 4; ++seed) {
                scattered e{seed};
                const auto p = dpo{}(pc, pr, rc, rr, {.executor = e});
                CHECK(same(p.losses, pairs.losses));
                CHECK(same(p.grad_chosen, pairs.grad_chosen));
                CHECK(same(p.grad_rejected, pairs.grad_rejected));
                CHECK(same(p.chosen_rewards, pairs.chosen_rewards));
                CHECK(same(p.summary, pairs.summary));
                CHECK(p.loss == pairs.loss);
                const auto a = kto{}(pc, rc, desirable, 0.5, {.executor = e});
                CHECK(same(a.losses, answers.losses));
                CHECK(same(a.grad, answers.grad));
                CHECK(same(a.summary, answers.summary));
                CHECK(kl_estimate(pc, rc, e) == kl);
                CHECK((e.calls == 3) == (n > 4096));  // one part is not split
            }
        }
    }
}

TEST_CASE("rankings have the same bits on any executor", "[executor]") {
    for (const std::ptrdiff_t k : {3, 130}) {
        const std::ptrdiff_t lists = 9000;
        const auto p = random_log_probs(static_cast<std::size_t>(lists * k), 5);
        const auto r = random_log_probs(static_cast<std::size_t>(lists * k), 6);
        const view<const float, 2> policy(p.data(), {lists, k}), reference(r.data(), {lists, k});
        const auto want = plackett_luce_dpo{}(policy, reference);
        scattered e;
        const auto got = plackett_luce_dpo{}(policy, reference, {.executor = e});
        CHECK(same(got.losses, want.losses));
        CHECK(std::memcmp(got.grad.data(), want.grad.data(),
                          static_cast<std::size_t>(lists * k) * sizeof(float)) == 0);
        CHECK(same(got.summary, want.summary));
        CHECK(e.calls == (k == 3 ? 1 : 0));  // one workspace, one thread
    }
}

TEST_CASE("arrays have the same bits on any executor", "[executor]") {
    const auto x = random_log_probs(200'003, 7);
    std::vector<float> value(x.size()), derivative(x.size()), value_2(x.size()),
        derivative_2(x.size());
    log_sigmoid_and_derivative<float>(x, value, derivative);
    scattered e;
    log_sigmoid_and_derivative<float>(x, value_2, derivative_2, e);
    CHECK(same(value, value_2));
    CHECK(same(derivative, derivative_2));
    sigmoid<float>(x, value);
    sigmoid<float>(x, value_2, e);
    CHECK(same(value, value_2));
    CHECK(e.calls == 2);
}

TEST_CASE("small batches are not split, and what an executor throws arrives", "[executor]") {
    const auto x = random_log_probs(1000, 8);
    scattered e;
    CHECK(ipo{}(x, x, x, x, {.executor = e}).loss == ipo{}(x, x, x, x).loss);
    CHECK(e.calls == 0);
    const auto big = random_log_probs(50'000, 9);
    const auto fails = [](std::ptrdiff_t, const range_task&) {
        throw std::runtime_error("no threads");
    };
    CHECK_THROWS_AS(dpo{}(big, big, big, big, {.executor = fails}), std::runtime_error);
}

TEST_CASE("a batch's bits depend on neither its place in a batch nor its neighbours",
          "[executor]") {
    // Every pair alone, and in the company of others at every offset of a pack.
    const auto pc = random_log_probs(64, 10), pr = random_log_probs(64, 11);
    const std::vector<float> zero(64);
    for (const auto set : test::instruction_sets()) {
        const test::forced here(set);
        const auto all = dpo{}(pc, pr, zero, zero, {.reduction = reduction::sum});
        for (std::size_t i = 0; i < 64; ++i) {
            const std::vector<float> c{pc[i]}, r{pr[i]}, o{0.0F};
            const auto one = dpo{}(c, r, o, o, {.reduction = reduction::sum});
            CHECK(std::memcmp(one.losses.data(), &all.losses[i], sizeof(float)) == 0);
            CHECK(std::memcmp(one.grad_chosen.data(), &all.grad_chosen[i], sizeof(float)) == 0);
        }
    }
}

TEST_CASE("AVX2 and AVX-512 give the same bits of a batch", "[executor][simd]") {
    const std::size_t n = 5000;
    const auto pc = random_log_probs(n, 12), pr = random_log_probs(n, 13),
               rc = random_log_probs(n, 14), rr = random_log_probs(n, 15);
    std::vector<double> wide(pc.begin(), pc.end());
    const auto sets = test::instruction_sets();
    for (std::size_t i = 2; i < sets.size(); ++i) {
        const auto run = [&](instruction_set set) {
            const test::forced here(set);
            return std::tuple{dpo{.label_smoothing = 0.1}(pc, pr, rc, rr), dpo{}(wide, pr, rc, rr)};
        };
        const auto [a, b] = run(sets[1]);
        const auto [c, d] = run(sets[i]);
        CHECK(same(a.losses, c.losses));
        CHECK(same(a.grad_chosen, c.grad_chosen));
        CHECK(same(a.summary, c.summary));
        CHECK(same(b.losses, d.losses));
        CHECK(same(b.grad_rejected, d.grad_rejected));
        CHECK(same(b.summary, d.summary));
    }
}
