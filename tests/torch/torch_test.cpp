// SPDX-License-Identifier: Apache-2.0
//
// libtorch: the same numbers as from plain memory, gradients that reach the policy and are right,
// and right again when they are differentiated; what cannot be computed is refused by name. Few
// files, because libtorch's headers cost more than all of ours.

#include "support.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <prefopt/testing/conformance.hpp>

#include "../support/catch.hpp"

using namespace prefopt_test;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t pairs = 7;

/// A loss that branches on values: it runs on one number at a time.
struct hinge {
    static constexpr auto kind = prefopt::loss_kind::pairwise;
    static constexpr bool has_reference = true;

    template <class T>
    [[nodiscard]] prefopt::pair_term<T> term(const T& chosen, const T& rejected) const {
        const T gap = T(1) - (chosen - rejected);
        if (gap > T(0)) return {gap, T(-1), T(1)};
        return {T(0), T(0), T(0)};
    }
    template <class T>
    [[nodiscard]] T reward(const T& log_ratio) const {
        return log_ratio;
    }
    [[nodiscard]] prefopt::status check_parameters() const noexcept { return {}; }

    PREFOPT_PAIRWISE_CALLS(hinge)
};

/// The tensors around a policy, in any type.
struct surroundings {
    at::Tensor chosen, rejected, reference_chosen, reference_rejected, weights, flags, counts;
    at::Tensor lists, reference_lists, ranking, list_counts;

    explicit surroundings(at::ScalarType type = at::kDouble)
        : chosen(numbers({pairs}, 0.7).to(type)),
          rejected(numbers({pairs}, 1.3).to(type)),
          reference_chosen(numbers({pairs}, 0.9).to(type)),
          reference_rejected(numbers({pairs}, 1.1).to(type)),
          weights(numbers({pairs}, 0.31).neg().to(type)),
          flags(at::arange(pairs).remainder(3).eq(0)),
          counts(at::arange(pairs) + 2),
          lists(numbers({pairs, 4}, 0.37).to(type)),
          reference_lists(numbers({pairs, 4}, 0.53).to(type)),
          ranking(at::tensor({2, 0, 3, 1}, at::kInt).repeat({pairs, 1})),
          list_counts(at::full({pairs}, 4, at::kLong)) {
        weights[3] = 0.0;
        list_counts[1] = 2;
        list_counts[4] = 1;
        ranking[1] = at::tensor({1, 0, 9, -5}, at::kInt);  // padding is not looked at
        ranking[4] = at::tensor({0, 0, 0, 0}, at::kInt);
    }
};

/// Every loss, with a choice of options.
std::vector<differentiable> every_loss(const surroundings& s) {
    std::vector<differentiable> all;
    const tensors policy{s.chosen, s.rejected};
    const auto pair = [&](const std::string& name, const auto& loss,
                          const prefopt::pairwise_options& o = {}) {
        all.push_back(
            {name, policy, [=](const tensors& p) {
                 return loss(p[0], p[1], s.reference_chosen, s.reference_rejected, o).loss;
             }});
    };
    const auto answer = [&](const std::string& name, const auto& loss,
                            const prefopt::unpaired_options& o = {}) {
        all.push_back({name, {s.chosen}, [=](const tensors& p) {
                           return loss(p[0], s.reference_chosen, s.flags, 0.25, o).loss;
                       }});
    };
    pair("dpo", prefopt::dpo{.beta = 0.4});
    pair("dpo, smoothed, summed", prefopt::dpo{.beta = 0.4, .label_smoothing = 0.2},
         {.reduction = prefopt::reduction::sum});
    pair("dpo, weighted", prefopt::dpo{.beta = 0.4}, {.weights = s.weights});
    pair("ipo", prefopt::ipo{.beta = 0.4});
    pair("ipo of averages", prefopt::ipo_averaged{.beta = 0.4},
         {.weights = s.weights, .chosen_counts = s.counts, .rejected_counts = s.counts});
    pair("tr_dpo", prefopt::tr_dpo{.loss = {.beta = 0.4}});
    all.push_back(
        {"bradley_terry", policy, [](const tensors& p) {
             return prefopt::bradley_terry{.margin = 0.3, .centering = 0.1}(p[0], p[1]).loss;
         }});
    answer("kto", prefopt::kto{.beta = 0.4, .undesirable_weight = 1.5});
    answer("kto, weighted", prefopt::kto{.beta = 0.4}, {.weights = s.weights});
    answer("tr_kto", prefopt::tr_kto{.loss = {.beta = 0.4}});
    const prefopt::plackett_luce_dpo lists{.beta = 0.4};
    all.push_back({"plackett_luce_dpo", {s.lists}, [=](const tensors& p) {
                       return lists(p[0], s.reference_lists).loss;
                   }});
    all.push_back({"plackett_luce_dpo, partial", {s.lists}, [=](const tensors& p) {
                       return lists(p[0], s.reference_lists,
                                    s.ranking.slice(0, 0, 1).repeat({7, 1}), {.placed = 2})
                           .loss;
                   }});
    all.push_back({"plackett_luce_dpo, ragged", {s.lists}, [=](const tensors& p) {
                       return lists(p[0], s.reference_lists, s.ranking,
                                    {.weights = s.weights, .placed = 2, .counts = s.list_counts})
                           .loss;
                   }});
    return all;
}

template <class A, class B>
void same_summary(const A& a, const B& b, double few) {
    CHECK(a.examples == b.examples);
    CHECK(a.chosen == b.chosen);
    CHECK(a.rejected == b.rejected);
    CHECK(a.chosen_below_reference == b.chosen_below_reference);
    CHECK(a.comparisons == b.comparisons);
    CHECK(a.wins == b.wins);
    CHECK(a.ties == b.ties);
    CHECK(a.nonfinite == b.nonfinite);
    CHECK(a.unweighted == b.unweighted);
    const auto near = [few](double x, double y) {
        if (std::isnan(x) || x == y) return std::isnan(y) || x == y;
        return std::fabs(x - y) <= 10 * few * (1 + std::fabs(y));
    };
    CHECK(near(a.loss, b.loss));
    CHECK(near(a.chosen_reward, b.chosen_reward));
    CHECK(near(a.rejected_reward, b.rejected_reward));
    CHECK(near(a.chosen_log_ratio, b.chosen_log_ratio));
    CHECK(near(a.rejected_log_ratio, b.rejected_log_ratio));
    CHECK(near(a.margin, b.margin));
}

