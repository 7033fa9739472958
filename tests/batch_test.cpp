// SPDX-License-Identifier: Apache-2.0
//
// The loops over pairs and over single answers: a batch is its terms, weighted and reduced, and
// nothing else. Length, alignment, stride, storage type and who owns the memory change no bit; a
// weight of 0 leaves an example out; NaN stays in its own row and is counted; a refused call has
// written nothing.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <prefopt/bradley_terry.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/trust_region.hpp>

#include "support/catch.hpp"
#include "support/quad.hpp"
#include "support/reference.hpp"
#include "support/sets.hpp"

namespace {

using namespace prefopt;
using test::quad;
using test::quad_real;
using test::same_bits;
using test::same_number;
using exact_real = quad_real;

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

template <class S>
struct pairs {
    std::vector<S> pc, pr, rc, rr;
    std::vector<double> weights;

    explicit pairs(std::size_t n, std::uint64_t seed = 41)
        : pc(n), pr(n), rc(n), rr(n), weights(n) {
        std::mt19937_64 random(seed + n);
        std::normal_distribution<float> log_prob(-80, 20), drift(0, 8);
        for (std::size_t i = 0; i < n; ++i) {
            const float c = log_prob(random), r = log_prob(random);
            rc[i] = S(c);
            rr[i] = S(r);
            pc[i] = S(c + drift(random));
            pr[i] = S(r + drift(random));
            weights[i] = i % 5 == 3 ? 0.0 : 0.25 * static_cast<double>(1 + random() % 8);
        }
    }
};

template <class S>
double wide(S x) {
    return static_cast<double>(detail::load(&x));
}

/// Calls a loss with or without a reference.
template <class Loss, class S>
auto call(const Loss& loss, const pairs<S>& b, const pairwise_options& o = {}) {
    if constexpr (Loss::has_reference)
        return loss(b.pc, b.pr, b.rc, b.rr, o);
    else
        return loss(b.pc, b.pr, o);
}

/// Result by result: the term, the weight and the reduction, in the type that comes back.
template <class Loss, class S>
void check_batch(const Loss& loss, std::size_t n) {
    const pairs<S> b(n);
    for (const bool weighted : {false, true})
        for (const auto how : {reduction::mean, reduction::sum}) {
            CAPTURE(n, weighted, how == reduction::mean);
            pairwise_options o{.reduction = how};
            if (weighted) o.weights = b.weights;
            const auto got = call(loss, b, o);
            using R = typename decltype(got.losses)::value_type;
            STATIC_REQUIRE(std::is_same_v<R, result_scalar_t<S>>);
            // Without vectors each result is the term, rounded; with them, as exact as R.
            const bool scalar = test::exact_scalar();
            const double units = scalar ? 0 : 4;
            // A square, and a difference that may vanish, of numbers with 47 digits.
            const double least = std::is_same_v<R, float> ? 0x1p-90 : 0;
            const double last_place = static_cast<double>(std::numeric_limits<R>::epsilon());
            quad total = 0, slack = 0;
            int wrong = 0, unbalanced = 0;
            for (std::size_t i = 0; i < n; ++i) {
                const double w = weighted ? b.weights[i] : 1.0;
                const double scale = how == reduction::mean ? w / static_cast<double>(n) : w;
                const double zero = Loss::has_reference ? 1.0 : 0.0;
                const double c = wide(b.pc[i]) - zero * wide(b.rc[i]);
                const double r = wide(b.pr[i]) - zero * wide(b.rr[i]);
                const auto t = loss.term(c, r);
                const auto exactly = loss.term(exact_real(c), exact_real(r)).value.value;
                total += quad(scale) * exactly;
                slack +=
                    quad(scale) * (fabsq(exactly) + 30 * fabsq(quad(t.d_chosen * (c - r))) + 1);
                wrong += scalar ? !same_number(got.losses[i], static_cast<R>(t.value))
                                : !test::close(got.losses[i], t.value, units, least);
                wrong += !same_number(got.chosen_rewards[i], static_cast<R>(loss.reward(c)));
                wrong += !same_number(got.rejected_rewards[i], static_cast<R>(loss.reward(r)));
                // a gradient is the difference of two numbers below 1 and may be small
                const double room = scalar ? 0 : 2 * last_place * scale;
                wrong += !test::close(got.grad_chosen[i], scale * t.d_chosen, 2 + units, room);
                wrong += !test::close(got.grad_rejected[i], scale * t.d_rejected, 2 + units, room);
                unbalanced += !(got.grad_chosen[i] == -got.grad_rejected[i]);
            }
            CHECK(wrong == 0);
            if (Loss::has_reference) CHECK(unbalanced == 0);
            const double last = scalar || std::is_same_v<R, double> ? 0x1p-49 : 0x1p-23;
            CHECK(fabsq(quad(got.loss) - total) <= quad(last) * slack);
            CHECK(got.summary.examples == static_cast<std::int64_t>(n));
            CHECK(got.summary.nonfinite == 0);
            const auto left_out = std::count(b.weights.begin(), b.weights.end(), 0.0);
            CHECK(got.summary.unweighted == (weighted ? left_out : 0));
        }
}

template <class T>
bool same_vectors(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}
template <class V>
bool same_results(const pairwise_result<V>& a, const pairwise_result<V>& b) {
    return same_bits(a.loss, b.loss) && same_vectors(a.losses, b.losses) &&
           same_vectors(a.grad_chosen, b.grad_chosen) &&
           same_vectors(a.grad_rejected, b.grad_rejected) &&
           same_vectors(a.chosen_rewards, b.chosen_rewards) &&
           same_vectors(a.rejected_rewards, b.rejected_rewards);
}

/// The same numbers elsewhere: at another offset, with a stride, or backwards.
template <class S>
struct scattered {
    std::vector<S> memory;
    view<S, 1> shown;

