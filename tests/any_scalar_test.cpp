// SPDX-License-Identifier: Apache-2.0
//
// One table: every loss on every scalar. In multiprecision (expression templates on and off)
// against the papers' formulas as they are printed, in 350 digits: no constant and no shortcut of
// double may show. On dual numbers, and duals of duals, against the losses' own derivatives. On a
// number that has nothing but what `formula_scalar` lists, in a namespace full of traps. And on the
// differentiating numbers of Boost, Eigen and autodiff, as they are.

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include <prefopt/bradley_terry.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/trust_region.hpp>

#if __has_include(<boost/multiprecision/cpp_bin_float.hpp>)
#define PREFOPT_TEST_BOOST 1
#include <boost/math/differentiation/autodiff.hpp>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <boost/multiprecision/cpp_dec_float.hpp>
#endif
#if defined(PREFOPT_TEST_EIGEN)
#include <Eigen/Core>
#include <unsupported/Eigen/AutoDiff>
#if __has_include(<autodiff/forward/dual.hpp>)
#define PREFOPT_TEST_AUTODIFF 1
#include <autodiff/forward/dual.hpp>
#endif
#endif

#include "support/catch.hpp"
#include "support/dual.hpp"

namespace traps {

/// All that is asked of a scalar, and no more. Default construction is not zero.
class number {
public:
    number() = default;
    explicit number(double v) : value_(v) {}
    explicit number(int v) : value_(v) {}
    friend double value_of(const number& x) { return x.value_; }

    friend number operator+(const number& a, const number& b) {
        return number(a.value_ + b.value_);
    }
    friend number operator-(const number& a, const number& b) {
        return number(a.value_ - b.value_);
    }
    friend number operator*(const number& a, const number& b) {
        return number(a.value_ * b.value_);
    }
    friend number operator/(const number& a, const number& b) {
        return number(a.value_ / b.value_);
    }
    friend number operator-(const number& a) { return number(-a.value_); }
    friend bool operator<(const number& a, const number& b) { return a.value_ < b.value_; }
    friend bool operator==(const number& a, const number& b) { return a.value_ == b.value_; }
    friend number exp(const number& x) { return number(std::exp(x.value_)); }
    friend number log(const number& x) { return number(std::log(x.value_)); }

private:
    double value_ = -12345;
};

// What else may stand in a scalar's namespace: none of it may be called, or make a call ambiguous.
template <class T>
T sigmoid(T) = delete;
template <class T>
T softplus(const T&) = delete;
template <class T>
T log_sigmoid(const T&) = delete;
template <class T>
T softplus_and_derivative(const T&) = delete;
template <class T>
T log_sigmoid_and_derivative(const T&) = delete;
template <class C, class T>
T select(C, T, T) = delete;

}  // namespace traps

