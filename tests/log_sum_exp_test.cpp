// SPDX-License-Identifier: Apache-2.0
//
// log_sum_exp of a row, and the sum under it: what no finite row may do, what -infinity, +infinity
// and NaN do, how far the result may be from 113 bits at the length of a vocabulary; and that the
// shape of a sum depends on the positions of its terms only.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include <prefopt/core/classify.hpp>
#include <prefopt/math/lane_sum.hpp>
#include <prefopt/math/log_sum_exp.hpp>

#include "support/catch.hpp"
#include "support/quad.hpp"
#include "support/reference.hpp"

namespace {

using namespace prefopt;
using test::quad;
using test::quad_real;
using test::same_bits;
using test::same_number;
namespace exact = test::exact;

template <class T>
constexpr T infinite = std::numeric_limits<T>::infinity();
template <class T>
constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();

template <class T>
T lse(const std::vector<T>& row) {
    return log_sum_exp(std::span<const T>(row));
}

template <class T>
quad exact_lse(const std::vector<T>& row) {
    quad top = exact::wide(row[0]);
    for (const T x : row) top = exact::larger(top, exact::wide(x));
    quad sum = 0;
    for (const T x : row) sum += expq(exact::wide(x) - top);
    return top + logq(sum);
}

template <class T>
std::vector<T> random_row(std::size_t n, std::uint64_t seed, double spread) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal(0, spread);
    std::vector<T> row(n);
    for (T& x : row) x = static_cast<T>(normal(random));
    return row;
}

}  // namespace

TEMPLATE_TEST_CASE("log_sum_exp: rows with infinities and NaN", "[math]", float, double) {
    using T = TestType;
    constexpr T inf = infinite<T>, nan = not_a_number<T>;
    const auto minus = [](T y) { return is_infinite(y) && std::signbit(y); };
    const auto plus = [](T y) { return is_infinite(y) && !std::signbit(y); };
    CHECK(minus(lse<T>({})));
    CHECK(minus(lse<T>({-inf})));
    CHECK(minus(lse<T>({-inf, -inf, -inf})));
    CHECK(minus(lse(std::vector<T>(5000, -inf))));
    CHECK(plus(lse<T>({1, inf, 2})));
    CHECK(plus(lse<T>({inf, inf})));
    CHECK(plus(lse<T>({-inf, inf})));
    CHECK(minus(log_add_exp<T>(-inf, -inf)));
    CHECK(plus(log_add_exp<T>(inf, -inf)));
    CHECK(is_nan(log_add_exp<T>(nan, inf)));
    CHECK(log_add_exp<T>(3, -inf) == T(3));

    // A NaN is never lost: at any place, whoever stands beside it.
    for (const std::size_t n : {std::size_t{1}, std::size_t{2}, std::size_t{70}, std::size_t{5000}})
        for (const T rest : {T(1), -inf, inf, T(-3e38F)})
            for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
                std::vector<T> row(n, rest);
                row[at] = nan;
                CAPTURE(n, at, rest);
                CHECK(is_nan(lse(row)));
            }
}

TEMPLATE_TEST_CASE("log_sum_exp: -infinity takes no part, bit for bit", "[math]", float, double) {
    using T = TestType;
    for (const std::size_t n : {std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65},
                                std::size_t{2047}, std::size_t{2048}, std::size_t{4100}}) {
        std::vector<T> row = random_row<T>(n, 11 + n, 4);
        const T before = lse(row);
        CAPTURE(n);
        bool same = true;
        for (int i = 0; i < 130; ++i) {
            row.push_back(-infinite<T>);
            same = same && same_number(lse(row), before);
        }
        row.resize(n + 9000, -infinite<T>);
        CHECK(same);
        CHECK(same_number(lse(row), before));
    }
    // Inside a row the others keep their places, so theirs are the bits of a row with tiny numbers.
    std::vector<T> holes = random_row<T>(300, 12, 2);
    std::vector<T> tiny = holes;
    for (std::size_t i = 0; i < holes.size(); i += 3) {
        holes[i] = -infinite<T>;
        tiny[i] = T(-1e6);  // exp is 0
    }
    CHECK(same_number(lse(holes), lse(tiny)));
    // Leading blocks without a finite maximum.
    std::vector<T> late(2048 * 2, -infinite<T>);
    late.push_back(T(7));
    CHECK(lse(late) == T(7));
}

TEMPLATE_TEST_CASE("log_sum_exp: finite rows stay finite and in their bounds", "[math]", float,
                   double) {
    using T = TestType;
    const T big = T(3e38F), top = std::numeric_limits<T>::max();
    const T ln2 = static_cast<T>(0.69314718055994531);
    CHECK(lse<T>({big, big}) == big);
    CHECK(lse<T>({big, -big}) == big);
    CHECK(lse<T>({-big, -big}) == -big);
    CHECK(lse<T>({top, -top, top}) == top);
    CHECK(lse<T>({-top}) == -top);
    for (const T x : {T(0), T(1), T(-1), T(0.1), T(1e-5), T(88), T(-104), T(12345.678)}) {
        CAPTURE(x);
        CHECK(lse<T>({x}) == x);  // one element: that element
        const quad two = exact::wide(x) + logq(2);
        CHECK(test::ulps(lse<T>({x, x}), two) <= 1);
        CHECK(test::ulps(log_add_exp(x, x), two) <= 1);
        CHECK(same_number(log_add_exp(x, T(x - 1)), log_add_exp(T(x - 1), x)));
    }
    CHECK(lse<T>({0, 0}) == ln2);
    std::mt19937_64 random(13);
    std::uniform_real_distribution<double> spread(0.01, 200);
    int outside = 0;
    for (int i = 0; i < 500; ++i) {
        const std::size_t n = 1 + random() % 200;
        const auto row = random_row<T>(n, random(), spread(random));
        const T y = lse(row), m = *std::max_element(row.begin(), row.end());
        const double ceiling = static_cast<double>(m) + std::log(static_cast<double>(n));
        const double room =
            4 * static_cast<double>(std::numeric_limits<T>::epsilon()) * (1 + std::fabs(ceiling));
        outside += !is_finite(y) || y < m || static_cast<double>(y) > ceiling + room;
    }
    CHECK(outside == 0);
}

