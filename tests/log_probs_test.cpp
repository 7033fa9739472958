// SPDX-License-Identifier: Apache-2.0
//
// From logits to sequence log-probs and back, against log-softmax in 113 bits: values and
// gradients of every storage type, confident tokens, masked vocabularies, rows that are not
// numbers; every shape, stride and label type gives the same bits; unscored rows are never read;
// nothing outside the declared extents is touched, and no index wraps past 2^32 elements.

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <prefopt/log_probs.hpp>

#include "support/catch.hpp"
#include "support/guarded.hpp"
#include "support/quad.hpp"

namespace {

using namespace prefopt;
using test::quad;
using ints = std::vector<std::int64_t>;

constexpr double ln2 = 0.69314718055994531, infinite = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

template <class S>
double wide(S x) {
    return static_cast<double>(detail::load(&x));
}
template <class S>
S narrow(double x) {
    S stored{};
    detail::store(&stored, x);
    return stored;
}
/// Equal bits; under -ffast-math every loop may have its own exp and its own order of operations,
/// so that there two results may be a unit of bf16 apart.
bool same_number(double a, double b) {
#ifdef __FAST_MATH__
    return std::abs(a - b) <= 0.008 * std::abs(b) + 1e-30;
#else
    return std::memcmp(&a, &b, sizeof a) == 0;
#endif
}
template <class A>
bool same_bits(const A& a, const A& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](auto x, auto y) { return same_number(wide(x), wide(y)); });
}

/// |computed - exact| in units of the last of so many binary digits.
double ulps_of(double computed, quad exact, int digits) {
    int e = 0;
    std::frexp(static_cast<double>(exact), &e);
    return static_cast<double>(fabsq(static_cast<quad>(computed) - exact) / ldexpq(1, e - digits));
}

/// Log-softmax of one row in 113 bits; -infinity entries (never the label) are left out.
struct exact_row {
    quad log_prob = 0;
    std::vector<quad> direction;  ///< onehot(label) - softmax

    template <class S>
    exact_row(const std::vector<S>& x, std::size_t y) : direction(x.size(), 0) {
        quad top = static_cast<quad>(wide(x[y]));
        for (const S v : x)
            if (!is_infinite(wide(v))) top = std::max(top, static_cast<quad>(wide(v)));
        quad others = 0;
        for (std::size_t j = 0; j < x.size(); ++j) {
            if (is_infinite(wide(x[j]))) continue;
            direction[j] = expq(static_cast<quad>(wide(x[j])) - top);
            if (j != y) others += direction[j];
        }
        const quad own = direction[y];
        log_prob = others < own ? -log1pq(others / own)
                                : static_cast<quad>(wide(x[y])) - top - logq(others + own);
        for (quad& e : direction) e = -e / (others + own);
        direction[y] = others / (others + own);
    }
};

template <class S>
std::vector<S> random_row(std::mt19937_64& engine, std::size_t n, double scale) {
    std::normal_distribution<double> normal(0, scale);
    std::vector<S> x(n);
    for (S& v : x) v = narrow<S>(normal(engine));
    return x;
}

/// One row through the public calls: its log-prob, and the gradient for a coefficient.
template <class S>
struct one_row {
    double log_prob;
    std::int64_t nonfinite;
    std::vector<S> gradient;

    one_row(const std::vector<S>& x, std::int64_t label, double coefficient = 1)
        : gradient(x.size(), narrow<S>(7)) {
        const view logits(x.data(), {std::size_t{1}, x.size()});
        const auto scored = sequence_log_probs(logits, ints{label});
        log_prob = scored.sum[0];
        nonfinite = scored.report.nonfinite;
        sequence_log_probs_backward(logits, ints{label}, std::vector{coefficient},
                                    view(gradient.data(), {std::size_t{1}, x.size()}));
    }
};

}  // namespace

