// SPDX-License-Identifier: Apache-2.0
//
// Proves the metrics: that a tie is no win, that every average is over what its name says, that
// batches, threads and ranks merge to the same numbers however the data was split, and that NaN,
// infinity, empty sequences and weights of zero are counted and never hidden. And that rankings
// become all their pairs unless somebody asks for less.

#include <cmath>
#include <limits>
#include <random>
#include <tuple>
#include <type_traits>
#include <vector>

#include <prefopt/dpo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/log_probs.hpp>
#include <prefopt/metrics.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/rankings.hpp>

#include "support/catch.hpp"
#include "support/quad.hpp"

namespace {

using prefopt::errc;
using prefopt::preference_metrics;
using test::quad;
using doubles = std::vector<double>;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

/// Multiples of 1/8 up to 64: every sum of a few thousand of them is exact, in any order.
struct eighths {
    std::mt19937_64 random;
    explicit eighths(std::uint64_t seed) : random(seed) {}
    double operator()() { return static_cast<double>(random() % 1024) / 8 - 64; }
    doubles operator()(std::size_t n) {
        doubles v(n);
        for (double& x : v) x = (*this)();
        return v;
    }
};

doubles part(const doubles& v, std::size_t first, std::size_t last) {
    return {v.begin() + static_cast<std::ptrdiff_t>(first),
            v.begin() + static_cast<std::ptrdiff_t>(last)};
}

double relative_error(double got, quad exact) {
    return static_cast<double>(fabsq((static_cast<quad>(got) - exact) / exact));
}

/// Equal; but a compiler that was told -ffast-math may divide by multiplying with a reciprocal.
bool same(double a, double b) {
#ifdef __FAST_MATH__
    return std::fabs(a - b) <= 0x1p-51 * std::fabs(b);
#else
    return a == b;
#endif
}

using pair_list = std::vector<std::tuple<std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t>>;

template <class Ranking>
pair_list pairs_of(const Ranking& ranking, const prefopt::ranked_pairs_options& o = {}) {
    pair_list list;
    for (const auto [b, chosen, rejected] : prefopt::ranked_pairs(ranking, o))
        list.emplace_back(b, chosen, rejected);
    return list;
}

}  // namespace

TEST_CASE("a tie is not a win", "[metrics]") {
    const prefopt::dpo loss{.beta = 0.5};
    const doubles same{-1, -2, -3, -4};
    preference_metrics metrics;
    metrics.add(loss(same, same, same, same));  // policy = reference: nobody has learned anything
    CHECK(metrics.accuracy() == 0.0);
    CHECK(metrics.ties() == 1.0);
    CHECK(metrics.margin() == 0.0);
    CHECK(metrics.chosen_below_reference() == 0.0);

    metrics = {};
    const doubles zero(8, 0.0);
    const doubles chosen{1, 2, 3, 4, 5, -1, -2, -3};
    const doubles rejected{0, 1, 2, 3, 5, -1, -1, -1};  // four wins, two ties, two losses
    metrics.add(loss(chosen, rejected, zero, zero));
    CHECK(metrics.accuracy() == 0.5);
    CHECK(metrics.ties() == 0.25);
    CHECK(metrics.examples() == 8);
    CHECK(metrics.chosen_below_reference() == 0.375);
}

