// SPDX-License-Identifier: Apache-2.0
//
// Losses of rankings over libtorch's tensors. With operations, all lists go through the formula
// side by side, one column per place; lists of different lengths one length after the other.

#pragma once

#include <torch/types.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <prefopt/adapters/torch/adapter.hpp>
#include <prefopt/adapters/torch/graph.hpp>
#include <prefopt/adapters/torch/losses.hpp>
#include <prefopt/adapters/torch/number.hpp>
#include <prefopt/adapters/torch/tensors.hpp>
#include <prefopt/batch/listwise.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// The tensors of a listwise call; undefined where there is none.
struct torch_lists {
    at::Tensor policy{};
    at::Tensor reference{};
    at::Tensor ranking{};
    at::Tensor counts{};
    at::Tensor weights{};

    [[nodiscard]] at::Tensor places() const {
        return at::arange(policy.size(1), policy.options().dtype(at::kLong).requires_grad(false));
    }
    /// (B, K) or broadcast to it: which columns are answers, and not padding.
    [[nodiscard]] torch_mask answers() const {
        if (!counts.defined()) return {at::ones_like(policy, at::kBool)};
        return {places().lt(counts.unsqueeze(1))};
    }
    /// (B, K) the answer at each place, a permutation: padding stays where it is. Undefined where
    /// answers are stored best first.
    [[nodiscard]] at::Tensor order() const {
        if (!ranking.defined() || policy.size(1) == 0) return {};
        const at::Tensor order = ranking.to(at::kLong).clamp(0, policy.size(1) - 1);
        return counts.defined() ? at::where(answers().tensor, order, places()) : order;
    }
};

/// Everything of a batch of lists, as expressions of the policy's log-probs. Ranked is what has a
/// column per place, the others have one per answer.
struct torch_list_terms {
    torch_weights weights;
    at::Tensor log_ratio, ranked;
    at::Tensor value, grad, reward, ranked_reward;

    /// `left_out_too` as in torch_pair_terms.
    template <class Formula>
    torch_list_terms(const Formula& f, const torch_lists& in, reduction how, std::int64_t placed,
                     bool left_out_too)
        : weights(torch_weights_of(in.weights, how, in.policy.size(0))),
          log_ratio(torch_log_ratio(in.policy, in.reference)) {
        require(torch_check_formula<Formula>());
        if constexpr (torch_runs<Formula>())
            compute(formula_of(f), in, static_cast<std::size_t>(placed), left_out_too);
    }

    template <class Formula>
    void compute(const Formula& f, const torch_lists& in, std::size_t placed, bool left_out_too) {
        const at::Tensor order = in.order();
        const torch_mask answers = in.answers();
        ranked = keep(answers, order.defined() ? log_ratio.gather(1, order) : log_ratio);
        if (!left_out_too && weights.weights.defined())
            ranked = keep({weights.weights.ne(0).unsqueeze(1)}, ranked);

        const auto columns = static_cast<std::size_t>(in.policy.size(1));
        const at::Tensor none = at::zeros({in.policy.size(0)}, ranked.options());
        value = none;
        torch_list by_place(columns, none);
        for (std::size_t n = in.counts.defined() ? 1 : columns; n <= columns; ++n) {
            torch_mask mine;
            if (in.counts.defined()) mine = {in.counts.eq(static_cast<std::int64_t>(n))};
            const auto only_mine = [&](const at::Tensor& x) {
                return mine.tensor.defined() ? keep(mine, x) : x;
            };
            std::vector<torch_number> list;
            for (std::size_t k = 0; k < n; ++k)
                list.emplace_back(only_mine(ranked.select(1, static_cast<std::int64_t>(k))));
            const torch_number v =
                f.term(std::span<torch_number>(list), placed == 0 || placed > n ? n : placed);
            value = value + only_mine(v.like(none));
            for (std::size_t k = 0; k < n; ++k)
                by_place[k] = by_place[k] + only_mine(list[k].like(none));
        }
        const at::Tensor d = columns == 0 ? ranked : weights.reduced(at::stack(by_place, 1));
        grad = order.defined() ? at::zeros_like(d).scatter(1, order, d) : d;
        if (!left_out_too) return;
        const auto rewards = [&](const at::Tensor& x) {
            return keep(answers, f.reward(torch_number(x)).like(x));
        };
        reward = rewards(log_ratio);
        ranked_reward = rewards(ranked);
    }
};