/// Non-finite numbers of one kind each, ties, and left-out examples.
void disturb(at::Tensor& t, double seed) {
    auto flat = t.view(-1);
    flat[1] = std::numeric_limits<double>::infinity() * (seed > 1 ? 1 : -1);
    flat[2] = -1.0;
    flat[3] = nan_value;  // its weight is 0
}

}  // namespace

TEMPLATE_TEST_CASE("torch: every loss as from plain memory", "[torch]", float, double,
                   prefopt::bf16, prefopt::fp16) {
    using T = TestType;
    const surroundings s(type_of<T>());
    const auto pc = plain<T>(s.chosen), pr = plain<T>(s.rejected),
               rc = plain<T>(s.reference_chosen), rr = plain<T>(s.reference_rejected),
               w = plain<T>(s.weights);
    const auto counts = plain<std::int64_t>(s.counts);
    const auto check_pairs = [&](const auto& got, const auto& want) {
        CHECK(got.loss.dim() == 0);
        CHECK(got.loss.scalar_type() == at::kDouble);
        CHECK(got.loss.template item<double>() == want.loss);
        CHECK(same(got.losses, want.losses));
        CHECK(same(got.grad_chosen, want.grad_chosen));
        CHECK(same(got.grad_rejected, want.grad_rejected));
        CHECK(same(got.chosen_rewards, want.chosen_rewards));
        CHECK(same(got.rejected_rewards, want.rejected_rewards));
        CHECK(got.summary.wins == want.summary.wins);
        CHECK(got.summary.loss == want.summary.loss);
    };
    const auto check_pair = [&](const auto& loss, const auto&... options) {
        const auto want = loss(pc, pr, rc, rr, options...);
        check_pairs(
            loss(s.chosen, s.rejected, s.reference_chosen, s.reference_rejected, options...), want);
        // any layout: a column, a reversed-in-memory copy cannot be made, every second, repeated
        const at::Tensor table = at::stack({s.chosen, s.rejected}, 1);
        const at::Tensor sparse_rows = at::stack({s.reference_chosen, s.chosen}, 1).flatten();
        check_pairs(loss(table.select(1, 0), table.t()[1], sparse_rows.slice(0, 0, 14, 2),
                         s.reference_rejected, options...),
                    want);
        // beside plain memory
        check_pairs(loss(s.chosen, pr, rc, s.reference_rejected, options...), want);
    };
    check_pair(prefopt::dpo{.beta = 0.3, .label_smoothing = 0.1});
    check_pair(prefopt::ipo{.beta = 0.3}, prefopt::pairwise_options{.weights = w});
    check_pair(prefopt::ipo{.beta = 0.3}, prefopt::pairwise_options{.weights = s.weights});
    check_pair(prefopt::tr_ipo{.loss = {.beta = 0.3}});
    check_pair(hinge{});
    check_pair(prefopt::ipo_averaged{.beta = 0.3},
               prefopt::pairwise_options{.chosen_counts = s.counts, .rejected_counts = counts});
    const prefopt::bradley_terry bt{.margin = 0.5, .centering = 0.1};
    check_pairs(bt(s.chosen, s.rejected), bt(pc, pr));

    const prefopt::kto kto{.beta = 0.3, .desirable_weight = 1.25};
    const auto flags = plain<std::uint8_t>(s.flags);
    const auto want = kto(pc, rc, flags, 0.25);
    for (const auto& f : {s.flags, s.flags.to(at::kByte), s.flags.to(at::kLong)}) {
        const auto got = kto(s.chosen, s.reference_chosen, f, 0.25);
        CHECK(got.loss.template item<double>() == want.loss);
        CHECK(same(got.losses, want.losses));
        CHECK(same(got.grad, want.grad));
        CHECK(same(got.rewards, want.rewards));
    }
    CHECK(same(kto(s.chosen, s.reference_chosen, std::vector<bool>(7, true), 0.25).grad,
               kto(pc, rc, std::vector<bool>(7, true), 0.25).grad));
    CHECK(prefopt::kl_estimate(s.chosen, s.reference_chosen) == prefopt::kl_estimate(pc, rc));

    const prefopt::plackett_luce_dpo lists{.beta = 0.3};
    const auto x = plain<T>(s.lists), y = plain<T>(s.reference_lists);
    const auto order = plain<std::int32_t>(s.ranking);
    const prefopt::view<const T, 2> p(x.data(), {7, 4}), r(y.data(), {7, 4});
    const prefopt::view<const std::int32_t, 2> o(order.data(), {7, 4});
    const auto list_counts = plain<std::int64_t>(s.list_counts);
    const auto by_hand = lists(p, r, o, {.placed = 3, .counts = list_counts});
    for (const bool turned : {false, true}) {
        const at::Tensor policy = turned ? s.lists.t().contiguous().t() : s.lists;
        const auto got = lists(policy, s.reference_lists, s.ranking.to(at::kLong),
                               {.placed = 3, .counts = s.list_counts});
        CHECK(got.loss.template item<double>() == by_hand.loss);
        CHECK(same(got.losses, by_hand.losses));
        CHECK(same(got.grad, by_hand.grad));
        CHECK(same(got.rewards, by_hand.rewards));
        CHECK(got.grad.strides() == policy.strides());  // the caller's storage order
    }
}