TEST_CASE("averages of pairs are over what their names say", "[metrics]") {
    constexpr std::size_t n = 1500;
    eighths next(3);
    const doubles pc = next(n), pr = next(n), rc = next(n), rr = next(n);
    const prefopt::dpo loss{.beta = 0.25};
    preference_metrics metrics;
    metrics.add(loss(pc, pr, rc, rr));

    quad losses = 0;
    double chosen = 0, rejected = 0, below = 0, wins = 0, ties = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double c = pc[i] - rc[i];
        const double r = pr[i] - rr[i];
        losses += log1pq(expq(-quad(0.25) * (quad(c) - quad(r))));
        chosen += c;
        rejected += r;
        below += c < 0 ? 1 : 0;
        wins += c > r ? 1 : 0;
        ties += c == r ? 1 : 0;
    }
    const double count = n;
    REQUIRE(ties > 0);
    CHECK(relative_error(metrics.loss(), losses / quad(count)) < 1e-14);
    CHECK(same(metrics.chosen_log_ratio(), chosen / count));
    CHECK(same(metrics.rejected_log_ratio(), rejected / count));
    CHECK(same(metrics.chosen_reward(), 0.25 * chosen / count));
    CHECK(same(metrics.rejected_reward(), 0.25 * rejected / count));
    CHECK(same(metrics.margin(), 0.25 * (chosen - rejected) / count));
    CHECK(same(metrics.chosen_below_reference(), below / count));
    CHECK(same(metrics.accuracy(), wins / count));
    CHECK(same(metrics.ties(), ties / count));
    CHECK(metrics.nonfinite() == 0);
    CHECK(metrics.totals().comparisons == static_cast<std::int64_t>(n));
}

TEST_CASE("any split of the data merges to the same metrics", "[metrics]") {
    STATIC_REQUIRE(std::is_trivially_copyable_v<preference_metrics>);
    STATIC_REQUIRE(std::is_trivially_copyable_v<prefopt::batch_summary>);
    constexpr std::size_t n = 500;
    eighths next(17);
    const doubles pc = next(n), pr = next(n), rc = next(n), rr = next(n);
    const prefopt::dpo loss{.beta = 0.5};
    preference_metrics whole;
    whole.add(loss(pc, pr, rc, rr));
    whole.add_samples(pc, rc);

    std::mt19937_64 random(18);
    for (int trial = 0; trial < 20; ++trial) {
        preference_metrics left, right;  // two ranks, each with micro-batches of its own
        left.merge(preference_metrics{});
        for (std::size_t first = 0; first < n;) {
            const std::size_t last = std::min(n, first + 1 + random() % 130);
            preference_metrics& rank = random() % 2 == 0 ? left : right;
            const doubles c = part(pc, first, last), c0 = part(rc, first, last);
            const auto result = loss(c, part(pr, first, last), c0, part(rr, first, last));
            rank.add(result.summary);
            rank.add_samples(c, c0);
            first = last;
        }
        right.merge(left);
        CHECK(right.examples() == whole.examples());
        CHECK(right.totals().wins == whole.totals().wins);
        CHECK(right.totals().ties == whole.totals().ties);
        CHECK(right.totals().comparisons == whole.totals().comparisons);
        CHECK(same(right.chosen_below_reference(), whole.chosen_below_reference()));
        CHECK(same(right.margin(), whole.margin()));
        CHECK(same(right.chosen_reward(), whole.chosen_reward()));
        CHECK(same(right.rejected_reward(), whole.rejected_reward()));
        CHECK(same(right.rejected_log_ratio(), whole.rejected_log_ratio()));
        CHECK(same(right.kl(), whole.kl()));
        CHECK(std::fabs(right.loss() / whole.loss() - 1) < 1e-13);
        CHECK(std::fabs(right.kl_k3() / whole.kl_k3() - 1) < 1e-13);
    }
}

TEST_CASE("the two KL estimates are what they are called", "[metrics]") {
    std::mt19937_64 random(23);
    std::normal_distribution<double> normal(0, 1);
    doubles policy(777), reference(777);
    quad k1 = 0;
    quad k3 = 0;
    for (std::size_t i = 0; i < policy.size(); ++i) {
        policy[i] = -50 + normal(random);
        reference[i] = policy[i] + 0.3 * normal(random);
        const quad d = quad(policy[i]) - quad(reference[i]);
        k1 += d;
        k3 += expm1q(-d) + d;
    }
    preference_metrics metrics;
    metrics.add_samples(policy, reference);
    CHECK(relative_error(metrics.kl(), k1 / 777) < 1e-11);
    CHECK(relative_error(metrics.kl_k3(), k3 / 777) < 1e-13);
    CHECK(metrics.examples() == 0);  // samples are no training examples

    preference_metrics other_way;
    other_way.add_samples(reference, policy);
    CHECK(other_way.kl() == -metrics.kl());  // k1 may be negative and is not clamped
    CHECK(other_way.kl_k3() > 0);
    preference_metrics equal;
    equal.add_samples(policy, policy);
    CHECK(equal.kl() == 0.0);
    CHECK(equal.kl_k3() == 0.0);
    CHECK_THROWS_AS(equal.add_samples(policy, doubles{1}), prefopt::error);
    CHECK(equal.kl() == 0.0);  // a refused call adds nothing
}

