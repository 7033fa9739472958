// SPDX-License-Identifier: Apache-2.0
//
// What must be true of the losses whatever their code looks like: the value at policy = reference,
// which loss is a special case of which, what may be added to the log-ratios, where the minimum
// lies, convexity, and what a hard reference update after every step makes of all of them.

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <span>
#include <vector>

#include <prefopt/bradley_terry.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/trust_region.hpp>

#include "support/catch.hpp"
#include "support/quad.hpp"
#include "support/reference.hpp"

namespace {

using namespace prefopt;
using test::precise;
using test::quad;
using test::quad_real;
namespace exact = test::exact;
using exact::narrow;
using exact::wide;

quad term_of(const plackett_luce_dpo& loss, std::vector<quad> x, std::vector<quad>* gradient = {}) {
    std::vector<quad_real> s(x.begin(), x.end());
    const quad value = loss.term(std::span<quad_real>(s), s.size()).value;
    if (gradient != nullptr) {
        gradient->clear();
        for (const quad_real v : s) gradient->push_back(v.value);
    }
    return value;
}

std::vector<quad> random_scores(std::mt19937_64& random, std::size_t n, double spread) {
    std::uniform_real_distribution<double> some(-spread, spread);
    std::vector<quad> x(n);
    for (quad& v : x) v = wide(some(random));
    return x;
}

}  // namespace

TEST_CASE("identities: the value at policy = reference", "[identities]") {
    const double ln2 = 0.69314718055994531;
    const std::vector<double> same{-12.5, -300, -0.001};
    const std::vector<bool> flags{true, false, true};
    // Regrouped by -ffast-math, the -300 rounds before it cancels.
    const double room = precise ? 1e-15 : 1e-11;
    const auto near = [&](double a, double b) { return std::fabs(a - b) <= room * std::fabs(b); };
    for (const double beta : {0.01, 0.1, 1.0, 7.0}) {
        CAPTURE(beta);
        CHECK(near(dpo{.beta = beta}(same, same, same, same).loss, ln2));
        CHECK(near(dpo{.beta = beta, .label_smoothing = 0.3}(same, same, same, same).loss, ln2));
        CHECK(near(ipo{.beta = beta}(same, same, same, same).loss, 1 / (4 * beta * beta)));
        CHECK(near(ipo_averaged{.beta = beta}(same, same, same, same,
                                              {.chosen_counts = std::vector<int>{3, 5, 7},
                                               .rejected_counts = std::vector<int>{1, 2, 9}})
                       .loss,
                   1 / (4 * beta * beta)));
        const kto prospect{.beta = beta, .desirable_weight = 3, .undesirable_weight = 6};
        const auto at_zero = prospect(same, same, flags, 0);
        CHECK(near(at_zero.losses[0], 1.5));
        CHECK(near(at_zero.losses[1], 3));
        CHECK(near(dpo{.beta = beta}.term(0.0, 0.0).d_chosen, -beta / 2));
        double factorial = 1;
        for (std::size_t k = 1; k <= 20; ++k) {
            factorial *= static_cast<double>(k);
            std::vector<double> list(k, 0.0);
            const double start = plackett_luce_dpo{.beta = beta}.term(std::span<double>(list), k);
            CHECK(std::fabs(start - std::log(factorial)) <= 1e-14 * std::log(factorial));
        }
    }
    CHECK(near(bradley_terry{}(same, same).loss, ln2));
}

TEST_CASE("identities: Plackett-Luce of two answers is DPO", "[identities]") {
    std::mt19937_64 random(71);
    std::uniform_real_distribution<double> exponent(-30, 14);
    double worst = 0;
    for (const double beta : {0.1, 0.7, 1.0})
        for (int i = 0; i < 20000; ++i) {
            const double h = std::exp2(exponent(random)) * (i % 2 == 0 ? 1 : -1);
            const double c = i % 3 == 0 ? h : h - 50, r = c - h;
            std::array<double, 2> list{c, r};
            const auto pair = dpo{.beta = beta}.term(c, r);
            const double value = plackett_luce_dpo{.beta = beta}.term(std::span<double>(list), 2);
            worst = std::max({worst, test::ulps(value, wide(pair.value)),
                              test::ulps(list[0], wide(pair.d_chosen)),
                              test::ulps(list[1], wide(pair.d_rejected))});
        }
    CAPTURE(worst);
    if (precise) CHECK(worst <= 2);
    CHECK(worst < 1e6);
}