namespace {

using namespace prefopt;

#ifdef __FAST_MATH__
constexpr double relaxed = 16;  // reciprocals, regrouped sums
#else
constexpr double relaxed = 1;
#endif

/// Every pairwise loss with some parameters, and a place where neither it nor its derivative is a
/// difference that cancels.
template <class F>
void for_each_pairwise(const F& f) {
    f(dpo{.beta = 0.1});
    f(dpo{.beta = 0.3, .label_smoothing = 0.125});
    f(ipo{.beta = 0.1});
    f(ipo_averaged{.beta = 0.7});
    f(bradley_terry{});
    f(bradley_terry{.margin = 0.5, .centering = 0.01});
    f(tr_dpo{.loss = {.beta = 0.1}});
    f(tr_ipo{.loss = {.beta = 0.1}});
}
template <class F>
void for_each_unpaired(const F& f) {
    f(kto{.beta = 0.1, .desirable_weight = 1.25, .undesirable_weight = 0.75});
    f(tr_kto{.loss = {.beta = 0.3}});
}
template <class F>
void for_each_listwise(const F& f) {
    f(plackett_luce_dpo{.beta = 0.1});
    f(tr_plackett_luce_dpo{.loss = {.beta = 0.3}});
}

/// Differences of log-ratios of all sizes: beyond where exp(-x) is lost beside 1 in double.
constexpr std::array differences{-380.0, -90.5, -37.0, -3.25, -0.375, 0x1p-20,
                                 0.125,  1.75,  36.75, 100.0, 375.0};

/// log-ratios in rank order.
constexpr std::array<double, 5> ranked{0.5, -3.25, 40.0, 0.75, -400.0};

/// |a - b| in units of `epsilon` of b.
template <class R>
double apart(const R& a, const R& b, const R& epsilon) {
    const R difference = a < b ? R(b - a) : R(a - b);
    const R scale = (b < R(0) ? R(-b) : R(b)) * epsilon;
    if (difference == R(0)) return 0;
    return static_cast<double>(R(difference / scale));
}

/// The derivatives that dual numbers over R carry through every loss against those it returns; and
/// those of second order, through the value twice and through the derivative once.
template <class R>
void check_duals(const R& epsilon) {
    using dual = test::dual<R>;
    using second = test::dual<dual>;
    double first_order = 0, second_order = 0, in_lists = 0;
    const auto compare = [&](double& worst, const R& got, const R& wanted) {
        worst = std::max(worst, apart(got, wanted, epsilon));
    };
    const R one(1), zero(0);
    for_each_pairwise([&](const auto& loss) {
        for (const double h : differences) {
            const R c = static_cast<R>(h), r = static_cast<R>(0.25);
            const auto t = loss.term(c, r);
            const auto along = loss.term(dual(c, one), dual(r, zero));
            compare(first_order, along.value.slope, t.d_chosen);
            compare(first_order, loss.term(dual(c, zero), dual(r, one)).value.slope, t.d_rejected);
            const auto twice = loss.term(second(dual(c, one), dual(one, zero)),
                                         second(dual(r, zero), dual(zero, zero)));
            compare(second_order, twice.value.slope.slope, along.d_chosen.slope);
            compare(first_order, twice.d_chosen.value.value, t.d_chosen);
            compare(first_order, loss.reward(dual(c, one)).slope, loss.reward(one));
        }
    });
    for_each_unpaired([&](const auto& loss) {
        for (const double h : differences)
            for (const bool desirable : {true, false}) {
                // A reference point where the curvature is no difference.
                const R x = static_cast<R>(h), kl = static_cast<R>(-20.0);
                const auto t = loss.term(x, desirable, kl);
                const auto along = loss.term(dual(x, one), desirable, dual(kl, zero));
                compare(first_order, along.value.slope, t.d_log_ratio);
                const auto twice = loss.term(second(dual(x, one), dual(one, zero)), desirable,
                                             second(dual(kl, zero), dual(zero, zero)));
                compare(second_order, twice.value.slope.slope, along.d_log_ratio.slope);
            }
    });
    for_each_listwise([&](const auto& loss) {
        for (const std::size_t placed : {std::size_t{2}, ranked.size()}) {
            std::vector<R> gradient;
            for (const double x : ranked) gradient.push_back(static_cast<R>(x));
            const R value = loss.term(std::span<R>(gradient), placed);
            for (std::size_t j = 0; j < ranked.size(); ++j) {
                std::vector<dual> x;
                for (std::size_t k = 0; k < ranked.size(); ++k)
                    x.push_back(dual(static_cast<R>(ranked[k]), k == j ? one : zero));
                const dual carried = loss.term(std::span<dual>(x), placed);
                CHECK(carried.value == value);
                compare(in_lists, carried.slope, gradient[j]);
            }
        }
    });
    CAPTURE(first_order, second_order, in_lists);
    CHECK(first_order <= 4 * relaxed);
    CHECK(second_order <= 8 * relaxed);
    CHECK(in_lists <= 60 * relaxed);  // the exponent 120 of the last answer is rounded twice
}

#ifdef PREFOPT_TEST_BOOST

namespace mp = boost::multiprecision;
using eager = mp::number<mp::cpp_bin_float<50>, mp::et_off>;
using lazy = mp::number<mp::cpp_bin_float<50>, mp::et_on>;
using decimal = mp::number<mp::cpp_dec_float<50>, mp::et_on>;
using wide = mp::number<mp::cpp_bin_float<350>, mp::et_off>;

// The papers' formulas as they are printed: 350 digits forgive them.
wide log_of_sigmoid(const wide& x) { return -log(1 + exp(-x)); }
wide sigmoid_of(const wide& x) { return 1 / (1 + exp(-x)); }
wide paper(const dpo& f, const wide& c, const wide& r) {
    const wide z = wide(f.beta) * c - wide(f.beta) * r, e(f.label_smoothing);
    return -(1 - e) * log_of_sigmoid(z) - e * log_of_sigmoid(-z);
}
wide paper(const ipo& f, const wide& c, const wide& r) {
    const wide off = c - r - 1 / wide(f.beta) / 2;
    return off * off;
}
wide paper(const ipo_averaged& f, const wide& c, const wide& r) {
    return paper(ipo{.beta = f.beta}, c, r);
}
wide paper(const bradley_terry& f, const wide& c, const wide& r) {
    return -log_of_sigmoid(c - r - wide(f.margin)) + wide(f.centering) * (c + r) * (c + r);
}
wide paper(const kto& f, const wide& x, bool desirable, const wide& kl) {
    const wide z = wide(f.beta) * (desirable ? wide(x - kl) : wide(kl - x));
    return wide(desirable ? f.desirable_weight : f.undesirable_weight) * (1 - sigmoid_of(z));
}
wide paper(const plackett_luce_dpo& f, const std::vector<wide>& x, std::size_t placed) {
    wide product = 1;
    for (std::size_t k = 0; k < std::min(placed, x.size()); ++k) {
        wide rest = 0;
        for (std::size_t j = k; j < x.size(); ++j) rest += exp(wide(f.beta) * x[j]);
        product *= exp(wide(f.beta) * x[k]) / rest;
    }
    return -log(product);
}
template <class Loss, class... Arguments>
wide paper(const trust_region<Loss>& f, const Arguments&... arguments) {
    return paper(f.loss, arguments...);
}
/// The derivative of f at x, to more than 100 digits.
template <class F>
wide slope(const F& f, const wide& x) {
    const wide h("1e-60");
    return (f(x + h) - f(x - h)) / (2 * h);
}

/// Exact: T has at most 350 digits.
template <class T>
wide widen(const T& x) {
    return wide(x);
}
#if defined(__SIZEOF_FLOAT128__) && defined(__GLIBC__)
__extension__ typedef __float128 quad;
wide widen(quad x) {
    const auto high = static_cast<double>(x);
    const quad rest = x - static_cast<quad>(high);
    const auto middle = static_cast<double>(rest);
    const quad last = rest - static_cast<quad>(middle);
    return wide(high) + wide(middle) + wide(static_cast<double>(last));
}
#endif

/// Every loss in T... against the papers, in units of each T's last place; what the rounding of
/// beta (c - r) does to an exponential of that size is allowed for.
template <class... T>
void check_against_papers(const std::array<wide, sizeof...(T)>& epsilon) {
    std::array<double, sizeof...(T)> value{}, gradient{};
    // `ask(type)` evaluates the loss in a type: a value and its derivatives.
    const auto compare = [&](const auto& ask, const std::vector<wide>& wanted, double size) {
        std::size_t type = 0;
        const auto in_one_type = [&](const auto& got) {
            const wide unit = epsilon[type] * wide(1 + std::fabs(size));
            for (std::size_t i = 0; i < wanted.size(); ++i) {
                double& worst = i == 0 ? value[type] : gradient[type];
                worst = std::max(worst, apart(widen(got[i]), wanted[i], unit));
            }
            ++type;
        };
        (in_one_type(ask(std::type_identity<T>{})), ...);
    };
    for_each_pairwise([&](const auto& loss) {
        for (const double h : differences) {
            const wide c(h), r(0.25);
            const auto along_c = [&](const wide& x) { return paper(loss, x, r); };
            const auto along_r = [&](const wide& x) { return paper(loss, c, x); };
            compare(
                [&]<class S>(std::type_identity<S>) {
                    const auto t = loss.term(static_cast<S>(h), static_cast<S>(0.25));
                    return std::vector<S>{t.value, t.d_chosen, t.d_rejected};
                },
                {paper(loss, c, r), slope(along_c, c), slope(along_r, r)}, h);
        }
    });
    for_each_unpaired([&](const auto& loss) {
        for (const double h : differences)
            for (const bool desirable : {true, false}) {
                const auto along = [&](const wide& x) {
                    return paper(loss, x, desirable, wide(0.5));
                };
                compare(
                    [&]<class S>(std::type_identity<S>) {
                        const auto t = loss.term(static_cast<S>(h), desirable, static_cast<S>(0.5));
                        return std::vector<S>{t.value, t.d_log_ratio};
                    },
                    {along(wide(h)), slope(along, wide(h))}, h);
            }
    });
    for_each_listwise([&](const auto& loss) {
        for (const std::size_t placed : {std::size_t{2}, ranked.size()}) {
            const std::vector<wide> at(ranked.begin(), ranked.end());
            std::vector<wide> wanted{paper(loss, at, placed)};
            for (std::size_t j = 0; j < at.size(); ++j)
                wanted.push_back(slope(
                    [&](const wide& v) {
                        auto moved = at;
                        moved[j] = v;
                        return paper(loss, moved, placed);
                    },
                    at[j]));
            compare(
                [&]<class S>(std::type_identity<S>) {
                    std::vector<S> x{S(0)};
                    for (const double v : ranked) x.push_back(static_cast<S>(v));
                    x[0] = loss.term(std::span<S>(x).subspan(1), placed);
                    return x;
                },
                wanted, 400);
        }
    });
    for (std::size_t type = 0; type < value.size(); ++type) {
        CAPTURE(type, value[type], gradient[type]);
        CHECK(value[type] <= 4 * relaxed);
        CHECK(gradient[type] <= 4 * relaxed);
    }
}

#endif

}  // namespace

