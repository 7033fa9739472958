// SPDX-License-Identifier: Apache-2.0
//
// Hidden rows to log-probs and back without logits: against the same logits in 113 bits and against
// sequence_log_probs of them; gradients against 113 bits and differences; blocks and chunks of any
// size, gaps, both storage orders, rows that are not numbers, and the parts that rows come in.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include <prefopt/linear_log_probs.hpp>

#include "support/catch.hpp"
#include "support/linear.hpp"
#include "support/quad.hpp"
#include "support/sets.hpp"

namespace {

using namespace test;

constexpr double infinite = std::numeric_limits<double>::infinity();
#ifdef __FAST_MATH__
constexpr double relaxed = 1e3;
#else
constexpr double relaxed = 1;
#endif

template <class T>
quad exact_log_prob(const T* x, idx v, std::int64_t y) {
    const quad own = static_cast<quad>(x[y]);
    quad top = own, others = 0;
    for (idx j = 0; j < v; ++j) top = std::max(top, static_cast<quad>(x[j]));
    for (idx j = 0; j < v; ++j)
        if (j != y) others += expq(static_cast<quad>(x[j]) - top);
    return own == top ? -log1pq(others) : own - top - logq(others + expq(own - top));
}

}  // namespace

TEMPLATE_TEST_CASE("one block of logits gives the bits of sequence_log_probs", "[linear]", float,
                   double) {
    for (const auto set : instruction_sets())
        for (const idx v : {1, 2, 63, 64, 65, 1000, 2049}) {
            const forced here(set);
            const problem<TestType> p(21, 9, v);
            CAPTURE(to_string(set), v);
            for (const bool biased : {false, true}) {
                linear_options o{.vocab_block = 4096};
                if (biased) o.bias = p.bias;
                const auto fused = linear_log_probs(plain, p.hidden, p.weights, p.labels, o);
                const auto whole = sequence_log_probs(p.logits(biased), p.labels);
                CHECK(same_bits(fused.sum[0], whole.sum[0]));
                CHECK(fused.count == whole.count);
                CHECK((fused.report.rows == 21 && fused.report.scored == 16));
                CHECK((fused.report.nonfinite == 0 && fused.report.empty == 0));
            }
        }
}

TEMPLATE_TEST_CASE("blocks and chunks of any size change nothing but the last digit", "[linear]",
                   float, double) {
    for (const auto set : instruction_sets())
        for (const auto& [v, blocks] :
             {std::pair{65, ints{1, 7, 64, 65}}, {2500, ints{64, 1000, 1024, 2499}}}) {
            const forced here(set);
            problem<TestType> p(40, 6, v, 5, 2);
            for (std::size_t i = 0; i < 6; ++i)  // first and last of all, and of a block
                if (p.labels[i] >= 0) p.labels[i] = ints{0, v - 1, 0, 63, 64, 1}[i];
            const auto logits = p.logits();
            const auto whole = sequence_log_probs(logits, p.labels);
            for (const std::int64_t vocab_block : blocks)
                for (const idx row_block : {1, 3, 16, 30, 256}) {
                    CAPTURE(to_string(set), v, vocab_block, row_block);
                    const auto r =
                        linear_log_probs(plain, p.hidden, p.weights, p.labels,
                                         {.row_block = row_block, .vocab_block = vocab_block});
                    double worst = 0;
                    for (idx i = 0; i < 40; ++i) {
                        const auto y = p.labels[static_cast<std::size_t>(i)];
                        const double got = r.partials[static_cast<std::size_t>(i)].log_prob();
                        if (y < 0) continue;
                        CHECK(got <= 0);
                        worst = std::fmax(worst, test::ulps(static_cast<TestType>(got),
                                                            exact_log_prob(&logits(i, 0), v, y)));
                    }
                    CHECK(worst <= 8 * relaxed);
                    CHECK(std::abs(r.sum[0] - whole.sum[0]) <= 1e-6 * std::abs(whole.sum[0]));
                    CHECK(r.count == whole.count);
                }
        }
}