TEMPLATE_TEST_CASE("log-probs and gradients agree with 113-bit log-softmax", "[log_probs]", float,
                   double, bf16, fp16) {
    using S = TestType;
    constexpr auto kind = scalar_traits<S>::kind;
    constexpr int digits = std::array{24, 53, 8, 11}[static_cast<std::size_t>(kind)];
    constexpr int least_normal = std::array{-126, -1022, -126, -14}[static_cast<std::size_t>(kind)];
    std::mt19937_64 engine(20240817);
    int gradients = 0;
    double worst_value = 0, worst_gradient = 0, coefficient = -0.3;
    for (const std::size_t vocab : {1U, 2U, 3U, 63U, 64U, 65U, 129U, 2048U, 2049U, 4500U})
        for (const double scale : {0.01, 1.0, 3.0, 20.0}) {
            const auto x = random_row<S>(engine, vocab, scale);
            const auto top = static_cast<std::size_t>(
                std::max_element(x.begin(), x.end(), [](S a, S b) { return wide(a) < wide(b); }) -
                x.begin());
            for (const std::size_t y : {std::size_t{0}, vocab / 2, vocab - 1, top}) {
                const exact_row e(x, y);
                const one_row<S> got(x, static_cast<std::int64_t>(y), coefficient);
                CHECK(got.log_prob <= 0);
                worst_value = std::max(worst_value, ulps_of(got.log_prob, e.log_prob, 24));
                quad balance = 0;
                for (std::size_t j = 0; j < vocab; ++j) {
                    const quad g = static_cast<quad>(coefficient) * e.direction[j];
                    balance -= static_cast<quad>(wide(got.gradient[j]));
                    if (fabsq(g) < ldexpq(1, least_normal)) continue;  // G5 is about normal ones
                    ++gradients;
                    double off = ulps_of(wide(got.gradient[j]), g, digits);
                    // Nothing wider than double to take x - max in: that costs |x - max| ulps.
                    if (kind == scalar_kind::f64) off -= wide(x[top]) - wide(x[j]);
                    worst_gradient = std::max(worst_gradient, off);
                }
                CAPTURE(vocab, scale, y);
                CHECK(static_cast<double>(fabsq(balance)) <=
                      0.3 * std::ldexp(static_cast<double>(vocab), -digits));
            }
        }
    CAPTURE(worst_value, worst_gradient);
    CHECK(gradients > 40000);
    CHECK(worst_value <= 8);
#ifdef __FAST_MATH__  // what compensates the rounding of a difference of doubles is optimised away
    constexpr double budget = 16;
#else
    constexpr double budget = 8;
#endif
    CHECK(worst_gradient <= (digits >= 24 ? budget : 0.51));
}

TEST_CASE("a confident token keeps all its digits", "[log_probs]") {
    std::vector<float> x(1000, 0.0F);
    x[0] = 20;
    CHECK(ulps_of(one_row<float>(x, 0).log_prob, exact_row(x, 0).log_prob, 24) <= 8);
    CHECK(std::abs(one_row<float>(x, 0).log_prob + 2.05909035e-6) < 1e-13);
    for (int lead = 1; lead <= 103; ++lead) {
        CAPTURE(lead);
        const std::vector<float> pair{static_cast<float>(lead), 0.0F};
        const exact_row e(pair, 0);
        const one_row<float> got(pair, 0);
        CHECK(got.log_prob < 0);
        CHECK(
            (fabsq(static_cast<quad>(got.log_prob) - e.log_prob) <= ldexpq(2, -149) || lead < 83));
        if (lead > 82) continue;  // |log p| < 1e-36
        CHECK(ulps_of(got.log_prob, e.log_prob, 24) <= 8);
        CHECK(test::ulps(got.gradient[0], e.direction[0]) <= 8);  // 1 - p, with its digits
        CHECK(test::ulps(got.gradient[1], e.direction[1]) <= 8);
    }
}