TEMPLATE_TEST_CASE("log_sum_exp: the error does not grow with the length", "[math]", float,
                   double) {
    using T = TestType;
    constexpr double u = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;
    test::visited seen;
    double most = 0;
    for (const std::size_t n :
         {std::size_t{2}, std::size_t{3}, std::size_t{64}, std::size_t{65}, std::size_t{1000},
          std::size_t{2049}, std::size_t{32003}, std::size_t{131072}})
        for (const double spread : {0.1, 3.0, 30.0}) {
            const auto row = random_row<T>(n, n, spread);
            for (const T x : row) seen.add(x);
            const T y = lse(row);
            const quad error = fabsq(exact::wide(y) - exact_lse(row));
            // One rounding of the result is allowed on top: what is left is in units u.
            const double left = exact::narrow(error) / u - std::fabs(static_cast<double>(y));
            most = std::max(most, left);
        }
    // Float data are summed in double. In double, 131072 terms lie in 64 lanes: without the lanes
    // the sum's own error would be some thousands of u.
    const double budget = (sizeof(T) == 4 ? 3 : 5) * test::relaxed;
    CAPTURE(most, budget);
    CHECK(most <= budget);
    CHECK(seen.points > 450000);
    CHECK(seen.negative > 200000);
    CHECK(seen.positive > 200000);
}

TEST_CASE("log_sum_exp: shifting a row shifts the result; quad rows", "[math]") {
    std::mt19937_64 random(14);
    std::vector<double> row = random_row<double>(777, 15, 3);
    for (double& x : row) x = std::ldexp(std::nearbyint(std::ldexp(x, 20)), -20);
    const double y = lse(row);
    for (const double shift : {-1024.0, -3.0, 0.5, 64.0}) {  // exact in every element
        std::vector<double> moved = row;
        for (double& x : moved) x += shift;
        CHECK(std::fabs(lse(moved) - (y + shift)) <= 1e-15 * (std::fabs(shift) + 20));
    }
    std::vector<quad_real> wide(200);
    std::uniform_real_distribution<double> some(-900, 900);
    std::vector<quad> plain;
    for (quad_real& x : wide) {
        x = quad_real(some(random));
        plain.push_back(x.value);
    }
    const quad_real got = log_sum_exp(std::span<const quad_real>(wide));
    CHECK(fabsq(got.value - exact_lse(plain)) < ldexpq(1, -98));
    const quad_real pair = log_add_exp(quad_real(-900.0), quad_real(-2.0));
    CHECK(fabsq(pair.value - (quad(-2) + log1pq(expq(-898)))) < ldexpq(1, -110));
}

TEST_CASE("lane_sum: the shape of a sum is the position of its terms", "[math]") {
    // Term i goes to lane i mod 64; lanes are added as a balanced tree of halves.
    const auto by_hand = [](const std::vector<double>& terms) {
        std::vector<double> lane(64, 0.0);
        for (std::size_t i = 0; i < terms.size(); ++i) lane[i % 64] = lane[i % 64] + terms[i];
        for (std::size_t width = 32; width > 0; width /= 2)
            for (std::size_t i = 0; i < width; ++i) lane[i] = lane[i] + lane[i + width];
        return lane[0];
    };
    for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64},
                                std::size_t{65}, std::size_t{1000}}) {
        const auto terms = random_row<double>(n, 16 + n, 1e3);
        detail::lane_sum<> in_order, backwards_by_lane;
        for (std::size_t i = 0; i < n; ++i) in_order.add(static_cast<std::ptrdiff_t>(i), terms[i]);
        // Another order of arrival that keeps the order within each lane: other bits nowhere.
        for (std::size_t lane = 64; lane-- > 0;)
            for (std::size_t i = lane; i < n; i += 64)
                backwards_by_lane.add(static_cast<std::ptrdiff_t>(i), terms[i]);
        CAPTURE(n);
        CHECK(same_number(in_order.total(), by_hand(terms)));
        CHECK(same_bits(in_order.total(), backwards_by_lane.total()));
    }
    // The sum 2^53 + 1 + ... + 1 of one lane after another does not lose its small terms.
    detail::lane_sum<> sum;
    sum.add(0, 0x1p53);
    for (std::ptrdiff_t i = 1; i <= 640; ++i)
        if (i % 64 != 0) sum.add(i, 1.0);
    CHECK(sum.total() == 0x1p53 + 630);
}