TEST_CASE("an average over nothing is NaN, never zero", "[metrics]") {
    const preference_metrics none;
    for (const double x :
         {none.loss(), none.accuracy(), none.ties(), none.margin(), none.chosen_reward(),
          none.rejected_reward(), none.chosen_log_ratio(), none.rejected_log_ratio(),
          none.chosen_below_reference(), none.kl(), none.kl_k3()})
        CHECK(prefopt::is_nan(x));
    CHECK(none.examples() == 0);
    CHECK(none.nonfinite() == 0);

    // Desirable answers only: nothing to say about the others, and nothing to compare.
    preference_metrics metrics;
    metrics.add(prefopt::kto{}(doubles{1, 2}, doubles{0, 0}, std::vector<bool>{true, true}, 0.0));
    CHECK(metrics.chosen_log_ratio() == 1.5);
    CHECK(prefopt::is_nan(metrics.rejected_reward()));
    CHECK(prefopt::is_nan(metrics.margin()));
    CHECK(prefopt::is_nan(metrics.accuracy()));
}

TEST_CASE("NaN and infinity are counted, and touch only their own averages", "[metrics]") {
    const prefopt::dpo loss{.beta = 1};
    const doubles zero(4, 0.0);
    preference_metrics metrics;
    metrics.add(loss(doubles{1, not_a_number, 3, -inf}, doubles{0, 0, 5, 0}, zero, zero));
    CHECK(metrics.examples() == 4);
    CHECK(metrics.nonfinite() ==
          2);  // the NaN pair; and +infinity for a chosen answer at -infinity
    CHECK(prefopt::is_nan(metrics.loss()));
    CHECK(prefopt::is_nan(metrics.chosen_reward()));
    CHECK(prefopt::is_nan(metrics.margin()));
    CHECK(metrics.rejected_reward() == 1.25);
    CHECK(metrics.accuracy() == 0.25);  // a NaN neither wins nor ties
    CHECK(metrics.ties() == 0.0);
    CHECK(metrics.chosen_below_reference() ==
          0.25);  // -infinity is below; a NaN is not known to be

    preference_metrics infinite;
    infinite.add(loss(doubles{-inf}, doubles{0}, doubles{0}, doubles{0}));
    CHECK(prefopt::is_infinite(infinite.loss()));
    CHECK(infinite.nonfinite() == 1);
    preference_metrics undefined;  // the policy and the reference both exclude the answer
    undefined.add(loss(doubles{-inf}, doubles{0}, doubles{-inf}, doubles{0}));
    CHECK(prefopt::is_nan(undefined.loss()));
    CHECK(undefined.nonfinite() == 1);
    CHECK(undefined.accuracy() == 0.0);
    CHECK(undefined.ties() == 0.0);

    preference_metrics samples;
    samples.add_samples(doubles{-1, not_a_number}, doubles{-2, -2});
    CHECK(prefopt::is_nan(samples.kl()));
    CHECK(prefopt::is_nan(samples.kl_k3()));
    metrics.merge(infinite);
    CHECK(metrics.nonfinite() == 3);
}

TEST_CASE("a weight of zero leaves an example out of everything but the count", "[metrics]") {
    const prefopt::dpo loss{.beta = 0.5};
    const doubles zero(3, 0.0);
    const doubles weights{2, 0, 1};
    preference_metrics metrics;
    metrics.add(loss(doubles{4, not_a_number, -2}, doubles{2, not_a_number, 2}, zero, zero,
                     {.weights = weights}));
    CHECK(metrics.examples() == 3);
    CHECK(metrics.unweighted() == 1);
    CHECK(metrics.nonfinite() == 0);
    CHECK(metrics.accuracy() == 0.5);
    CHECK(metrics.chosen_reward() == 0.5);
    CHECK(metrics.margin() == -0.5);
    CHECK(metrics.chosen_below_reference() == 0.5);
    const quad expected = (2 * log1pq(expq(quad(-1))) + log1pq(expq(quad(2)))) / 3;
    CHECK(relative_error(metrics.loss(), expected) < 1e-15);  // the mean that result.loss is
}