TEST_CASE("torch: one number, repeated numbers, none", "[torch]") {
    const prefopt::dpo loss{.beta = 0.4};
    const at::Tensor one = at::full({}, -1.5, at::kFloat).requires_grad_();
    const at::Tensor rest = at::full({}, -1.0, at::kFloat);
    const auto got = loss(one, rest, rest, rest);
    CHECK(got.losses.sizes() == at::IntArrayRef({1}));
    got.loss.backward();
    CHECK(one.grad().dim() == 0);
    CHECK(one.grad().item<float>() == got.grad_chosen.item<float>());

    const at::Tensor repeated = at::full({1}, -1.5, at::kDouble).requires_grad_();
    const at::Tensor others = at::full({5}, -1.0, at::kDouble);
    const auto five = loss(repeated.expand({5}), others, others, others);
    five.loss.backward();
    CHECK(difference(repeated.grad(), five.grad_chosen.sum(0, true)) < 1e-15);

    const at::Tensor none = at::empty({0}, at::kDouble).requires_grad_();
    CHECK(refusal([&] { (void)loss(none, none, none, none); }).code == errc::empty_batch);
    const auto sum = loss(none, none, none, none, {.reduction = prefopt::reduction::sum});
    sum.loss.backward();
    CHECK(sum.loss.item<double>() == 0);
    CHECK(none.grad().numel() == 0);
    const prefopt::detail::torch_on_operations on;
    CHECK(refusal([&] { (void)loss(none, none, none, none); }).code == errc::empty_batch);
    CHECK(loss(none, none, none, none, {.reduction = prefopt::reduction::sum}).summary.examples ==
          0);
    const at::Tensor no_lists = at::empty({0, 3});
    CHECK(prefopt::plackett_luce_dpo{}(no_lists, no_lists, {.reduction = prefopt::reduction::sum})
              .grad.sizes() == no_lists.sizes());
}

TEST_CASE("torch: gradients of every loss, and of its gradient", "[torch]") {
    const surroundings s;
    for (const bool operations : {false, true}) {
        const auto on =
            operations ? std::make_unique<prefopt::detail::torch_on_operations>() : nullptr;
        for (const differentiable& d : every_loss(s)) {
            CAPTURE(operations, d.name);
            CHECK(gradient_error(d) < 1e-8);
            CHECK(second_gradient_error(d) < 1e-8);
        }
    }
    // where every trainer starts: policy = reference
    const tensors start{s.reference_chosen, s.reference_rejected};
    for (differentiable d : every_loss(s)) {
        if (d.at.size() != 2 || d.name == "bradley_terry") continue;
        d.at = start;
        CAPTURE(d.name);
        CHECK(second_gradient_error(d) < 1e-8);
    }
}

TEST_CASE("torch: what is left out does not spoil a derivative", "[torch]") {
    surroundings s;
    s.chosen[3] = nan_value;
    s.lists[3][1] = nan_value;
    for (const differentiable& d : every_loss(s)) {
        if (d.name.find("weighted") == d.name.npos && d.name.find("ragged") == d.name.npos)
            continue;
        CAPTURE(d.name);
        const tensors x = leaves(d.at);
        const tensors g = torch::autograd::grad({d.f(x)}, x, {}, true, true);
        const tensors h = torch::autograd::grad({g[0].sum()}, x);
        CHECK(g[0].isfinite().all().item<bool>());
        CHECK(h[0].isfinite().all().item<bool>());
    }
}

TEMPLATE_TEST_CASE("torch: operations compute what kernels compute", "[torch]", float, double,
                   prefopt::bf16, prefopt::fp16) {
    // Batches of float are computed to the last place of a float.
    const double few = std::is_same_v<TestType, double> ? 1e-15 : 1.2e-7;
    const bool hostile = GENERATE(false, true);
    surroundings s(type_of<TestType>());
    if (hostile) {
        disturb(s.chosen, 0.5);
        disturb(s.rejected, 2);
        disturb(s.lists, 0.5);
        s.lists[5].fill_(-std::numeric_limits<double>::infinity());
        s.chosen[4] = s.reference_chosen[4] = s.rejected[4] = s.reference_rejected[4] = -2.0;
    }
    const auto with_operations = [](const auto& f) {
        const prefopt::detail::torch_on_operations on;
        return f();
    };
    const auto compare_pairs = [&](const auto& call) {
        const auto want = call();
        const auto got = with_operations(call);
        CHECK(difference(got.loss, want.loss) < 2 * few);
        CHECK(difference(got.losses, want.losses) < 2 * few);
        CHECK(difference(got.grad_chosen, want.grad_chosen) < few);
        CHECK(difference(got.grad_rejected, want.grad_rejected) < few);
        CHECK(difference(got.chosen_rewards, want.chosen_rewards) == 0);
        CHECK(difference(got.rejected_rewards, want.rejected_rewards) == 0);
        same_summary(got.summary, want.summary, few);
    };
    const auto compare = [&](const auto& call) {
        const auto want = call();
        const auto got = with_operations(call);
        CHECK(difference(got.loss, want.loss) < 2 * few);
        CHECK(difference(got.losses, want.losses) < 4 * few);
        CHECK(difference(got.grad, want.grad) < few);
        CHECK(difference(got.rewards, want.rewards) == 0);
        same_summary(got.summary, want.summary, few);
    };
    for (const bool weighted : {false, true}) {
        const auto dpo = [&](const auto& loss) {
            compare_pairs([&] {
                prefopt::pairwise_options o;
                if (weighted) o.weights = s.weights;
                return loss(s.chosen, s.rejected, s.reference_chosen, s.reference_rejected, o);
            });
        };
        dpo(prefopt::dpo{.beta = 0.3, .label_smoothing = 0.1});
        dpo(prefopt::tr_dpo{.loss = {.beta = 0.3}});
        dpo(prefopt::ipo{.beta = 0.3});
        compare_pairs([&] {
            prefopt::pairwise_options o{.chosen_counts = s.counts, .rejected_counts = s.counts};
            if (weighted) o.weights = s.weights;
            return prefopt::ipo_averaged{.beta = 0.3}(s.chosen, s.rejected, s.reference_chosen,
                                                      s.reference_rejected, o);
        });
        compare_pairs([&] {
            prefopt::pairwise_options o{.reduction = prefopt::reduction::sum};
            if (weighted) o.weights = s.weights;
            return prefopt::bradley_terry{.margin = 0.5, .centering = 0.1}(s.chosen, s.rejected, o);
        });
        compare([&] {
            prefopt::unpaired_options o;
            if (weighted) o.weights = s.weights;
            return prefopt::kto{.beta = 0.3}(s.chosen, s.reference_chosen, s.flags, 0.25, o);
        });
        for (const std::int64_t placed : {0, 2}) {
            compare([&] {
                prefopt::listwise_options o{.placed = placed};
                if (weighted) o.weights = s.weights;
                return prefopt::plackett_luce_dpo{.beta = 0.3}(s.lists, s.reference_lists, o);
            });
            compare([&] {
                prefopt::listwise_options o{.placed = placed, .counts = s.list_counts};
                if (weighted) o.weights = s.weights;
                return prefopt::plackett_luce_dpo{.beta = 0.3}(s.lists, s.reference_lists,
                                                               s.ranking, o);
            });
        }
    }
}