    scattered(const std::vector<S>& from, std::ptrdiff_t offset, std::ptrdiff_t stride) {
        const auto n = static_cast<std::ptrdiff_t>(from.size());
        const std::ptrdiff_t step = stride < 0 ? -stride : stride;
        memory.assign(static_cast<std::size_t>(offset + n * step + 1), S(not_a_number_of()));
        S* first = memory.data() + offset + (stride < 0 ? (n - 1) * step : 0);
        shown = view<S, 1>(first, {n}, {stride});
        for (std::ptrdiff_t i = 0; i < n; ++i) shown(i) = from[static_cast<std::size_t>(i)];
    }
    static float not_a_number_of() { return std::numeric_limits<float>::quiet_NaN(); }
};

/// A loss of one's own around one of ours: its term is its own, whatever its members are called.
struct hinge_of_dpo {
    dpo loss{};
    static constexpr auto kind = loss_kind::pairwise;
    static constexpr bool has_reference = true;

    template <formula_scalar T>
    [[nodiscard]] pair_term<T> term(const T& chosen, const T& rejected) const {
        const auto [value, d_chosen, d_rejected] = loss.term(chosen, rejected);
        if (value < T(0.5)) return {T(0), T(0), T(0)};  // it branches: no on_vectors
        return {T(2) * value, T(2) * d_chosen, T(2) * d_rejected};
    }
    template <formula_scalar T>
    [[nodiscard]] T reward(const T& log_ratio) const {
        return T(3) * loss.reward(log_ratio);
    }
    [[nodiscard]] status check_parameters() const { return loss.check_parameters(); }

    PREFOPT_PAIRWISE_CALLS(hinge_of_dpo)
};

}  // namespace

TEMPLATE_TEST_CASE("batch: pairs are their terms, weighted and reduced", "[losses]", float, double,
                   bf16, fp16) {
    for (const auto set : test::instruction_sets())
        for (const std::size_t n : {1U, 15U, 16U, 17U, 63U, 64U, 65U, 1000U}) {
            CAPTURE(to_string(set));
            const test::forced here(set);
            check_batch<dpo, TestType>({.beta = 0.1}, n);
            check_batch<dpo, TestType>({.beta = 0.5, .label_smoothing = 0.1}, n);
            check_batch<ipo, TestType>({.beta = 0.1}, n);
            check_batch<bradley_terry, TestType>({.margin = 0.5, .centering = 0.01}, n);
        }
}

