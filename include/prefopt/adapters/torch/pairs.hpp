// SPDX-License-Identifier: Apache-2.0
//
// Losses of pairs over libtorch's tensors.

#pragma once

#include <torch/types.h>
#include <array>
#include <cstddef>
#include <utility>

#include <prefopt/adapters/torch/adapter.hpp>
#include <prefopt/adapters/torch/graph.hpp>
#include <prefopt/adapters/torch/losses.hpp>
#include <prefopt/adapters/torch/number.hpp>
#include <prefopt/adapters/torch/tensors.hpp>
#include <prefopt/batch/pairwise.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// The tensors of a pairwise call; undefined where there is none.
struct torch_pairs {
    at::Tensor chosen{};
    at::Tensor rejected{};
    at::Tensor reference_chosen{};
    at::Tensor reference_rejected{};
    at::Tensor weights{};
    at::Tensor chosen_counts{};
    at::Tensor rejected_counts{};
};

/// Everything of a batch of pairs, as expressions of the policy's log-probs.
struct torch_pair_terms {
    torch_weights weights;
    at::Tensor chosen, rejected;  // log-ratios, averaged where the loss is of averages
    at::Tensor value, grad_chosen, grad_rejected, chosen_reward, rejected_reward;

    /// With `left_out_too`, losses and rewards of examples of weight 0 are computed as well; else
    /// nothing of them is looked at, so that a NaN there does not reach a derivative.
    template <class Formula>
    torch_pair_terms(const Formula& f, const torch_pairs& in, reduction how, bool left_out_too)
        : weights(torch_weights_of(in.weights, how, in.chosen.numel())),
          chosen(torch_log_ratio(in.chosen, in.reference_chosen).reshape({-1})),
          rejected(torch_log_ratio(in.rejected, in.reference_rejected).reshape({-1})) {
        require(torch_check_formula<Formula>());
        if constexpr (torch_runs<Formula>()) compute(formula_of(f), in, left_out_too);
    }

    template <class Formula>
    void compute(const Formula& f, const torch_pairs& in, bool left_out_too) {
        using T = torch_number;
        at::Tensor per_chosen;
        at::Tensor per_rejected;
        if constexpr (is_length_averaged<Formula>) {
            per_chosen = torch_wide(in.chosen_counts).reciprocal();
            per_rejected = torch_wide(in.rejected_counts).reciprocal();
            chosen = chosen * per_chosen;
            rejected = rejected * per_rejected;
        }
        if (!left_out_too) {
            chosen = weights.only_kept(chosen);
            rejected = weights.only_kept(rejected);
        }
        pair_term<T> t = f.term(T(chosen), T(rejected));
        value = t.value.like(chosen);
        grad_chosen = t.d_chosen.like(chosen);
        grad_rejected = t.d_rejected.like(chosen);
        if constexpr (is_length_averaged<Formula>) {
            grad_chosen = grad_chosen * per_chosen;
            grad_rejected = grad_rejected * per_rejected;
        }
        grad_chosen = weights.reduced(grad_chosen);
        grad_rejected = weights.reduced(grad_rejected);
        if (!left_out_too) return;
        chosen_reward = f.reward(T(chosen)).like(chosen);
        rejected_reward = f.reward(T(rejected)).like(chosen);
    }
};

