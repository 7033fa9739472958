// SPDX-License-Identifier: Apache-2.0
//
// Constant expressions: every loss, reward and parameter check is one, on both compilers, with the
// values of the papers' formulas; what stands in for exp, expm1, log and log1p there is within 2
// ULP over the whole range, and has the special values. Compiling is half of this test.

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <span>

#include <prefopt/bradley_terry.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/math/constant.hpp>
#include <prefopt/math/log_sum_exp.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/trust_region.hpp>

#include "support/catch.hpp"
#include "support/quad.hpp"
#include "support/reference.hpp"

namespace {

using namespace prefopt;
namespace constant = prefopt::detail::constant;
using test::quad;

constexpr double infinite = std::numeric_limits<double>::infinity();

/// |a - b| <= 1e-15 |b|.
constexpr bool near(double a, double b) {
    const double difference = a < b ? b - a : a - b;
    return difference <= 1e-15 * (b < 0 ? -b : b);
}

// Values: the papers' formulas in 40 digits.
constexpr auto dpo_term = dpo{.beta = 0.1}.term(0.5, -0.25);
static_assert(near(dpo_term.value, 0.6563501408267951587));
static_assert(near(dpo_term.d_chosen, -0.0481258784121464787));
static_assert(dpo_term.d_rejected == -dpo_term.d_chosen);
static_assert(near(dpo{.beta = 0.1, .label_smoothing = 0.125}.term(-7.0, 400.0).value,
                   35.6125000000000000));
static_assert(dpo{.beta = 0.1}.term(0.5F, -0.25F).value == 0.65635014F);
static_assert(ipo{.beta = 0.25}.term(0.5, -0.25).value == 1.5625);
static_assert(ipo_averaged{.beta = 0.25}.term(0.5, -0.25).d_rejected == 2.5);
static_assert(near(kto{.beta = 0.1}.term(0.5, true, 0.25).value, 0.49375032550048957));
static_assert(bradley_terry{.margin = 0.5}.term(0.25, -0.25).d_chosen == -0.5);
static_assert(tr_dpo{.loss = {.beta = 0.1}}.term(0.5, -0.25).value == dpo_term.value);
static_assert(tr_ipo{.loss = {.beta = 0.5}}.reward(3.0) == 1.5);
static_assert(tr_kto{}.term(0.5F, false, 0.5F).value == 0.5F);

constexpr std::array<double, 4> ranking(double beta) {  // the loss, then its gradient
    std::array<double, 4> x{0, 1, 2, 3};
    const plackett_luce_dpo loss{.beta = beta};
    x[0] = tr_plackett_luce_dpo{.loss = loss}.term(std::span<double>(x).subspan(1), 3);
    return x;
}
static_assert(near(ranking(1)[0], 3.7208676519626031));
static_assert(near(ranking(1)[1], -0.9099694268296195));

static_assert(dpo{}.check_parameters().ok() && tr_dpo{}.check_parameters().ok());
static_assert(kto{.beta = -1}.check_parameters().code == errc::bad_parameter);
static_assert(!dpo{.label_smoothing = 0.5}.check_parameters().ok());
static_assert(!ipo{.beta = 0}.check_parameters().ok());
static_assert(!bradley_terry{.centering = -1}.check_parameters().ok());
static_assert(!tr_dpo{.update = soft_update({.alpha = 2})}.check_parameters().ok());
static_assert(kl_statistics{.sum = 3, .count = 4}.estimate() == 0.75);
static_assert(kl_statistics{.sum = -3, .count = 4}.estimate() == 0);

constexpr std::array row{1.0, 3.0, -700.0, -infinite};
static_assert(near(log_sum_exp(std::span<const double>(row)), 3.1269280110429725));
static_assert(near(log1mexp(1e-300), -690.7755278982137) &&
              near(log1mexp(40.0), -4.248354255291589e-18));
static_assert(near(sigmoid(-700.0), 9.85967654375977e-305) && sigmoid(800.0) == 1);

static_assert(constant::exp(infinite) == infinite && constant::exp(-infinite) == 0);
static_assert(constant::exp(709.9) == infinite && constant::exp(-746.0) == 0);
static_assert(constant::exp(-745.0) == std::numeric_limits<double>::denorm_min());
static_assert(constant::exp(89.0F) == std::numeric_limits<float>::infinity());
static_assert(constant::exp(0.0) == 1 && constant::expm1(0.0) == 0 && constant::log(1.0) == 0);
static_assert(constant::expm1(-infinite) == -1 && constant::expm1(infinite) == infinite);
static_assert(constant::log(0.0) == -infinite && constant::log(infinite) == infinite);
static_assert(constant::log1p(-1.0) == -infinite && constant::log1p(infinite) == infinite);
static_assert(is_nan(constant::log(-1.0)) && is_nan(constant::log1p(-1.5)));
static_assert(is_nan(constant::exp(std::numeric_limits<double>::quiet_NaN())));
static_assert(constant::log1p(5e-324) == 5e-324 && constant::expm1(-5e-324) == -5e-324);

}  // namespace

