// SPDX-License-Identifier: Apache-2.0
//
// IPO: identity preference optimization (Azar et al., arXiv 2310.12036, equation 17), on summed and
// on length-averaged log-probs. With the same beta these are two different objectives, and mixing
// them up is the field's most common IPO bug; here they are two types.

#pragma once

#include <prefopt/batch/pairwise.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// L = (h - 1 / (2 beta))^2,  h = chosen log-ratio - rejected log-ratio, of summed log-probs.
/// beta is the paper's tau.
///
/// Gradient: dL/d chosen = 2 (h - 1 / (2 beta)) = -dL/d rejected: descent drives the gap h to the
/// target 1 / (2 beta), in nats, and holds it there (unlike DPO, which widens it without end).
///
/// Shapes: all four inputs (B). At policy = reference the loss is 1 / (4 beta^2). A square that
/// overflows is +infinity with a finite gradient; NaN propagates and is counted.
///
/// Errors: bad_parameter for beta not finite and > 0, or so small that 1 / (2 beta) overflows.
///
///     auto result = prefopt::ipo{.beta = 0.1}(policy_chosen, policy_rejected,
///                                             reference_chosen, reference_rejected);
struct ipo {
    double beta = 0.1;  ///< strength of the regularisation towards the reference (the paper's tau)

    static constexpr auto kind = loss_kind::pairwise;
    static constexpr bool has_reference = true;
    static constexpr bool on_vectors = true;
    static constexpr bool linear_reward = true;
    static constexpr bool of_difference = true;

    /// One pair, for any real scalar type.
    template <class T>
    [[nodiscard]] constexpr pair_term<T> term(const T& chosen_log_ratio,
                                              const T& rejected_log_ratio) const {
        static_assert(detail::require_scalar<T>());
        const T off = (chosen_log_ratio - rejected_log_ratio) - T(1) / (T(2) * T(beta));
        const T d = T(2) * off;
        return {off * off, d, -d};
    }

    /// The implicit reward of one answer, beta * log-ratio, as for DPO.
    template <class T>
    [[nodiscard]] constexpr T reward(const T& log_ratio) const {
        return T(beta) * log_ratio;
    }

    [[nodiscard]] constexpr status check_parameters() const noexcept {
        if (const status s = detail::check_positive("beta", beta); !s.ok()) return s;
        if (is_finite(1 / (2 * beta))) return {};
        return detail::fault_value(errc::bad_parameter, "beta",
                                   "must be large enough for 1 / (2 beta) to be finite", beta);
    }

    PREFOPT_PAIRWISE_CALLS(ipo)
};

/// IPO on log-probs averaged over the scored tokens: L = (u - 1 / (2 beta))^2,
/// u = chosen log-ratio / chosen tokens - rejected log-ratio / rejected tokens. This is what the
/// IPO authors used, and what TRL, HALOs and others call "ipo".
///
/// The call takes *summed* log-probs and the token counts, as sequence_log_probs returns them, and
/// gives gradients with respect to the sums: dL/d chosen = 2 (u - 1 / (2 beta)) / chosen tokens.
/// Rewards are beta times the averaged log-ratio. A count below 1 is the error empty_sequence.
///
///     auto result = prefopt::ipo_averaged{.beta = 0.1}(
///         c.sum, r.sum, reference_c.sum, reference_r.sum,
///         {.chosen_counts = c.count, .rejected_counts = r.count});
struct ipo_averaged {
    double beta = 0.1;  ///< as for ipo, but per token: sensible values are larger

    static constexpr auto kind = loss_kind::pairwise;
    static constexpr bool has_reference = true;
    static constexpr bool on_vectors = true;
    static constexpr bool linear_reward = true;
    static constexpr bool length_averaged = true;

    /// One pair of *averaged* log-ratios: the formula of ipo, which is the only one.
    template <class T>
    [[nodiscard]] constexpr pair_term<T> term(const T& chosen_average,
                                              const T& rejected_average) const {
        static_assert(detail::require_scalar<T>());
        return ipo{.beta = beta}.term(chosen_average, rejected_average);
    }
    template <class T>
    [[nodiscard]] constexpr T reward(const T& average_log_ratio) const {
        return T(beta) * average_log_ratio;
    }
    [[nodiscard]] constexpr status check_parameters() const noexcept {
        return ipo{.beta = beta}.check_parameters();
    }

    PREFOPT_PAIRWISE_CALLS(ipo_averaged)
};

}  // namespace prefopt::inline PREFOPT_ABI
