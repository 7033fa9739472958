// SPDX-License-Identifier: Apache-2.0
//
// The primitives of every loss against 113-bit arithmetic: log_sigmoid, sigmoid, softplus, log1mexp
// and their derivatives, in float and double, on listed hard points and on hundreds of thousands of
// points of every magnitude; their order, their symmetry, NaN and infinity; and that the same
// templates run on wider types.

#include <cmath>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include <prefopt/core/classify.hpp>
#include <prefopt/math/log_sigmoid.hpp>

#include "support/catch.hpp"
#include "support/dual.hpp"
#include "support/quad.hpp"
#include "support/reference.hpp"

namespace {

using namespace prefopt;
using test::precise;
using test::quad;
using test::quad_real;
using test::relaxed;
namespace exact = test::exact;

constexpr double value_budget = 2 * relaxed;       // log_sigmoid, softplus, log1mexp
constexpr double derivative_budget = 3 * relaxed;  // sigmoid and every derivative

template <class T>
constexpr T infinite = std::numeric_limits<T>::infinity();

template <class T>
bool subnormal(T x) {
    return detail::magnitude_bits(x) < detail::magnitude_bits(std::numeric_limits<T>::min());
}

template <class T>
bool is_infinite_with_sign(T x, bool negative) {
    return is_infinite(x) && std::signbit(x) == negative;
}

/// Units in the last place, with the classes compared first: an overflow has no units.
template <class T>
double miss(T computed, quad expected) {
    constexpr double wrong = 1e300;
    if (is_nan(computed)) return wrong;
    const quad top = exact::wide(std::numeric_limits<T>::max());
    if (fabsq(expected) > top || is_infinite(computed)) {
        const bool near = fabsq(expected) > top * exact::wide(1 - 1e-6);
        const bool same = is_infinite(computed) && std::signbit(computed) == (expected < 0);
        return near && (same || fabsq(expected) < top * exact::wide(1 + 1e-6)) ? 0 : wrong;
    }
    // Where subnormals are flushed, a result that small may be anything below the least normal.
    const quad least = exact::wide(std::numeric_limits<T>::min());
    if (!precise && fabsq(expected) < 2 * least)
        return fabsq(exact::wide(computed)) <= 2 * least ? 0 : wrong;
    return test::ulps(computed, expected);
}

/// The worst of many, and where.
template <class T>
struct worst {
    double ulp = 0;
    T at{};
    void add(T x, T computed, quad expected) {
        const double u = miss(computed, expected);
        if (u <= ulp) return;
        ulp = u;
        at = x;
    }
};

#define CHECK_WORST(w, budget)                                                                     \
    do {                                                                                           \
        INFO(#w << ": " << (w).ulp << " ULP at " << static_cast<double>((w).at));                  \
        CHECK((w).ulp <= (budget));                                                                \
    } while (false)

template <class T>
std::vector<T> special_grid() {
    const T ln2 = static_cast<T>(0.69314718055994531);
    std::vector<T> grid;
    using limits = std::numeric_limits<T>;
    for (const T x : {T(0),
                      limits::denorm_min(),
                      T(limits::min() / 2),
                      limits::min(),
                      T(1e-30),
                      limits::epsilon(),
                      T(0.5),
                      ln2,
                      T(1),
                      T(2),
                      T(16.6),
                      T(16.75),
                      T(17),
                      T(20),
                      T(36.7),
                      T(36.75),
                      T(50),
                      T(87.3),
                      T(88.7),
                      T(88.75),
                      T(89),
                      T(103.5),
                      T(103.9),
                      T(104),
                      T(104.1),
                      T(708),
                      T(709.7),
                      T(709.8),
                      T(710),
                      T(744.4),
                      T(745),
                      T(745.2),
                      T(746),
                      T(1e5),
                      T(1e38),
                      limits::max()})
        for (const T side : {T(1), T(-1)})
            for (const T y : {x, std::nextafter(x, T(0)), std::nextafter(x, limits::max())})
                grid.push_back(side * y);
    return grid;
}

template <class T>
std::vector<T> all_points(std::uint64_t seed) {
    std::vector<T> points = test::many_points<T>(70000, seed);
    for (const T x : special_grid<T>()) points.push_back(x);
    for (const T x : {infinite<T>, -infinite<T>, std::numeric_limits<T>::quiet_NaN()})
        for (int i = 0; i < 10; ++i) points.push_back(x);
    return points;
}

template <class T>
void check_visited(const test::visited& seen) {
    CHECK(seen.points >= 200000);
    CHECK(seen.subnormal >= (sizeof(T) == 4 ? 4000 : 1000));
    CHECK(seen.infinite >= 20);
    CHECK(seen.nan >= 10);
    CHECK(seen.negative >= 90000);
    CHECK(seen.positive >= 90000);
}

}  // namespace

TEMPLATE_TEST_CASE("math: the sigmoid family to its ULP budget, everywhere", "[math]", float,
                   double) {
    using T = TestType;
    worst<T> value, softplus_value, value_of_pair, sigmoid_value, derivative, softplus_derivative,
        complement;
    test::visited seen;
    bool nan_stays = true, ends_right = true;
    for (const T x : all_points<T>(20240601)) {
        seen.add(x);
        const auto both = log_sigmoid_and_derivative(x);
        const auto plus = softplus_and_derivative(x);
        if (is_nan(x)) {
            nan_stays = nan_stays && is_nan(log_sigmoid(x)) && is_nan(sigmoid(x)) &&
                        is_nan(softplus(x)) && is_nan(both.value) && is_nan(both.derivative) &&
                        is_nan(plus.value) && is_nan(plus.derivative);
            continue;
        }
        if (is_infinite(x)) {
            const bool low = std::signbit(x);
            ends_right = ends_right && sigmoid(x) == T(low ? 0 : 1) &&
                         both.derivative == T(low ? 1 : 0) && plus.derivative == T(low ? 0 : 1);
            for (const T end : {log_sigmoid(x), both.value})
                ends_right = ends_right && (low ? is_infinite_with_sign(end, true) : end == T(0));
            for (const T end : {softplus(x), plus.value})
                ends_right = ends_right && (low ? end == T(0) : is_infinite_with_sign(end, false));
            continue;
        }
        const quad q = exact::wide(x);
        const quad up = exact::sigmoid(q), down = exact::sigmoid(-q),
                   log_up = exact::log_sigmoid(q);
        value.add(x, log_sigmoid(x), log_up);
        value_of_pair.add(x, both.value, log_up);
        sigmoid_value.add(x, sigmoid(x), up);
        derivative.add(x, both.derivative, down);
        softplus_value.add(x, softplus(T(-x)), -log_up);
        softplus_derivative.add(x, plus.derivative, up);
        complement.add(x, T(sigmoid(x) + sigmoid(T(-x))), 1);
    }
    check_visited<T>(seen);
    CHECK(nan_stays);
    CHECK(ends_right);
    CHECK_WORST(value, value_budget);
    CHECK_WORST(value_of_pair, value_budget);
    CHECK_WORST(softplus_value, value_budget);
    CHECK_WORST(sigmoid_value, derivative_budget);
    CHECK_WORST(derivative, derivative_budget);
    CHECK_WORST(softplus_derivative, derivative_budget);
    CHECK_WORST(complement, 1 * relaxed);
}

TEMPLATE_TEST_CASE("math: log1mexp and its derivative to their ULP budget, everywhere", "[math]",
                   float, double) {
    using T = TestType;
    worst<T> value, derivative;
    test::visited seen;
    bool nan_stays = true, negative_is_nan = true, ends_right = true;
    for (const T x : all_points<T>(20240602)) {
        seen.add(x);
        if (is_nan(x)) {
            nan_stays = nan_stays && is_nan(log1mexp(x)) && is_nan(log1mexp_derivative(x));
            continue;
        }
        if (!precise && subnormal(x)) continue;  // read as 0
        if (std::signbit(x) && detail::magnitude_bits(x) != 0)
            negative_is_nan = negative_is_nan && is_nan(log1mexp(x));
        const T a = std::fabs(x);
        if (detail::magnitude_bits(x) == 0) {
            ends_right = ends_right && is_infinite_with_sign(log1mexp(x), true) &&
                         is_infinite(log1mexp_derivative(x)) &&
                         (!precise || !std::signbit(log1mexp_derivative(x)));
            continue;
        }
        if (is_infinite(a)) {
            ends_right = ends_right && log1mexp(a) == T(0) && log1mexp_derivative(a) == T(0);
            continue;
        }
        const quad q = exact::wide(a);
        value.add(a, log1mexp(a), exact::log1mexp(q));
        derivative.add(a, log1mexp_derivative(a), q > 5000 ? expq(-q) : 1 / expm1q(q));
    }
    check_visited<T>(seen);
    CHECK(nan_stays);
    CHECK(negative_is_nan);
    CHECK(ends_right);
    CHECK_WORST(value, value_budget);
    CHECK_WORST(derivative, derivative_budget);
}

TEST_CASE("math: the values everybody gets wrong", "[math]") {
    const auto close = [](auto computed, double expected, double relative) {
        const double got = static_cast<double>(computed);
        INFO("got " << got << ", expected " << expected);
        CHECK(std::fabs(got - expected) <= relative * std::fabs(expected));
    };
    SECTION("log_sigmoid") {
        for (const float zero : {0.0F, -0.0F}) {
            CHECK(log_sigmoid(zero) == -0.693147180559945309F);
            CHECK(log_sigmoid(static_cast<double>(zero)) == -0.693147180559945309);
            CHECK(log_sigmoid_and_derivative(zero).derivative == 0.5F);
        }
        close(log_sigmoid(16.75F), -5.31578511e-8, 2e-7);
        close(log_sigmoid(36.75), -1.09566500e-16, 1e-8);
        if (precise) close(log_sigmoid(88.75F), -2.85999e-39, 2e-6);  // a subnormal, not 0
        CHECK(log_sigmoid(104.0F) == 0.0F);
        CHECK(log_sigmoid(745.2) == 0.0);
        CHECK(log_sigmoid(std::numeric_limits<float>::max()) == 0.0F);
        CHECK(log_sigmoid(-std::numeric_limits<float>::max()) ==
              -std::numeric_limits<float>::max());
        for (const double x : {-50.0, -104.25, -1234.5, -1e100}) CHECK(log_sigmoid(x) == x);
        CHECK(log_sigmoid(0x1p-60) >= -0.6931471805599454);
    }
    SECTION("sigmoid") {
        CHECK(sigmoid(0.0F) == 0.5F);
        CHECK(sigmoid(-0.0) == 0.5);
        CHECK(sigmoid(-104.0F) == 0.0F);
        CHECK_FALSE(std::signbit(sigmoid(-104.0F)));
        close(sigmoid(-20.0F), 2.06115362e-9, 2e-7);  // 1 - sigmoid(20)
        if (precise) {
            close(sigmoid(-88.75F), 2.85999e-39, 2e-6);
            CHECK(sigmoid(-103.5F) == std::numeric_limits<float>::denorm_min());
            CHECK(sigmoid(-745.0) == std::numeric_limits<double>::denorm_min());
        }
        close(sigmoid(-100.0), 3.720075976020836e-44, 1e-15);
    }
    SECTION("log1mexp") {
        close(log1mexp(0.69314718055994531), -0.69314718055994531, 3e-16);
        close(log1mexp(0.69314718055994531F), -0.69314718055994531, 2e-7);
        close(log1mexp(17.0), -4.13993780e-8, 1e-8);
        close(log1mexp(50.0), -1.92874985e-22, 1e-8);
        if (precise) {
            close(log1mexp(std::numeric_limits<float>::denorm_min()), -103.28, 1e-4);
            close(log1mexp(1e-40F), -92.1034, 1e-6);
        }
        CHECK(is_nan(log1mexp(-1.0)));
    }
}

TEMPLATE_TEST_CASE("math: monotone, and inside their ranges", "[math]", float, double) {
    using T = TestType;
    // A formula that is right to 1.3 ULP may step back by one unit between neighbours, never more.
    std::mt19937_64 random(5);
    std::uniform_real_distribution<double> start(-20, 20);
    double deepest = 0;
    std::int64_t outside = 0;
    const auto step_back = [](T from, T to) {
        return to < from ? test::ulps(to, exact::wide(from)) : 0.0;
    };
    for (int run = 0; run < 400; ++run) {
        T x = static_cast<T>(run < 100 ? (run - 50) * 1e-6 : start(random));
        std::vector<T> value, rise;
        for (int i = 0; i < 300; ++i) {
            value.push_back(log_sigmoid(x));
            rise.push_back(sigmoid(x));
            outside += value.back() > T(0) || rise.back() < T(0) || rise.back() > T(1) ||
                       softplus(x) < T(0) || std::signbit(softplus(x));
            if (i > 0) {
                deepest = std::max(deepest, step_back(value.end()[-2], value.back()));
                deepest = std::max(deepest, step_back(rise.end()[-2], rise.back()));
            }
            x = std::nextafter(x, std::numeric_limits<T>::max());
        }
    }
    CAPTURE(deepest);
    CHECK(deepest <= (precise ? 1.0 : 8.0));
    CHECK(outside == 0);
    CHECK_FALSE(std::signbit(softplus(-infinite<T>)));  // a loss never prints -0
}

TEST_CASE("math: the templates serve wider types", "[math]") {
    // long double: its own precision, where it has more than double.
    const long double x = 3.25L;
    constexpr double unit = std::numeric_limits<long double>::epsilon();
    const auto off = [](long double got, quad expected) {
        return static_cast<double>(fabsq((exact::wide(got) - expected) / expected));
    };
    CHECK(off(sigmoid(-x), exact::sigmoid(-exact::wide(x))) <= 4 * unit);
    CHECK(off(log_sigmoid(x), exact::log_sigmoid(exact::wide(x))) <= 4 * unit);
    CHECK(off(log1mexp(x), exact::log1mexp(exact::wide(x))) <= 4 * unit);
    CHECK(off(softplus(x), -exact::log_sigmoid(-exact::wide(x))) <= 4 * unit);

    // quad, and a dual number over it: the derivative that comes along is the derivative.
    std::mt19937_64 random(6);
    std::uniform_real_distribution<double> some(-300, 300);
    quad far = 0;
    const auto compare = [&](quad_real got, quad expected) {
        far = exact::larger(far, fabsq((got.value - expected) / expected));
    };
    using dual = test::dual<quad_real>;
    for (int i = 0; i < 2000; ++i) {
        const quad_real p(some(random)), a(std::fabs(some(random)) + 1e-3);
        const dual variable(p, quad_real(1)), length(a, quad_real(1));
        compare(log_sigmoid_and_derivative(p).value, exact::log_sigmoid(p.value));
        compare(log_sigmoid_and_derivative(p).derivative, log_sigmoid(variable).slope.value);
        compare(softplus_and_derivative(p).derivative, softplus(variable).slope.value);
        compare(sigmoid(p), exact::sigmoid(p.value));
        compare(log1mexp(a), exact::log1mexp(a.value));
        compare(log1mexp_derivative(a), log1mexp(length).slope.value);
    }
    CAPTURE(exact::narrow(far));
    CHECK(far < ldexpq(1, -104));
}