TEST_CASE("torch: a formula that branches runs on the host", "[torch]") {
    const surroundings s;
    const tensors x = leaves({s.chosen, s.rejected});
    const auto ask = [&] { return hinge{}(x[0], x[1], s.reference_chosen, s.reference_rejected); };
    ask().loss.backward();
    CHECK(at::equal(x[0].grad(), ask().grad_chosen));
    const auto twice = [&] { (void)torch::autograd::grad({ask().loss}, x, {}, true, true); };
    CHECK(refusal(twice).argument == std::string("loss"));
    const prefopt::detail::torch_on_operations on;
    CHECK(refusal([&] { (void)ask(); }).code == errc::bad_parameter);
    CHECK(prefopt::check(hinge{}, x[0], x[1], s.reference_chosen, s.reference_rejected).code ==
          errc::bad_parameter);
}

TEMPLATE_TEST_CASE("torch: logits as from plain memory", "[torch]", float, double, prefopt::bf16,
                   prefopt::fp16) {
    using T = TestType;
    const at::Tensor logits = (numbers({2, 3, 6}, 0.37) * 3).to(type_of<T>());
    const at::Tensor labels = at::tensor({1, 2, -1, 0, 3, 5}, at::kLong).reshape({2, 3});
    const auto x = plain<T>(logits);
    const auto y = plain<std::int64_t>(labels);
    const auto want =
        prefopt::sequence_log_probs(prefopt::view<const T, 3>(x.data(), {2, 3, 6}),
                                    prefopt::view<const std::int64_t, 2>(y.data(), {2, 3}));
    std::vector<T> expected(36);
    const std::vector<double> coefficients{0.5, -2};
    prefopt::sequence_log_probs_backward(prefopt::view<const T, 3>(x.data(), {2, 3, 6}),
                                         prefopt::view<const std::int64_t, 2>(y.data(), {2, 3}),
                                         coefficients,
                                         prefopt::view<T, 3>(expected.data(), {2, 3, 6}));

    // rows apart, the vocabulary apart, and as they come
    const at::Tensor layouts[] = {logits, at::cat({logits, logits}, 2).slice(2, 0, 6),
                                  logits.permute({2, 0, 1}).contiguous().permute({1, 2, 0})};
    for (const at::Tensor& layout : layouts) {
        for (const auto type : {at::kInt, at::kLong, at::kShort}) {
            const at::Tensor leaf =
                layout.detach().clone(at::MemoryFormat::Preserve).requires_grad_();
            const at::Tensor in = leaf.as_strided(layout.sizes(), leaf.strides());
            const auto got = prefopt::sequence_log_probs(in, labels.to(type));
            CHECK(same(got.sum, want.sum));
            CHECK(same(got.count, want.count));
            CHECK(got.report.scored == 5);
            CHECK(got.sum.requires_grad());
            CHECK_FALSE(got.count.requires_grad());
            (got.sum * at::tensor({0.5, -2.0}, at::kDouble)).sum().backward();
            CHECK(same(leaf.grad(), expected));
        }
    }
    // repeated rows, read-only to us and to autograd
    const at::Tensor row = logits[0][0].detach().clone().requires_grad_();
    const auto repeated =
        prefopt::sequence_log_probs(row.expand({4, 6}), at::tensor({0, 1, 2, -1}));
    repeated.sum.backward(at::ones({1}, at::kDouble));
    CHECK(std::fabs(row.grad().sum().template item<double>()) < 0.02);
    // plain labels beside a tensor
    CHECK(same(
        prefopt::sequence_log_probs(logits, prefopt::view<const std::int64_t, 2>(y.data(), {2, 3}))
            .sum,
        want.sum));
    // written by hand
    const at::Tensor into = at::empty_like(logits);
    prefopt::sequence_log_probs_backward(logits, labels, at::tensor({0.5, -2.0}, at::kDouble),
                                         into);
    CHECK(same(into, expected));
    at::Tensor in_place = logits.clone();
    CHECK(same(prefopt::sequence_log_probs_in_place(in_place, labels).sum, want.sum));

    const prefopt::detail::torch_on_operations on;
    const auto there = prefopt::sequence_log_probs(logits, labels);
    const at::Tensor sum = at::tensor(want.sum, at::kDouble);
    CHECK(difference(there.sum, sum) < (std::is_same_v<T, double> ? 1e-15 : 1e-6));
    CHECK(same(there.count, want.count));
    CHECK(there.report.rows == 6);
    CHECK(there.report.scored == 5);
}

