// SPDX-License-Identifier: Apache-2.0
//
// KTO: Kahneman-Tversky optimization of unpaired answers (Ethayarajh et al., arXiv 2402.01306,
// equation 7), and the estimate of its reference point.

#pragma once

#include <cstddef>
#include <cstdint>

#include <prefopt/batch/parts.hpp>
#include <prefopt/batch/unpaired.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/math/lane_sum.hpp>
#include <prefopt/math/log_sigmoid.hpp>
#include <prefopt/math/select.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// With r = policy - reference log-prob of one answer and z0 = kl:
///     desirable:    L = lambda_D (1 - sigmoid(beta (r - z0))) = lambda_D sigmoid(-beta (r - z0))
///     undesirable:  L = lambda_U (1 - sigmoid(beta (z0 - r))) = lambda_U sigmoid(-beta (z0 - r))
///
/// Gradient: dL/dr = -lambda_D beta s'(beta (r - z0)) for a desirable answer (descent raises its
/// log-prob), +lambda_U beta s'(...) for an undesirable one; s' = sigmoid(z) sigmoid(-z). It
/// saturates on both sides. z0 is a constant: it is never differentiated.
///
/// Shapes: policy, reference, desirable (N); losses, grad, rewards (N). At r = z0 the loss is
/// lambda / 2. Between 0 and lambda for every finite input; NaN and infinity - infinity are NaN,
/// which propagates and is counted.
///
/// Errors: bad_parameter for beta not finite and > 0, a weight not finite and >= 0, kl < 0.
///
///     prefopt::kto loss{.beta = 0.1};
///     auto result = loss(policy, reference, desirable, prefopt::kl_estimate(p, r));
struct kto {
    double beta = 0.1;                ///< inverse temperature of the implicit reward, per nat
    double desirable_weight = 1.0;    ///< lambda_D
    double undesirable_weight = 1.0;  ///< lambda_U; the paper wants
                                      ///< lambda_D n_D / (lambda_U n_U) between 1 and 4/3

    static constexpr auto kind = loss_kind::unpaired;
    static constexpr bool has_reference = true;
    static constexpr bool on_vectors = true;
    static constexpr bool linear_reward = true;

    /// One answer, for any real scalar type. `kl` is a constant of the batch.
    /// `desirable` is a bool, or a mask where T is a pack.
    template <class T, class Flag>
    [[nodiscard]] constexpr unpaired_term<T> term(const T& log_ratio, const Flag& desirable,
                                                  const T& kl) const {
        static_assert(detail::require_scalar<T>());
        const T side = prefopt::select(desirable, T(1), T(-1));
        const T lambda = prefopt::select(desirable, T(desirable_weight), T(undesirable_weight));
        const T z = side * T(beta) * (log_ratio - kl);
        const T miss = prefopt::sigmoid(T(-z));
        return {lambda * miss, -side * lambda * T(beta) * miss * prefopt::sigmoid(z)};
    }

    /// The implicit reward of one answer, beta * log-ratio.
    template <class T>
    [[nodiscard]] constexpr T reward(const T& log_ratio) const {
        return T(beta) * log_ratio;
    }

    [[nodiscard]] constexpr status check_parameters() const noexcept {
        return detail::first_of(
            {detail::check_positive("beta", beta),
             detail::check_not_negative("desirable_weight", desirable_weight),
             detail::check_not_negative("undesirable_weight", undesirable_weight)});
    }

    PREFOPT_UNPAIRED_CALLS(kto)
};

/// The mean log-ratio of a set of unrelated answers, as a sum and a count, so that micro-batches
/// and ranks can be merged before the clamp: clamping first is a biased estimate.
struct kl_statistics {
    double sum = 0;
    std::int64_t count = 0;

    constexpr void merge(const kl_statistics& b) noexcept {
        sum += b.sum;
        count += b.count;
    }
    [[nodiscard]] constexpr status check() const noexcept {
        if (count > 0) return {};
        return detail::fault(errc::empty_batch, "policy",
                             "is empty: the KL of no samples is not defined");
    }
    /// max(0, sum / count). NaN stays NaN. No sample is the error empty_batch.
    [[nodiscard]] constexpr double estimate() const {
        detail::require(check());
        const double mean = sum / static_cast<double>(count);
        return is_nan(mean) || mean > 0 ? mean : 0.0;
    }
};

namespace detail {

/// The reference point of KTO: `kl_estimate(policy, reference)`, and its parts.
struct kl_estimate_fn {
    /// max(0, mean(policy - reference)), both (N): the log-probs of answers that belong to *other*
    /// prompts of the batch. Clamped after the mean; NaN propagates; a constant for the gradient.
    /// Errors: shape_mismatch, null_pointer, ...; empty_batch for N = 0.
    ///
    ///     double kl = prefopt::kl_estimate(policy_unrelated, reference_unrelated);
    template <class P, class R>
    double operator()(const P& policy, const R& reference, const executor& e = {}) const {
        return statistics(policy, reference, e).estimate();
    }

    /// The same before the division and the clamp, to be merged.
    template <class P, class R>
    kl_statistics statistics(const P& policy, const R& reference, const executor& e = {}) const {
        return [&e](const auto& p, const auto& r) {
            const input<1> a(p);
            const input<1> b(r);
            require(check_inputs(a, b));
            return run_parts<kl_statistics>(e, a.extents[0], [&](auto first, auto last, auto& s) {
                s = {.sum = sum_of_differences(a, b, first, last), .count = last - first};
            });
        }(hold(policy), hold(reference));
    }

    template <class P, class R>
    status check(const P& policy, const R& reference) const {
        return [](const auto& p, const auto& r) {
            const input<1> a(p);
            const status s = check_inputs(a, input<1>(r));
            return s.ok() ? kl_statistics{.sum = 0, .count = a.extents[0]}.check() : s;
        }(hold(policy), hold(reference));
    }

private:
    static double sum_of_differences(const input<1>& a, const input<1>& b, std::ptrdiff_t first,
                                     std::ptrdiff_t last) noexcept {
        lane_sum<> sum;
        for (std::ptrdiff_t i = first; i < last; i += lane_count) {
            const std::ptrdiff_t m = last - i < lane_count ? last - i : lane_count;
            double x[lane_count], y[lane_count];
            load_block(a, i, m, x);
            load_block(b, i, m, y);
            for (std::ptrdiff_t j = 0; j < m; ++j) sum.add(j, x[j] - y[j]);
        }
        return sum.total();
    }
    static status check_inputs(const input<1>& a, const input<1>& b) {
        return check_operands(
            {describe("policy", a), describe("reference", b, shape_of(a.extents), "policy")});
    }
};

}  // namespace detail

inline constexpr detail::kl_estimate_fn kl_estimate{};

}  // namespace prefopt::inline PREFOPT_ABI
