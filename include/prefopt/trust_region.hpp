// SPDX-License-Identifier: Apache-2.0
//
// Trust-region alignment: a reference that follows the policy (Gorbatovski et al., "Learn your
// reference model for real good alignment", arXiv 2404.09656). TR-DPO, TR-IPO, TR-KTO, and the same
// for rankings.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <prefopt/batch/listwise.hpp>
#include <prefopt/batch/pairwise.hpp>
#include <prefopt/batch/unpaired.hpp>
#include <prefopt/core/arithmetic.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/core/executor.hpp>
#include <prefopt/core/ranges.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/simd/reference_update.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// When and how far the reference moves: after every `every`-th optimizer step,
/// reference <- reference + alpha (policy - reference).
///
/// A 16-bit reference, rounded to nearest, stalls where alpha |policy - reference| is under half
/// its spacing. Rounded stochastically it moves, on the average, as a float one does. Float and
/// double references are rounded to nearest.
struct reference_update {
    double alpha = 0.6;
    std::int64_t every = 1;
    prefopt::rounding rounding = prefopt::rounding::nearest;  ///< of 16-bit references only
    std::uint64_t seed = 0;  ///< of stochastic rounding; a shard of a tensor needs one of its own
};

struct soft_update_options {
    double alpha = 0.6;      ///< weight of the policy, in [0, 1]; the paper uses 0.5 to 0.6
    std::int64_t every = 1;  ///< optimizer steps between two updates
    prefopt::rounding rounding = prefopt::rounding::nearest;  ///< of 16-bit references only
    std::uint64_t seed = 0;                                   ///< of stochastic rounding
};
struct hard_update_options {
    std::int64_t every = 512;  ///< optimizer steps between two updates; the paper uses 512
};

/// The reference moves a part of the way (equation 8 of the paper).
///
///     prefopt::soft_update({.alpha = 0.005, .rounding = prefopt::rounding::stochastic, .seed = 1})
constexpr reference_update soft_update(soft_update_options o = {}) noexcept {
    return {.alpha = o.alpha, .every = o.every, .rounding = o.rounding, .seed = o.seed};
}
/// The reference becomes the policy (equation 9 of the paper).
constexpr reference_update hard_update(hard_update_options o = {}) noexcept {
    return {.alpha = 1.0, .every = o.every};
}

/// How one step is carried out.
struct step_options {
    prefopt::executor executor{};  ///< serial by default; the bits do not depend on it
};

/// All that a trust region remembers. Save it with the optimizer's state and assign it back. The
/// random bits of stochastic rounding follow from it, the seed, and each element's place.
struct trust_region_state {
    std::uint64_t steps = 0;    ///< optimizer steps seen
    std::uint64_t version = 0;  ///< how often the reference has moved
};

namespace detail {

/// One parameter tensor of any rank, erased.
struct parameter {
    operand view{};
    void* data = nullptr;      ///< null for the policy, which is only read
    std::ptrdiff_t first = 0;  ///< blocks of elements before this tensor's
};

template <bool Written, class T>
parameter as_parameter(T&& t) {
    using tensor_type = std::remove_cvref_t<T>;
    static_assert(require_tensor<tensor_type>());
    static_assert(!expression<tensor_type> || viewable<tensor_type>,
                  "prefopt: an expression cannot be a parameter tensor. Pass the tensor itself.");
    static_assert(
        std::is_lvalue_reference_v<T> || borrowed<tensor_type>,
        "prefopt: a temporary cannot be a parameter tensor: it would be gone before it is "
        "read. Pass a range of tensors or of views, not one that makes them.");
    if constexpr (viewable<tensor_type>) {
        const auto describe_of = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) {
            if constexpr (Written) {
                const output<R> out(static_cast<T&&>(t));
                return parameter{describe("reference_parameters", out), out.data, 0};
            } else {
                return parameter{describe("policy_parameters", input<R>(t)), nullptr, 0};
            }
        };
        return with_rank(t, describe_of);
    }
    return {};
}

template <class T>
concept tuple_like = requires {
    std::tuple_size<std::remove_cvref_t<T>>::value;
}
&&!std::ranges::range<T>;

/// A range, a tuple, or a single tensor, as a list of parameters. (Parameter is always what it is,
/// and the vector compiled only where one is made.)
template <bool Written, class Tensors, class Parameter = parameter>
std::vector<Parameter> parameters_of(Tensors&& tensors) {
    std::vector<Parameter> list;
    if constexpr (tensor_like<std::remove_cvref_t<Tensors>>) {
        list.push_back(as_parameter<Written>(static_cast<Tensors&&>(tensors)));
    } else if constexpr (tuple_like<Tensors>) {
        std::apply([&](auto&... t) { (list.push_back(as_parameter<Written>(t)), ...); }, tensors);
    } else {
        static_assert(
            std::ranges::range<Tensors>,
            "prefopt: parameters are a range of tensors, a tuple of tensors, or a tensor");
        if constexpr (std::ranges::sized_range<Tensors>)
            list.reserve(static_cast<std::size_t>(std::ranges::size(tensors)));
        for (auto&& t : tensors)
            list.push_back(as_parameter<Written>(static_cast<decltype(t)&&>(t)));
    }
    return list;
}