TEST_CASE("torch: packed sequences, gradients and theirs", "[torch]") {
    const at::Tensor labels = at::tensor({1, 2, -1, 0, 3, 4, -7}, at::kInt);
    const at::Tensor offsets = at::tensor({0, 2, 2, 7}, at::kInt);
    const at::Tensor rows = numbers({7, 5}, 0.37) * 2;
    for (const bool operations : {false, true}) {
        const auto on =
            operations ? std::make_unique<prefopt::detail::torch_on_operations>() : nullptr;
        const at::Tensor c = at::tensor({0.5, 3.0, -2.0}, at::kDouble);
        const std::vector<differentiable> all{
            {"packed",
             {rows},
             [&](const tensors& x) {
                 return (prefopt::sequence_log_probs(x[0], labels, {.offsets = offsets}).sum * c)
                     .square()
                     .sum();
             }},
            {"one sequence",
             {rows},
             [&](const tensors& x) {
                 return prefopt::sequence_log_probs(x[0], labels).sum.square().sum();
             }},
            {"(B, T, V)",
             {rows.slice(0, 0, 6).reshape({2, 3, 5})},
             [&](const tensors& x) {
                 const at::Tensor y = labels.slice(0, 0, 6).reshape({2, 3});
                 return prefopt::sequence_log_probs(x[0], y).sum.square().sum();
             }},
            {"dpo from logits",
             {rows, rows.flip(0) * 0.5},
             [&](const tensors& x) {
                 const auto a = prefopt::sequence_log_probs(x[0], labels, {.offsets = offsets});
                 const auto b = prefopt::sequence_log_probs(x[1], labels, {.offsets = offsets});
                 return prefopt::dpo{.beta = 0.4}(a.sum, b.sum, c, c * 2).loss;
             }},
        };
        for (const differentiable& d : all) {
            CAPTURE(operations, d.name);
            CHECK(gradient_error(d) < 1e-8);
            CHECK(second_gradient_error(d) < 1e-7);
        }
        const auto scored = prefopt::sequence_log_probs(rows, labels, {.offsets = offsets});
        CHECK(at::equal(scored.count, at::tensor({2, 0, 3}, at::kLong)));
        CHECK(scored.report.empty == 1);
        CHECK(scored.report.nonfinite == 0);
        // a confident token keeps its digits, an unscored row is not looked at
        const at::Tensor sure = at::tensor({40.0, 0.0, nan_value, nan_value}, at::kDouble);
        const auto s = prefopt::sequence_log_probs(sure.reshape({2, 2}), at::tensor({0, -1}));
        CHECK(std::fabs(s.sum.item<double>() / -std::exp(-40.0) - 1) < 1e-12);
        // what is wrong with the labels and offsets
        const auto bad = [&](const at::Tensor& y, const at::Tensor& o) {
            return refusal([&] { (void)prefopt::sequence_log_probs(rows, y, {.offsets = o}); });
        };
        const at::Tensor high = labels.clone().index_fill_(0, at::tensor({3}, at::kLong), 5);
        CHECK(bad(high, offsets).code == errc::label_out_of_range);
        CHECK(bad(high, offsets).index == 3);
        CHECK(bad(high, offsets).value == 5);
        CHECK(prefopt::check(prefopt::sequence_log_probs, rows, high).index == 3);
        CHECK(prefopt::check(prefopt::sequence_log_probs, rows, labels).ok());
        CHECK(bad(labels, offsets + 1).code == errc::bad_offsets);
        CHECK(bad(labels.to(at::kDouble), offsets).code == errc::bad_tensor);
        CHECK(bad(labels.slice(0, 1), offsets).code == errc::shape_mismatch);
        CHECK(bad(labels.unsqueeze(0), offsets).argument == std::string("labels"));
    }
}

TEST_CASE("torch: hostile logits, alike on the host, by operations and under a graph", "[torch]") {
    constexpr double inf = std::numeric_limits<double>::infinity();
    const at::Tensor logits =
        at::tensor({1.0, -inf, -inf, -inf, -inf,      -inf, inf, 0.0, 1.0, 0.0,  inf, 1.0,
                    2.0, 3.0,  -inf, 1.0,  nan_value, 1.0,  0.0, 1.0, 2.0, 30.0, 0.0, -inf},
                   at::kDouble)
            .reshape({8, 3});
    const at::Tensor labels = at::tensor({0, 1, 0, 0, 2, 0, 2, 0}, at::kByte);
    const at::Tensor offsets = at::arange(9);  // each row a sequence
    // zero for rows that would spoil anything, then for none
    const std::vector<double> left_out{1, 1, 0, 0, 1, 0, 1, -2};
    for (const auto& numbers_of : {left_out, std::vector<double>(8, 0.5)}) {
        const at::Tensor coefficients = at::tensor(numbers_of, at::kDouble);
        const auto run = [&](bool operations, bool graph, at::ScalarType type) {
            const auto on =
                operations ? std::make_unique<prefopt::detail::torch_on_operations>() : nullptr;
            const at::Tensor x = logits.detach().clone().requires_grad_();
            const auto scored =
                prefopt::sequence_log_probs(x, labels.to(type), {.offsets = offsets});
            const tensors g = torch::autograd::grad({scored.sum}, {x}, {coefficients}, true, graph);
            return std::tuple(scored.sum.detach(), g[0].detach(), scored.report.nonfinite);
        };
        const auto [sum, gradient, nonfinite] = run(false, false, at::kByte);
        CHECK(nonfinite == 5);
        CHECK(sum[1].item<double>() == -inf);
        CHECK(at::equal(gradient[1], at::zeros({3}, at::kDouble)));
        for (const auto type : {at::kByte, at::kChar, at::kLong})
            for (const bool operations : {false, true})
                for (const bool graph : {false, true}) {
                    CAPTURE(operations, graph, type);
                    const auto [s, g, n] = run(operations, graph, type);
                    CHECK(at::allclose(s, sum, 1e-14, 0, true));
                    CHECK(at::allclose(g, gradient, 1e-14, 0, true));
                    CHECK(n == nonfinite);
                }
    }
    // labels of types that cannot hold the vocabulary's size; no vocabulary at all
    const prefopt::detail::torch_on_operations on;
    const at::Tensor wide = at::zeros({2, 300}).requires_grad_();
    const auto flat = prefopt::sequence_log_probs(wide, at::tensor({255, 3}, at::kByte));
    CHECK(std::fabs(flat.sum.item<double>() + 2 * std::log(300)) < 1e-5);
    const at::Tensor none = at::zeros({2, 0}).requires_grad_();
    prefopt::sequence_log_probs(none, at::tensor({-1, -1})).sum.sum().backward();
    CHECK(none.grad().numel() == 0);
}

TEST_CASE("torch: through a network, as the surrogate", "[torch]") {
    torch::manual_seed(3);
    torch::nn::Linear head(4, 9);
    const at::Tensor hidden = at::randn({6, 5, 4});
    const at::Tensor labels = at::randint(-2, 9, {6, 5}, at::kLong);
    const at::Tensor reference = numbers({6}, 0.7) * 5;
    const prefopt::dpo loss{.beta = 0.1};
    const auto sums = [&](const at::Tensor& x) {
        return prefopt::sequence_log_probs(head->forward(x), labels).sum;
    };
    const auto result = loss(sums(hidden), sums(-hidden), reference, reference * 0.5);
    result.loss.backward();
    const at::Tensor got = head->weight.grad().clone();
    head->zero_grad();
    // sum(stop_gradient(grad) * log_prob), with libtorch's own log_softmax
    const auto own = [&](const at::Tensor& x) {
        const at::Tensor p = head->forward(x).to(at::kDouble).log_softmax(2);
        const at::Tensor taken = p.gather(2, labels.clamp_min(0).unsqueeze(2)).squeeze(2);
        return taken.masked_fill(labels.lt(0), 0).sum(1);
    };
    ((own(hidden) * result.grad_chosen).sum() + (own(-hidden) * result.grad_rejected).sum())
        .backward();
    CHECK(difference(got, head->weight.grad()) < 1e-6);
}

