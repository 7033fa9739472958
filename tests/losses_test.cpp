// SPDX-License-Identifier: Apache-2.0
//
// Every formula, one example at a time, against the papers' own in 113 bits: the value, and the
// gradient by a dual number through the library's template and by central differences of the
// paper's formula. In double and float the error is held to what rounding the operands explains.
// Then the hard inputs: far tails, overflow, infinities.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include <prefopt/bradley_terry.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>

#include "support/catch.hpp"
#include "support/dual.hpp"
#include "support/quad.hpp"
#include "support/reference.hpp"

namespace {

using namespace prefopt;
using test::quad;
using test::quad_real;
using dual = test::dual<quad_real>;
namespace exact = test::exact;
using exact::narrow;
using exact::wide;
using test::excess;
using test::floor_of;
using test::precise;
using test::relaxed;
using test::slack;

constexpr double infinite = std::numeric_limits<double>::infinity();

/// What the rounding of c - r is relative to. -ffast-math may regroup (c - r) - m as c - (r + m).
quad apart(quad c, quad r) { return precise ? fabsq(c - r) : fabsq(c) + fabsq(r); }

// A formula from a paper, and how much its result moves for a relative change of its operands.

struct exact_dpo {
    quad beta, e;
    quad operator()(quad c, quad r) const { return exact::dpo(beta, e, c, r); }
    slack allow(quad c, quad r) const {
        const quad z = beta * (c - r), s = beta * apart(c, r);
        const quad right = (1 - e) * exact::sigmoid(-z), wrong = e * exact::sigmoid(z);
        return {(*this)(c, r) + s * (right + wrong), beta * (right + wrong) * (2 + s)};
    }
};
struct exact_ipo {
    quad tau;
    quad operator()(quad c, quad r) const { return exact::ipo(tau, c, r); }
    slack allow(quad c, quad r) const {
        const quad size = apart(c, r) + 1 / (2 * tau), off = fabsq((c - r) - 1 / (2 * tau));
        return {off * off + 2 * off * size, 2 * size};
    }
};
struct exact_bradley_terry {
    quad margin, centering;
    quad operator()(quad c, quad r) const { return exact::bradley_terry(margin, centering, c, r); }
    slack allow(quad c, quad r) const {
        const quad miss = exact::sigmoid(margin - c + r), size = apart(c, r) + fabsq(margin);
        return {(*this)(c, r) + size * miss,
                miss * (2 + size) + 4 * centering * (fabsq(c) + fabsq(r))};
    }
};

/// Pairs whose difference has every size up to 2e5, both signs, and a few famous ones.
std::vector<std::pair<double, double>> many_pairs(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> exponent(-40, 16.6), sign(-1, 1), near(-60, 60);
    std::vector<std::pair<double, double>> pairs;
    for (const double h : {0.0, 1.0, 16.75, 36.75, 88.75, 104.0, 167.5, 745.0, 1e4, 1e5, 0x1p-30})
        for (const double side : {1.0, -1.0})
            for (const double base : {0.0, -37.25, 100.0})
                pairs.push_back({base + side * h / 2, base - side * h / 2});
    for (int i = 0; i < 1500; ++i) {
        const double h = std::copysign(std::exp2(exponent(random)), sign(random));
        const double base = i % 3 == 0 ? 0.0 : near(random);
        pairs.push_back({base + h / 2, base - h / 2});
    }
    return pairs;
}

template <class Loss, class Exact>
void check_pair_term(const Loss& loss, const Exact& paper) {
    quad value = 0, by_dual = 0, by_difference = 0;
    quad in_double = 0, in_double_gradient = 0, in_float = 0, in_float_gradient = 0;
    constexpr double u = 0x1p-53, u_float = 0x1p-24;
    for (const auto& pair : many_pairs(31)) {
        const double c = pair.first, r = pair.second;
        const quad_real qc(c), qr(r), one(1);
        const slack allow = paper.allow(wide(c), wide(r));
        // In quad: the algebra. Nothing but 113-bit rounding separates the two.
        const auto t = loss.term(qc, qr);
        const quad small = ldexpq(1, -4000);
        const quad f = paper(wide(c), wide(r));
        value = exact::larger(value, excess(fabsq(t.value.value - f), allow.value + small));
        const quad d_chosen = loss.term(dual(qc, one), dual(qr)).value.slope.value;
        const quad d_rejected = loss.term(dual(qc), dual(qr, one)).value.slope.value;
        const quad f_chosen = exact::slope([&](quad x) { return paper(x, wide(r)); }, wide(c));
        const quad f_rejected = exact::slope([&](quad x) { return paper(wide(c), x); }, wide(r));
        for (const auto& [got, dual_says, difference_says] :
             {std::array{t.d_chosen.value, d_chosen, f_chosen},
              std::array{t.d_rejected.value, d_rejected, f_rejected}}) {
            const quad scale = allow.gradient + small;
            by_dual = exact::larger(by_dual, excess(fabsq(got - dual_says), scale));
            by_difference =
                exact::larger(by_difference, excess(fabsq(got - difference_says), scale));
        }
        // In double and float: what the user gets.
        const auto d = loss.term(c, r);
        in_double = exact::larger(
            in_double,
            excess(fabsq(wide(d.value) - f) - 4 * floor_of<double>(), wide(u) * allow.value));
        for (const auto& [got, want] :
             {std::pair(d.d_chosen, t.d_chosen.value), std::pair(d.d_rejected, t.d_rejected.value)})
            in_double_gradient = exact::larger(
                in_double_gradient,
                excess(fabsq(wide(got) - want) - 4 * floor_of<double>(), wide(u) * allow.gradient));
        const float cf = static_cast<float>(c), rf = static_cast<float>(r);
        const auto s = loss.term(cf, rf);
        const slack loose = paper.allow(wide(cf), wide(rf));
        const auto want = loss.term(quad_real(wide(cf)), quad_real(wide(rf)));
        in_float = exact::larger(
            in_float, excess(fabsq(wide(s.value) - want.value.value) - 4 * floor_of<float>(),
                             wide(u_float) * loose.value));
        for (const auto& [got, exactly] : {std::pair(s.d_chosen, want.d_chosen.value),
                                           std::pair(s.d_rejected, want.d_rejected.value)})
            in_float_gradient = exact::larger(
                in_float_gradient, excess(fabsq(wide(got) - exactly) - 4 * floor_of<float>(),
                                          wide(u_float) * loose.gradient));
    }
    CAPTURE(narrow(value), narrow(by_dual), narrow(by_difference), narrow(in_double),
            narrow(in_double_gradient), narrow(in_float), narrow(in_float_gradient));
    CHECK(value < ldexpq(1, -107));
    CHECK(by_dual < ldexpq(1, -107));
    CHECK(by_difference < wide(1e-15));
    CHECK(in_double < wide(4 * relaxed));
    CHECK(in_double_gradient < wide(2.5 * relaxed));
    CHECK(in_float < wide(4 * relaxed));
    CHECK(in_float_gradient < wide(2.5 * relaxed));
}

}  // namespace