TEMPLATE_TEST_CASE("batch: where pairs lie in memory changes no bit", "[losses]", float, double,
                   bf16) {
    using S = TestType;
    const dpo loss{.beta = 0.1, .label_smoothing = 0.05};
    for (const std::size_t n : {std::size_t{1}, std::size_t{64}, std::size_t{131}}) {
        pairs<S> b(n);
        const auto want = loss(b.pc, b.pr, b.rc, b.rr, {.weights = b.weights});
        bool same = true;
        for (const std::ptrdiff_t offset : {0, 1, 3, 7})
            for (const std::ptrdiff_t stride : {1, 3, -1, -2}) {
                const scattered<S> pc(b.pc, offset, stride), pr(b.pr, 0, 1);
                const scattered<S> rc(b.rc, 2, -stride), rr(b.rr, 1, 1);
                const scattered<double> w(b.weights, offset, stride);
                const auto got = loss(pc.shown, pr.shown, rc.shown, rr.shown, {.weights = w.shown});
                same = same && same_results(got, want);
            }
        CAPTURE(n);
        CHECK(same);
        // Another order of the pairs moves their results with them.
        std::vector<std::size_t> order(n);
        pairs<S> moved = b;
        for (std::size_t i = 0; i < n; ++i) {
            order[i] = (i * 37 + 5) % n;
            moved.pc[i] = b.pc[order[i]];
            moved.pr[i] = b.pr[order[i]];
            moved.rc[i] = b.rc[order[i]];
            moved.rr[i] = b.rr[order[i]];
            moved.weights[i] = b.weights[order[i]];
        }
        const auto got = loss(moved.pc, moved.pr, moved.rc, moved.rr, {.weights = moved.weights});
        for (std::size_t i = 0; i < n; ++i)
            same = same && same_bits(got.grad_chosen[i], want.grad_chosen[order[i]]) &&
                   same_bits(got.losses[i], want.losses[order[i]]);
        CHECK(same);
    }
}

TEMPLATE_TEST_CASE("batch: into writes what the allocating call returns", "[losses]", float,
                   double) {
    using S = TestType;
    const dpo loss{.beta = 0.3};
    pairs<S> b(131);
    const auto want = loss(b.pc, b.pr, b.rc, b.rr, {.weights = b.weights});
    pairwise_result<std::vector<S>> got;
    for (auto* v : {&got.losses, &got.grad_chosen, &got.grad_rejected, &got.chosen_rewards,
                    &got.rejected_rewards})
        v->resize(131);
    const batch_result whole = loss.into(
        b.pc, b.pr, b.rc, b.rr,
        {got.losses, got.grad_chosen, got.grad_rejected, got.chosen_rewards, got.rejected_rewards},
        {.weights = b.weights});
    got.loss = whole.loss;
    CHECK(same_results(got, want));
    CHECK(whole.summary.loss == want.summary.loss);
    CHECK(whole.summary.wins == want.summary.wins);

    // Only some outputs, or none.
    std::vector<S> only(131);
    CHECK(same_bits(
        loss.into(b.pc, b.pr, b.rc, b.rr, {.grad_rejected = only}, {.weights = b.weights}).loss,
        want.loss));
    CHECK(same_vectors(only, want.grad_rejected));
    CHECK(same_bits(loss.into(b.pc, b.pr, b.rc, b.rr, {}, {.weights = b.weights}).loss, want.loss));

    // The gradients may take the place of the log-probs, the rewards that of the reference's.
    pairs<S> eaten = b;
    loss.into(eaten.pc, eaten.pr, eaten.rc, eaten.rr,
              {.grad_chosen = eaten.pc,
               .grad_rejected = eaten.pr,
               .chosen_rewards = eaten.rc,
               .rejected_rewards = eaten.rr},
              {.weights = b.weights});
    CHECK(same_vectors(eaten.pc, want.grad_chosen));
    CHECK(same_vectors(eaten.pr, want.grad_rejected));
    CHECK(same_vectors(eaten.rc, want.chosen_rewards));
    CHECK(same_vectors(eaten.rr, want.rejected_rewards));

    // Half over each other is refused, and nothing is written.
    std::vector<S> memory(200, S(3));
    const view<S, 1> low(memory.data(), {131}), high(memory.data() + 1, {131});
    CHECK_THROWS_AS(loss.into(low, b.pr, b.rc, b.rr, {.grad_chosen = high}), error);
    CHECK(memory == std::vector<S>(200, S(3)));
    // Results in 16 bits, where the caller's memory is.
    std::vector<bf16> narrow(131);
    loss.into(b.pc, b.pr, b.rc, b.rr, {.chosen_rewards = narrow});
    bool near = true;
    for (std::size_t i = 0; i < 131; ++i)
        near = near && std::fabs(wide(narrow[i]) - wide(want.chosen_rewards[i])) <=
                           std::fabs(wide(want.chosen_rewards[i])) * 0x1p-8;
    CHECK(near);
}

