// SPDX-License-Identifier: Apache-2.0
//
// The loop over rankings: a batch of lists is its lists, weighted and reduced. The storage order of
// the answers, ragged lengths, padding, partial rankings, layouts, storage types and the length at
// which a workspace is needed change nothing but where results land. Padding is never read.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <type_traits>
#include <vector>

#include <prefopt/plackett_luce.hpp>

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

template <class S>
double wide(S x) {
    return static_cast<double>(detail::load(&x));
}

template <class S>
using matrix = tensor<S, 2>;

template <class S>
struct lists {
    std::ptrdiff_t b, k;
    matrix<S> policy, reference;
    matrix<std::int32_t> ranking;
    std::vector<double> weights;

    lists(std::ptrdiff_t rows, std::ptrdiff_t answers, std::uint64_t seed = 61)
        : b(rows),
          k(answers),
          policy({b, k}),
          reference({b, k}),
          ranking({b, k}),
          weights(static_cast<std::size_t>(b)) {
        std::mt19937_64 random(seed + static_cast<std::uint64_t>(100 * b + k));
        std::normal_distribution<float> log_prob(-60, 15), drift(0, 9);
        for (std::ptrdiff_t i = 0; i < b; ++i) {
            std::vector<std::int32_t> order(static_cast<std::size_t>(k));
            std::iota(order.begin(), order.end(), 0);
            std::shuffle(order.begin(), order.end(), random);
            for (std::ptrdiff_t j = 0; j < k; ++j) {
                const float r = log_prob(random);
                reference(i, j) = S(r);
                policy(i, j) = S(r + drift(random));
                ranking(i, j) = order[static_cast<std::size_t>(j)];
            }
            weights[static_cast<std::size_t>(i)] =
                i % 4 == 2 ? 0.0 : 0.5 * static_cast<double>(1 + random() % 5);
        }
    }
    double log_ratio(std::ptrdiff_t i, std::ptrdiff_t j) const {
        return wide(policy(i, j)) - wide(reference(i, j));
    }
};

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}
template <class T>
bool same(const matrix<T>& a, const matrix<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}
template <class V, class M>
bool same(const listwise_result<V, M>& a, const listwise_result<V, M>& b) {
    return same_bits(a.loss, b.loss) && same(a.losses, b.losses) && same(a.grad, b.grad) &&
           same(a.rewards, b.rewards);
}

const plackett_luce_dpo loss{.beta = 0.2};

}  // namespace

TEMPLATE_TEST_CASE("lists: a batch is its lists, weighted and reduced", "[losses][lists]", float,
                   double, bf16, fp16) {
    using S = TestType;
    const auto set = GENERATE(from_range(test::instruction_sets()));
    const test::forced here(set);
    CAPTURE(to_string(set));
    for (const std::ptrdiff_t k : {1, 2, 3, 8, 130})
        for (const std::ptrdiff_t b : {1, 15, 17, 63, 64})
            for (const bool weighted : {false, true})
                for (const std::int64_t placed : {0, 1, 2}) {
                    const lists<S> x(b, k);
                    listwise_options o{.placed = placed};
                    if (weighted) o.weights = x.weights;
                    if (b == 63) o.reduction = reduction::sum;
                    const auto got = loss(x.policy, x.reference, x.ranking, o);
                    using R = typename decltype(got.losses)::value_type;
                    STATIC_REQUIRE(std::is_same_v<R, result_scalar_t<S>>);
                    const auto first = static_cast<std::size_t>(placed == 0 ? k : placed);
                    // Without vectors each result is the term, rounded; with them, as exact as R.
                    const bool scalar = test::exact_scalar();
                    const double units = scalar ? 0 : 4;
                    quad total = 0;
                    int wrong = 0;
                    for (std::ptrdiff_t i = 0; i < b; ++i) {
                        std::vector<quad> s;
                        std::vector<double> t;
                        for (std::ptrdiff_t j = 0; j < k; ++j) {
                            t.push_back(x.log_ratio(i, x.ranking(i, j)));
                            s.push_back(quad(t.back()));
                        }
                        const auto row = static_cast<std::size_t>(i);
                        const double w = weighted ? x.weights[row] : 1.0;
                        const double scale = b == 63 ? w : w / static_cast<double>(b);
                        if (k < 10 || i == 0)
                            total += quad(scale) * exact::plackett_luce(quad(0.2), s, first);
                        else
                            total += quad(scale) * quad(wide(got.losses[row]));
                        const double value = loss.term(std::span<double>(t), first);
                        wrong += scalar ? !same_number(got.losses[row], static_cast<R>(value))
                                        : !test::close(got.losses[row], value, units);
                        for (std::ptrdiff_t j = 0; j < k; ++j) {
                            const std::ptrdiff_t at = x.ranking(i, j);
                            const double g = scale * t[static_cast<std::size_t>(j)];
                            // a small entry is the difference of two that are not
                            const double room = scalar ? 0 : 1e-15 * scale * static_cast<double>(k);
                            wrong += !test::close(got.grad(i, at), g, 2 + units, room);
                            wrong += !same_number(got.rewards(i, at),
                                                  static_cast<R>(0.2 * x.log_ratio(i, at)));
                        }
                    }
                    CAPTURE(k, b, weighted, placed);
                    CHECK(wrong == 0);
                    const double room =
                        k < 10 ? 1e-13 : 1e-6;  // long lists: only the first by quad
                    CHECK(fabsq(quad(got.loss) - total) <= quad(room) * total);
                    CHECK(got.summary.examples == b);
                    CHECK(got.summary.comparisons + got.summary.unweighted >= (k > 1 ? b : 0));
                }
}