TEST_CASE("any scalar: dual numbers carry the derivative that the loss returns", "[scalars]") {
    check_duals<double>(std::numeric_limits<double>::epsilon());
    check_duals<long double>(std::numeric_limits<long double>::epsilon());
}

#ifdef PREFOPT_TEST_BOOST

TEST_CASE("any scalar: multiprecision has all its digits", "[scalars]") {
    check_against_papers<eager, lazy, decimal, double, long double>(
        {wide(std::numeric_limits<eager>::epsilon()), wide(std::numeric_limits<lazy>::epsilon()),
         wide("1e-50"), wide(0x1p-52), wide(std::numeric_limits<long double>::epsilon())});
#if defined(__SIZEOF_FLOAT128__) && defined(__GLIBC__)
    check_against_papers<quad>({wide(ldexp(wide(1), -112))});
#endif
    check_duals<eager>(std::numeric_limits<eager>::epsilon());
    check_duals<lazy>(std::numeric_limits<lazy>::epsilon());
}

TEST_CASE("any scalar: a lazy expression is passed as a number", "[scalars]") {
    const lazy a(1.5), b(0.25);
    const dpo loss{.beta = 0.1};
    CHECK(loss.term<lazy>(a - b, b - a).value == loss.term(lazy(1.25), lazy(-1.25)).value);
    CHECK(loss.term(lazy(a - b), lazy(b)).value == loss.term(lazy(1.25), b).value);
    static_assert(std::is_same_v<decltype(loss.term(a, b).value), lazy>);
}