TEST_CASE("batch: a weight of 0 leaves a pair out, NaN or not", "[losses]") {
    const dpo loss{.beta = 0.1};
    pairs<double> b(70), fewer(70);
    b.pc[5] = not_a_number;
    b.rr[64] = infinite;
    b.pr[64] = infinite;
    std::vector<double> w(70, 1.0);
    w[5] = w[64] = 0;
    const auto got = loss(b.pc, b.pr, b.rc, b.rr, {.reduction = reduction::sum, .weights = w});
    quad total = 0;
    for (std::size_t i = 0; i < 70; ++i)
        if (w[i] > 0)
            total += loss.term(exact_real(fewer.pc[i] - fewer.rc[i]),
                               exact_real(fewer.pr[i] - fewer.rr[i]))
                         .value.value;
    CHECK(std::fabs(got.loss - static_cast<double>(total)) < 1e-11);
    CHECK(got.summary.unweighted == 2);
    CHECK(got.summary.examples == 70);
    CHECK(got.summary.nonfinite == 0);
    for (const std::size_t i : {std::size_t{5}, std::size_t{64}}) {
        CHECK(same_bits(got.grad_chosen[i], 0.0));
        CHECK(same_bits(got.grad_rejected[i], 0.0));
        CHECK(is_nan(got.losses[i]));  // before weights
    }
    for (const double bad : {-1.0, not_a_number, infinite}) {
        w[9] = bad;
        CHECK(loss.check(b.pc, b.pr, b.rc, b.rr, {.weights = w}).code == errc::bad_parameter);
        CHECK(loss.check(b.pc, b.pr, b.rc, b.rr, {.weights = w}).index == 9);
    }
}

TEST_CASE("batch: NaN and infinity stay in their row, and are counted", "[losses]") {
    const dpo loss{.beta = 0.1};
    const pairs<double> clean(130);
    const auto want = loss(clean.pc, clean.pr, clean.rc, clean.rr);
    pairs<double> b = clean;
    b.pc[3] = not_a_number;
    b.pr[66] = b.rr[66] = -infinite;
    b.pc[100] = -infinite;  // an infinite loss with a finite gradient
    const auto got = loss(b.pc, b.pr, b.rc, b.rr);
    CHECK(is_nan(got.loss));
    CHECK(got.summary.nonfinite == 3);
    bool same = true;
    for (std::size_t i = 0; i < 130; ++i)
        if (i != 3 && i != 66 && i != 100)
            same = same && same_bits(got.losses[i], want.losses[i]) &&
                   same_bits(got.grad_chosen[i], want.grad_chosen[i]) &&
                   same_bits(got.rejected_rewards[i], want.rejected_rewards[i]);
    CHECK(same);
    for (const std::size_t i : {std::size_t{3}, std::size_t{66}}) {
        CHECK(is_nan(got.losses[i]));
        CHECK(is_nan(got.grad_chosen[i]));
        CHECK(is_nan(got.grad_rejected[i]));
    }
    CHECK_FALSE(is_nan(got.rejected_rewards[3]));
    CHECK(is_infinite(got.losses[100]));
    CHECK(std::fabs(got.grad_chosen[100] + 0.1 / 130) < 1e-17);
}