TEST_CASE("equal and huge logits neither overflow nor drift", "[log_probs]") {
    for (const float v : {0.0F, 1.0F, 88.8F, 1e4F, 1e30F, 3e38F, -1.0F, -1e4F, -3e38F}) {
        CAPTURE(v);
        CHECK(std::abs(one_row<float>({v, v}, 0).log_prob + ln2) <= 0x1p-24);
        CHECK(one_row<float>({v, v}, 1).gradient == std::vector<float>{-0.5F, 0.5F});
        const double d = v > 1e38F ? 1.7e308 : static_cast<double>(v);
        CHECK(std::abs(one_row<double>({d, d}, 1).log_prob + ln2) < 2e-16);
    }
    const std::vector<float> lowest(100, std::numeric_limits<float>::lowest());
    CHECK(std::abs(one_row<float>(lowest, 99).log_prob + 4.6051701859880914) < 2e-15);
    CHECK(one_row<float>({3e38F, -3e38F}, 0).log_prob == 0);
    const one_row<float> apart({3e38F, -3e38F}, 1);
    CHECK((std::abs(apart.log_prob / 6e38 + 1) < 1e-7 && apart.gradient[0] == -1));
    CHECK(one_row<float>({-5.0F}, 0).log_prob == 0);  // V = 1: nothing to choose
}

TEST_CASE("a vocabulary masked with -infinity contributes exactly nothing", "[log_probs]") {
    constexpr auto minus = -std::numeric_limits<float>::infinity();
    std::mt19937_64 engine(5);
    auto x = random_row<float>(engine, 70, 3), appended = x;
    appended.insert(appended.end(), 3000, minus);
    const one_row<float> plain(x, 5);
    std::feclearexcept(FE_ALL_EXCEPT);
    const one_row<float> masked(appended, 5);
    const std::vector<float> tail(masked.gradient.begin() + 70, masked.gradient.end());
#ifndef __FAST_MATH__  // there a vectorised exp may raise flags, and zeros have no sign
    CHECK(std::fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW) == 0);
    CHECK(same_bits(tail, std::vector<float>(3000, 0.0F)));
#endif
    CHECK(tail == std::vector<float>(3000, 0.0F));
    CHECK(same_number(masked.log_prob, plain.log_prob));
    CHECK(std::abs(masked.gradient[5] - plain.gradient[5]) < 1e-9F);
    const one_row<float> unlikely({minus, 1.0F, 2.0F}, 0);  // the label itself is masked
    CHECK((is_infinite(unlikely.log_prob) && unlikely.log_prob < 0));
    CHECK((unlikely.nonfinite == 1 && unlikely.gradient[0] == 1));
    CHECK(std::abs(unlikely.gradient[1] + 0.26894142F) < 1e-7F);
    CHECK(one_row<float>({minus, 4.0F, minus}, 1).gradient == std::vector<float>(3, 0.0F));

    const one_row<float> nothing(std::vector<float>(65, minus), 7);
    CHECK((is_infinite(nothing.log_prob) && nothing.log_prob < 0 && nothing.nonfinite == 1));
    CHECK(same_bits(nothing.gradient, std::vector<float>(65, 0.0F)));
}