TEST_CASE("any scalar: Boost's differentiating number, which has no log1p", "[scalars]") {
    namespace forward = boost::math::differentiation;
    double worst = 0;
    for_each_pairwise([&](const auto& loss) {
        for (const double h : differences) {
            const auto c = forward::make_fvar<double, 2>(h);
            using number = std::remove_cv_t<decltype(c)>;
            const auto t = loss.term(c, number(0.25));
            const auto wanted = loss.term(h, 0.25);
            worst = std::max(worst, apart(t.value.derivative(0), wanted.value, 0x1p-52));
            worst = std::max(worst, apart(t.value.derivative(1), wanted.d_chosen, 0x1p-52));
            worst =
                std::max(worst, apart(t.value.derivative(2), t.d_chosen.derivative(1), 0x1p-52));
        }
    });
    CAPTURE(worst);
    CHECK(worst <= 4 * relaxed);
}

#endif

TEST_CASE("any scalar: no more than is listed, and no function but those", "[scalars]") {
    using traps::number;
    static_assert(formula_scalar<number>);
    double worst = 0;
    const auto compare = [&](const number& got, double wanted) {
        worst = std::max(worst, apart(value_of(got), wanted, 0x1p-52));
    };
    for_each_pairwise([&](const auto& loss) {
        for (const double h : differences) {
            const auto t = loss.term(number(h), number(0.25));
            const auto wanted = loss.term(h, 0.25);
            compare(t.value, wanted.value);
            compare(t.d_chosen, wanted.d_chosen);
            compare(t.d_rejected, wanted.d_rejected);
            compare(loss.reward(number(h)), loss.reward(h));
        }
    });
    for_each_unpaired([&](const auto& loss) {
        for (const double h : differences) {
            const auto t = loss.term(number(h), h > 0, number(0.5));
            compare(t.value, loss.term(h, h > 0, 0.5).value);
            compare(t.d_log_ratio, loss.term(h, h > 0, 0.5).d_log_ratio);
        }
    });
    for_each_listwise([&](const auto& loss) {
        auto wanted = ranked;
        std::vector<number> x;
        for (const double v : ranked) x.push_back(number(v));
        compare(loss.term(std::span<number>(x), 3), loss.term(std::span<double>(wanted), 3));
        for (std::size_t i = 0; i < ranked.size(); ++i) compare(x[i], wanted[i]);
    });
    for (const double a : {1e-300, 1e-20, 1e-9, 0.25, 0.6875, 0.75, 3.0, 40.0, 700.0}) {
        compare(log1mexp(number(a)), log1mexp(a));
        compare(log1mexp_derivative(number(a)), log1mexp_derivative(a));
    }
    const std::array row{number(1), number(3), number(-700)};
    compare(log_sum_exp(std::span<const number>(row)), 3.1269280110429727);
    CAPTURE(worst);
    CHECK(worst <= 4 * relaxed);
}