/// A call on an accelerator: one wait, for what was found wrong and for the summary.
template <class Formula>
status torch_pairs_there(const Formula& f, pairwise_options o, const pairwise_inputs& seen,
                         torch_pairs in, torch_pair_result* result) {
    const c10::NoGradGuard off;
    const at::Device device = in.chosen.device();
    if (const status s = torch_check_formula<Formula>(); !s.ok()) return s;
    in.weights = torch_take(device, o.weights);
    in.chosen_counts = torch_take(device, o.chosen_counts);
    in.rejected_counts = torch_take(device, o.rejected_counts);
    if (const status s = check_pairwise_operands(f, seen, o, {}); !s.ok()) return s;

    torch_report r(device);
    const std::size_t bad_weight = torch_find_bad_weight(r, in.weights);
    const std::size_t bad_chosen = torch_find_bad_count(r, in.chosen_counts);
    const std::size_t bad_rejected = torch_find_bad_count(r, in.rejected_counts);
    const auto verdict = [&] {
        return check_pairwise_elements(f, o, in.chosen.numel(), torch_bad_weight(r, bad_weight),
                                       torch_bad_count(r, bad_chosen, "chosen_counts"),
                                       torch_bad_count(r, bad_rejected, "rejected_counts"));
    };
    if (result == nullptr) {
        r.fetch();
        return verdict();
    }
    const torch_pair_terms t(f, in, o.reduction, true);
    const torch_weights& w = t.weights;
    const at::Tensor loss = w.weighted(t.value).sum();
    const at::Tensor all = at::ones_like(t.value, at::kBool);
    const std::size_t first = r.add(loss);
    r.add_sum(w.among_kept(all));
    for (const auto* x : {&t.chosen_reward, &t.rejected_reward, &t.chosen, &t.rejected})
        r.add_sum(w.only_kept(*x));
    r.add_sum(w.among_kept(t.value.isfinite().logical_not()));
    r.add_sum(w.among_kept(t.chosen.lt(0)));
    r.add_sum(w.among_kept(t.chosen_reward.gt(t.rejected_reward)));
    r.add_sum(w.among_kept(t.chosen_reward.eq(t.rejected_reward)));
    r.fetch();
    if (const status s = verdict(); !s.ok()) return s;

    batch_summary& s = result->summary;
    s.examples = t.value.numel();
    s.loss = r[first];
    s.chosen = s.rejected = s.comparisons = r.count(first + 1);
    s.unweighted = s.examples - s.chosen;
    s.chosen_reward = r[first + 2];
    s.rejected_reward = r[first + 3];
    s.margin = s.chosen_reward - s.rejected_reward;
    s.chosen_log_ratio = r[first + 4];
    s.rejected_log_ratio = r[first + 5];
    s.nonfinite = r.count(first + 6);
    s.chosen_below_reference = r.count(first + 7);
    s.wins = r.count(first + 8);
    s.ties = r.count(first + 9);
    result->loss = loss * w.scale;
    const auto stored = [&](const at::Tensor& x) { return torch_stored(x, in.chosen); };
    result->losses = stored(t.value);
    result->grad_chosen = stored(t.grad_chosen);
    result->grad_rejected = stored(t.grad_rejected);
    result->chosen_rewards = stored(t.chosen_reward);
    result->rejected_rewards = stored(t.rejected_reward);
    return {};
}

/// The handles of those arguments that are tensors of ours, and what a call on the first one's
/// device sees of all.
template <class... Tensors>
status torch_pairs_there(const auto& f, const pairwise_options& o, torch_pair_result* result,
                         const at::Tensor& chosen, const Tensors&... others) {
    const pairwise_inputs seen{torch_view_on(chosen.device(), chosen),
                               torch_view_on(chosen.device(), others)...};
    return torch_pairs_there(f, o, seen, {chosen, torch_only(others)...}, result);
}

/// The rejected side, which may be plain memory beside a chosen side that is not.
template <class T>
at::Tensor torch_policy(const T& t) {
    if constexpr (torch_tensor<T>)
        return t;
    else
        return torch_copy(input<1>(t));
}

template <class Formula, class Rejected, class... References>
torch_pair_result torch_evaluate(const Formula& f, const pairwise_options& o,
                                 const at::Tensor& chosen, const Rejected& rejected,
                                 const References&... references) {
    torch_pair_result r;
    if (torch_is_elsewhere(chosen)) {
        require(torch_pairs_there(f, o, &r, chosen, rejected, references...));
    } else {
        auto plain = pairwise_results(f, o, chosen, rejected, references...);
        r = {torch_loss(plain.loss, chosen),
             std::move(plain.losses),
             std::move(plain.grad_chosen),
             std::move(plain.grad_rejected),
             std::move(plain.chosen_rewards),
             std::move(plain.rejected_rewards),
             plain.summary};
    }
    const auto connect = [&](const auto&... policy) {
        if (!torch_records(policy...)) return;
        const auto terms = [f, how = o.reduction](const at::Tensor* in) {
            const torch_pair_terms t(f, {in[0], in[1], in[2], in[3], in[4], in[5], in[6]}, how,
                                     false);
            return std::array{t.grad_chosen, t.grad_rejected};
        };
        torch_list saved{r.grad_chosen, r.grad_rejected, chosen, torch_policy(rejected)};
        (saved.push_back(torch_saved<input<1>>(references)), ...);
        saved.resize(6);
        saved.push_back(torch_saved(o.weights));
        saved.push_back(torch_saved(o.chosen_counts));
        saved.push_back(torch_saved(o.rejected_counts));
        r.loss = torch_connect(r.loss, std::move(saved), torch_loss_backward<2>(terms), policy...);
    };
    if constexpr (torch_tensor<Rejected>)
        connect(chosen, rejected);
    else
        connect(chosen);
    return r;
}

template <class Formula, class... Others>
status torch_check(const Formula& f, const pairwise_options& o, const pairwise_outputs& out,
                   const at::Tensor& chosen, const Others&... others) {
    const bool writes = out.losses.has_value || out.grad_chosen.has_value ||
                        out.grad_rejected.has_value || out.chosen_rewards.has_value ||
                        out.rejected_rewards.has_value;
    if (!writes && torch_is_elsewhere(chosen))
        return torch_pairs_there(f, o, nullptr, chosen, others...);
    return check_pairwise(f, pairwise_inputs{chosen, others...}, o, out);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
