// SPDX-License-Identifier: Apache-2.0
//
// The loop over pairs. Every loss that compares a chosen answer with a rejected one goes through
// it: checks, log-ratios, lengths, weights, reduction, metrics and stores live here, once; the
// mathematics is the formula's `term`, asked for one pair at a time.
//
// A pairwise formula is a value type with
//     static constexpr auto kind = loss_kind::pairwise;
//     status check_parameters() const;
//     pair_term<T> term(T chosen_log_ratio, T rejected_log_ratio) const;   // any real scalar T
//     T reward(T log_ratio) const;
// and optionally `static constexpr bool length_averaged = true`: its term then sees log-ratios
// divided by the number of scored tokens. `static constexpr bool on_vectors = true` says that term
// and reward choose with select (math/select.hpp) instead of branching on values: they then run on
// packs of examples. `static constexpr bool linear_reward = true` says that reward(x) is x times a
// positive constant: fewer sums are then taken. `static constexpr bool of_difference = true` says
// that the loss is of chosen - rejected alone, and d_rejected therefore -d_chosen: one product
// less. PREFOPT_PAIRWISE_CALLS gives it operator(), into, check.

#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <prefopt/batch/kind.hpp>
#include <prefopt/batch/parts.hpp>
#include <prefopt/batch/reduction.hpp>
#include <prefopt/batch/summary.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/math/lane_sum.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// One pair's loss and its derivatives with respect to the two log-ratios.
template <class T>
struct pair_term {
    T value;
    T d_chosen;
    T d_rejected;
};

/// Options of a pairwise call; all optional.
struct pairwise_options {
    /// mean (the default) or sum.
    prefopt::reduction reduction = prefopt::reduction::mean;
    /// (B) one finite weight >= 0 per pair. A weight of 0 leaves the pair out, NaN or not.
    input<1> weights{};
    /// The version(s) of the reference that the reference log-probs were computed under.
    prefopt::reference_versions reference_versions{};
    /// (B) scored tokens of the chosen answers; required by length-averaged losses, refused by
    /// others.
    index_input<1> chosen_counts{};
    /// (B) scored tokens of the rejected answers.
    index_input<1> rejected_counts{};
    /// Who runs it: the calling thread unless an executor is given. The bits are the same.
    prefopt::executor executor{};
};

/// What a pairwise call writes to the caller's memory; each is (B) and optional.
struct pairwise_outputs {
    output<1> losses{};
    output<1> grad_chosen{};
    output<1> grad_rejected{};
    output<1> chosen_rewards{};
    output<1> rejected_rewards{};
};

/// The reduced loss and what metrics are made of. Where the batch is read and written in float or
/// less, the terms of the loss are computed to a float's precision on vectors: their sum, kept in
/// double, is exact to about 1e-7 of it.
struct batch_result {
    double loss = 0;
    batch_summary summary{};
};

/// What a pairwise call returns. `Vector` is of the family of the first argument; `Loss` is double,
/// or what a family with automatic gradients has for a number.
template <class Vector, class Loss = double>
struct pairwise_result {
    Loss loss{};              ///< reduced over the batch; of floats: as exact as a float
    Vector losses;            ///< (B) one per pair, before weights
    Vector grad_chosen;       ///< (B) d loss / d policy_chosen
    Vector grad_rejected;     ///< (B) d loss / d policy_rejected
    Vector chosen_rewards;    ///< (B) beta * (policy_chosen - reference_chosen), per token where
                              ///< the loss is of length averages; a reward model's score itself
    Vector rejected_rewards;  ///< (B)
    batch_summary summary{};  ///< for preference_metrics::add
};