TEST_CASE("lists: the order of storage is nobody's business", "[losses][lists]") {
    const lists<double> x(40, 7);
    // The same answers stored best first need no ranking.
    matrix<double> policy({40, 7}), reference({40, 7});
    matrix<std::uint8_t> narrow({40, 7});
    for (std::ptrdiff_t i = 0; i < 40; ++i)
        for (std::ptrdiff_t j = 0; j < 7; ++j) {
            policy(i, j) = x.policy(i, x.ranking(i, j));
            reference(i, j) = x.reference(i, x.ranking(i, j));
            narrow(i, j) = static_cast<std::uint8_t>(x.ranking(i, j));
        }
    const auto stored = loss(x.policy, x.reference, x.ranking, {.weights = x.weights, .placed = 4});
    const auto ordered = loss(policy, reference, {.weights = x.weights, .placed = 4});
    CHECK(same_bits(stored.loss, ordered.loss));
    CHECK(same(stored.losses, ordered.losses));
    bool moved = true;
    for (std::ptrdiff_t i = 0; i < 40; ++i)
        for (std::ptrdiff_t j = 0; j < 7; ++j)
            moved = moved && same_bits(stored.grad(i, x.ranking(i, j)), ordered.grad(i, j)) &&
                    same_bits(stored.rewards(i, x.ranking(i, j)), ordered.rewards(i, j));
    CHECK(moved);
    CHECK(same(loss(x.policy, x.reference, narrow, {.weights = x.weights, .placed = 4}), stored));

    // Two answers: storing the rejected one first swaps the gradients, bit for bit.
    const double forth_p[1][2] = {{-3.5, -7.25}}, forth_r[1][2] = {{-4, -6.5}};
    const double back_p[1][2] = {{-7.25, -3.5}}, back_r[1][2] = {{-6.5, -4}};
    const int best_second[1][2] = {{1, 0}};
    const auto forth = loss(forth_p, forth_r);
    const auto back = loss(back_p, back_r, best_second);
    CHECK(same_bits(forth.grad(0, 0), back.grad(0, 1)));
    CHECK(same_bits(forth.grad(0, 1), back.grad(0, 0)));
    CHECK(same_bits(forth.loss, back.loss));
}