TEST_CASE("any scalar: IPO asks for arithmetic alone, and differentiates by a complex step",
          "[scalars]") {
    static_assert(formula_scalar<std::complex<double>>);
    const double step = 1e-100;
    const ipo loss{.beta = 0.1};
    const auto t = loss.term(std::complex<double>(1.25, step), std::complex<double>(-0.5));
    CHECK(t.value.imag() / step == loss.term(1.25, -0.5).d_chosen);
}

#ifdef PREFOPT_TEST_EIGEN

TEST_CASE("any scalar: Eigen's differentiating number, a whole gradient at once", "[scalars]") {
    using number = Eigen::AutoDiffScalar<Eigen::Vector2d>;
    double worst = 0;
    for_each_pairwise([&](const auto& loss) {
        for (const double h : differences) {
            const auto t = loss.term(number(h, 2, 0), number(0.25, 2, 1));
            const auto wanted = loss.term(h, 0.25);
            worst = std::max(worst, apart(t.value.value(), wanted.value, 0x1p-52));
            worst = std::max(worst, apart(t.value.derivatives()[0], wanted.d_chosen, 0x1p-52));
            worst = std::max(worst, apart(t.value.derivatives()[1], wanted.d_rejected, 0x1p-52));
        }
    });
    CAPTURE(worst);
    CHECK(worst <= 4 * relaxed);
}

#ifdef PREFOPT_TEST_AUTODIFF

TEST_CASE("any scalar: autodiff's dual", "[scalars]") {
    using autodiff::dual2nd;
    double worst = 0;
    for_each_pairwise([&](const auto& loss) {
        for (const double h : differences) {
            dual2nd c = h;
            const dual2nd r = 0.25;
            const auto value = [&](const dual2nd& x) -> dual2nd { return loss.term(x, r).value; };
            const auto [u, ux, uxx] =
                autodiff::derivatives(value, autodiff::wrt(c, c), autodiff::at(c));
            const auto wanted = loss.term(h, 0.25);
            const auto along = loss.term(test::dual<double>(h, 1), test::dual<double>(0.25));
            worst = std::max(worst, apart(u, wanted.value, 0x1p-52));
            worst = std::max(worst, apart(ux, wanted.d_chosen, 0x1p-52));
            worst = std::max(worst, apart(uxx, along.d_chosen.slope, 0x1p-52));
        }
    });
    CAPTURE(worst);
    CHECK(worst <= 4 * relaxed);
}

#endif
#endif
