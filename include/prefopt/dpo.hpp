// SPDX-License-Identifier: Apache-2.0
//
// DPO: direct preference optimization (Rafailov et al., arXiv 2305.18290, equation 7), with the
// label smoothing of conservative DPO (Mitchell, "A note on DPO with noisy preferences", 2023).

#pragma once

#include <prefopt/batch/pairwise.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/math/log_sigmoid.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// L = (1 - e) softplus(-z) + e softplus(z),  z = beta (chosen log-ratio - rejected log-ratio),
/// e = label_smoothing. A log-ratio is policy log-prob - reference log-prob of one whole answer,
/// in nats.
///
/// Gradient: dL/d chosen = beta (sigmoid(z) - (1 - e)) = -dL/d rejected. Without smoothing it is
/// never positive for the chosen answer: descent raises its log-prob. Minimum at z = logit(1 - e).
///
/// Shapes: all four inputs (B), float, double, bf16 or fp16; losses and gradients (B).
/// At policy = reference the loss is log 2. Finite for every finite z; z = -infinity gives
/// +infinity; infinity - infinity is NaN, which propagates and is counted. Computed in
/// double, or to the last places of a float where all is stored in float or less.
///
/// Errors: bad_parameter for beta not finite and > 0, or label_smoothing outside [0, 0.5).
///
///     prefopt::dpo loss{.beta = 0.1};
///     auto result = loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected);
struct dpo {
    double beta = 0.1;             ///< inverse temperature of the implicit reward, per nat
    double label_smoothing = 0.0;  ///< assumed probability that a pair is labelled the wrong way

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
        const T z = T(beta) * (chosen_log_ratio - rejected_log_ratio);
        const auto [right, d_right] = prefopt::softplus_and_derivative(T(-z));
        if (label_smoothing == 0) {  // not a shortcut: 0 * infinity would be NaN
            const T d = T(beta) * d_right;
            return {right, -d, d};
        }
        const T e = T(label_smoothing);
        const auto [wrong, d_wrong] = prefopt::softplus_and_derivative(z);
        const T d = T(beta) * ((T(1) - e) * d_right - e * d_wrong);
        return {(T(1) - e) * right + e * wrong, -d, d};
    }

    /// The implicit reward of one answer, beta * log-ratio.
    template <class T>
    [[nodiscard]] constexpr T reward(const T& log_ratio) const {
        return T(beta) * log_ratio;
    }

    [[nodiscard]] constexpr status check_parameters() const noexcept {
        return detail::first_of(
            {detail::check_positive("beta", beta),
             detail::check_range("label_smoothing", label_smoothing, 0.0, 0.5, false,
                                 "must be at least 0 and less than 0.5")});
    }

    PREFOPT_PAIRWISE_CALLS(dpo)
};

}  // namespace prefopt::inline PREFOPT_ABI