TEST_CASE("unpaired answers: desirable against undesirable", "[metrics]") {
    const prefopt::kto loss{.beta = 0.5};
    const doubles policy{1, 2, -3, 4, -5};
    const doubles reference(5, 0.0);
    const std::vector<unsigned char> desirable{1, 0, 255, 0, 0};  // any non-zero byte is a yes
    preference_metrics metrics;
    const auto result = loss(policy, reference, desirable, 0.5);
    metrics.add(result);
    CHECK(metrics.totals().chosen == 2);
    CHECK(metrics.totals().rejected == 3);
    CHECK(metrics.chosen_log_ratio() == -1.0);
    CHECK(metrics.chosen_reward() == -0.5);
    CHECK(same(metrics.rejected_reward(), 0.5 / 3));
    CHECK(same(metrics.margin(), -0.5 - 0.5 / 3));
    CHECK(metrics.chosen_below_reference() == 0.5);
    CHECK(prefopt::is_nan(metrics.accuracy()));  // nobody was compared with anybody
    CHECK(same(metrics.loss(), result.loss));
}

TEST_CASE("lists: the best against all others", "[metrics]") {
    const prefopt::plackett_luce_dpo loss{.beta = 0.5};
    // The best wins; ties with one; loses to one; stands alone; meets a NaN.
    const double policy[5][3] = {
        {4, 1, 3}, {2, 2, 0}, {1, 5, -3}, {7, 99, 99}, {1, 0, not_a_number}};
    const double reference[5][3] = {};
    const std::vector<int> counts{3, 3, 3, 1, 3};
    preference_metrics metrics;
    metrics.add(loss(policy, reference, {.counts = counts}));
    CHECK(metrics.examples() == 5);
    CHECK(metrics.totals().comparisons == 4);
    CHECK(metrics.totals().chosen == 5);
    CHECK(metrics.totals().rejected == 8);
    CHECK(metrics.accuracy() == 0.25);
    CHECK(metrics.ties() == 0.25);
    CHECK(same(metrics.chosen_reward(), 0.5 * (4 + 2 + 1 + 7 + 1) / 5));
    CHECK(metrics.nonfinite() == 1);
    CHECK(prefopt::is_nan(metrics.margin()));

    // Stored in any order, the first place is what the ranking says.
    const double stored[2][3] = {{1, 3, 4}, {-3, 5, 1}};
    const double flat[2][3] = {};
    const int ranking[2][3] = {{2, 0, 1}, {2, 1, 0}};
    preference_metrics ranked;
    ranked.add(loss(stored, flat, ranking));
    CHECK(ranked.accuracy() == 0.5);
    CHECK(ranked.chosen_reward() == 0.5 * (4 + 1) / 2);
    CHECK(ranked.margin() == 0.5 * ((4 - 2.0) + (1 - 1.0)) / 2);
}

TEST_CASE("sequences without a scored token are counted", "[metrics]") {
    const float logits[3][2][2] = {{{0, 1}, {2, 3}}, {{0, 0}, {0, 0}}, {{0, 0}, {-1, 1}}};
    const int labels[3][2] = {{0, 1}, {-100, -100}, {-100, 0}};
    const auto scored = prefopt::sequence_log_probs(logits, labels);
    preference_metrics metrics;
    metrics.add_report(scored.report);
    CHECK(metrics.empty() == 1);
    CHECK(metrics.nonfinite() == 0);
    CHECK(metrics.examples() == 0);
    metrics.add_report(
        prefopt::sequence_report{.rows = 6, .scored = 3, .nonfinite = 2, .empty = 4});
    preference_metrics both;
    both.merge(metrics);
    CHECK(both.empty() == 5);
    CHECK(both.nonfinite_tokens() == 2);
    CHECK(both.nonfinite() == 0);
}