TEMPLATE_TEST_CASE("gradients agree with 113 bits, whatever the blocks", "[linear]", float,
                   double) {
    constexpr idx n = 19, d = 5, v = 150;
    const problem<TestType> p(n, d, v, 8);
    const ints offsets{0, 7, 7, 19};
    const std::vector<double> g{-0.7, 4.0, 1.3};
    std::vector<quad> hidden(n * d), weights(v * d), bias(v), magnitude(v * d);
    for (idx i = 0; i < n; ++i) {
        if (!p.scored(i)) continue;
        std::vector<quad> x(v);
        quad sum = 0;
        for (idx j = 0; j < v; ++j) {
            auto& z = x[static_cast<std::size_t>(j)];
            z = static_cast<quad>(p.bias[static_cast<std::size_t>(j)]);
            for (idx k = 0; k < d; ++k)
                z += static_cast<quad>(p.hidden(i, k)) * static_cast<quad>(p.weights(j, k));
            sum += expq(z);
        }
        for (idx j = 0; j < v; ++j) {
            const quad hit = j == p.labels[static_cast<std::size_t>(i)] ? 1 : 0;
            const quad slope = static_cast<quad>(g[i < 7 ? 0 : 2]) *
                               (hit - expq(x[static_cast<std::size_t>(j)]) / sum);
            bias[static_cast<std::size_t>(j)] += slope;
            for (idx k = 0; k < d; ++k) {
                hidden[static_cast<std::size_t>(i * d + k)] +=
                    slope * static_cast<quad>(p.weights(j, k));
                weights[static_cast<std::size_t>(j * d + k)] +=
                    slope * static_cast<quad>(p.hidden(i, k));
            }
        }
    }
    const double unit = static_cast<double>(std::numeric_limits<TestType>::epsilon()) * relaxed;
    for (const idx row_block : {4, 256})
        for (const idx vocab_block : {32, 150, 1024})
            for (const bool known : {false, true}) {
                CAPTURE(row_block, vocab_block, known);
                tensor<TestType, 2> gh({n, d}), gw({v, d});
                std::vector<TestType> gb(v);
                std::fill_n(gh.data(), gh.size(), static_cast<TestType>(not_a_number));
                std::fill_n(gw.data(), gw.size(), static_cast<TestType>(not_a_number));
                const auto scored = linear_log_probs(
                    plain, p.hidden, p.weights, p.labels,
                    {.offsets = offsets, .bias = p.bias, .vocab_block = vocab_block});
                linear_backward_options o{.offsets = offsets,
                                          .bias = p.bias,
                                          .row_block = row_block,
                                          .vocab_block = vocab_block};
                if (known) o.partials = scored.partials;
                linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, g,
                                          {.hidden = gh, .weights = gw, .bias = gb}, o);
                double worst = 0;
                const auto look = [&](const TestType* got, const std::vector<quad>& exact) {
                    for (std::size_t i = 0; i < exact.size(); ++i) {
                        const double error =
                            static_cast<double>(static_cast<quad>(got[i]) - exact[i]);
                        worst = is_nan(error) ? infinite : std::fmax(worst, std::abs(error));
                    }
                };
                look(gh.data(), hidden);
                look(gw.data(), weights);
                look(gb.data(), bias);
                CHECK(worst <= 40 * unit);
                for (idx i = 0; i < n; ++i)
                    if (!p.scored(i))
                        for (idx k = 0; k < d; ++k) CHECK(same_bits(gh(i, k), TestType(0)));
                // Accumulated: twice the weights', once the rows'; and one gradient at a time.
                linear_backward_options more = o;
                more.accumulate = true;
                const auto gh_once = gh, gw_once = gw;
                linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, g,
                                          {.hidden = gh, .weights = gw, .bias = gb}, more);
                CHECK(same_bits(gh, gh_once));
                for (std::size_t i = 0; i < gw.size(); ++i) {
                    const quad twice = 2 * weights[i];
                    CHECK(std::abs(static_cast<double>(static_cast<quad>(gw.data()[i]) - twice)) <=
                          80 * unit);
                }
                linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, g, {.weights = gw},
                                          o);
                CHECK(same_bits(gw, gw_once));
            }
}