TEMPLATE_TEST_CASE("NaN and +infinity propagate within their sequence and are counted",
                   "[log_probs]", float, double, bf16, fp16) {
    using S = TestType;
    for (const double poison : {not_a_number, infinite})
        for (const std::size_t at : {0U, 3U, 69U}) {
            CAPTURE(poison, at);
            std::vector<S> x(140, narrow<S>(0.5));
            x[at] = narrow<S>(poison);
            const view logits(x.data(), {2, 1, 70});
            const std::int8_t labels[2][1] = {{3}, {4}};
            const auto scored = sequence_log_probs(logits, labels);
            CHECK(is_nan(scored.sum[0]));
            CHECK(std::abs(scored.sum[1] + 4.248495242049359) <= 0x1p-22);
            CHECK(scored.count == ints{1, 1});
            CHECK((scored.report.nonfinite == 1 && scored.report.scored == 2));
            std::vector<S> g(140);
            const view out(g.data(), {2, 1, 70});
            sequence_log_probs_backward(logits, labels, std::vector{1.0F, 1.0F}, out);
            CHECK(std::all_of(g.begin(), g.begin() + 70, [](S v) { return is_nan(wide(v)); }));
            CHECK(std::none_of(g.begin() + 70, g.end(), [](S v) { return is_nan(wide(v)); }));
            sequence_log_probs_backward(logits, labels, std::vector{0.0F, 0.0F}, out);
            CHECK(same_bits(g, std::vector<S>(140, narrow<S>(0))));  // selected, not multiplied
        }
}

TEMPLATE_TEST_CASE("every layout, padding and packing gives the same numbers", "[log_probs]", float,
                   double, bf16, fp16) {
    using S = TestType;
    constexpr std::ptrdiff_t B = 3, T = 5, V = 67, pad = 80;
    std::mt19937_64 engine(77);
    const auto x = random_row<S>(engine, B * T * V, 4);
    const ints y{1, 66, 0, 9, 9, -1, -100, 3, 4, -7, -1, -1, -1, -1, -1};
    const ints offsets{0, 5, 5, 10, 15};
    const std::vector<double> k{0.5, -2.0, 3.0};
    const view logits(x.data(), {B, T, V});
    const view labels(y.data(), {B, T});
    const auto base = sequence_log_probs(logits, labels);
    std::vector<S> grad(x.size(), narrow<S>(9));
    sequence_log_probs_backward(logits, labels, k, view(grad.data(), {B, T, V}));
    CHECK(base.count == ints{5, 2, 0});
    CHECK(same_bits(base.sum, {base.sum[0], base.sum[1], 0.0}));
    CHECK((base.report.rows == 15 && base.report.scored == 7 && base.report.empty == 1));
    for (std::size_t row = 0; row < B * T; ++row)  // without label: +0, whatever the coefficient
        if (y[row] < 0)
            CHECK(std::memcmp(&grad[row * V], std::vector<S>(V).data(), V * sizeof(S)) == 0);

    SECTION("packed by offsets, an empty sequence among them") {
        const auto packed = sequence_log_probs(view(x.data(), {B * T, V}), y, {.offsets = offsets});
        CHECK(same_bits(packed.sum, {base.sum[0], 0.0, base.sum[1], 0.0}));
        CHECK(packed.count == ints{5, 0, 2, 0});
        CHECK(packed.report.empty == 2);
        std::vector<S> g(x.size(), narrow<S>(9));
        sequence_log_probs_backward(view(x.data(), {B * T, V}), y, std::vector{0.5, 8.0, -2.0, 3.0},
                                    view(g.data(), {B * T, V}), {.offsets = offsets});
        CHECK(same_bits(g, grad));
        const auto rows = sequence_log_probs(view(x.data(), {B * T, V}), y);
        CHECK(rows.count == ints{7});
        CHECK(std::abs(rows.sum[0] - base.sum[0] - base.sum[1]) < 1e-12);
    }
    SECTION("strides: padded rows, vocabulary first, everything backwards") {
        const std::array<std::ptrdiff_t, 3> strides[] = {
            {T * pad, pad, 1}, {1, B, B * T}, {T, 1, B * T}, {V, B * V, 1}, {-T * pad, -pad, -1}};
        for (const auto& s : strides) {
            std::vector<S> far(B * T * pad, narrow<S>(not_a_number));
            std::vector<S> far_grad(far.size(), narrow<S>(9));
            int wrong = 0;
            const std::ptrdiff_t origin = s[0] < 0 ? B * T * pad - 1 : 0;
            const view there(far.data() + origin, {B, T, V}, s);
            const view out(far_grad.data() + origin, {B, T, V}, s);
            for (std::ptrdiff_t i = 0; i < B * T * V; ++i)
                there(i / (T * V), i / V % T, i % V) = x[static_cast<std::size_t>(i)];
            const auto scored = sequence_log_probs(there, labels);
            sequence_log_probs_backward(there, labels, k, out);
            const auto own = sequence_log_probs_in_place(there, labels);
            for (std::size_t b = 0; b < B; ++b)
                CHECK((same_number(scored.sum[b], base.sum[b]) && own.sum[b] == scored.sum[b]));
            for (std::ptrdiff_t i = 0; i < B * T * V; ++i)
                wrong += !same_number(wide(out(i / (T * V), i / V % T, i % V)),
                                      wide(grad[static_cast<std::size_t>(i)]));
            CHECK(wrong == 0);
            if (s[1] == pad)  // what lies between the rows is nobody's
                CHECK((wide(far_grad[V]) == 9 && is_nan(wide(far[V]))));
        }
    }
    SECTION("in place is the separate form with coefficient 1; backward may share the memory") {
        std::vector<S> separate(x.size());
        sequence_log_probs_backward(logits, labels, std::vector{1.0, 1.0, 1.0},
                                    view(separate.data(), {B, T, V}));
        auto once = x;
        const auto scored = sequence_log_probs_in_place(view(once.data(), {B, T, V}), labels);
        CHECK(same_bits(once, separate));
        CHECK((same_bits(scored.sum, base.sum) && scored.count == base.count));
        auto shared = x;
        sequence_log_probs_backward(view(shared.data(), {B, T, V}), labels, k,
                                    view(shared.data(), {B, T, V}));
        CHECK(same_bits(shared, grad));
    }
    const std::int16_t nine = 9;  // one label for all rows, by stride 0
    const auto scored = sequence_log_probs(logits, view(&nine, {B, T}, {0, 0}));
    CHECK(same_bits(scored.sum, sequence_log_probs(logits, view(ints(15, 9).data(), {B, T})).sum));
}