// Called at run time here, where -ffast-math would regroup it; the constants above hold there too.
#ifndef __FAST_MATH__

/// The largest error of f, which is called at run time here, over points that `draw` makes.
template <class T, class F, class Exact, class Draw>
static double worst_of(const F& f, const Exact& exact, const Draw& draw) {
    std::mt19937_64 random(41);
    double worst = 0;
    for (int i = 0; i < 100000; ++i) {
        const T x = static_cast<T>(draw(random));
        worst = std::max(worst, test::ulps(f(x), exact(static_cast<quad>(x))));
    }
    return worst;
}

TEMPLATE_TEST_CASE("constant: exp, expm1, log and log1p within 2 ULP", "[constant]", float,
                   double) {
    using T = TestType;
    using limits = std::numeric_limits<T>;
    const auto between = [](double low, double high) {
        return
            [=](auto& random) { return std::uniform_real_distribution<double>(low, high)(random); };
    };
    // +-2^e, e uniform.
    const auto magnitudes = [](double low, double high, bool both) {
        return [=](auto& random) {
            const double x = std::exp2(std::uniform_real_distribution<double>(low, high)(random));
            return both && random() % 2 == 0 ? -x : x;
        };
    };
    const double top = limits::max_exponent * 0.693147180559945;
    const double bottom = (limits::min_exponent - limits::digits) * 0.693147180559945;
    const double least = limits::min_exponent - limits::digits, most = limits::max_exponent - 0.01;
    const auto exp = [](T x) { return constant::exp(x); };
    const auto expm1 = [](T x) { return constant::expm1(x); };
    const auto log = [](T x) { return constant::log(x); };
    const auto log1p = [](T x) { return constant::log1p(x); };
    double worst = 0;
    for (const double one : {
             worst_of<T>(exp, expq, between(-1, 1)),
             worst_of<T>(exp, expq, between(bottom, top)),
             worst_of<T>(exp, expq, magnitudes(-60, 6, true)),
             worst_of<T>(expm1, expm1q, between(-1.5, 1.5)),
             worst_of<T>(expm1, expm1q, between(-50, top)),
             worst_of<T>(expm1, expm1q, magnitudes(-100, 6, true)),
             worst_of<T>(log, logq, between(0.3, 3)),
             worst_of<T>(log, logq, magnitudes(least, most, false)),
             worst_of<T>(log1p, log1pq, between(-1, 4)),
             worst_of<T>(log1p, log1pq, magnitudes(-100, most, false)),
         })
        worst = std::max(worst, one);
    CAPTURE(worst);
    CHECK(worst <= 2);
    CHECK(worst > 0.45);  // something was measured
}
#endif

TEST_CASE("constant: a constant is what the same call gives at run time", "[constant]") {
    double one = 1;
    const volatile double* hidden = &one;
    const double x = *hidden;
    const auto same = [](double a, double b) { return std::fabs(a - b) <= 1e-15 * std::fabs(b); };
    const auto now = dpo{.beta = 0.1}.term(0.5 * x, -0.25 * x);
    CHECK(same(dpo_term.value, now.value));
    CHECK(same(dpo_term.d_chosen, now.d_chosen));
    constexpr auto answer = kto{.beta = 0.3}.term(-2.5, false, 0.125);
    CHECK(same(answer.value, kto{.beta = 0.3}.term(-2.5 * x, false, 0.125 * x).value));
    constexpr auto scores = bradley_terry{.margin = 0.25, .centering = 0.5}.term(1.5, 2.0);
    CHECK(same(scores.d_chosen,
               bradley_terry{.margin = 0.25, .centering = 0.5}.term(1.5 * x, 2.0 * x).d_chosen));
    constexpr auto list = ranking(1);
    const auto list_now = ranking(x);
    for (std::size_t i = 0; i < list.size(); ++i) CHECK(same(list[i], list_now[i]));
}
