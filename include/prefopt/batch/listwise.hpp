// SPDX-License-Identifier: Apache-2.0
//
// The loop over rankings: (B, K) answers, best first or with a ranking that says so.
//
// A listwise formula is a value type with
//     static constexpr auto kind = loss_kind::listwise;
//     status check_parameters() const;
//     T term(std::span<T> log_ratios, std::size_t placed) const;
//         // in: K log-ratios in rank order; out: their gradient; returns the loss; any real T
//     T reward(T log_ratio) const;
// PREFOPT_LISTWISE_CALLS gives it operator(), into and check.

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <span>

#include <prefopt/batch/kind.hpp>
#include <prefopt/batch/pairwise.hpp>
#include <prefopt/batch/parts.hpp>
#include <prefopt/batch/reduction.hpp>
#include <prefopt/batch/summary.hpp>
#include <prefopt/core/arithmetic.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/math/lane_sum.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// Options of a listwise call; all optional.
struct listwise_options {
    /// mean (the default) or sum.
    prefopt::reduction reduction = prefopt::reduction::mean;
    /// (B) one finite weight >= 0 per list. A weight of 0 leaves the list out, NaN or not.
    input<1> weights{};
    /// The version(s) of the reference that the reference log-probs were computed under.
    prefopt::reference_versions reference_versions{};
    /// Partial rankings: only the best `placed` answers have a place, the others are equally
    /// "below". 0 means all. A list with fewer answers is placed in full.
    std::int64_t placed = 0;
    /// Ragged lists: (B) how many answers list b has, 1 to K. The columns after them are padding:
    /// never read, zero in every output.
    index_input<1> counts{};
    /// Memory for `into` when K is above listwise_inline_answers: listwise_workspace(K) doubles.
    buffer<double> workspace{};
    /// Who runs it: the calling thread unless an executor is given. The bits are the same.
    prefopt::executor executor{};
};

/// What a listwise call writes to the caller's memory; each is optional.
struct listwise_outputs {
    output<1> losses{};   ///< (B)
    output<2> grad{};     ///< (B, K), answer j of list b at (b, j) as in the policy
    output<2> rewards{};  ///< (B, K)
};

/// What a listwise call returns, in the family and storage order of the first argument.
template <class Vector, class Matrix, class Loss = double>
struct listwise_result {
    Loss loss{};              ///< reduced over the batch
    Vector losses;            ///< (B) one per list, before weights
    Matrix grad;              ///< (B, K) d loss / d policy
    Matrix rewards;           ///< (B, K) beta * (policy - reference)
    batch_summary summary{};  ///< for preference_metrics::add
};

namespace detail {
/// Doubles: two rows, three times sixteen lanes, and what aligns them.
constexpr std::ptrdiff_t list_scratch_size(std::ptrdiff_t answers) noexcept {
    return (2 + 3 * pack_size) * answers + 8;
}
}  // namespace detail

/// Lists up to this length need no workspace.
inline constexpr std::ptrdiff_t listwise_inline_answers = 128;

/// How many doubles of workspace `into` needs for lists of K answers; 0 up to the inline length.
/// Sixteen lists lie side by side in it, three times.
constexpr std::ptrdiff_t listwise_workspace(std::ptrdiff_t answers) noexcept {
    return answers <= listwise_inline_answers ? 0 : detail::list_scratch_size(answers);
}

namespace detail {

struct listwise_inputs {
    input<2> policy{};
    input<2> reference{};
    index_input<2> ranking{};
};

/// The workspace of sixteen lists. Rank k of lane i is at 16 k + i.
struct list_scratch {
    double* log_ratios;  // and then their gradient
    double* rewards;
    void* packs;  // aligned for any vector
    double* row;  // one list, in the order of its answers
    double* other_row;