TEST_CASE("gradients are slopes of what forward returns", "[linear]") {
    problem<double> p(9, 4, 70, 12);
    const std::vector<double> g{0.8};
    tensor<double, 2> gh({9, 4}), gw({70, 4});
    linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, g,
                              {.hidden = gh, .weights = gw}, {.vocab_block = 32});
    const auto slope = [&](double& x) {
        const double kept = x, h = 1e-5;
        const auto at = [&](double moved) {
            x = moved;
            return 0.8 * linear_log_probs(plain, p.hidden, p.weights, p.labels).sum[0];
        };
        const double s = (at(kept + h) - at(kept - h)) / (2 * h);
        x = kept;
        return s;
    };
    for (idx k = 0; k < 4; ++k) {
        for (const idx i : {0, 3, 8}) CHECK(std::abs(slope(p.hidden(i, k)) - gh(i, k)) < 1e-7);
        for (idx j = 0; j < 70; j += 7) CHECK(std::abs(slope(p.weights(j, k)) - gw(j, k)) < 1e-7);
    }
}

TEST_CASE("every layout of the matrices gives the same numbers", "[linear]") {
    constexpr idx n = 12, d = 5, v = 90;
    const problem<float> p(n, d, v);
    const std::vector<double> g{0.5};
    tensor<float, 2> gh({n, d}), gw({v, d});
    const linear_options o{.row_block = 5, .vocab_block = 64};
    const auto base = linear_log_probs(plain, p.hidden, p.weights, p.labels, o);
    linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, g,
                              {.hidden = gh, .weights = gw}, {.row_block = 5, .vocab_block = 64});
    using strides = std::array<idx, 2>;
    for (const strides hs : {strides{d + 3, 1}, strides{1, n + 2}})
        for (const strides ws : {strides{d + 3, 1}, strides{1, v + 2}}) {
            const auto there = [&](std::vector<float>& far, const tensor<float, 2>& m, strides s) {
                far.assign(2000, 9.0F);
                const view<float, 2> w(far.data(), {m.extent(0), m.extent(1)}, s);
                for (idx i = 0; i < m.extent(0); ++i)
                    for (idx k = 0; k < m.extent(1); ++k) w(i, k) = m(i, k);
                return w;
            };
            std::vector<float> fh, fw, fgh, fgw;
            const auto h = there(fh, p.hidden, hs), w = there(fw, p.weights, ws);
            const auto to_h = there(fgh, p.hidden, hs), to_w = there(fgw, p.weights, ws);
            CHECK(same_bits(linear_log_probs(plain, h, w, p.labels, o).sum[0], base.sum[0]));
            linear_log_probs_backward(plain, h, w, p.labels, g, {.hidden = to_h, .weights = to_w},
                                      {.row_block = 5, .vocab_block = 64});
            int wrong = 0;
            for (idx k = 0; k < d; ++k) {
                for (idx i = 0; i < n; ++i) wrong += !same_bits(to_h(i, k), gh(i, k));
                for (idx j = 0; j < v; ++j) wrong += !same_bits(to_w(j, k), gw(j, k));
            }
            CHECK(wrong == 0);
            CHECK(std::count(fgh.begin(), fgh.end(), 9.0F) >= 2000 - n * d);
        }
    const view<const float, 3> batched(p.hidden.data(), {idx{3}, idx{4}, d});
    const view<const std::int64_t, 2> labels(p.labels.data(), {3, 4});
    const auto three = linear_log_probs(plain, batched, p.weights, labels, o);
    const ints offsets{0, 4, 8, 12};
    const auto packed = linear_log_probs(plain, p.hidden, p.weights, p.labels,
                                         {.offsets = offsets, .row_block = 2, .vocab_block = 64});
    CHECK(three.count == ints{3, 3, 3});
    for (std::size_t b = 0; b < 3; ++b) CHECK(same_bits(three.sum[b], packed.sum[b]));
    tensor<float, 3> g3({idx{3}, idx{4}, d});
    linear_log_probs_backward(plain, batched, p.weights, labels, std::vector{0.5, 0.5, 0.5},
                              {.hidden = g3}, {.row_block = 5, .vocab_block = 64});
    for (std::size_t i = 0; i < gh.size(); ++i) CHECK(same_bits(g3.data()[i], gh.data()[i]));
}