TEMPLATE_TEST_CASE("labels of every integer type; only a signed one can be negative", "[log_probs]",
                   std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t,
                   std::uint16_t, std::uint32_t, std::uint64_t, char, long long) {
    using Y = TestType;
    std::mt19937_64 engine(3);
    const auto x = random_row<float>(engine, 2 * 256, 2);
    const std::vector<Y> y{static_cast<Y>(std::is_signed_v<Y> ? -1 : 255), Y{100}};
    const auto scored = sequence_log_probs(view(x.data(), {2, 1, 256}), view(y.data(), {2, 1}));
    CHECK(scored.count == ints{std::is_signed_v<Y> ? 0 : 1, 1});
    const std::vector<float> first(x.begin(), x.begin() + 256), second(x.begin() + 256, x.end());
    const auto e = static_cast<double>(exact_row(first, 255).log_prob);
    CHECK(std::abs(scored.sum[0] - (std::is_signed_v<Y> ? 0.0 : e)) < 2e-6);
    CHECK(std::abs(scored.sum[1] - static_cast<double>(exact_row(second, 100).log_prob)) < 2e-6);
}

TEST_CASE("nothing is read or written beyond the extents, nor in rows without a label",
          "[log_probs][memory]") {
    constexpr std::ptrdiff_t two = 2, rows = 6;
    for (std::ptrdiff_t V = 1; V <= 70; ++V)
        for (const bool backwards : {false, true}) {  // flush against either forbidden page
            const auto n = static_cast<std::size_t>(two * V);
            const test::guarded_memory a(4 * n), b(4 * n), c(16), d(24), s(16);
            const auto flush = [&](const test::guarded_memory& m) {
                return backwards ? view(m.at_begin<float>() + n - 1, {two, V}, {-V, -two / two})
                                 : view(m.at_end<float>(n), {two, V});
            };
            const view labels(c.at_end<long>(2), {2}), offsets(d.at_end<long>(3), {3});
            const view sums(s.at_end<double>(2), {2});
            offsets(1) = 1, offsets(2) = 2, labels(0) = V - 1;
            sequence_log_probs.into(flush(a), labels, {.sum = sums}, {.offsets = offsets});
            CHECK(std::abs(sums(1) + std::log(static_cast<double>(V))) < 1e-6);
            sequence_log_probs_backward(flush(a), labels, sums, flush(b), {.offsets = offsets});
            sequence_log_probs_in_place.into(flush(a), labels, {.sum = sums}, {.offsets = offsets});
        }
    const test::guarded_memory pages(6 * 4096U * 16);
    const auto V = static_cast<std::ptrdiff_t>(pages.page() / sizeof(float));
    const std::vector<int> y{-1, 2, -100, static_cast<int>(V) - 1, 0, -1};
    pages.forbid(0), pages.forbid(2), pages.forbid(4), pages.forbid(5);  // 4: coefficient 0
    std::vector<float> g(static_cast<std::size_t>(6 * V), 5.0F);
    const view logits(pages.at_begin<float>(), {rows, V});
    const auto scored = sequence_log_probs(view(logits.data, {2 * two, V}), view(y.data(), {4}));
    CHECK(std::abs(scored.sum[0] + 2 * std::log(static_cast<double>(V))) < 1e-9);
    sequence_log_probs_backward(logits, y, std::vector{1.0, 0.0}, view(g.data(), {rows, V}),
                                {.offsets = ints{0, 4, 6}});
    CHECK(std::count(g.begin(), g.end(), 0.0F) == 4 * V);
}