TEST_CASE("batch: averaged IPO divides by the tokens, and its gradient too", "[losses]") {
    const ipo_averaged loss{.beta = 0.5};
    const pairs<double> b(67);
    std::vector<std::int32_t> chosen(67);
    std::vector<std::uint8_t> rejected(67);
    for (std::size_t i = 0; i < 67; ++i) {
        chosen[i] = static_cast<std::int32_t>(1 + i * 7 % 50);
        rejected[i] = static_cast<std::uint8_t>(1 + i * 11 % 200);
    }
    const auto got =
        loss(b.pc, b.pr, b.rc, b.rr, {.chosen_counts = chosen, .rejected_counts = rejected});
    quad worst = 0, total = 0;
    for (std::size_t i = 0; i < 67; ++i) {
        const quad lc = chosen[i], lr = rejected[i], n = 67;
        const quad u = (quad(b.pc[i]) - quad(b.rc[i])) / lc - (quad(b.pr[i]) - quad(b.rr[i])) / lr;
        const quad off = u - 1;  // 1 / (2 beta)
        total += off * off / n;
        worst = test::exact::larger(worst, fabsq(quad(got.losses[i]) - off * off));
        worst = test::exact::larger(worst, fabsq(quad(got.grad_chosen[i]) - 2 * off / lc / n));
        worst = test::exact::larger(worst, fabsq(quad(got.grad_rejected[i]) + 2 * off / lr / n));
        worst = test::exact::larger(worst, fabsq(quad(got.chosen_rewards[i]) -
                                                 quad(0.5) * (quad(b.pc[i]) - quad(b.rc[i])) / lc));
    }
    CHECK(worst < quad(1e-12));
    CHECK(fabsq(quad(got.loss) - total) < quad(1e-13) * total);
    chosen[40] = 0;
    const auto s =
        loss.check(b.pc, b.pr, b.rc, b.rr, {.chosen_counts = chosen, .rejected_counts = rejected});
    CHECK(s.code == errc::empty_sequence);
    CHECK(s.index == 40);
    CHECK(loss.check(b.pc, b.pr, b.rc, b.rr).code == errc::bad_parameter);
    CHECK(ipo{}.check(b.pc, b.pr, b.rc, b.rr, {.rejected_counts = rejected}).code ==
          errc::bad_parameter);
}

TEST_CASE("batch: float in, float out, exact to a float in every tail", "[losses][accuracy]") {
    std::mt19937_64 random(91);
    std::uniform_real_distribution<float> log_prob(-200, 0);
    constexpr std::size_t n = 20'000;
    for (const auto set : test::instruction_sets())
        for (const double beta : {1.0, 0.1})
            for (const float range : {2.0F, 20.0F, 80.0F}) {  // of z
                CAPTURE(to_string(set), beta, range);
                const test::forced here(set);
                const float reach = range / (2 * static_cast<float>(beta));
                std::uniform_real_distribution<float> drift(-reach, reach);
                std::vector<float> pc(n), pr(n), rc(n), rr(n), losses(n), grad(n);
                for (std::size_t i = 0; i < n; ++i) {
                    pc[i] = (rc[i] = log_prob(random)) + drift(random);
                    pr[i] = (rr[i] = log_prob(random)) + drift(random);
                }
                dpo{.beta = beta}.into(pc, pr, rc, rr, {.losses = losses, .grad_chosen = grad},
                                       {.reduction = reduction::sum});
                double worst_loss = 0, worst_gradient = 0;
                for (std::size_t i = 0; i < n; ++i) {
                    const quad z =
                        quad(beta) * ((quad(pc[i]) - quad(rc[i])) - (quad(pr[i]) - quad(rr[i])));
                    const quad e = expq(-fabsq(z));
                    const quad loss = (z < 0 ? -z : quad(0)) + log1pq(e);
                    const quad slope = -quad(beta) * (z < 0 ? quad(1) : e) / (1 + e);
                    worst_loss = std::fmax(worst_loss, test::ulps(losses[i], loss));
                    worst_gradient = std::fmax(worst_gradient, test::ulps(grad[i], slope));
                }
                CHECK(worst_loss <= 2);
                CHECK(worst_gradient <= 2.5);
            }
}