TEST_CASE("identities: special cases of one another", "[identities]") {
    std::mt19937_64 random(72);
    std::uniform_real_distribution<double> some(-40, 40);
    quad off = 0;
    const auto compare = [&](quad a, quad b) { off = exact::larger(off, fabsq(a - b)); };
    for (int i = 0; i < 500; ++i) {
        const quad_real c(some(random)), r(some(random));
        const quad z = wide(0.25) * (c.value - r.value);
        // Rewards of a reward model are DPO with beta 1.
        compare(bradley_terry{}.term(c, r).value.value, dpo{.beta = 1}.term(c, r).value.value);
        // IPO in units of DPO's z: (z - 1/2)^2 / beta^2.
        compare(ipo{.beta = 0.25}.term(c, r).value.value, (z - wide(0.5)) * (z - wide(0.5)) * 16);
        // loss(h) - loss(-h) = -z, and -(1 - 2e) z with smoothing.
        const dpo plain{.beta = 0.25}, smooth{.beta = 0.25, .label_smoothing = 0.125};
        compare(plain.term(c, r).value.value - plain.term(r, c).value.value, -z);
        compare(smooth.term(c, r).value.value - smooth.term(r, c).value.value, -z * wide(0.75));
        // So the two derivatives by the same answer add up to a constant.
        compare(plain.term(c, r).d_chosen.value - plain.term(r, c).d_rejected.value, wide(-0.25));
        // Smoothing is the mixture of both labellings.
        compare(smooth.term(c, r).value.value, wide(0.875) * plain.term(c, r).value.value +
                                                   wide(0.125) * plain.term(r, c).value.value);
        // An answer is desirable or undesirable: the two miss probabilities add up to one.
        const kto either{.beta = 0.25};
        compare(either.term(c, true, quad_real(1)).value.value +
                    either.term(c, false, quad_real(1)).value.value,
                1);
    }
    CAPTURE(narrow(off));
    CHECK(off < ldexpq(1, -90));
    // Swapping the answers and the signs of their log-ratios is no change at all, bit for bit.
    const auto a = dpo{.beta = 0.1}.term(3.25, -1.125), b = dpo{.beta = 0.1}.term(1.125, -3.25);
    CHECK(test::same_bits(a.value, b.value));
    CHECK(test::same_bits(a.d_chosen, -b.d_rejected));
}

TEST_CASE("identities: label smoothing has its minimum at logit(1 - e)", "[identities]") {
    for (const double e : {0.01, 0.1, 0.25, 0.45})
        for (const double beta : {0.1, 2.0}) {
            const dpo loss{.beta = beta, .label_smoothing = e};
            const quad h = logq((1 - wide(e)) / wide(e)) / wide(beta);
            const quad_real zero(0);
            const auto at = [&](quad x) { return loss.term(quad_real(x), zero); };
            CAPTURE(e, beta);
            CHECK(fabsq(at(h).d_chosen.value) < ldexpq(1, -105));
            for (const double step : {0.001, 0.1, 3.0}) {
                CHECK(at(h - wide(step)).value.value > at(h).value.value);
                CHECK(at(h + wide(step)).value.value > at(h).value.value);
                CHECK(at(h - wide(step)).d_chosen.value < 0);
                CHECK(at(h + wide(step)).d_chosen.value > 0);
            }
        }
}