TEST_CASE("long sums are kept in double, and every index in 64 bits", "[log_probs][memory]") {
    // 200000 tokens of two words that lead by 0.01 to 12.8: what is exact is summed in 113 bits.
    std::vector<double> x;
    quad sum = 0;
    for (int i = 0; i < 200000; ++i) {
        x.insert(x.end(), {static_cast<double>(i % 1280) / 100, 0.0});
        sum -= log1pq(expq(static_cast<quad>(i % 2 == 0 ? -x[x.size() - 2] : x[x.size() - 2])));
    }
    ints y(200000, 0);
    for (std::size_t i = 1; i < y.size(); i += 2) y[i] = 1;
    const auto scored = sequence_log_probs(view(x.data(), {200000, 2}), y);
    CHECK(static_cast<double>(fabsq(static_cast<quad>(scored.sum[0]) / sum - 1)) < 1e-15);
    for (const long at : {200000L, 1001L, 0L})  // unscored tokens at the end, within, before
        x.insert(x.begin() + 2 * at, 2 * 37, 4.0), y.insert(y.begin() + at, 37, -1);
    CHECK(same_bits(sequence_log_probs(view(x.data(), {200111, 2}), y).sum, scored.sum));

    constexpr std::ptrdiff_t N = (1 << 20) + 1, V = 4096;  // the last row begins at 2^32
    const test::guarded_memory sparse(sizeof(float) * static_cast<std::size_t>(N * V));
    const view logits(sparse.at_begin<float>(), {N, V});
    logits(N - 1, 7) = 3;
    std::vector<std::int8_t> labels(static_cast<std::size_t>(N), -1);
    labels.back() = 7;
    const double e = 3 - std::log(4095 + std::exp(3.0));
    const auto last = sequence_log_probs(logits, labels);
    CHECK((std::abs(last.sum[0] - e) < 1e-6 && last.report.rows == N && last.count == ints{1}));
    const view two(logits.data, {2, 1, 4096}, {std::ptrdiff_t{1} << 32, V, std::ptrdiff_t{1}});
    const int seven[2][1] = {{7}, {7}};
    CHECK(std::abs(sequence_log_probs_in_place(two, seven).sum[1] - e) < 1e-6);
    CHECK((std::abs(logits(N - 1, 7) - 0.99512F) < 1e-4F && logits(0, 7) > 0.999F));
}