TEST_CASE("batch: what no float can hold on the way is what it is in double", "[losses]") {
    constexpr float most = std::numeric_limits<float>::max();
    constexpr auto inf = std::numeric_limits<float>::infinity();
    constexpr auto nan = std::numeric_limits<float>::quiet_NaN();
    const float special[] = {0.0F,  -0.0F, -1.5F, 1e-30F, -1e-42F, 1e7F,    -3e20F, most,
                             -most, inf,   -inf,  nan,    -80.0F,  0x1p24F, -2e37F, 7.0F};
    const std::size_t n = 16 * 16 + 70;
    pairs<float> clean(n), b = clean;
    for (std::size_t i = 0; i < 256; ++i) {  // each beside each, ordinary pairs behind
        b.pc[i] = special[i % 16];
        b.rc[i] = special[i / 16];
        b.pr[i] = special[(i * 7 + 3) % 16];
        b.rr[i] = special[(i / 16 * 5 + 1) % 16];
    }
    pairs<double> w(n);
    std::copy(b.pc.begin(), b.pc.end(), w.pc.begin());
    std::copy(b.pr.begin(), b.pr.end(), w.pr.begin());
    std::copy(b.rc.begin(), b.rc.end(), w.rc.begin());
    std::copy(b.rr.begin(), b.rr.end(), w.rr.begin());
    const auto check = [&](const auto& loss, bool weighted) {
        pairwise_options o{.reduction = reduction::sum};
        if (weighted) o.weights = b.weights;
        const auto got = loss(b.pc, b.pr, b.rc, b.rr, o);
        const auto want = loss(w.pc, w.pr, w.rc, w.rr, o);
        const auto ordinary = loss(clean.pc, clean.pr, clean.rc, clean.rr, o);
        int wrong = 0;
        const auto near = [&](float x, double y, std::size_t i) {
            const auto rounded = static_cast<float>(y);
            const double size = std::fabs(static_cast<double>(b.pc[i])) +
                                std::fabs(static_cast<double>(b.rr[i])) + 1;
            if (!is_finite(rounded)) return is_nan(x) ? is_nan(rounded) : same_bits(x, rounded);
            return test::close(x, static_cast<double>(rounded), 4,
                               is_finite(size) ? 1e-12 * size : 0.0);
        };
        for (std::size_t i = 0; i < n; ++i) {
            wrong += !near(got.losses[i], want.losses[i], i);
            wrong += !near(got.grad_chosen[i], want.grad_chosen[i], i);
            wrong += !near(got.grad_rejected[i], want.grad_rejected[i], i);
            wrong += !near(got.chosen_rewards[i], want.chosen_rewards[i], i);
            wrong += !near(got.rejected_rewards[i], want.rejected_rewards[i], i);
            if (i >= 256)  // in the company of whatever
                wrong += !same_bits(got.losses[i], ordinary.losses[i]) ||
                         !same_bits(got.grad_rejected[i], ordinary.grad_rejected[i]);
        }
        CHECK(wrong == 0);
        CHECK(got.summary.nonfinite == want.summary.nonfinite);
        CHECK(got.summary.unweighted == want.summary.unweighted);
        CHECK(got.summary.chosen == want.summary.chosen);
        CHECK(got.summary.wins == want.summary.wins);
        CHECK(got.summary.ties == want.summary.ties);
        CHECK(got.summary.chosen_below_reference == want.summary.chosen_below_reference);
        CHECK(is_nan(got.loss) == is_nan(want.loss));
        pairs<float> eaten = b;  // in place: read before it is written
        loss.into(eaten.pc, eaten.pr, eaten.rc, eaten.rr,
                  {.losses = eaten.pr, .grad_chosen = eaten.pc, .grad_rejected = eaten.rr}, o);
        CHECK(same_vectors(eaten.pr, got.losses));
        CHECK(same_vectors(eaten.pc, got.grad_chosen));
        CHECK(same_vectors(eaten.rr, got.grad_rejected));
    };
    for (const auto set : test::instruction_sets())
        for (const bool weighted : {false, true}) {
            CAPTURE(to_string(set), weighted);
            const test::forced here(set);
            check(dpo{.beta = 0.1}, weighted);
            check(dpo{.beta = 3.0, .label_smoothing = 0.2}, weighted);
            check(ipo{.beta = 0.1}, weighted);
        }
}