TEST_CASE("losses: DPO is the paper's equation 7, and its derivative", "[losses]") {
    for (const double beta : {0.1, 0.5, 1.0, 5.0})
        for (const double e : {0.0, 0.1, 0.25, 0.49}) {
            DYNAMIC_SECTION("beta " << beta << ", label_smoothing " << e) {
                check_pair_term(dpo{.beta = beta, .label_smoothing = e},
                                exact_dpo{wide(beta), wide(e)});
            }
        }
}

TEST_CASE("losses: IPO is the paper's equation 17, and its derivative", "[losses]") {
    for (const double beta : {0.01, 0.1, 1.0, 10.0}) {
        DYNAMIC_SECTION("beta " << beta) {
            check_pair_term(ipo{.beta = beta}, exact_ipo{wide(beta)});
            check_pair_term(ipo_averaged{.beta = beta}, exact_ipo{wide(beta)});
        }
    }
}

TEST_CASE("losses: Bradley-Terry, its margin and its centring", "[losses]") {
    for (const double margin : {0.0, 1.0, -0.3})
        for (const double centering : {0.0, 0.01}) {
            DYNAMIC_SECTION("margin " << margin << ", centering " << centering) {
                check_pair_term(bradley_terry{.margin = margin, .centering = centering},
                                exact_bradley_terry{wide(margin), wide(centering)});
            }
        }
}