/// Every tensor of both lists, before the first is touched. `index` is the tensor's number. A
/// template, like what moves the reference: so that nobody pays for it who moves none.
template <class List>
status check_parameters(List& policy, List& reference) {
    if (policy.size() != reference.size())
        return detail::fault_shape(errc::shape_mismatch, "reference_parameters",
                                   "must be as many tensors as policy_parameters:",
                                   length(static_cast<std::ptrdiff_t>(reference.size())),
                                   length(static_cast<std::ptrdiff_t>(policy.size())));
    for (std::size_t i = 0; i < policy.size(); ++i) {
        reference[i].view.wanted = policy[i].view.extents;
        reference[i].view.like = "policy_parameters' tensor of that number";
    }
    for (const operand_rule& rule : operand_rules)
        for (const List* list : {&policy, &reference})
            for (std::size_t i = 0; i < list->size(); ++i)
                if (const operand& o = (*list)[i].view; rule.why(o) != nullptr) {
                    status s = fault_operand(rule, o);
                    s.index = static_cast<std::int64_t>(i);
                    return s;
                }

    // Aliasing, by a sweep over the address ranges: nothing may share memory with a reference.
    struct entry {
        byte_range bytes;
        const operand* view;
        std::size_t index;
        bool written;
    };
    std::vector<entry> entries;
    for (std::size_t i = 0; i < policy.size(); ++i)
        for (const auto* p : {&policy[i], &reference[i]})
            if (!p->view.empty())
                entries.push_back({bytes_of(p->view), &p->view, i, p == &reference[i]});
    // std::sort's header would be a fourteenth of what including this one costs.
    const auto in_order = [](const void* x, const void* y) {
        const auto& a = *static_cast<const entry*>(x);
        const auto& b = *static_cast<const entry*>(y);
        if (a.bytes.begin != b.bytes.begin) return a.bytes.begin < b.bytes.begin ? -1 : 1;
        return a.index < b.index ? -1 : a.index > b.index ? 1 : 0;
    };
    if (!entries.empty()) std::qsort(entries.data(), entries.size(), sizeof(entry), in_order);
    for (std::size_t i = 0; i < entries.size(); ++i)
        for (std::size_t j = i + 1;
             j < entries.size() && entries[j].bytes.begin < entries[i].bytes.end; ++j) {
            const entry& a = entries[i];
            const entry& b = entries[j];
            if ((!a.written && !b.written) || !overlap(*a.view, *b.view)) continue;
            const bool tied = a.written && b.written;
            const std::size_t index =
                a.written && (!b.written || a.index > b.index) ? a.index : b.index;
            return detail::fault(errc::aliasing, "reference_parameters",
                                 tied ? "shares memory with an earlier reference tensor: tied "
                                        "tensors would move twice, list them once"
                                      : "shares memory with the policy",
                                 static_cast<std::int64_t>(index));
        }
    return {};
}

/// The work is dealt out in blocks of so many elements of one tensor: a multiple of every vector.
inline constexpr std::ptrdiff_t update_block = 64;

/// All tensors, as one range of blocks.
template <class List>
void update_parameters(const List& policy, List& reference, const update_rule& rule,
                       const executor& executor) {
    const auto size = [](const parameter& p) {
        std::ptrdiff_t n = 1;
        for (std::size_t i = 0; i < p.view.extents.rank; ++i) n *= p.view.extents.extents[i];
        return n;
    };
    std::ptrdiff_t blocks = 0;
    for (parameter& r : reference) {
        r.first = blocks;
        blocks += (size(r) + update_block - 1) / update_block;
    }
    for_range(
        executor, blocks, blocks * update_block, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
            std::size_t number = 0;  // the last that does not start behind `begin`
            for (std::size_t behind = reference.size(); behind - number > 1;) {
                const std::size_t middle = number + (behind - number) / 2;
                (reference[middle].first <= begin ? number : behind) = middle;
            }
            for (; number < reference.size(); ++number) {
                const parameter& r = reference[number];
                if (r.first >= end) break;
                const std::ptrdiff_t first = larger(begin - r.first, 0) * update_block;
                const std::ptrdiff_t last = smaller((end - r.first) * update_block, size(r));
                if (first < last)
                    update_elements(policy[number].view, r.view, r.data, number, first, last, rule);
            }
        });
}

}  // namespace detail

/// A loss whose reference follows the policy. It is called like the loss itself; `step` is called
/// once after every optimizer step.
///
/// Parameters are mixed, not probabilities; the optimizer's state is untouched; there is no other
/// constraint. After a hard update every log-ratio starts again from zero, so rewards and losses
/// are not comparable across it, and reference log-probs computed before it are stale: stamp them
/// with `version()` and pass `{.reference_versions = stamp}`; a call that mixes versions is refused
/// with stale_reference.
///
///     prefopt::tr_dpo loss{.loss = {.beta = 0.1}, .update = prefopt::soft_update({.alpha = 0.6})};
///     auto result = loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected);
///     // ... backward, optimizer.step() ...
///     loss.step(policy_parameters, reference_parameters);
template <class Loss>
struct trust_region {
    static_assert(has_reference<Loss>,
                  "prefopt: trust_region needs a loss with a reference; this one has none");

