// SPDX-License-Identifier: Apache-2.0
//
// The Bradley-Terry loss of a reward model (Bradley and Terry, 1952; Ouyang et al., arXiv
// 2203.02155, equation 1), with an optional margin (Touvron et al., arXiv 2307.09288, equation 2)
// and centring of the scores (Eisenstein et al., arXiv 2312.09244, section 3).

#pragma once

#include <prefopt/batch/pairwise.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/math/log_sigmoid.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// L = softplus(-(s_c - s_r - margin)) + centering (s_c + s_r)^2 on the scores of a reward model.
/// There is no reference and no beta.
///
/// Gradient: dL/d s_c = -sigmoid(-(s_c - s_r - margin)) + 2 centering (s_c + s_r), and
/// dL/d s_r = +sigmoid(...) + 2 centering (s_c + s_r). Descent raises the chosen score.
///
/// Shapes: both inputs (B); grad_chosen and grad_rejected are with respect to the scores; the
/// rewards of the result are the scores themselves. At equal scores the loss is log 2 for margin 0.
///
/// Errors: bad_parameter for a margin that is not finite, or centering not finite and >= 0.
///
///     auto result = prefopt::bradley_terry{}(chosen_scores, rejected_scores);
struct bradley_terry {
    double margin = 0.0;     ///< by how much the chosen score should win, in units of the score
    double centering = 0.0;  ///< weight of the term that keeps scores around zero

    static constexpr auto kind = loss_kind::pairwise;
    static constexpr bool has_reference = false;
    static constexpr bool on_vectors = true;
    static constexpr bool linear_reward = true;

    /// One pair of scores, for any real scalar type.
    template <class T>
    [[nodiscard]] constexpr pair_term<T> term(const T& chosen_score,
                                              const T& rejected_score) const {
        static_assert(detail::require_scalar<T>());
        const T z = (chosen_score - rejected_score) - T(margin);
        const auto [value, d] = prefopt::softplus_and_derivative(T(-z));
        if (centering == 0) return {value, -d, d};
        const T sum = chosen_score + rejected_score;
        const T pull = T(2) * T(centering) * sum;
        return {value + T(centering) * sum * sum, pull - d, pull + d};
    }

    template <class T>
    [[nodiscard]] constexpr T reward(const T& score) const {
        return score;
    }

    [[nodiscard]] constexpr status check_parameters() const noexcept {
        if (!is_finite(margin))
            return detail::fault_value(errc::bad_parameter, "margin", "must be finite", margin);
        return detail::check_not_negative("centering", centering);
    }

    template <class C, class R>
    auto operator()(const C& chosen_scores, const R& rejected_scores,
                    const pairwise_options& options = {}) const {
        return detail::pairwise_call(*this, options, chosen_scores, rejected_scores);
    }
    template <class C, class R>
    batch_result into(const C& chosen_scores, const R& rejected_scores,
                      const pairwise_outputs& outputs, const pairwise_options& options = {}) const {
        return detail::pairwise_into(*this, options, outputs, chosen_scores, rejected_scores);
    }
    template <class C, class R>
    status check(const C& chosen_scores, const R& rejected_scores,
                 const pairwise_options& options = {}, const pairwise_outputs& outputs = {}) const {
        return detail::pairwise_check(*this, options, outputs, chosen_scores, rejected_scores);
    }
};

}  // namespace prefopt::inline PREFOPT_ABI