TEST_CASE("identities: what may be added to all log-ratios of a prompt", "[identities]") {
    // Numbers with few bits: the shifts are exact, so nothing may change by a bit.
    const std::vector<double> c{-10.5, 3.25, 0.125}, r{-11.0, 7.5, -2.0};
    std::vector<double> c0{-9, 4.5, 0.5}, r0{-10.25, 2, -8};
    const double list[1][4] = {{-3, 0.5, -7.25, 2}};
    const double base[1][4] = {{-1, 0.25, -7.5, 4}};
    const auto dpo_before = dpo{}(c, r, c0, r0);
    const auto ipo_before = ipo{}(c, r, c0, r0);
    const auto list_before = plackett_luce_dpo{}(list, base);
    for (const double shift : {1.0, -64.5, 1024.0}) {
        CAPTURE(shift);
        auto c1 = c0, r1 = r0;
        double moved[1][4];
        for (std::size_t i = 0; i < 3; ++i) {
            c1[i] -= shift;
            r1[i] -= shift;
        }
        for (std::size_t j = 0; j < 4; ++j) moved[0][j] = base[0][j] - shift;
        const auto dpo_after = dpo{}(c, r, c1, r1);
        CHECK(dpo_after.losses == dpo_before.losses);
        CHECK(dpo_after.grad_chosen == dpo_before.grad_chosen);
        CHECK(ipo{}(c, r, c1, r1).losses == ipo_before.losses);
        const auto list_after = plackett_luce_dpo{}(list, moved);
        CHECK(list_after.losses == list_before.losses);
        for (std::ptrdiff_t j = 0; j < 4; ++j)
            CHECK(list_after.grad(0, j) == list_before.grad(0, j));
        // KTO compares with a fixed point: it does change. So does one side alone.
        const std::vector<bool> flags(3, true);
        CHECK(kto{}(c, c1, flags, 1).losses[0] != kto{}(c, c0, flags, 1).losses[0]);
        CHECK(dpo{}(c, r, c1, r0).losses[0] != dpo_before.losses[0]);
    }
}

TEST_CASE("identities: a constant reference is no reference; a prior is the likelihood",
          "[identities]") {
    std::mt19937_64 random(73);
    std::uniform_real_distribution<double> mass(0.05, 1);
    // A joint distribution of 3 prompts and 5 answers.
    double joint[3][5], prompt[3] = {}, answer[5] = {}, total = 0;
    for (auto& row : joint)
        for (double& p : row) total += p = mass(random);
    for (std::size_t x = 0; x < 3; ++x)
        for (std::size_t y = 0; y < 5; ++y) {
            joint[x][y] /= total;
            prompt[x] += joint[x][y];
            answer[y] += joint[x][y];
        }
    const dpo loss{.beta = 0.8};
    for (std::size_t x = 0; x < 3; ++x)
        for (std::size_t c = 0; c < 5; ++c)
            for (std::size_t r = 0; r < 5; ++r) {
                const std::vector<double> pc{std::log(joint[x][c] / prompt[x])};
                const std::vector<double> pr{std::log(joint[x][r] / prompt[x])};
                // arXiv 2407.13709, equation 9: -log sigmoid(beta log(pi(c) / pi(r))).
                const std::vector<double> constant{-41.5};
                const double free = -std::log(1 / (1 + std::pow(joint[x][r] / joint[x][c], 0.8)));
                CHECK(std::fabs(loss(pc, pr, constant, constant).loss - free) < 1e-13);
                // Equation 13: with log p(y) as the reference, by Bayes, the answers are compared
                // by the likelihood p(x | y) of the prompt.
                const std::vector<double> qc{std::log(answer[c])}, qr{std::log(answer[r])};
                const double likelihood_c = joint[x][c] / answer[c];
                const double likelihood_r = joint[x][r] / answer[r];
                const double bayes =
                    -std::log(1 / (1 + std::pow(likelihood_r / likelihood_c, 0.8)));
                CHECK(std::fabs(loss(pc, pr, qc, qr).loss - bayes) < 1e-13);
            }
}