TEST_CASE("torch: a grad_fn as any other", "[torch]") {
    const surroundings s;
    const prefopt::dpo loss{.beta = 0.4};
    const auto ask = [&](const tensors& x) {
        return loss(x[0], x[1], s.reference_chosen, s.reference_rejected);
    };
    tensors x = leaves({s.chosen, s.rejected});

    const auto once = ask(x);
    CHECK(once.loss.grad_fn() != nullptr);
    CHECK_FALSE(once.losses.requires_grad());
    CHECK_FALSE(once.grad_chosen.requires_grad());
    once.loss.backward({}, true);
    CHECK(at::equal(x[0].grad(), once.grad_chosen));
    CHECK(at::equal(x[1].grad(), once.grad_rejected));
    once.loss.backward();  // and again: gradients add up
    CHECK(at::equal(x[0].grad(), 2 * once.grad_chosen));
    CHECK_THROWS_AS(once.loss.backward(), c10::Error);  // freed

    x = leaves(x);
    ((ask(x).loss + ask(x).loss) * 0.5 * 3).backward();
    CHECK(difference(x[0].grad(), 3 * once.grad_chosen) < 1e-15);

    // one of the two, and both the same
    const at::Tensor constant = s.rejected.detach();
    x = leaves(x);
    loss(x[0], constant, s.reference_chosen, s.reference_rejected).loss.backward();
    CHECK(at::equal(x[0].grad(), once.grad_chosen));
    const tensors y = leaves(x);
    loss(constant, y[1], s.reference_chosen, s.reference_rejected).loss.backward();
    CHECK(y[1].grad().defined());
    const at::Tensor both = s.chosen.clone().requires_grad_();
    loss(both, both, s.reference_chosen, s.reference_rejected).loss.backward();
    CHECK(both.grad().abs().max().item<double>() == 0);

    // the reference, weights: constants, whatever they require
    const at::Tensor reference = s.reference_chosen.clone().requires_grad_();
    const at::Tensor w = s.weights.clone().requires_grad_();
    x = leaves(x);
    const auto g = torch::autograd::grad(
        {loss(x[0], x[1], reference, s.reference_rejected, {.weights = w}).loss}, {x[0]}, {}, true,
        true);
    g[0].sum().backward();
    CHECK_FALSE(reference.grad().defined());
    CHECK_FALSE(w.grad().defined());
    CHECK_FALSE(loss(s.chosen, s.rejected, reference, reference).loss.requires_grad());

    // float gradients for float leaves, 16 bits for 16
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
        const tensors z = leaves({s.chosen.to(type), s.rejected.to(type)});
        const auto r = ask(z);
        r.loss.backward();
        CHECK(z[0].grad().scalar_type() == type);
        CHECK(at::equal(z[0].grad(), r.grad_chosen.to(type)));
        const tensors d = torch::autograd::grad({ask(z).loss}, z, {}, true, true);
        CHECK(d[0].scalar_type() == type);
        d[0].sum().backward();
    }

    // modes
    {
        const c10::NoGradGuard off;
        CHECK(ask(x).loss.grad_fn() == nullptr);
        CHECK_FALSE(ask(x).loss.requires_grad());
    }
    at::Tensor computed_in_inference;
    {
        const c10::InferenceMode on;
        CHECK(ask(x).loss.item<double>() == once.loss.item<double>());
        computed_in_inference = s.reference_chosen + 0;
    }
    x = leaves(x);
    loss(x[0], x[1], computed_in_inference, s.reference_rejected).loss.backward();
    CHECK(at::equal(x[0].grad(), once.grad_chosen));
    const at::Tensor logits = numbers({2, 3}, 0.3).requires_grad_();
    {
        const c10::InferenceMode on;
        CHECK_FALSE(prefopt::sequence_log_probs(logits, at::tensor({0, 1})).sum.requires_grad());
    }

    // what was saved may not be changed
    at::Tensor moved = x[0] + 0;
    const auto stale = ask({moved, x[1]});
    moved.mul_(2);
    CHECK_THROWS_AS(stale.loss.backward(), c10::Error);
}

TEST_CASE("torch: backward from many threads", "[torch]") {
    const at::Tensor leaf = numbers({64, 50}, 0.37).requires_grad_();
    const at::Tensor labels = at::arange(64).remainder(50);
    std::vector<std::thread> threads;
    std::array<at::Tensor, 4> gradients;
    for (at::Tensor& g : gradients)
        threads.emplace_back([&] {
            for (int i = 0; i < 20; ++i) {
                const at::Tensor sum =
                    prefopt::sequence_log_probs(leaf, labels, {.executor = prefopt::torch_threads})
                        .sum;
                const at::Tensor loss =
                    prefopt::dpo{}(sum, sum.detach(), sum.detach(), sum.detach()).loss;
                g = torch::autograd::grad({loss}, {leaf})[0];
            }
        });
    for (std::thread& t : threads) t.join();
    for (const at::Tensor& g : gradients) CHECK(at::equal(g, gradients[0]));
}