TEST_CASE("batch: numbers that only their sum takes beyond a float are all counted", "[losses]") {
    for (const float size : {0x1.8p127F, 0x1p126F, 0x1p123F}) {  // whose sums are exact
        const std::size_t n = size < 0x1p125F ? 512 : 500;
        const std::vector<float> far(n, -size), zero(n, 0.0F);
        const std::vector<bool> desirable(n, true);
        const auto sum = static_cast<double>(-size) * static_cast<double>(n);
        for (const auto set : test::instruction_sets()) {
            CAPTURE(n, to_string(set));
            const test::forced here(set);
            const auto r = dpo{.beta = 1.0}(far, zero, zero, zero, {.reduction = reduction::sum});
            CHECK(r.loss == -sum);
            CHECK(r.summary.chosen_log_ratio == sum);
            CHECK(r.summary.chosen_below_reference == static_cast<std::int64_t>(n));
            CHECK((r.summary.wins == 0 && r.summary.ties == 0 && r.summary.nonfinite == 0));
            CHECK(r.losses == std::vector<float>(n, size));
            const auto k = kto{.beta = 1.0}(far, zero, desirable, 0.0);
            CHECK(k.summary.chosen_log_ratio == sum);
            CHECK(k.loss == 1);
        }
    }
}

TEST_CASE("batch: the sums of a float batch", "[losses][accuracy]") {
    const pairs<float> b(100'003);
    for (const auto set : test::instruction_sets()) {
        CAPTURE(to_string(set));
        const test::forced here(set);
        const auto s =
            dpo{.beta = 0.1}(b.pc, b.pr, b.rc, b.rr, {.reduction = reduction::sum}).summary;
        quad chosen = 0, rejected = 0, loss = 0, size = 0;
        std::int64_t wins = 0, ties = 0, below = 0;
        for (std::size_t i = 0; i < b.pc.size(); ++i) {
            const quad c = quad(b.pc[i]) - quad(b.rc[i]), r = quad(b.pr[i]) - quad(b.rr[i]);
            chosen += c;
            rejected += r;
            size += fabsq(c) + fabsq(r);
            loss += dpo{.beta = 0.1}.term(exact_real(c), exact_real(r)).value.value;
            wins += c > r;
            ties += c == r;
            below += c < 0;
        }
        CHECK(fabsq(quad(s.chosen_log_ratio) - chosen) <= quad(0x1p-28) * size);
        CHECK(fabsq(quad(s.rejected_log_ratio) - rejected) <= quad(0x1p-28) * size);
        CHECK(fabsq(quad(s.chosen_reward) - quad(0.1) * chosen) <= quad(0x1p-28) * size);
        CHECK(fabsq(quad(s.loss) - loss) <= quad(0x1p-24) * loss);
        CHECK(s.wins == wins);
        CHECK(s.ties == ties);
        CHECK(s.chosen_below_reference == below);
    }
}

TEST_CASE("batch: a user's formula is asked itself, on every set", "[losses]") {
    const pairs<double> b(100);
    for (const auto set : test::instruction_sets()) {
        const test::forced here(set);
        CAPTURE(to_string(set));
        const auto check = [&](const auto& loss) {
            const auto got = loss(b.pc, b.pr, b.rc, b.rr, {.reduction = reduction::sum});
            bool cut = false;
            const double units = test::precise ? 1 : 8;  // the compiler regroups a user's own
            for (std::size_t i = 0; i < b.pc.size(); ++i) {
                const double c = b.pc[i] - b.rc[i], r = b.pr[i] - b.rr[i];
                const auto t = hinge_of_dpo{}.term(c, r);
                cut = cut || t.value == 0;
                CHECK(test::close(got.losses[i], t.value, units));
                CHECK(test::close(got.grad_chosen[i], t.d_chosen, units));
                CHECK(test::close(got.chosen_rewards[i], 3 * dpo{}.reward(c), units));
            }
            CHECK(cut);
        };
        check(hinge_of_dpo{});
        check(trust_region<hinge_of_dpo>{});
    }
}