/// Where a ranking is no permutation, as check_rankings finds it.
inline at::Tensor torch_bad_ranks(const torch_lists& in) {
    const at::Tensor ranking = in.ranking.to(at::kLong);
    const at::Tensor counts = in.counts.defined()
                                  ? in.counts.to(at::kLong).unsqueeze(1)
                                  : at::full_like(ranking.narrow(1, 0, 1), in.policy.size(1));
    const at::Tensor outside = ranking.lt(0).logical_or(ranking.ge(counts));
    const at::Tensor is_rank = in.places().lt(counts);
    const at::Tensor equal = ranking.unsqueeze(2).eq(ranking.unsqueeze(1));  // (b, place, earlier)
    const at::Tensor repeats = equal.tril(-1).any(2);
    return outside.logical_or(repeats).logical_and(is_rank);
}

/// A call on an accelerator, as torch_pairs_there.
template <class Formula>
status torch_lists_there(const Formula& f, listwise_options o, const listwise_inputs& seen,
                         torch_lists in, torch_list_result* result) {
    const c10::NoGradGuard off;
    const at::Device device = in.policy.device();
    if (const status s = torch_check_formula<Formula>(); !s.ok()) return s;
    in.weights = torch_take(device, o.weights);
    in.counts = torch_take(device, o.counts);
    if (const status s = check_listwise_operands(f, seen, o, {}); !s.ok()) return s;

    const std::ptrdiff_t lists = in.policy.size(0);
    const std::ptrdiff_t columns = in.policy.size(1);
    torch_report r(device);
    const std::size_t bad_weight = torch_find_bad_weight(r, in.weights);
    std::size_t out_of_range = torch_report::none;
    if (in.counts.defined())
        out_of_range = r.add_first(in.counts.lt(0).logical_or(in.counts.gt(columns)), in.counts);
    std::size_t bad_rank = torch_report::none;
    if (in.ranking.defined() && in.ranking.numel() > 0)
        bad_rank = r.add_first(torch_bad_ranks(in), in.ranking);
    const std::size_t answers_there =
        bad_rank != torch_report::none && in.counts.defined()
            ? r.add(in.counts.index_select(
                  0, torch_bad_ranks(in).reshape({-1}).to(at::kInt).argmax().reshape({1}).div(
                         columns, "floor")))
            : torch_report::none;
    const std::size_t empty = torch_find_bad_count(r, in.counts);
    const auto verdict = [&] {
        return first_of({torch_bad_weight(r, bad_weight),
                         r.first(out_of_range,
                                 [](double n, auto b) {
                                     return fault_list_count(static_cast<std::int64_t>(n), b);
                                 }),
                         r.first(bad_rank,
                                 [&](double answer, auto i) {
                                     return fault_rank(static_cast<std::int64_t>(answer),
                                                       answers_there == torch_report::none
                                                           ? columns
                                                           : r.count(answers_there),
                                                       i);
                                 }),
                         check_columns(lists, columns), torch_bad_count(r, empty, "counts"),
                         check_not_empty(lists, o.reduction, "policy"),
                         o.reference_versions.check(current_version(f))});
    };
    if (result == nullptr || columns == 0) {
        r.fetch();
        if (const status s = verdict(); result == nullptr || !s.ok()) return s;
    }
    const torch_list_terms t(f, in, o.reduction, o.placed, true);
    const torch_weights& w = t.weights;
    const at::Tensor all = at::ones_like(t.value, at::kBool);
    const at::Tensor lengths =
        (in.counts.defined() ? in.counts : at::full_like(t.value, static_cast<double>(columns)))
            .to(t.value.scalar_type());
    const at::Tensor loss = w.weighted(t.value).sum();
    const std::size_t first = r.add(loss);
    r.add_sum(w.among_kept(all));
    r.add_sum(w.only_kept(lengths - 1));
    r.add_sum(w.among_kept(t.value.isfinite().logical_not()));
    if (columns > 0) {
        const torch_mask others{in.answers().tensor.expand_as(t.ranked).slice(1, 1)};
        const at::Tensor best = t.ranked_reward.select(1, 0);
        const at::Tensor of_others = t.ranked_reward.slice(1, 1).sum(1);
        const at::Tensor compared = w.among_kept(lengths.gt(1));
        r.add_sum(w.only_kept(best));
        r.add_sum(w.only_kept(of_others));
        r.add_sum(w.only_kept(t.ranked.select(1, 0)));
        r.add_sum(w.only_kept(t.ranked.slice(1, 1).sum(1)));
        r.add_sum(w.among_kept(t.ranked.select(1, 0).lt(0)));
        r.add_sum(compared);
        if (columns > 1) {
            constexpr double low = -infinity_of<double>;
            const at::Tensor best_other = keep(others, t.ranked_reward.slice(1, 1), low).amax(1);
            r.add_sum(keep({compared}, best - of_others / (lengths - 1)));
            r.add_sum(compared.logical_and(best.gt(best_other)));
            r.add_sum(compared.logical_and(best.eq(best_other)));
        }
    }
    r.fetch();
    if (const status s = verdict(); !s.ok()) return s;

    batch_summary& s = result->summary;
    s.examples = lists;
    s.loss = r[first];
    s.chosen = r.count(first + 1);
    s.unweighted = lists - s.chosen;
    s.rejected = r.count(first + 2);
    s.nonfinite = r.count(first + 3);
    if (columns > 0) {
        s.chosen_reward = r[first + 4];
        s.rejected_reward = r[first + 5];
        s.chosen_log_ratio = r[first + 6];
        s.rejected_log_ratio = r[first + 7];
        s.chosen_below_reference = r.count(first + 8);
        s.comparisons = r.count(first + 9);
    }
    if (columns > 1) {
        s.margin = r[first + 10];
        s.wins = r.count(first + 11);
        s.ties = r.count(first + 12);
    }
    result->loss = loss * w.scale;
    result->losses = torch_stored(t.value, in.policy);
    result->grad = torch_stored(t.grad, in.policy);
    result->rewards = torch_stored(t.reward, in.policy);
    return {};
}