TEST_CASE("torch: what cannot be seen is refused by name", "[torch]") {
    const prefopt::dpo loss{};
    const at::Tensor v = numbers({6}, 0.7);
    const auto says = [&](const at::Tensor& bad, errc code, const std::string& text) {
        CAPTURE(text);
        const auto first = refusal([&] { (void)loss(bad, v, v, v); });
        CHECK(first.code == code);
        CHECK(first.argument == std::string("policy_chosen"));
        const auto third = refusal([&] { (void)loss(v, v, bad, v); });
        CHECK(third.message() ==
              "prefopt: reference_chosen " + text + " [" + prefopt::to_string(code) + "]");
        CHECK(prefopt::check(loss, v, v, bad, v).message() == third.message());
        const auto weights = refusal([&] { (void)loss(v, v, v, v, {.weights = bad}); });
        CHECK(weights.code == code);
        CHECK(weights.argument == std::string("weights"));
    };
    says(at::Tensor(), errc::null_pointer, "is an undefined tensor");
    says(v.to_sparse(), errc::bad_tensor,
         "is not strided (sparse, blocked); call to_dense() first");
    says(at::complex(v, v), errc::bad_tensor, "is complex: log-probs are real");
    says(at::empty({6}, at::device(at::kMeta)), errc::bad_tensor,
         "is a meta tensor, which has no values");
    says(at::quantize_per_tensor(v.to(at::kFloat), 0.1, 0, at::kQInt8), errc::bad_tensor,
         "is quantized; call dequantize() first");
    says(at::imag(at::complex(v, v).conj()), errc::bad_tensor,
         "is a negation that was put off; call resolve_neg() first");
    says(v.to(at::kLong), errc::bad_tensor, "must hold float, double, bf16 or fp16");
    says(at::zeros({2, 3, 2, 3, 2}).permute({4, 3, 2, 1, 0}), errc::bad_tensor,
         "has more than 4 dimensions; call contiguous() first");
    CHECK(refusal([&] {
              (void)loss(v, v.reshape({2, 3}), v, v);
          }).message() == "prefopt: policy_rejected must have rank 1, got 2 [shape_mismatch]");
    CHECK(refusal([&] { (void)loss(v, v.slice(0, 1), v, v); }).message() ==
          "prefopt: policy_rejected must have the same shape as policy_chosen (6), got (5) "
          "[shape_mismatch]");
    const prefopt::kto kto{};
    CHECK(refusal([&] { (void)kto(v, v, v, 0.0); }).argument == std::string("desirable"));
    CHECK(refusal([&] { (void)kto(v, v, at::Tensor(), 0.0); }).code == errc::null_pointer);

    // elsewhere, which the switch pretends
    at::Tensor to = at::empty({6});
    const auto into = [&] { (void)loss.into(v, v, v, v, {.losses = to}); };
    CHECK(refusal(into).ok());
    const prefopt::detail::torch_on_operations on;
    CHECK(refusal(into).message() ==
          "prefopt: policy_chosen is on an accelerator, whose memory this call cannot read; call "
          ".cpu() first [bad_tensor]");
    says(at::Tensor(), errc::null_pointer, "is an undefined tensor");
    says(v.to_sparse(), errc::bad_tensor,
         "is not strided (sparse, blocked); call to_dense() first");
    says(at::empty({6}, at::device(at::kMeta)), errc::bad_tensor,
         "is a meta tensor, which has no values");
    const std::vector<double> host(6);
    CHECK(
        refusal([&] { (void)loss(v, v, host, v); }).message() ==
        "prefopt: reference_chosen must be on the device of the call's first tensor [bad_tensor]");
    CHECK(refusal([&] { (void)loss(v, v, v, v, {.weights = host}); }).argument ==
          std::string("weights"));
    CHECK(refusal([&] { (void)loss(host, host, v, host); }).argument ==
          std::string("reference_chosen"));
    CHECK(prefopt::check(loss, v, v, v, v).ok());
    CHECK(prefopt::check(kto, v, v, v.gt(-1), 0.5).ok());
}

TEST_CASE("torch: operations find the same faults", "[torch]") {
    const surroundings s;
    const auto both = [&](const auto& call, errc code, std::int64_t index) {
        const auto want = refusal(call);
        CAPTURE(want.message());
        CHECK(want.code == code);
        CHECK(want.index == index);
        const prefopt::detail::torch_on_operations on;
        CHECK(refusal(call).message() == want.message());
    };
    const auto dpo = [&](const auto& o) {
        return [&, o] {
            (void)prefopt::dpo{}(s.chosen, s.rejected, s.reference_chosen, s.reference_rejected,
                                 o());
        };
    };
    at::Tensor w = s.weights.clone();
    const auto with = [&](const prefopt::pairwise_options& o) { return o; };
    w[5] = nan_value;
    both(dpo([&] { return with({.weights = w}); }), errc::bad_parameter, 5);
    w[2] = -1.0;
    both(dpo([&] { return with({.weights = w}); }), errc::bad_parameter, 2);
    const at::Tensor few = w.slice(0, 1);
    both(dpo([&] { return with({.weights = few}); }), errc::shape_mismatch, -1);
    both(dpo([&] { return with({.chosen_counts = s.counts}); }), errc::bad_parameter, -1);
    const std::vector<std::uint64_t> versions{1, 2};
    both(dpo([&] { return with({.reference_versions = versions}); }), errc::shape_mismatch, -1);
    at::Tensor counts = s.counts.clone();
    counts[4] = 0;
    both(
        [&] {
            (void)prefopt::ipo_averaged{}(s.chosen, s.rejected, s.reference_chosen,
                                          s.reference_rejected,
                                          {.chosen_counts = s.counts, .rejected_counts = counts});
        },
        errc::empty_sequence, 4);
    both([&] { (void)prefopt::kto{}(s.chosen, s.reference_chosen, s.flags, 0.25, {.weights = w}); },
         errc::bad_parameter, 2);
    both([&] { (void)prefopt::kto{}(s.chosen, s.reference_chosen, s.flags, -1.0); },
         errc::bad_parameter, -1);
    const auto lists = [&](const at::Tensor& ranking, const at::Tensor& n) {
        return [&, ranking, n] {
            (void)prefopt::plackett_luce_dpo{}(s.lists, s.reference_lists, ranking, {.counts = n});
        };
    };
    at::Tensor ranking = s.ranking.clone();
    ranking[5][3] = 2;
    both(lists(ranking, s.list_counts), errc::not_permutation, 23);
    ranking[1][1] = 2;  // of two answers
    both(lists(ranking, s.list_counts), errc::not_permutation, 5);
    ranking[0][2] = -1;
    both(lists(ranking, s.list_counts), errc::not_permutation, 2);
    at::Tensor n = s.list_counts.clone();
    n[4] = 0;
    both(lists(s.ranking, n), errc::empty_sequence, 4);
    n[3] = 5;
    both(lists(s.ranking, n), errc::bad_parameter, 3);
    const at::Tensor nothing = at::empty({2, 0});
    both([&] { (void)prefopt::plackett_luce_dpo{}(nothing, nothing); }, errc::empty_sequence, -1);
}

