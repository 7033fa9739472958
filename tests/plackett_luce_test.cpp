// SPDX-License-Identifier: Apache-2.0
//
// The Plackett-Luce formula, one list at a time, against the paper's product of softmax choices in
// 113 bits: value and gradient, for every length and every number of known places; and the lists
// that break the usual implementations: far apart, all equal, long, with answers of probability 0.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include <prefopt/plackett_luce.hpp>

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
using test::relaxed;

constexpr double infinite = std::numeric_limits<double>::infinity();

/// The gradient as the sum of softmax choices, every cancelled difference taken apart.
std::vector<quad> exact_gradient(quad beta, const std::vector<quad>& x, std::size_t placed,
                                 std::vector<quad>& scale) {
    std::vector<quad> g(x.size(), 0);
    scale.assign(x.size(), 0);
    for (std::size_t k = 0; k < placed && k + 1 < x.size(); ++k) {
        quad others = 0;
        for (std::size_t j = k + 1; j < x.size(); ++j) others += expq(beta * (x[j] - x[k]));
        for (std::size_t j = k + 1; j < x.size(); ++j) {
            const quad share = expq(beta * (x[j] - x[k])) / (1 + others);
            g[j] += beta * share;
            scale[j] += beta * share;
        }
        g[k] -= beta * others / (1 + others);
        scale[k] += beta * others / (1 + others);
    }
    return g;
}

}  // namespace

TEST_CASE("plackett_luce: the loss is the product of softmax choices", "[losses]") {
    std::mt19937_64 random(34);
    for (const std::size_t n :
         {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{5}, std::size_t{8}})
        for (std::size_t placed = 1; placed <= n; ++placed)
            for (const double beta : {0.1, 1.0}) {
                const plackett_luce_dpo loss{.beta = beta};
                quad value = 0, gradient = 0, by_difference = 0, in_double = 0, in_gradient = 0;
                for (int i = 0; i < 60; ++i) {
                    const double spread = i < 20 ? 1.0 : i < 40 ? 30.0 : 5000.0 / beta;
                    std::uniform_real_distribution<double> some(-spread, spread);
                    std::vector<double> x(n);
                    for (double& v : x) v = i % 10 == 0 ? spread : some(random);  // some all equal
                    std::vector<quad> wide_x(x.begin(), x.end());
                    const auto [low, high] = std::minmax_element(x.begin(), x.end());
                    const quad size = wide(4 + static_cast<double>(n) + beta * (*high - *low));
                    std::vector<quad> scale;
                    const quad f = exact::plackett_luce(wide(beta), wide_x, placed);
                    const auto g = exact_gradient(wide(beta), wide_x, placed, scale);

                    std::vector<quad_real> q(wide_x.begin(), wide_x.end());
                    const quad small = ldexpq(1, -4000);
                    const quad got = loss.term(std::span<quad_real>(q), placed).value;
                    value = exact::larger(value, excess(fabsq(got - f), f * size + small));
                    std::vector<double> y = x;
                    const double loss_y = loss.term(std::span<double>(y), placed);
                    in_double = exact::larger(in_double,
                                              excess(fabsq(wide(loss_y) - f) - floor_of<double>(),
                                                     wide(0x1p-53) * f * size));
                    for (std::size_t j = 0; j < n; ++j) {
                        gradient = exact::larger(
                            gradient, excess(fabsq(q[j].value - g[j]), scale[j] * size + small));
                        in_gradient = exact::larger(
                            in_gradient, excess(fabsq(wide(y[j]) - g[j]) - 8 * floor_of<double>(),
                                                wide(0x1p-53) * scale[j] * size));
                        std::vector<dual> d(n);
                        for (std::size_t k = 0; k < n; ++k)
                            d[k] = dual(quad_real(wide_x[k]), quad_real(k == j ? 1 : 0));
                        const quad slope = loss.term(std::span<dual>(d), placed).slope.value;
                        gradient = exact::larger(
                            gradient, excess(fabsq(slope - g[j]), scale[j] * size + small));
                        if (i >= 40) continue;
                        const auto along = [&](quad v) {
                            auto moved = wide_x;
                            moved[j] = v;
                            return exact::plackett_luce(wide(beta), moved, placed);
                        };
                        by_difference = exact::larger(
                            by_difference,
                            excess(fabsq(exact::slope(along, wide_x[j]) - g[j]), wide(beta)));
                    }
                }
                CAPTURE(n, placed, beta, narrow(value), narrow(gradient), narrow(by_difference),
                        narrow(in_double), narrow(in_gradient));
                CHECK(value < ldexpq(1, -107));
                CHECK(gradient < ldexpq(1, -107));
                CHECK(by_difference < wide(1e-15));
                CHECK(in_double < wide(1.5 * relaxed));
                CHECK(in_gradient < wide(1.5 * relaxed));
            }
}

TEST_CASE("plackett_luce: the lists that break a global maximum, and -infinity in a list",
          "[losses]") {
    const plackett_luce_dpo loss{.beta = 1};
    const auto run = [&](std::vector<double> x, std::size_t placed = 1000000) {
        const double value = loss.term(std::span<double>(x), std::min(placed, x.size()));
        return std::pair(value, x);
    };
    // The last two are chosen among themselves: removing the maximum of the whole list loses them.
    CHECK(std::fabs(run({200, 0, -1}).first - 0.31326168751822286) < 1e-15);
    CHECK(std::fabs(run({0, 200, 199}).first - (200 + 2 * 0.31326168751822286)) < 1e-12);
    CHECK(std::fabs(run(std::vector<double>(1000, -7.5)).first - 5912.12817848816335) < 1e-10);
    CHECK(run({3}).first == 0);
    CHECK(run({3}).second[0] == 0);
    CHECK(run({-infinite}).first == 0);
    for (const double s : {1e4, 1e100}) {
        const auto [value, g] = run({-s, 0, s});
        CHECK(value == 3 * s);  // 2 s for the first choice, s for the second
        CHECK(g[0] == -1);
        CHECK(g[1] == -1);
        CHECK(g[2] == 2);
    }
    const auto [last, g_last] = run({1, 0.5, -infinite});
    CHECK(std::fabs(last - std::log1p(std::exp(-0.5))) < 1e-15);
    CHECK(g_last[2] == 0);
    CHECK(std::fabs(g_last[0] + g_last[1]) < 1e-16);
    const auto [early, g_early] = run({-infinite, 0, 1});
    CHECK(is_infinite(early));
    CHECK_FALSE(std::signbit(early));
    CHECK(g_early[0] == -1);
    CHECK(is_nan(run({1, -infinite, -infinite}).first));
    // Unplaced answers of log-prob -infinity are in nobody's way.
    const auto [ahead, g_ahead] = run({1, 0, -infinite, -infinite}, 2);
    CHECK(std::fabs(ahead - std::log1p(std::exp(-1.0))) < 1e-15);
    CHECK(g_ahead[2] == 0);
    CHECK(g_ahead[3] == 0);
}