TEST_CASE("metrics take what every form of a call returns", "[metrics]") {
    const prefopt::dpo loss{.beta = 0.5};
    const doubles c{1, 2}, r{0, 3}, zero{0, 0};
    const auto result = loss(c, r, zero, zero);
    preference_metrics a, b;
    a.add(result);
    b.add(loss.into(c, r, zero, zero, {}));
    CHECK(a.loss() == result.loss);
    CHECK(b.loss() == result.loss);
    CHECK(b.accuracy() == 0.5);
}

TEST_CASE("a ranking becomes all its pairs unless less is asked for", "[rankings]") {
    using selection = prefopt::pair_selection;
    const int ranking[2][3] = {{2, 0, 1}, {1, 2, 0}};
    const pair_list all{{0, 2, 0}, {0, 2, 1}, {0, 0, 1}, {1, 1, 2}, {1, 1, 0}, {1, 2, 0}};
    CHECK(pairs_of(ranking) == all);
    CHECK(pairs_of(ranking, {.selection = selection::all}) == all);
    CHECK(pairs_of(ranking, {.selection = selection::best_against_rest}) ==
          pair_list{{0, 2, 0}, {0, 2, 1}, {1, 1, 2}, {1, 1, 0}});
    CHECK(pairs_of(ranking, {.selection = selection::adjacent}) ==
          pair_list{{0, 2, 0}, {0, 0, 1}, {1, 1, 2}, {1, 2, 0}});
    CHECK(pairs_of(ranking, {.selection = selection::best_against_worst}) ==
          pair_list{{0, 2, 1}, {1, 1, 0}});

    // Only the best is placed: it is above the two others, of which nothing is known.
    CHECK(pairs_of(ranking, {.placed = 1}) ==
          pair_list{{0, 2, 0}, {0, 2, 1}, {1, 1, 2}, {1, 1, 0}});
    CHECK(pairs_of(ranking, {.placed = 9}) == all);

    const signed char ragged[3][3] = {{1, 0, -1}, {0, -1, -1}, {2, 1, 0}};
    const std::vector<long> counts{2, 1, 3};
    CHECK(pairs_of(ragged, {.counts = counts}) ==
          pair_list{{0, 1, 0}, {2, 2, 1}, {2, 2, 0}, {2, 1, 0}});
    const unsigned alone[2][1] = {{0}, {0}};
    CHECK(pairs_of(alone).empty());

    const std::size_t many[1][6] = {{5, 3, 1, 0, 2, 4}};
    CHECK(pairs_of(many).size() == 15);
}

TEST_CASE("a ranking that is none has no pairs", "[rankings]") {
    const int repeated[2][3] = {{0, 1, 2}, {1, 1, 2}};
    const int outside[1][3] = {{0, 3, 2}};
    const int good[1][3] = {{0, 1, 2}};
    const std::vector<int> zero{0}, four{4}, two_lists{3, 3};
    CHECK_THROWS_AS(prefopt::ranked_pairs(repeated), prefopt::error);
    CHECK(prefopt::check(prefopt::ranked_pairs, repeated).code == errc::not_permutation);
    CHECK(prefopt::ranked_pairs.check(repeated).index == 4);
    CHECK(prefopt::ranked_pairs.check(outside).code == errc::not_permutation);
    CHECK(prefopt::ranked_pairs.check(outside).index == 1);
    CHECK(prefopt::ranked_pairs.check(good, {.counts = zero}).code == errc::empty_sequence);
    CHECK(prefopt::ranked_pairs.check(good, {.counts = four}).code == errc::bad_parameter);
    CHECK(prefopt::ranked_pairs.check(good, {.counts = two_lists}).code == errc::shape_mismatch);
    CHECK(prefopt::ranked_pairs.check(good, {.placed = -1}).code == errc::bad_parameter);
    CHECK(prefopt::ranked_pairs.check(good).ok());
}