TEST_CASE("a confident token keeps its digits across blocks", "[linear]") {
    for (const auto set : instruction_sets())
        for (const idx at : {0, 63, 64, 500, 999}) {
            const forced here(set);
            tensor<float, 2> hidden({1, 1}), weights({1000, 1});
            hidden(0, 0) = 1;
            weights(at, 0) = 20;
            const ints labels{at};
            const auto r = linear_log_probs(plain, hidden, weights, labels, {.vocab_block = 64});
            CHECK(std::abs(r.sum[0] + 2.05909035e-6) < 1e-13 * relaxed);
            tensor<float, 2> gradient({1, 1});
            linear_log_probs_backward(plain, hidden, weights, labels, std::vector{1.0},
                                      {.hidden = gradient}, {.vocab_block = 64});
            CHECK(std::abs(gradient(0, 0) - 4.118176e-5F) < 1e-9F);  // 20 (1 - p)
        }
}

TEMPLATE_TEST_CASE("rows that are not numbers stay alone, and are counted", "[linear]", float,
                   double) {
    using T = TestType;
    constexpr idx n = 8, d = 3, v = 130;
    const ints offsets{0, 1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<double> g(8, 1.0);
    for (const auto set : instruction_sets())
        for (const double poison : {not_a_number, infinite, -infinite}) {
            const forced here(set);
            problem<T> p(n, d, v);
            p.hidden(4, 1) = static_cast<T>(poison);
            const linear_options o{.offsets = offsets, .row_block = 3, .vocab_block = 64};
            const auto r = linear_log_probs(plain, p.hidden, p.weights, p.labels, o);
            tensor<T, 2> gh({n, d}), gw({v, d});
            linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, g,
                                      {.hidden = gh, .weights = gw},
                                      {.offsets = offsets, .row_block = 3, .vocab_block = 64});
            CHECK(r.report.nonfinite == 1);
            for (idx i = 0; i < n; ++i) {
                CHECK(is_nan(r.sum[static_cast<std::size_t>(i)]) == (i == 4));
                for (idx k = 0; k < d; ++k) CHECK(is_nan(gh(i, k)) == (i == 4));
            }
            CHECK(is_nan(gw(0, 0)));
            // A coefficient of 0 leaves the sequence out; one that is NaN does not.
            auto left_out = g;
            left_out[4] = 0;
            linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, left_out,
                                      {.hidden = gh, .weights = gw}, {.offsets = offsets});
            for (idx k = 0; k < d; ++k) CHECK(same_bits(gh(4, k), T(0)));
            CHECK(std::none_of(gw.data(), gw.data() + gw.size(), [](T x) { return is_nan(x); }));
            left_out[0] = not_a_number;
            linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, left_out,
                                      {.hidden = gh, .weights = gw}, {.offsets = offsets});
            CHECK((is_nan(gh(0, 0)) && is_nan(gw(v - 1, 0)) && !is_nan(gh(1, 0))));
        }
}

TEMPLATE_TEST_CASE("a vocabulary masked by its bias contributes exactly nothing", "[linear]", float,
                   double) {
    using T = TestType;
    constexpr idx n = 8, d = 3, v = 200, padded = 450;
    const problem<T> p(n, d, v);
    tensor<T, 2> weights({padded, d}), gh({n, d}), gw({padded, d}), gh_short({n, d});
    std::copy_n(p.weights.data(), v * d, weights.data());
    std::vector<T> bias(padded, static_cast<T>(-infinite)), gb(padded), none(v);
    std::fill_n(bias.begin(), v, T(0));
    const std::vector<double> g{2.0};
    for (const auto set : instruction_sets())
        for (const idx vocab_block : {64, 200, 1024}) {
            const forced here(set);
            const linear_options o{.bias = bias, .vocab_block = vocab_block};
            const auto whole = linear_log_probs(plain, p.hidden, p.weights, p.labels,
                                                {.bias = none, .vocab_block = vocab_block});
            const auto masked = linear_log_probs(plain, p.hidden, weights, p.labels, o);
            CHECK(std::abs(masked.sum[0] - whole.sum[0]) <= 1e-7 * std::abs(whole.sum[0]));
            const linear_backward_options b{.bias = bias, .vocab_block = vocab_block};
            linear_log_probs_backward(plain, p.hidden, weights, p.labels, g,
                                      {.hidden = gh, .weights = gw, .bias = gb}, b);
            linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, g,
                                      {.hidden = gh_short});
            for (std::size_t i = 0; i < gh.size(); ++i)
                CHECK(std::abs(gh.data()[i] - gh_short.data()[i]) < static_cast<T>(1e-5));
            for (idx k = v * d; k < padded * d; ++k) CHECK(gw.data()[k] == 0);
            for (std::size_t j = v; j < padded; ++j) CHECK(gb[j] == 0);
            // Labels that are masked themselves, and rows of which nothing is left.
            const ints unlikely(n, padded - 1);
            const auto never = linear_log_probs(plain, gh, weights, unlikely, o);
            CHECK((never.sum[0] == -infinite && never.report.nonfinite == n));
            const std::vector<T> nothing(padded, static_cast<T>(-infinite));
            linear_log_probs_backward(plain, gh_short, weights, unlikely, g, {.weights = gw},
                                      {.bias = nothing});
            for (std::size_t i = 0; i < gw.size(); ++i) CHECK(same_bits(gw.data()[i], T(0)));
        }
}

