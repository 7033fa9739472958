// SPDX-License-Identifier: Apache-2.0
//
// A gradient check for the author of a loss: its derivative against central differences of its
// value, in long double, with no test framework.

#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include <prefopt/batch/kind.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI::testing {

namespace detail {

/// |claimed - central difference of f at x| relative to max(1, |difference|).
template <class F>
long double slope_error(const F& f, long double x, long double claimed) {
    const long double step =
        std::cbrt(std::numeric_limits<long double>::epsilon()) * (1 + std::fabs(x));
    const long double slope = (f(x + step) - f(x - step)) / (2 * step);
    return std::fabs(claimed - slope) / (1 + std::fabs(slope));
}

}  // namespace detail

/// The largest relative error of a pairwise formula's two derivatives at one pair of log-ratios.
/// Below 1e-10 for a right derivative, away from kinks.
///
///     assert(prefopt::testing::gradient_error(my_loss, 0.3, -1.2) < 1e-10);
template <class Formula>
    requires(Formula::kind == loss_kind::pairwise)
double gradient_error(const Formula& f, long double chosen, long double rejected) {
    const auto t = f.term(chosen, rejected);
    const auto along_chosen = [&](long double x) { return f.term(x, rejected).value; };
    const auto along_rejected = [&](long double x) { return f.term(chosen, x).value; };
    return static_cast<double>(
        std::fmax(detail::slope_error(along_chosen, chosen, t.d_chosen),
                  detail::slope_error(along_rejected, rejected, t.d_rejected)));
}

/// The same for an unpaired formula.
template <class Formula>
    requires(Formula::kind == loss_kind::unpaired)
double gradient_error(const Formula& f, long double log_ratio, bool desirable, long double kl) {
    const auto t = f.term(log_ratio, desirable, kl);
    const auto along = [&](long double x) { return f.term(x, desirable, kl).value; };
    return static_cast<double>(detail::slope_error(along, log_ratio, t.d_log_ratio));
}

/// The same for a listwise formula, at one list of log-ratios in rank order.
template <class Formula>
    requires(Formula::kind == loss_kind::listwise)
double gradient_error(const Formula& f, const std::vector<long double>& log_ratios,
                      std::size_t placed) {
    std::vector<long double> gradient = log_ratios;
    f.term(std::span<long double>(gradient), placed);
    long double worst = 0;
    for (std::size_t i = 0; i < log_ratios.size(); ++i) {
        const auto along = [&](long double x) {
            std::vector<long double> moved = log_ratios;
            moved[i] = x;
            return f.term(std::span<long double>(moved), placed);
        };
        worst = std::fmax(worst, detail::slope_error(along, log_ratios[i], gradient[i]));
    }
    return static_cast<double>(worst);
}

}  // namespace prefopt::inline PREFOPT_ABI::testing
