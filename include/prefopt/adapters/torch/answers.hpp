// SPDX-License-Identifier: Apache-2.0
//
// Losses of single answers over libtorch's tensors.

#pragma once

#include <torch/types.h>
#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include <prefopt/adapters/torch/adapter.hpp>
#include <prefopt/adapters/torch/graph.hpp>
#include <prefopt/adapters/torch/losses.hpp>
#include <prefopt/adapters/torch/number.hpp>
#include <prefopt/adapters/torch/tensors.hpp>
#include <prefopt/batch/unpaired.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// The tensors of an unpaired call; undefined where there is none.
struct torch_answers {
    at::Tensor policy{};
    at::Tensor reference{};
    at::Tensor desirable{};
    at::Tensor weights{};
};

/// Everything of a batch of answers, as expressions of the policy's log-probs.
struct torch_answer_terms {
    torch_weights weights;
    at::Tensor log_ratio, desirable;
    at::Tensor value, grad, reward;

    /// `left_out_too` as in torch_pair_terms.
    template <class Formula>
    torch_answer_terms(const Formula& f, const torch_answers& in, double kl, reduction how,
                       bool left_out_too)
        : weights(torch_weights_of(in.weights, how, in.policy.numel())),
          log_ratio(torch_log_ratio(in.policy, in.reference).reshape({-1})),
          desirable(in.desirable.reshape({-1}).ne(0)) {
        require(torch_check_formula<Formula>());
        if constexpr (torch_runs<Formula>()) {
            using T = torch_number;
            if (!left_out_too) log_ratio = weights.only_kept(log_ratio);
            const auto& formula = formula_of(f);
            const unpaired_term<T> t = formula.term(T(log_ratio), torch_mask{desirable}, T(kl));
            value = t.value.like(log_ratio);
            grad = weights.reduced(t.d_log_ratio.like(log_ratio));
            if (left_out_too) reward = formula.reward(T(log_ratio)).like(log_ratio);
        }
    }
};

/// A call on an accelerator, as torch_pairs_there.
template <class Formula, class Reference, class Flags>
status torch_answers_there(const Formula& f, unpaired_options o, torch_answer_result* result,
                           double kl, const at::Tensor& policy, const Reference& reference,
                           const Flags& desirable) {
    const c10::NoGradGuard off;
    const at::Device device = policy.device();
    if (const status s = torch_check_formula<Formula>(); !s.ok()) return s;
    const torch_answers in{policy, torch_only(reference), torch_only(desirable),
                           torch_take(device, o.weights)};
    const unpaired_inputs seen{torch_view_on(device, policy), torch_view_on(device, reference),
                               torch_view_on(device, desirable), kl};
    if (const status s = check_unpaired_operands(f, seen, o, {}); !s.ok()) return s;

    torch_report r(device);
    const std::size_t bad_weight = torch_find_bad_weight(r, in.weights);
    const auto verdict = [&] {
        return check_unpaired_elements(f, o, policy.numel(), torch_bad_weight(r, bad_weight));
    };
    if (result == nullptr) {
        r.fetch();
        return verdict();
    }
    const torch_answer_terms t(f, in, kl, o.reduction, true);
    const torch_weights& w = t.weights;
    const at::Tensor loss = w.weighted(t.value).sum();
    const torch_mask chosen{w.among_kept(t.desirable)};
    const torch_mask rejected{w.among_kept(t.desirable.logical_not())};
    const std::size_t first = r.add(loss);
    for (const torch_mask* side : {&chosen, &rejected}) {
        r.add_sum(side->tensor);
        r.add_sum(keep(*side, t.reward));
        r.add_sum(keep(*side, t.log_ratio));
    }
    r.add_sum(w.among_kept(t.value.isfinite().logical_not()));
    r.add_sum(chosen.tensor.logical_and(t.log_ratio.lt(0)));
    r.fetch();
    if (const status s = verdict(); !s.ok()) return s;

    batch_summary& s = result->summary;
    s.examples = t.value.numel();
    s.loss = r[first];
    s.chosen = r.count(first + 1);
    s.chosen_reward = r[first + 2];
    s.chosen_log_ratio = r[first + 3];
    s.rejected = r.count(first + 4);
    s.rejected_reward = r[first + 5];
    s.rejected_log_ratio = r[first + 6];
    s.unweighted = s.examples - s.chosen - s.rejected;
    s.nonfinite = r.count(first + 7);
    s.chosen_below_reference = r.count(first + 8);
    result->loss = loss * w.scale;
    result->losses = torch_stored(t.value, policy);
    result->grad = torch_stored(t.grad, policy);
    result->rewards = torch_stored(t.reward, policy);
    return {};
}

/// Flags as a constant of the graph.
template <class Flags>
at::Tensor torch_saved_flags(const Flags& flags) {
    if constexpr (torch_tensor<Flags>)
        return torch_constant(flags);
    else
        return torch_copy(flag_input(flags).flags);
}

template <class Formula, class Reference, class Flags>
torch_answer_result torch_evaluate(const Formula& f, const unpaired_options& o, double kl,
                                   const at::Tensor& policy, const Reference& reference,
                                   const Flags& desirable) {
    torch_answer_result r;
    if (torch_is_elsewhere(policy)) {
        require(torch_answers_there(f, o, &r, kl, policy, reference, desirable));
    } else {
        auto plain = unpaired_results(f, o, kl, policy, reference, desirable);
        r = {torch_loss(plain.loss, policy), std::move(plain.losses), std::move(plain.grad),
             std::move(plain.rewards), plain.summary};
    }
    if (!torch_records(policy)) return r;
    const auto terms = [f, kl, how = o.reduction](const at::Tensor* in) {
        const torch_answer_terms t(f, {in[0], in[1], in[2], in[3]}, kl, how, false);
        return std::array{t.grad};
    };
    torch_list saved{r.grad, policy, torch_saved<input<1>>(reference), torch_saved_flags(desirable),
                     torch_saved(o.weights)};
    r.loss = torch_connect(r.loss, std::move(saved), torch_loss_backward<1>(terms), policy);
    return r;
}

template <class Formula, class Reference, class Flags>
status torch_check(const Formula& f, const unpaired_options& o, const unpaired_outputs& out,
                   double kl, const at::Tensor& policy, const Reference& reference,
                   const Flags& desirable) {
    const bool writes = out.losses.has_value || out.grad.has_value || out.rewards.has_value;
    if (!writes && torch_is_elsewhere(policy))
        return torch_answers_there(f, o, nullptr, kl, policy, reference, desirable);
    return check_unpaired(f, unpaired_inputs{policy, reference, desirable, kl}, o, out);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