TEST_CASE("torch: what is written to", "[torch]") {
    const surroundings s;
    const prefopt::dpo loss{};
    const auto into = [&](const at::Tensor& to) {
        loss.into(s.chosen, s.rejected, s.reference_chosen, s.reference_rejected,
                  {.grad_chosen = to});
    };
    const auto want = loss(s.chosen, s.rejected, s.reference_chosen, s.reference_rejected);
    at::Tensor table = at::zeros({pairs, 3}, at::kDouble);
    into(table.select(1, 1));
    CHECK(at::equal(table.select(1, 1), want.grad_chosen));
    CHECK(table.select(1, 0).abs().sum().item<double>() == 0);
    CHECK(refusal([&] { into(at::zeros({1}).expand({pairs})); }).code == errc::bad_stride);

    // a graph that saved it notices
    at::Tensor saved = at::ones({pairs}, at::kDouble);
    const at::Tensor x = at::ones({pairs}, at::kDouble).requires_grad_();
    const at::Tensor y = (x * saved).sum();
    into(saved);
    CHECK_THROWS_AS(y.backward(), c10::Error);
    at::Tensor frozen;
    {
        const c10::InferenceMode on;
        frozen = at::zeros({pairs}, at::kDouble);
    }
    into(frozen);
    CHECK(at::equal(frozen, want.grad_chosen));
    into(s.reference_chosen);  // in the place of an input, element for element
    CHECK(at::equal(s.reference_chosen, want.grad_chosen));
}

TEST_CASE("torch: a trust region's parameters", "[torch]") {
    prefopt::tr_dpo loss{.update = prefopt::soft_update({.alpha = 0.25})};
    torch::nn::Linear policy(3, 2), reference(3, 2);
    const at::Tensor many = numbers({2, 1, 3, 2, 2, 2}, 0.3);
    std::vector<at::Tensor> p = policy->parameters(), r = reference->parameters();
    p.push_back(at::full({}, 3.0));
    r.push_back(at::full({}, 1.0));
    p.push_back(many);
    r.push_back(at::zeros_like(many));
    p.push_back(numbers({6}, 0.3).as_strided({2, 1, 1, 1, 1, 3}, {3, 7, 1, 50, 2, 1}));
    r.push_back(at::zeros({2, 1, 1, 1, 1, 3}, at::kDouble));
    p.push_back(at::ones({1, 0, 2, 0, 0}));
    r.push_back(at::ones({1, 0, 2, 0, 0}));
    const at::Tensor before = reference->weight.detach().clone();
    const auto version = reference->weight._version();
    CHECK(loss.step(p, r));
    CHECK(difference(reference->weight, before + 0.25 * (policy->weight.detach() - before)) < 1e-7);
    CHECK(r[2].item<float>() == 1.5F);
    CHECK(difference(r[3], many * 0.25) < 1e-15);
    CHECK(difference(r[4], p[4] * 0.25) < 1e-15);
    CHECK(reference->weight._version() > version);
    CHECK(reference->weight.requires_grad());
    CHECK(policy->weight.grad_fn() == nullptr);
    prefopt::tr_dpo hard{.update = prefopt::hard_update({.every = 1})};
    CHECK(hard.step(p, r));
    CHECK(at::equal(reference->weight, policy->weight));

    r[1] = at::empty({2}, at::device(at::kMeta));
    const auto bad = refusal([&] { loss.step(p, r); });
    CHECK(bad.code == errc::bad_tensor);
    CHECK(bad.argument == std::string("reference_parameters"));
    CHECK(bad.index == 1);
}

TEST_CASE("torch: its matrix product without logits", "[torch]") {
    const at::Tensor hidden = numbers({6, 4}, 0.37), head = numbers({9, 4}, 0.53);
    const at::Tensor labels = at::tensor({1, 8, -1, 0, 3, 5}, at::kInt);
    for (const auto type : {at::kFloat, at::kDouble}) {
        const double few = type == at::kFloat ? 1e-5 : 1e-12;
        const at::Tensor h = hidden.to(type), w = head.to(type).t().contiguous().t();
        const auto scored = prefopt::linear_log_probs(prefopt::torch_gemm, h, w, labels,
                                                      {.row_block = 2, .vocab_block = 4});
        const at::Tensor logits = at::mm(h, w.t()).requires_grad_();
        const auto want = prefopt::sequence_log_probs(logits, labels);
        CHECK(difference(scored.sum, want.sum) < few);
        want.sum.backward(at::full({1}, 0.5, at::kDouble));
        at::Tensor grad_h = at::empty_like(h), grad_w = at::ones_like(w);
        prefopt::linear_log_probs_backward(
            prefopt::torch_gemm, h, w, labels, at::full({1}, 0.5, at::kDouble),
            {.hidden = grad_h, .weights = grad_w}, {.row_block = 2, .vocab_block = 4});
        CHECK(difference(grad_h, at::mm(logits.grad(), w)) < few);
        CHECK(difference(grad_w, at::mm(logits.grad().t(), h)) < few);
    }
}

TEST_CASE("torch: conformance", "[torch]") {
    for (const auto type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
        at::Tensor samples[] = {at::zeros({7}, type), at::zeros({3, 2}, type),
                                at::zeros({2, 3}, type).t(), at::zeros({7, 2}, type).select(1, 1),
                                at::zeros({4, 6}, type).slice(1, 1, 6, 2)};
        for (at::Tensor& sample : samples)
            for (const std::string& complaint : prefopt::testing::conformance(sample))
                FAIL_CHECK(complaint);
    }
    prefopt::preference_metrics metrics;
    const surroundings s;
    metrics.add(prefopt::dpo{}(s.chosen, s.rejected, s.reference_chosen, s.reference_rejected));
    CHECK(metrics.examples() == pairs);
}

TEST_CASE("torch: the README's lines", "[torch]") {
    const at::Tensor policy_chosen = at::tensor({-12.0F, -30.5F}),
                     policy_rejected = at::tensor({-14.0F, -29.0F}),
                     reference_chosen = at::tensor({-13.0F, -30.0F}),
                     reference_rejected = at::tensor({-13.5F, -29.5F});
    prefopt::preference_metrics metrics;
    // README begin
    using vector = at::Tensor;

    const prefopt::dpo loss{.beta = 0.1};
    const auto result = loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected);
    const vector gradient = result.grad_chosen;  // d loss / d policy_chosen
    metrics.add(result);
    // README end
    CHECK(same(gradient, prefopt::dpo{.beta = 0.1}(
                             plain<float>(policy_chosen), plain<float>(policy_rejected),
                             plain<float>(reference_chosen), plain<float>(reference_rejected))
                             .grad_chosen));
    CHECK(metrics.examples() == 2);
}