namespace detail {

/// The four log-probs of a pairwise call. The reference is absent for losses without one.
struct pairwise_inputs {
    input<1> policy_chosen{};
    input<1> policy_rejected{};
    input<1> reference_chosen{};
    input<1> reference_rejected{};
};

template <class Formula>
concept is_length_averaged = requires {
    requires Formula::length_averaged;
};

/// The policy's arguments, as the checks name them.
template <class Formula>
struct pairwise_names {
    static constexpr const char* first = Formula::has_reference ? "policy_chosen" : "chosen_scores";
    static constexpr const char* second =
        Formula::has_reference ? "policy_rejected" : "rejected_scores";
};

/// What can be said without reading an element.
template <class Formula>
status check_pairwise_operands(const Formula& f, const pairwise_inputs& in,
                               const pairwise_options& o, const pairwise_outputs& out) {
    constexpr bool averaged = is_length_averaged<Formula>;
    if (status s = f.check_parameters(); !s.ok()) return s;
    if constexpr (averaged) {
        constexpr const char* why = "is required: this loss is of length-averaged log-probs";
        if (status s = first_of({check_given("chosen_counts", o.chosen_counts, why),
                                 check_given("rejected_counts", o.rejected_counts, why)});
            !s.ok())
            return s;
    } else if (o.chosen_counts.has_value || o.rejected_counts.has_value) {
        return fault(errc::bad_parameter,
                     o.chosen_counts.has_value ? "chosen_counts" : "rejected_counts",
                     "is not used by a loss of summed log-probs");
    }
    constexpr const char* first = pairwise_names<Formula>::first;
    const shape b = length(in.policy_chosen.extents[0]);
    return check_operands({describe(first, in.policy_chosen),
                           describe(pairwise_names<Formula>::second, in.policy_rejected, b, first),
                           describe("reference_chosen", in.reference_chosen, b, first),
                           describe("reference_rejected", in.reference_rejected, b, first),
                           describe("weights", o.weights, b, first),
                           describe("chosen_counts", o.chosen_counts, b, first),
                           describe("rejected_counts", o.rejected_counts, b, first),
                           describe("losses", out.losses, b, first),
                           describe("grad_chosen", out.grad_chosen, b, first),
                           describe("grad_rejected", out.grad_rejected, b, first),
                           describe("chosen_rewards", out.chosen_rewards, b, first),
                           describe("rejected_rewards", out.rejected_rewards, b, first)});
}

/// What the elements of the options said, in the order of faults, and what else there is to say of
/// n pairs.
template <class Formula>
status check_pairwise_elements(const Formula& f, const pairwise_options& o, std::ptrdiff_t n,
                               const status& weights, const status& chosen_counts,
                               const status& rejected_counts) {
    return first_of({o.reference_versions.check_length(n), weights,
                     check_not_empty(n, o.reduction, pairwise_names<Formula>::first), chosen_counts,
                     rejected_counts, o.reference_versions.check(current_version(f))});
}

template <class Formula>
status check_pairwise(const Formula& f, const pairwise_inputs& in, const pairwise_options& o,
                      const pairwise_outputs& out) {
    if (const status s = check_pairwise_operands(f, in, o, out); !s.ok()) return s;
    return check_pairwise_elements(f, o, in.policy_chosen.extents[0], check_weights(o.weights),
                                   check_counts("chosen_counts", o.chosen_counts),
                                   check_counts("rejected_counts", o.rejected_counts));
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI

namespace prefopt::inline PREFOPT_ABI::detail::scalar {
#include <prefopt/batch/pairwise.inc>
}  // namespace prefopt::inline PREFOPT_ABI::detail::scalar

#define PREFOPT_KERNELS <prefopt/batch/pairwise.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

namespace prefopt::inline PREFOPT_ABI {
namespace detail {

template <class Formula>
batch_result run_pairwise(const Formula& f, const pairwise_inputs& in, const pairwise_options& o,
                          const pairwise_outputs& out) {
    const auto& formula = formula_of(f);
    const std::ptrdiff_t n = in.policy_chosen.extents[0];
    const double scale = reduction_scale(o.reduction, n);
    const bool coarse = reads_float_or_less(in.policy_chosen, in.policy_rejected,
                                            in.reference_chosen, in.reference_rejected) &&
                        writes_float(out.losses, out.grad_chosen, out.grad_rejected,
                                     out.chosen_rewards, out.rejected_rewards);
    const auto part = [&](std::ptrdiff_t first, std::ptrdiff_t last, batch_summary& s) {
        with_set(
            active_instruction_set(),
            [&](auto level) {
                if constexpr (runs_on_vectors<std::remove_cvref_t<decltype(formula)>>)
                    if (coarse)
                        return run_pairs<float>(level, formula, in, o, out, scale, first, last, s);
                run_pairs<double>(level, formula, in, o, out, scale, first, last, s);
            },
            [&] {
                run_pairs<double>(scalar::level{}, formula, in, o, out, scale, first, last, s);
            });
    };
    batch_result result{.loss = 0, .summary = run_parts<batch_summary>(o.executor, n, part)};
    result.loss = result.summary.loss * scale;
    return result;
}

template <class Vector, class Loss>
pairwise_outputs outputs_of(pairwise_result<Vector, Loss>& r) {
    return {r.losses, r.grad_chosen, r.grad_rejected, r.chosen_rewards, r.rejected_rewards};
}

/// Allocates the result in the family of the first tensor and fills it.
template <class Formula, class Like, class... Others>
auto pairwise_results(const Formula& f, const pairwise_options& o, const Like& like,
                      const Others&... others) {
    const pairwise_inputs in{like, others...};
    require(check_pairwise(f, in, o, {}));
    const auto make = [&] {
        return make_result(like, in.policy_chosen.extents, in.policy_chosen.kind);
    };
    pairwise_result<decltype(make())> r{.loss = 0,
                                        .losses = make(),
                                        .grad_chosen = make(),
                                        .grad_rejected = make(),
                                        .chosen_rewards = make(),
                                        .rejected_rewards = make()};
    const batch_result b = run_pairwise(f, in, o, outputs_of(r));
    r.loss = b.loss;
    r.summary = b.summary;
    return r;
}

/// The whole call. Expressions among the tensors are evaluated once and live to its end.
template <class Formula, class... Tensors>
auto pairwise_call(const Formula& f, const pairwise_options& o, const Tensors&... tensors) {
    return [&]<class Like, class... Others>(const Like& like, const Others&... others) {
        if constexpr (evaluates_itself<Like, Formula, pairwise_options, Like, Others...>)
            return adapter<Like>::evaluate(f, o, like, others...);
        else
            return pairwise_results(f, o, like, others...);
    }(hold(tensors)...);
}

template <class Formula, class... Tensors>
batch_result pairwise_into(const Formula& f, const pairwise_options& o, const pairwise_outputs& out,
                           const Tensors&... tensors) {
    const pairwise_inputs in{tensors...};
    require(check_pairwise(f, in, o, out));
    return run_pairwise(f, in, o, out);
}

template <class Formula, class... Tensors>
status pairwise_check(const Formula& f, const pairwise_options& o, const pairwise_outputs& out,
                      const Tensors&... tensors) {
    return [&]<class Like, class... Others>(const Like& like, const Others&... others) {
        if constexpr (checks_itself<Like, Formula, pairwise_options, pairwise_outputs, Like,
                                    Others...>)
            return adapter<Like>::check(f, o, out, like, others...);
        else
            return check_pairwise(f, pairwise_inputs{like, others...}, o, out);
    }(hold(tensors)...);
}

}  // namespace detail

/// The calls of a pairwise loss: `loss(pc, pr, rc, rr, options)` allocates and returns a
/// pairwise_result; `loss.into(pc, pr, rc, rr, outputs, options)` writes to the caller's memory and
/// never allocates; `loss.check(...)` returns what either would refuse. A macro, because a base
/// class would make GCC's -Wextra warn at every `dpo{.beta = 0.1}` in a user's code.
// clang-format off
#define PREFOPT_PAIRWISE_CALLS(Self)                                                               \
    template <class Pc, class Pr, class Rc, class Rr>                                              \
        requires(Self::kind == ::prefopt::loss_kind::pairwise && Self::has_reference)              \
    auto operator()(const Pc& policy_chosen, const Pr& policy_rejected,                            \
                    const Rc& reference_chosen, const Rr& reference_rejected,                      \
                    const ::prefopt::pairwise_options& options = {}) const {                       \
        return ::prefopt::detail::pairwise_call(*this, options, policy_chosen, policy_rejected,    \
                                                reference_chosen, reference_rejected);             \
    }                                                                                              \
    template <class Pc, class Pr, class Rc, class Rr>                                              \
        requires(Self::kind == ::prefopt::loss_kind::pairwise && Self::has_reference)              \
    ::prefopt::batch_result into(const Pc& policy_chosen, const Pr& policy_rejected,               \
                                 const Rc& reference_chosen, const Rr& reference_rejected,         \
                                 const ::prefopt::pairwise_outputs& outputs,                       \
                                 const ::prefopt::pairwise_options& options = {}) const {          \
        return ::prefopt::detail::pairwise_into(*this, options, outputs, policy_chosen,            \
                                                policy_rejected, reference_chosen,                 \
                                                reference_rejected);                               \
    }                                                                                              \
    template <class Pc, class Pr, class Rc, class Rr>                                              \
        requires(Self::kind == ::prefopt::loss_kind::pairwise && Self::has_reference)              \
    ::prefopt::status check(const Pc& policy_chosen, const Pr& policy_rejected,                    \
                            const Rc& reference_chosen, const Rr& reference_rejected,              \
                            const ::prefopt::pairwise_options& options = {},                       \
                            const ::prefopt::pairwise_outputs& outputs = {}) const {               \
        return ::prefopt::detail::pairwise_check(*this, options, outputs, policy_chosen,           \
                                                 policy_rejected, reference_chosen,                \
                                                 reference_rejected);                              \
    }
// clang-format on

}  // namespace prefopt::inline PREFOPT_ABI