TEMPLATE_TEST_CASE("logits of absurd size, in some blocks only", "[linear]", float, double) {
    using T = TestType;
    constexpr idx v = 300;
    for (const auto set : instruction_sets())
        for (const double high : {-3e9, 9e7, 1e8, 3e9, 1e30})
            for (const idx label : {10, 100, 250}) {
                const forced here(set);
                tensor<T, 2> hidden({1, 1}), weights({v, 1});
                hidden(0, 0) = 1;
                for (idx j = 0; j < v; ++j) weights(j, 0) = static_cast<T>(j % 7);
                for (const idx j : {100, 101, 290}) weights(j, 0) = static_cast<T>(high);
                CAPTURE(to_string(set), high, label);
                const auto fused =
                    linear_log_probs(plain, hidden, weights, ints{label}, {.vocab_block = 64});
                const view<T, 2> logits(weights.data(), {idx{1}, v});
                const auto whole = sequence_log_probs(logits, ints{label});
                CHECK(std::abs(fused.sum[0] - whole.sum[0]) <= 1e-6 * std::abs(whole.sum[0]));
                tensor<T, 2> direction({1, v});
                sequence_log_probs_backward(logits, ints{label}, std::vector{1.0}, direction);
                tensor<T, 2> gw({v, 1});
                linear_log_probs_backward(plain, hidden, weights, ints{label}, std::vector{1.0},
                                          {.weights = gw}, {.vocab_block = 64});
                for (idx j = 0; j < v; ++j)
                    CHECK(std::abs(gw(j, 0) - direction(0, j)) <= static_cast<T>(2e-6));
            }
}

TEST_CASE("parts of a row merge in any grouping", "[linear]") {
    std::mt19937_64 engine(4);
    const auto row = random_matrix<float>(engine, 1, 1000, 3);
    for (const auto set : instruction_sets()) {
        const auto part = [&](idx first, idx n, idx label) {
            return detail::partial_of(row.data() + first, n, 1, label, set);
        };
        const row_partial a = part(0, 100, -1), b = part(100, 700, 5), c = part(800, 200, -1);
        const row_partial left = merge(merge(a, b), c), right = merge(a, merge(b, c));
        const auto exact = static_cast<double>(exact_log_prob(row.data(), 1000, 105));
        for (const row_partial& r : {left, right, merge(c, merge(b, a)), merge(b, merge(c, a))})
            CHECK(std::abs(r.log_prob() - exact) < 1e-6 * std::abs(exact));
        CHECK(std::abs(left.sum - right.sum) <= 1e-15 * relaxed * left.sum);
        for (const row_partial& r : {merge(row_partial{}, b), merge(b, row_partial{})})
            CHECK((same_bits(r.sum, b.sum) && r.exponent == b.exponent && r.label == b.label));
    }
    const row_partial nothing{}, far{1, 5000, 0, 3}, near{1, -5000, 0, -infinite};
    CHECK((nothing.log_prob() == -infinite && merge(far, near).sum == 1));
    CHECK((merge(near, far).exponent == 5000 && merge(near, far).label == 3));
    const row_partial lost{not_a_number, 0, 0, -infinite}, odd{1, 0, 0, not_a_number};
    for (const row_partial& r : {merge(far, lost), merge(lost, near), merge(odd, far)})
        CHECK(is_nan(r.log_prob()));
    STATIC_REQUIRE(std::is_trivially_copyable_v<row_partial>);
    STATIC_REQUIRE(sizeof(row_partial) == 32);
}