TEST_CASE("losses: KTO is the paper's equation 7, and its derivative", "[losses]") {
    quad value = 0, by_dual = 0, by_difference = 0, in_double = 0, in_double_gradient = 0;
    quad in_float = 0;
    int outside = 0;
    for (const double beta : {0.1, 1.0})
        for (const bool desirable : {true, false})
            for (const auto& pair : many_pairs(33)) {
                const double x = pair.first;
                const kto loss{.beta = beta, .desirable_weight = 1.25, .undesirable_weight = 0.75};
                const double kl = std::fmod(std::fabs(pair.second), 8.0);
                const quad lambda = wide(desirable ? 1.25 : 0.75);
                const auto paper = [&](quad r) {
                    return exact::kto(wide(beta), lambda, r, desirable, wide(kl));
                };
                const quad z = wide(beta) * (wide(x) - wide(kl)) * (desirable ? 1 : -1);
                const quad both = lambda * exact::sigmoid(z) * exact::sigmoid(-z);
                const slack allow{2 * paper(wide(x)) + fabsq(z) * both,
                                  wide(beta) * both * (4 + fabsq(z))};
                const quad small = ldexpq(1, -4000);
                const auto t = loss.term(quad_real(x), desirable, quad_real(kl));
                value = exact::larger(
                    value, excess(fabsq(t.value.value - paper(wide(x))), allow.value + small));
                const dual variable(quad_real(x), quad_real(1));
                const auto through = loss.term(variable, desirable, dual(quad_real(kl)));
                by_dual = exact::larger(
                    by_dual, excess(fabsq(t.d_log_ratio.value - through.value.slope.value),
                                    allow.gradient + small));
                if (fabsq(z) < 20)  // where lambda - v keeps the digits of its slope
                    by_difference = exact::larger(
                        by_difference,
                        excess(fabsq(t.d_log_ratio.value - exact::slope(paper, wide(x))),
                               allow.gradient));
                const auto d = loss.term(x, desirable, kl);
                in_double = exact::larger(
                    in_double, excess(fabsq(wide(d.value) - t.value.value) - 4 * floor_of<double>(),
                                      wide(0x1p-53) * allow.value));
                in_double_gradient = exact::larger(
                    in_double_gradient, excess(fabsq(wide(d.d_log_ratio) - t.d_log_ratio.value) -
                                                   4 * floor_of<double>(),
                                               wide(0x1p-53) * allow.gradient));
                const float xf = static_cast<float>(x), klf = static_cast<float>(kl);
                const auto s = loss.term(xf, desirable, klf);
                const quad zf = wide(beta) * (wide(xf) - wide(klf)) * (desirable ? 1 : -1);
                const quad want =
                    loss.term(quad_real(wide(xf)), desirable, quad_real(wide(klf))).value.value;
                in_float = exact::larger(
                    in_float,
                    excess(fabsq(wide(s.value) - want) - 4 * floor_of<float>(),
                           wide(0x1p-24) * (2 * want + fabsq(zf) * lambda * exact::sigmoid(zf) *
                                                           exact::sigmoid(-zf))));
                outside += d.value < 0 || d.value > narrow(lambda) ||
                           (desirable ? d.d_log_ratio > 0 : d.d_log_ratio < 0);
            }
    CAPTURE(narrow(value), narrow(by_dual), narrow(by_difference), narrow(in_double),
            narrow(in_double_gradient), narrow(in_float));
    CHECK(value < ldexpq(1, -80));  // lambda - v loses 29 bits on its way to x = 20
    CHECK(by_dual < ldexpq(1, -107));
    CHECK(by_difference < wide(1e-9));
    CHECK(in_double < wide(4 * relaxed));
    CHECK(in_double_gradient < wide(2.5 * relaxed));
    CHECK(in_float < wide(4 * relaxed));
    CHECK(outside == 0);
}

TEST_CASE("losses: the far ends of the pairwise losses", "[losses]") {
    const dpo plain{.beta = 1}, smooth{.beta = 1, .label_smoothing = 0.1};
    CHECK(plain.term(-1e38, 0.0).value == 1e38);
    CHECK(plain.term(-1e38, 0.0).d_chosen == -1);
    if (precise) CHECK(plain.term(104.0F, 0.0F).value == 0);
    for (const double far : {746.0, 1e5, 1e300}) {
        CHECK(plain.term(far, 0.0).value == 0);
        CHECK_FALSE(std::signbit(plain.term(far, 0.0).value));  // never -0
        CHECK(smooth.term(far, 0.0).value == 0.1 * far);
    }
    for (const bool from_left : {true, false}) {
        const double c = from_left ? -infinite : 0.0, r = from_left ? 0.0 : infinite;
        CHECK(is_infinite(plain.term(c, r).value));
        CHECK_FALSE(std::signbit(plain.term(c, r).value));
        CHECK(plain.term(c, r).d_chosen == -1);
        CHECK(plain.term(r, c).value == 0);  // not 0 * infinity
        CHECK_FALSE(std::signbit(plain.term(r, c).value));
        CHECK(is_infinite(smooth.term(r, c).value));
        CHECK(std::fabs(smooth.term(r, c).d_chosen - 0.1) < 1e-15);
    }
    CHECK(is_nan(plain.term(infinite, infinite).value));
    CHECK(is_nan(plain.term(-infinite, -infinite).d_chosen));

    const auto square = ipo{.beta = 0.1}.term(1e200, 0.0);
    CHECK(is_infinite(square.value));
    CHECK(square.d_chosen == 2e200);
    CHECK(is_finite(ipo{.beta = 1}.term(1e150, 0.0).value));

    const kto pair{.beta = 1, .desirable_weight = 2, .undesirable_weight = 3};
    for (const double far : {1e5, 1e300, infinite}) {
        CHECK(pair.term(far, true, 0.0).value == 0);
        CHECK(pair.term(-far, true, 0.0).value == 2);
        CHECK(pair.term(far, false, 0.0).value == 3);
        CHECK(pair.term(-far, false, 0.0).value == 0);
        CHECK(pair.term(far, true, 0.0).d_log_ratio == 0);
        CHECK(pair.term(-far, false, 0.0).d_log_ratio == 0);
    }
}