TEST_CASE("identities: Plackett-Luce is convex, and its gradient sums to zero", "[identities]") {
    std::mt19937_64 random(74);
    quad sum = 0, asymmetry = 0, against_closed_form = 0, lowest = 0;
    const plackett_luce_dpo loss{.beta = 0.5};
    const quad beta = wide(0.5), step = ldexpq(1, -30);
    for (int run = 0; run < 200; ++run) {
        const std::size_t n = 2 + random() % 6;
        const auto x = random_scores(random, n, run % 2 == 0 ? 3 : 40);
        std::vector<quad> g, up, down;
        term_of(loss, x, &g);
        quad all = 0;
        for (const quad v : g) all += v;
        sum = exact::larger(sum, fabsq(all));
        // The Hessian, by differences of the gradient.
        std::vector<std::vector<quad>> hessian(n, std::vector<quad>(n));
        for (std::size_t j = 0; j < n; ++j) {
            auto y = x;
            y[j] = x[j] + step;
            term_of(loss, y, &up);
            y[j] = x[j] - step;
            term_of(loss, y, &down);
            for (std::size_t i = 0; i < n; ++i) hessian[i][j] = (up[i] - down[i]) / (2 * step);
        }
        // sum over places of diag(p) - p p', p the softmax of what is left.
        std::vector<std::vector<quad>> closed(n, std::vector<quad>(n, 0));
        for (std::size_t k = 0; k + 1 < n; ++k) {
            quad norm = 0;
            for (std::size_t j = k; j < n; ++j) norm += expq(beta * (x[j] - x[k]));
            for (std::size_t i = k; i < n; ++i)
                for (std::size_t j = k; j < n; ++j) {
                    const quad p = expq(beta * (x[i] - x[k])) / norm;
                    const quad q = expq(beta * (x[j] - x[k])) / norm;
                    closed[i][j] += beta * beta * ((i == j ? p : quad(0)) - p * q);
                }
        }
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < n; ++j) {
                asymmetry = exact::larger(asymmetry, fabsq(hessian[i][j] - hessian[j][i]));
                against_closed_form =
                    exact::larger(against_closed_form, fabsq(hessian[i][j] - closed[i][j]));
            }
        for (int direction = 0; direction < 20; ++direction) {
            const auto v = random_scores(random, n, 1);
            quad bend = 0;
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t j = 0; j < n; ++j) bend += v[i] * hessian[i][j] * v[j];
            lowest = bend < lowest ? bend : lowest;
        }
    }
    CAPTURE(narrow(sum), narrow(asymmetry), narrow(against_closed_form), narrow(lowest));
    CHECK(sum < ldexpq(1, -108));
    CHECK(asymmetry < ldexpq(1, -50));
    CHECK(against_closed_form < ldexpq(1, -50));
    CHECK(lowest > -ldexpq(1, -50));
}

namespace {

/// A softmax over six answers, Adam, and a reference that becomes the policy after every step.
struct simulation {
    static constexpr std::size_t answers = 6;
    std::vector<double> policy{0.1, -0.2, 0.3, 0, 0.4, -0.1};
    std::vector<double> reference = policy;
    std::vector<double> first = std::vector<double>(answers), second = first;
    int steps = 0;