    /// In memory of list_scratch_size(answers) doubles.
    list_scratch(double* memory, std::ptrdiff_t answers) noexcept {
        packs = align_up(memory, 64);
        log_ratios = static_cast<double*>(packs) + pack_size * answers;
        rewards = log_ratios + pack_size * answers;
        row = rewards + pack_size * answers;
        other_row = row + answers;
    }
};

/// Answers of list b.
inline std::ptrdiff_t answers_of(const listwise_options& o, std::ptrdiff_t b,
                                 std::ptrdiff_t k) noexcept {
    return o.counts.has_value ? static_cast<std::ptrdiff_t>(o.counts(b)) : k;
}

/// The answer that was placed `rank`-th in list b.
inline std::ptrdiff_t answer_at(const listwise_inputs& in, std::ptrdiff_t b,
                                std::ptrdiff_t rank) noexcept {
    return in.ranking.has_value ? static_cast<std::ptrdiff_t>(in.ranking(b, rank)) : rank;
}

/// A slot of a ranking of n answers that is out of range, or else repeats an earlier one.
inline status fault_rank(std::int64_t answer, std::ptrdiff_t n, std::ptrdiff_t index) noexcept {
    return fault_value(errc::not_permutation, "ranking",
                       answer < 0 || answer >= n
                           ? "is not the index of an answer of its list"
                           : "names an answer that an earlier place has already",
                       answer, index);
}

/// Every row of the ranking must be a permutation of the list's answers; the index is that of the
/// first slot which is out of range or repeats an earlier one. `seen` holds one mark per answer:
/// the last list in which it was met.
inline status check_rankings(const listwise_inputs& in, const listwise_options& o,
                             const buffer<double>& seen) noexcept {
    if (!in.ranking.has_value) return {};
    const std::ptrdiff_t k = in.policy.extents[1];
    for (double& s : seen) s = -1.0;
    for (std::ptrdiff_t b = 0; b < in.policy.extents[0]; ++b) {
        const std::ptrdiff_t n = answers_of(o, b, k);
        const auto mark = static_cast<double>(b);
        for (std::ptrdiff_t rank = 0; rank < n; ++rank) {
            const std::int64_t answer = in.ranking(b, rank);
            if (answer >= 0 && answer < n && seen[answer] != mark) {
                seen[answer] = mark;
                continue;
            }
            return fault_rank(answer, n, b * k + rank);
        }
    }
    return {};
}

inline status fault_list_count(std::int64_t answers, std::ptrdiff_t list) noexcept {
    return fault_value(errc::bad_parameter, "counts",
                       "must be at least 1 and at most the number of columns", answers, list);
}

/// Counts outside [0, K] before the rankings are read, and empty lists after (the order of faults).
inline status check_list_counts(const listwise_options& o, std::ptrdiff_t k) noexcept {
    if (!o.counts.has_value) return {};
    for (std::ptrdiff_t b = 0; b < o.counts.extents[0]; ++b)
        if (const std::int64_t n = o.counts(b); n < 0 || n > k) return fault_list_count(n, b);
    return {};
}
inline status check_columns(std::ptrdiff_t lists, std::ptrdiff_t k) noexcept {
    if (lists == 0 || k > 0) return {};
    return fault_shape(errc::empty_sequence, "policy", "must have at least one answer per list",
                       {2, {lists, k}});
}
inline status check_no_empty_list(const listwise_options& o, std::ptrdiff_t lists,
                                  std::ptrdiff_t k) noexcept {
    return first_of({check_columns(lists, k), check_counts("counts", o.counts)});
}

/// What can be said before memory for the lists is found.
template <class Formula>
status check_listwise_operands(const Formula& f, const listwise_inputs& in,
                               const listwise_options& o, const listwise_outputs& out) {
    if (status s = f.check_parameters(); !s.ok()) return s;
    if (o.placed < 0)
        return fault_value(errc::bad_parameter, "placed",
                           "must be at least 0 (0 places every answer)", o.placed);
    const std::ptrdiff_t b = in.policy.extents[0];
    const std::ptrdiff_t k = in.policy.extents[1];
    const shape lists = length(b);
    const shape all{2, {b, k}};
    const status s = check_operands(
        {describe("policy", in.policy), describe("reference", in.reference, all, "policy"),
         describe("ranking", in.ranking, all, "policy"), describe("weights", o.weights, lists),
         describe("counts", o.counts, lists), describe("losses", out.losses, lists),
         describe("grad", out.grad, all, "policy"), describe("rewards", out.rewards, all, "policy"),
         describe_memory("workspace", o.workspace)});
    return s.ok() ? o.reference_versions.check_length(b) : s;
}

template <class Formula>
status check_listwise(const Formula& f, const listwise_inputs& in, const listwise_options& o,
                      const listwise_outputs& out, const buffer<double>& workspace) {
    status s = check_listwise_operands(f, in, o, out);
    if (!s.ok()) return s;
    const std::ptrdiff_t b = in.policy.extents[0];
    const std::ptrdiff_t k = in.policy.extents[1];
    s = first_of({check_weights(o.weights), check_list_counts(o, k)});
    if (!s.ok()) return s;
    if (b > 0 && workspace.size < listwise_workspace(k))
        return fault_shape(errc::workspace_too_small, "workspace",
                           "must hold listwise_workspace(K) doubles:", length(workspace.size),
                           length(listwise_workspace(k)));
    if (b > 0) {
        double seen[listwise_inline_answers];
        s = check_rankings(in, o, {k > listwise_inline_answers ? workspace.data : seen, k});
        if (!s.ok()) return s;
    }
    return first_of({check_no_empty_list(o, b, k), check_not_empty(b, o.reduction, "policy"),
                     o.reference_versions.check(current_version(f))});
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI

namespace prefopt::inline PREFOPT_ABI::detail::scalar {
#include <prefopt/batch/listwise.inc>
}  // namespace prefopt::inline PREFOPT_ABI::detail::scalar

#define PREFOPT_KERNELS <prefopt/batch/listwise.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

namespace prefopt::inline PREFOPT_ABI {
namespace detail {

template <class Formula>
batch_result run_listwise(const Formula& f, const listwise_inputs& in, const listwise_options& o,
                          const listwise_outputs& out, const buffer<double>& workspace) {
    const auto& formula = formula_of(f);
    const std::ptrdiff_t lists = in.policy.extents[0];
    const std::ptrdiff_t k = in.policy.extents[1];
    const double scale = reduction_scale(o.reduction, lists);
    const bool inside = k <= listwise_inline_answers;
    const auto part = [&](std::ptrdiff_t first, std::ptrdiff_t last, batch_summary& s) {
        double stack[list_scratch_size(listwise_inline_answers)];
        const list_scratch scratch(inside ? stack : workspace.data, k);
        const auto run = [&](auto level) {
            run_lists(level, formula, in, o, out, scale, first, last, scratch, s);
        };
        with_set(active_instruction_set(), run, [&] { run(scalar::level{}); });
    };
    // There is one workspace, so lists that need it are done by one thread.
    const executor& e = inside ? o.executor : executor{};
    batch_result result{.loss = 0, .summary = run_parts<batch_summary>(e, lists, part)};
    result.loss = result.summary.loss * scale;
    return result;
}

/// Doubles of workspace that operands need which have been checked.
inline std::ptrdiff_t workspace_of(const listwise_inputs& in) noexcept {
    return in.policy.extents[0] == 0 ? 0 : listwise_workspace(in.policy.extents[1]);
}

template <class Formula, class Like, class... Others>
auto listwise_results(const Formula& f, const listwise_options& o, const Like& like,
                      const Others&... others) {
    const listwise_inputs in{like, others...};
    require(check_listwise_operands(f, in, o, {}));
    const enough<double> workspace(o.workspace, workspace_of(in));
    require(check_listwise(f, in, o, {}, workspace.memory()));
    const auto vector = [&] {
        return make_result(like, std::array<std::ptrdiff_t, 1>{in.policy.extents[0]},
                           in.policy.kind);
    };
    const auto matrix = [&] { return make_result(like, in.policy.extents, in.policy.kind); };
    listwise_result<decltype(vector()), decltype(matrix())> r{
        .loss = 0, .losses = vector(), .grad = matrix(), .rewards = matrix()};
    const batch_result b =
        run_listwise(f, in, o, {r.losses, r.grad, r.rewards}, workspace.memory());
    r.loss = b.loss;
    r.summary = b.summary;
    return r;
}

template <class Formula, class... Tensors>
auto listwise_call(const Formula& f, const listwise_options& o, const Tensors&... tensors) {
    return [&]<class Like, class... Others>(const Like& like, const Others&... others) {
        if constexpr (evaluates_itself<Like, Formula, listwise_options, Like, Others...>)
            return adapter<Like>::evaluate(f, o, like, others...);
        else
            return listwise_results(f, o, like, others...);
    }(hold(tensors)...);
}

template <class Formula, class... Tensors>
batch_result listwise_into(const Formula& f, const listwise_options& o, const listwise_outputs& out,
                           const Tensors&... tensors) {
    const listwise_inputs in{tensors...};
    require(check_listwise(f, in, o, out, o.workspace));
    return run_listwise(f, in, o, out, o.workspace);
}

/// Without outputs it is the call that may allocate.
template <class Formula>
status check_listwise_call(const Formula& f, const listwise_inputs& in, const listwise_options& o,
                           const listwise_outputs& out) {
    const bool writes = out.losses.has_value || out.grad.has_value || out.rewards.has_value;
    if (writes) return check_listwise(f, in, o, out, o.workspace);
    if (const status s = check_listwise_operands(f, in, o, out); !s.ok()) return s;
    const enough<double> workspace(o.workspace, workspace_of(in));
    return check_listwise(f, in, o, out, workspace.memory());
}

template <class Formula, class... Tensors>
status listwise_check(const Formula& f, const listwise_options& o, const listwise_outputs& out,
                      const Tensors&... tensors) {
    return [&]<class Like, class... Others>(const Like& like, const Others&... others) {
        if constexpr (checks_itself<Like, Formula, listwise_options, listwise_outputs, Like,
                                    Others...>)
            return adapter<Like>::check(f, o, out, like, others...);
        else
            return check_listwise_call(f, listwise_inputs{like, others...}, o, out);
    }(hold(tensors)...);
}

}  // namespace detail

/// The calls of a listwise loss: `loss(policy, reference, options)` for answers stored best first,
/// `loss(policy, reference, ranking, options)` for any storage; `into` with outputs before the
/// options, which never allocates; `check`. ranking(b, k) is the index of the answer placed k-th.
// clang-format off
#define PREFOPT_LISTWISE_CALLS(Self)                                                               \
    template <class P, class R>                                                                    \
        requires(Self::kind == ::prefopt::loss_kind::listwise)                                     \
    auto operator()(const P& policy, const R& reference,                                           \
                    const ::prefopt::listwise_options& options = {}) const {                       \
        return ::prefopt::detail::listwise_call(*this, options, policy, reference);                \
    }                                                                                              \
    template <class P, class R, ::prefopt::tensor_like I>                                          \
        requires(Self::kind == ::prefopt::loss_kind::listwise)                                     \
    auto operator()(const P& policy, const R& reference, const I& ranking,                         \
                    const ::prefopt::listwise_options& options = {}) const {                       \
        return ::prefopt::detail::listwise_call(*this, options, policy, reference, ranking);       \
    }                                                                                              \
    template <class P, class R>                                                                    \
        requires(Self::kind == ::prefopt::loss_kind::listwise)                                     \
    ::prefopt::batch_result into(const P& policy, const R& reference,                              \
                                 const ::prefopt::listwise_outputs& outputs,                       \
                                 const ::prefopt::listwise_options& options = {}) const {          \
        return ::prefopt::detail::listwise_into(*this, options, outputs, policy, reference);       \
    }                                                                                              \
    template <class P, class R, ::prefopt::tensor_like I>                                          \
        requires(Self::kind == ::prefopt::loss_kind::listwise)                                     \
    ::prefopt::batch_result into(const P& policy, const R& reference, const I& ranking,            \
                                 const ::prefopt::listwise_outputs& outputs,                       \
                                 const ::prefopt::listwise_options& options = {}) const {          \
        return ::prefopt::detail::listwise_into(*this, options, outputs, policy, reference,        \
                                                ranking);                                          \
    }                                                                                              \
    template <class P, class R>                                                                    \
        requires(Self::kind == ::prefopt::loss_kind::listwise)                                     \
    ::prefopt::status check(const P& policy, const R& reference,                                   \
                            const ::prefopt::listwise_options& options = {},                       \
                            const ::prefopt::listwise_outputs& outputs = {}) const {               \
        return ::prefopt::detail::listwise_check(*this, options, outputs, policy, reference);      \
    }                                                                                              \
    template <class P, class R, ::prefopt::tensor_like I>                                          \
        requires(Self::kind == ::prefopt::loss_kind::listwise)                                     \
    ::prefopt::status check(const P& policy, const R& reference, const I& ranking,                 \
                            const ::prefopt::listwise_options& options = {},                       \
                            const ::prefopt::listwise_outputs& outputs = {}) const {               \
        return ::prefopt::detail::listwise_check(*this, options, outputs, policy, reference,       \
                                                 ranking);                                         \
    }
// clang-format on

}  // namespace prefopt::inline PREFOPT_ABI