    Loss loss{};
    reference_update update{};
    trust_region_state state{};  ///< public, so that it can be saved and restored

    static constexpr auto kind = Loss::kind;
    static constexpr bool has_reference = true;
    static constexpr bool on_vectors = detail::runs_on_vectors<Loss>;
    static constexpr bool length_averaged = detail::is_length_averaged<Loss>;

    /// How often the reference has moved: the stamp for log-probs computed under it.
    [[nodiscard]] constexpr std::uint64_t version() const noexcept { return state.version; }

    /// Counts one optimizer step and, if it is the `every`-th, moves the reference. Returns whether
    /// it moved.
    ///
    /// Both arguments are ranges (or tuples) of adapted tensors of equal shapes in equal order, of
    /// rank 1 to 4; float, double, bf16 and fp16 mix freely. Computed in double where either side
    /// is double, else in float, and rounded once (stochastically: the float, to one of its two
    /// neighbours; a float whose 16 bits are exact, or that is beyond the largest of them, as to
    /// nearest): alpha = 0 changes no bit, alpha = 1 copies all between equal types, equal entries
    /// stay equal. The bits depend on neither executor, instruction set nor memory layout.
    ///
    ///     loss.step(policy_parameters, reference_parameters, {.executor = pool});
    ///
    /// Errors: bad_parameter for alpha outside [0, 1] or every < 1; shape_mismatch, null_pointer,
    /// bad_stride, misaligned with the tensor's number; aliasing for a reference tensor listed
    /// twice (tied) or shared with the policy. All tensors are checked before the first is touched,
    /// and a refused step is not counted.
    template <class Policy, class Reference>
    bool step(Policy&& policy_parameters, Reference&& reference_parameters,
              const step_options& options = {}) {
        detail::require(check_update());
        auto policy = detail::parameters_of<false>(policy_parameters);
        auto reference =
            detail::parameters_of<true>(static_cast<Reference&&>(reference_parameters));
        detail::require(detail::check_parameters(policy, reference));
        ++state.steps;
        if (update.alpha == 0 || state.steps % static_cast<std::uint64_t>(update.every) != 0)
            return false;
        const detail::update_rule rule{update.alpha, update.rounding, update.seed, state.version};
        detail::update_parameters(policy, reference, rule, options.executor);
        ++state.version;
        return true;
    }

    /// What `step` would refuse.
    template <class Policy, class Reference>
    status check_step(Policy&& policy_parameters, Reference&& reference_parameters) const {
        if (status s = check_update(); !s.ok()) return s;
        auto policy = detail::parameters_of<false>(policy_parameters);
        auto reference =
            detail::parameters_of<true>(static_cast<Reference&&>(reference_parameters));
        return detail::check_parameters(policy, reference);
    }

    /// The formula is the loss's own.
    [[nodiscard]] constexpr const Loss& formula() const noexcept { return loss; }
    template <class T>
        requires(kind == loss_kind::pairwise)
    [[nodiscard]] constexpr auto term(const T& chosen, const T& rejected) const {
        return loss.term(chosen, rejected);
    }
    template <class T, class Flag>
        requires(kind == loss_kind::unpaired)
    [[nodiscard]] constexpr auto term(const T& log_ratio, const Flag& desirable,
                                      const T& kl) const {
        return loss.term(log_ratio, desirable, kl);
    }
    template <class T>
        requires(kind == loss_kind::listwise)
    constexpr T term(std::span<T> log_ratios, std::size_t placed) const {
        return loss.term(log_ratios, placed);
    }
    template <class T>
    [[nodiscard]] constexpr T reward(const T& log_ratio) const {
        return loss.reward(log_ratio);
    }
    [[nodiscard]] constexpr status check_parameters() const noexcept {
        const status s = loss.check_parameters();
        return s.ok() ? check_update() : s;
    }

    PREFOPT_PAIRWISE_CALLS(trust_region)
    PREFOPT_UNPAIRED_CALLS(trust_region)
    PREFOPT_LISTWISE_CALLS(trust_region)

private:
    [[nodiscard]] constexpr status check_update() const noexcept {
        if (update.every < 1)
            return detail::fault_value(errc::bad_parameter, "every",
                                       "must be at least 1 optimizer step", update.every);
        return detail::check_range("alpha", update.alpha, 0.0, 1.0, true, "must lie in [0, 1]");
    }
};

using tr_dpo = trust_region<dpo>;
using tr_ipo = trust_region<ipo>;
using tr_kto = trust_region<kto>;
using tr_plackett_luce_dpo = trust_region<plackett_luce_dpo>;

}  // namespace prefopt::inline PREFOPT_ABI