TEMPLATE_TEST_CASE("backward from the forward's partials has the same bits", "[log_probs]", float,
                   double, prefopt::bf16) {
    // Rows of every kind: ordinary, confident, masked words, NaN, absurd sizes, not scored.
    constexpr std::ptrdiff_t rows = 9, V = 301;
    constexpr double infinity = std::numeric_limits<double>::infinity();
    std::vector<TestType> x(static_cast<std::size_t>(rows * V));
    std::mt19937 random(77);
    std::normal_distribution<double> normal(0, 3);
    for (TestType& v : x) detail::store(&v, normal(random));
    const auto set = [&](std::ptrdiff_t row, std::ptrdiff_t i, double v) {
        detail::store(&x[static_cast<std::size_t>(row * V + i)], v);
    };
    set(1, 5, 60.0);
    for (std::ptrdiff_t i = 100; i < V; ++i) set(2, i, -infinity);
    set(3, 9, std::numeric_limits<double>::quiet_NaN());
    set(4, 7, 3e8);
    for (std::ptrdiff_t i = 0; i < V; ++i) set(5, i, -infinity);
    set(8, 0, -infinity);
    const ints y{3, 5, 50, 8, 7, 0, -1, 300, 0};
    const ints offsets{0, 4, 9};
    const std::vector<double> coefficient{0.25, -3.0};
    for (const bool by_column : {false, true}) {
        std::vector<TestType> memory(x.size());
        const view logits = by_column ? view(memory.data(), {rows, V}, {std::ptrdiff_t{1}, rows})
                                      : view(memory.data(), {rows, V});
        for (std::ptrdiff_t r = 0; r < rows; ++r)
            for (std::ptrdiff_t i = 0; i < V; ++i)
                logits(r, i) = x[static_cast<std::size_t>(r * V + i)];
        std::vector<row_partial> partials(static_cast<std::size_t>(rows), row_partial{.label = 7});
        std::vector<double> sums(2);
        sequence_log_probs.into(logits, y, {.sum = sums, .partials = partials},
                                {.offsets = offsets});
        CHECK(partials[6].label == 7);  // not scored: left alone
        CHECK(partials[6].sum == 0);
        double sum = 0;
        for (const std::size_t row : {0U, 1U, 2U}) sum += partials[row].log_prob();
        CHECK(std::abs(sum -
                       sequence_log_probs(view(logits.data, {3, V}, logits.strides), ints{3, 5, 50})
                           .sum[0]) < 1e-12 * std::abs(sum));
        std::vector<TestType> without(x.size()), with(x.size());
        const auto like = [&](std::vector<TestType>& to) {
            return view(to.data(), {rows, V}, logits.strides);
        };
        sequence_log_probs_backward(logits, y, coefficient, like(without), {.offsets = offsets});
        sequence_log_probs_backward(logits, y, coefficient, like(with),
                                    {.offsets = offsets, .partials = partials});
        CHECK(std::memcmp(with.data(), without.data(), x.size() * sizeof(TestType)) == 0);

        // A changed partial changes its row: they are what is used.
        partials[0].sum *= 2;
        sequence_log_probs_backward(logits, y, coefficient, like(with),
                                    {.offsets = offsets, .partials = partials});
        CHECK(std::memcmp(with.data(), without.data(), x.size() * sizeof(TestType)) != 0);

        const auto few = std::span<const row_partial>(partials).first(8);
        const auto refused = sequence_log_probs_backward.check(
            logits, y, coefficient, like(with), {.offsets = offsets, .partials = few});
        CHECK(refused.code == errc::shape_mismatch);
        CHECK(std::string_view(refused.argument) == "partials");
    }
}