TEST_CASE("lists: ragged lists are the lists alone; padding is never read", "[losses][lists]") {
    const std::ptrdiff_t b = 20, k = 9;
    lists<float> x(b, k);
    std::vector<std::int16_t> counts(static_cast<std::size_t>(b));
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (std::ptrdiff_t i = 0; i < b; ++i) {
        const std::ptrdiff_t n = 1 + i % k;
        counts[static_cast<std::size_t>(i)] = static_cast<std::int16_t>(n);
        std::vector<std::int32_t> order;
        for (std::ptrdiff_t j = 0; j < k; ++j)
            if (x.ranking(i, j) < n) order.push_back(x.ranking(i, j));
        for (std::ptrdiff_t j = 0; j < k; ++j) {
            if (j < n) {
                x.ranking(i, j) = order[static_cast<std::size_t>(j)];
                continue;
            }
            x.ranking(i, j) = -12345;
            x.policy(i, j) = nan;
            x.reference(i, j) = nan;
        }
    }
    for (const std::int64_t placed : {0, 3}) {
        const auto got =
            loss(x.policy, x.reference, x.ranking, {.placed = placed, .counts = counts});
        CHECK(is_finite(got.loss));
        CHECK(got.summary.nonfinite == 0);
        double sum = 0;
        bool alone = true, clean = true;
        for (std::ptrdiff_t i = 0; i < b; ++i) {
            const std::ptrdiff_t n = 1 + i % k;
            const auto part = [&](auto& m) { return view(&m(i, 0), {std::ptrdiff_t{1}, n}); };
            const auto one = loss(part(x.policy), part(x.reference), part(x.ranking),
                                  {.reduction = reduction::sum, .placed = placed});
            sum += one.loss;
            for (std::ptrdiff_t j = 0; j < k; ++j) {
                if (j < n)
                    alone = alone && std::fabs(got.grad(i, j) * 20 - one.grad(0, j)) <= 2e-6F &&
                            same_number(got.rewards(i, j), one.rewards(0, j));
                else
                    clean = clean && same_bits(got.grad(i, j), 0.0F) &&
                            same_bits(got.rewards(i, j), 0.0F);
            }
        }
        CAPTURE(placed);
        CHECK(alone);
        CHECK(clean);
        CHECK(std::fabs(got.loss - sum / 20) < 1e-12 * sum);
    }
    for (const std::int16_t bad : {std::int16_t{0}, std::int16_t{10}, std::int16_t{-1}}) {
        counts[6] = bad;
        const auto s = loss.check(x.policy, x.reference, x.ranking, {.counts = counts});
        CHECK(s.code == (bad == 0 ? errc::empty_sequence : errc::bad_parameter));
        CHECK(s.index == 6);
    }
}

TEMPLATE_TEST_CASE("lists: where lists lie in memory changes no bit", "[losses][lists]", float,
                   double) {
    using S = TestType;
    const lists<S> x(33, 6);
    const listwise_options o{.weights = x.weights};
    const auto want = loss(x.policy, x.reference, x.ranking, o);
    // By columns, with padded rows, backwards in both directions.
    struct layout {
        std::ptrdiff_t first, row, column;
    };
    for (const layout l : {layout{0, 1, 33}, layout{3, 11, 1}, layout{5, 14, 2},
                           layout{33 * 6 - 1, -6, -1}, layout{32, -1, 33}}) {
        std::vector<S> memory(600, std::numeric_limits<S>::quiet_NaN()), out(600, S(7));
        const std::array<std::ptrdiff_t, 2> extents{33, 6}, strides{l.row, l.column};
        const view<S, 2> policy(memory.data() + l.first, extents, strides);
        const view<S, 2> grad(out.data() + l.first, extents, strides);
        for (std::ptrdiff_t i = 0; i < 33; ++i)
            for (std::ptrdiff_t j = 0; j < 6; ++j) policy(i, j) = x.policy(i, j);
        const auto got = loss(policy, x.reference, x.ranking, o);
        CAPTURE(l.row, l.column);
        CHECK(same(got.losses, want.losses));
        CHECK(same(got.grad, want.grad));
        CHECK(same_bits(got.loss, want.loss));
        const auto whole = loss.into(policy, x.reference, x.ranking, {.grad = grad}, o);
        CHECK(same_bits(whole.loss, want.loss));
        std::ptrdiff_t equal = 0;
        for (std::ptrdiff_t i = 0; i < 33; ++i)
            for (std::ptrdiff_t j = 0; j < 6; ++j) equal += same_bits(grad(i, j), want.grad(i, j));
        CHECK(equal == 33 * 6);
        CHECK(std::count(out.begin(), out.end(), S(7)) == 600 - 33 * 6);
        loss.into(policy, x.reference, x.ranking, {.grad = policy}, o);  // in == out
        for (std::ptrdiff_t i = 0; i < 33; ++i)
            for (std::ptrdiff_t j = 0; j < 6; ++j)
                equal -= same_bits(policy(i, j), want.grad(i, j));
        CHECK(equal == 0);
    }
}