    static std::vector<double> log_probs(const std::vector<double>& logits) {
        double norm = 0;
        for (const double x : logits) norm += std::exp(x);
        std::vector<double> out;
        for (const double x : logits) out.push_back(x - std::log(norm));
        return out;
    }
    /// d loss / d log-prob of each answer, to the logits, and one step without an epsilon.
    void adam(const std::vector<double>& by_log_prob) {
        const auto lp = log_probs(policy);
        double sum = 0;
        for (const double g : by_log_prob) sum += g;
        ++steps;
        for (std::size_t i = 0; i < answers; ++i) {
            const double g = by_log_prob[i] - std::exp(lp[i]) * sum;
            first[i] = 0.9 * first[i] + 0.1 * g;
            second[i] = 0.999 * second[i] + 0.001 * g * g;
            const double m = first[i] / (1 - std::pow(0.9, steps));
            const double v = second[i] / (1 - std::pow(0.999, steps));
            policy[i] -= 0.01 * m / std::sqrt(v);
        }
    }
};

/// In the first step no answer's pairs cancel, so that no second moment is 0.
std::array<std::size_t, 2> pair_of(int step) {
    constexpr std::array<std::array<std::size_t, 2>, 4> pairs{{{0, 1}, {2, 3}, {4, 5}, {2, 1}}};
    return pairs[static_cast<std::size_t>(step) % pairs.size()];
}

template <class Loss>
std::vector<double> path_of(Loss loss, int steps) {
    simulation s;
    for (int t = 0; t < steps; ++t) {
        std::vector<double> pc, pr, rc, rr;
        const auto p = s.log_probs(s.policy), r = s.log_probs(s.reference);
        for (int k = 0; k < 4; ++k) {  // the whole data set, the first pair of the step twice
            const auto [chosen, rejected] = pair_of(k == 0 ? t : k);
            pc.push_back(p[chosen]);
            pr.push_back(p[rejected]);
            rc.push_back(r[chosen]);
            rr.push_back(r[rejected]);
        }
        std::vector<double> gradient(simulation::answers, 0.0);
        const auto scatter = [&](const auto& chosen_gradient, const auto& rejected_gradient) {
            for (int k = 0; k < 4; ++k) {
                const auto [chosen, rejected] = pair_of(k == 0 ? t : k);
                gradient[chosen] += chosen_gradient[static_cast<std::size_t>(k)];
                gradient[rejected] += rejected_gradient[static_cast<std::size_t>(k)];
            }
        };
        if constexpr (Loss::kind == loss_kind::unpaired) {
            const std::vector<bool> good(4, true), bad(4, false);
            scatter(loss(pc, rc, good, kl_estimate(pr, rr)).grad,
                    loss(pr, rr, bad, kl_estimate(pr, rr)).grad);
        } else {
            const auto result = loss(pc, pr, rc, rr);
            scatter(result.grad_chosen, result.grad_rejected);
        }
        s.adam(gradient);
        loss.step(s.policy, s.reference);
    }
    return s.policy;
}

}  // namespace

TEST_CASE("identities: with a hard update after every step DPO, IPO and KTO are one algorithm",
          "[identities]") {
    const auto farthest = [](const std::vector<double>& a, const std::vector<double>& b) {
        double d = 0;
        for (std::size_t i = 0; i < a.size(); ++i) {
            REQUIRE(is_finite(a[i] - b[i]));
            d = std::max(d, std::fabs(a[i] - b[i]));
        }
        return d;
    };
    const auto hard = hard_update({.every = 1}), never = hard_update({.every = 1000000});
    const int steps = 300;
    // h is 0 at every step, where all the gradients have one direction; Adam sees no lengths.
    const auto by_dpo = path_of(tr_dpo{.loss = {.beta = 0.1}, .update = hard}, steps);
    const auto by_ipo = path_of(tr_ipo{.loss = {.beta = 0.7}, .update = hard}, steps);
    const auto by_kto = path_of(tr_kto{.loss = {.beta = 0.3}, .update = hard}, steps);
    CAPTURE(farthest(by_dpo, by_ipo), farthest(by_dpo, by_kto));
    CHECK(farthest(by_dpo, by_ipo) < 1e-9);
    CHECK(farthest(by_dpo, by_kto) < 1e-9);
    CHECK(farthest(by_dpo, simulation{}.policy) > 0.5);  // they went somewhere
    // With a reference that stays, the three part.
    const auto dpo_alone = path_of(tr_dpo{.loss = {.beta = 1}, .update = never}, steps);
    const auto ipo_alone = path_of(tr_ipo{.loss = {.beta = 0.7}, .update = never}, steps);
    const auto kto_alone = path_of(tr_kto{.loss = {.beta = 1}, .update = never}, steps);
    CHECK(farthest(dpo_alone, ipo_alone) > 0.05);
    CHECK(farthest(dpo_alone, kto_alone) > 0.01);
}
