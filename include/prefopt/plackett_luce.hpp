// SPDX-License-Identifier: Apache-2.0
//
// Plackett-Luce DPO: direct preference optimization from rankings of any length K (Rafailov et al.,
// arXiv 2305.18290, appendix A.3; Plackett, 1975; Luce, 1959). With K = 2 it is DPO.

#pragma once

#include <cstddef>
#include <span>

#include <prefopt/batch/listwise.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/math/log_sigmoid.hpp>
#include <prefopt/math/log_sum_exp.hpp>
#include <prefopt/math/select.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// With s_k = beta (policy - reference log-prob) of the answer placed k-th, best first:
///     L = sum over k < M of [ log sum_{j >= k} exp(s_j) - s_k ]
/// where M places are known (all by default). Each place is a softmax choice among what is left.
///
/// Gradient, in O(K) by two scans. With d_k = log sum_{j > k} exp(s_j) - s_k, so that
/// L = sum softplus(d_k), and C_0 = 0, C_{k+1} = (1 + C_k) sigmoid(d_k):
///     dL/ds_k = C_k sigmoid(-d_k) - sigmoid(d_k)           for a placed answer,
///     dL/ds_i = C_M softmax over the unplaced answers_i    for an unplaced (or the last) one,
/// times beta for the log-prob. It sums to zero over a list; descent raises the best answer.
/// No form overflows or cancels: s = +-1e4 and a last answer of log-prob -infinity are ordinary.
///
/// Shapes: policy, reference, ranking (B, K); losses (B); grad, rewards (B, K) at the answer's own
/// column. At policy = reference the loss is log K!. One answer: loss and gradient 0. NaN
/// propagates within its list and is counted.
///
/// Errors: bad_parameter for beta not finite and > 0 or placed < 0; not_permutation with the first
/// bad slot; empty_sequence for a list without answers.
///
///     prefopt::plackett_luce_dpo loss{.beta = 0.1};
///     auto result = loss(policy, reference);                          // column 0 is the best
///     auto result = loss(policy, reference, ranking, {.placed = 3});  // only the best three known
struct plackett_luce_dpo {
    double beta = 0.1;  ///< inverse temperature of the implicit reward, per nat

    static constexpr auto kind = loss_kind::listwise;
    static constexpr bool has_reference = true;
    static constexpr bool on_vectors = true;

    /// One list. In: its log-ratios in rank order. Out: dL / d log-ratio in their place. Returns L.
    template <class T>
    constexpr T term(std::span<T> log_ratios, std::size_t placed) const {
        static_assert(detail::require_scalar<T>());
        if constexpr (!detail::brings_primitives<T>) static_assert(detail::require_order<T>());
        const std::size_t n = log_ratios.size();
        const T b = T(beta);
        const std::size_t m = placed < n ? placed : (n == 0 ? 0 : n - 1);  // real choices
        if (m == 0) {
            for (T& x : log_ratios) x = T(0);
            return T(0);
        }

        // sum_{j >= k} exp(beta x_j) = total * exp(beta top). The scale stays unmultiplied, so that
        // differences of log-ratios are taken before beta: K = 2 is DPO to the last bit.
        T top = log_ratios[n - 1];
        T total(1);
        const auto include = [&](const T& x) {
            const auto above = top < x;
            const T e = relative(prefopt::select(above, top, x), prefopt::select(above, x, top));
            total = prefopt::select(above, T(total * e + T(1)), T(total + e));
            top = prefopt::select(above, x, top);
        };
        for (std::size_t i = n - 1; i-- > m;) include(log_ratios[i]);
        const T rest_top = top;
        const T rest_total = total;

        T loss(0);
        for (std::size_t i = m; i-- > 0;) {
            const T x = log_ratios[i];
            const T d = b * (top - x) + detail::log_of(total);
            loss = loss + prefopt::softplus(d);
            include(x);
            log_ratios[i] = d;
        }

        T carried(0);  // C_k: what the earlier choices add to the answers they passed over
        for (std::size_t i = 0; i < m; ++i) {
            const T d = log_ratios[i];
            const T lost = prefopt::sigmoid(d);
            log_ratios[i] = b * (carried * prefopt::sigmoid(T(-d)) - lost);
            carried = (T(1) + carried) * lost;
        }
        for (std::size_t i = m; i < n; ++i)
            log_ratios[i] = b * carried * (relative(log_ratios[i], rest_top) / rest_total);
        return loss;
    }

    /// The implicit reward of one answer, beta * log-ratio.
    template <class T>
    [[nodiscard]] constexpr T reward(const T& log_ratio) const {
        return T(beta) * log_ratio;
    }

    [[nodiscard]] constexpr status check_parameters() const noexcept {
        return detail::check_positive("beta", beta);
    }

    PREFOPT_LISTWISE_CALLS(plackett_luce_dpo)

private:
    /// exp(beta (x - top)); -infinity among -infinities is a fair share, 1.
    template <class T>
    [[nodiscard]] constexpr T relative(const T& x, const T& top) const {
        using detail::is_minus_infinity;
        return prefopt::select(is_minus_infinity(x) && is_minus_infinity(top), T(1),
                               detail::exp_of(T(T(beta) * (x - top))));
    }
};

}  // namespace prefopt::inline PREFOPT_ABI