TEST_CASE("lists: long lists need a workspace, and only they", "[losses][lists]") {
    for (const std::ptrdiff_t k : {127, 128, 129, 200}) {
        const lists<double> x(5, k);
        const auto want = loss(x.policy, x.reference, x.ranking);
        listwise_result<std::vector<double>, matrix<double>> got{
            .losses = std::vector<double>(5, 9.0),
            .grad = matrix<double>({5, k}),
            .rewards = matrix<double>({5, k})};
        const listwise_outputs out{got.losses, got.grad, got.rewards};
        CAPTURE(k);
        CHECK((listwise_workspace(k) > 0) == (k > 128));
        CHECK(listwise_workspace(2 * k) < 50 * 2 * k + 50);  // the answers of sixteen lists, not B
        std::vector<double> workspace(static_cast<std::size_t>(listwise_workspace(k)));
        got.loss = loss.into(x.policy, x.reference, x.ranking, out, {.workspace = workspace}).loss;
        CHECK(same(got, want));
        if (k <= 128) continue;
        std::fill(got.losses.begin(), got.losses.end(), 9.0);
        CHECK_THROWS_AS(loss.into(x.policy, x.reference, x.ranking, out), error);
        workspace.pop_back();
        const auto s = loss.check(x.policy, x.reference, x.ranking, {.workspace = workspace}, out);
        CHECK(s.code == errc::workspace_too_small);
        CHECK(got.losses == std::vector<double>(5, 9.0));
    }
}

TEST_CASE("lists: bad numbers stay in their list, bad rankings out", "[losses][lists]") {
    lists<double> x(70, 4);
    const auto want = loss(x.policy, x.reference, x.ranking);
    x.policy(65, 2) = std::numeric_limits<double>::quiet_NaN();
    auto got = loss(x.policy, x.reference, x.ranking);
    CHECK(is_nan(got.loss));
    CHECK(is_nan(got.losses[65]));
    CHECK(is_nan(got.grad(65, 2)));
    CHECK(got.summary.nonfinite == 1);
    bool elsewhere = true;
    for (std::ptrdiff_t i = 0; i < 70; ++i)
        for (std::ptrdiff_t j = 0; j < 4; ++j)
            elsewhere = elsewhere && (i == 65 || same_bits(got.grad(i, j), want.grad(i, j)));
    CHECK(elsewhere);
    std::vector<double> w(70, 1.0);
    w[65] = 0;
    got = loss(x.policy, x.reference, x.ranking, {.weights = w});
    CHECK(is_finite(got.loss));
    CHECK(got.summary.unweighted == 1);
    CHECK(got.summary.nonfinite == 0);
    for (std::ptrdiff_t j = 0; j < 4; ++j) CHECK(same_bits(got.grad(65, j), 0.0));

    const std::int32_t kept = x.ranking(50, 1);
    for (const std::int32_t bad : {std::int32_t{4}, std::int32_t{-1}, x.ranking(50, 0)}) {
        x.ranking(50, 1) = bad;
        const auto s = loss.check(x.policy, x.reference, x.ranking);
        CHECK(s.code == errc::not_permutation);
        CHECK(s.index == 50 * 4 + 1);
        std::vector<double> losses(70, 5.0);
        CHECK_THROWS_AS(loss.into(x.policy, x.reference, x.ranking, {.losses = losses}), error);
        CHECK(losses == std::vector<double>(70, 5.0));
    }
    x.ranking(50, 1) = kept;
    CHECK(loss.check(x.policy, x.reference, x.ranking, {.placed = 99}).ok());
    CHECK(loss.check(x.policy, x.reference, x.ranking, {.placed = -1}).code == errc::bad_parameter);
}