template <class Formula, class... Others>
status torch_lists_there(const Formula& f, const listwise_options& o, torch_list_result* result,
                         const at::Tensor& policy, const Others&... others) {
    const listwise_inputs seen{torch_view_on(policy.device(), policy),
                               torch_view_on(policy.device(), others)...};
    return torch_lists_there(f, o, seen, {policy, torch_only(others)...}, result);
}

template <class Formula, class Reference, class... Ranking>
torch_list_result torch_evaluate(const Formula& f, const listwise_options& o,
                                 const at::Tensor& policy, const Reference& reference,
                                 const Ranking&... ranking) {
    torch_list_result r;
    if (torch_is_elsewhere(policy)) {
        require(torch_lists_there(f, o, &r, policy, reference, ranking...));
    } else {
        auto plain = listwise_results(f, o, policy, reference, ranking...);
        r = {torch_loss(plain.loss, policy), std::move(plain.losses), std::move(plain.grad),
             std::move(plain.rewards), plain.summary};
    }
    if (!torch_records(policy)) return r;
    const auto terms = [f, how = o.reduction, placed = o.placed](const at::Tensor* in) {
        const torch_list_terms t(f, {in[0], in[1], in[2], in[3], in[4]}, how, placed, false);
        return std::array{t.grad};
    };
    torch_list saved{r.grad, policy, torch_saved<input<2>>(reference)};
    (saved.push_back(torch_saved<index_input<2>>(ranking)), ...);
    saved.resize(4);
    saved.push_back(torch_saved(o.counts));
    saved.push_back(torch_saved(o.weights));
    r.loss = torch_connect(r.loss, std::move(saved), torch_loss_backward<1>(terms), policy);
    return r;
}

template <class Formula, class... Others>
status torch_check(const Formula& f, const listwise_options& o, const listwise_outputs& out,
                   const at::Tensor& policy, const Others&... others) {
    const bool writes = out.losses.has_value || out.grad.has_value || out.rewards.has_value;
    if (!writes && torch_is_elsewhere(policy))
        return torch_lists_there(f, o, nullptr, policy, others...);
    return check_listwise_call(f, listwise_inputs{policy, others...}, o, out);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
