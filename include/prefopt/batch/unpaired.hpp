// SPDX-License-Identifier: Apache-2.0
//
// The loop over single answers, each with a flag that says whether it is desirable.
//
// An unpaired formula is a value type with
//     static constexpr auto kind = loss_kind::unpaired;
//     status check_parameters() const;
//     unpaired_term<T> term(T log_ratio, bool desirable, T kl) const;   // any real scalar T
//     T reward(T log_ratio) const;
// PREFOPT_UNPAIRED_CALLS gives it operator(), into and check.

#pragma once

#include <cstddef>

#include <prefopt/batch/kind.hpp>
#include <prefopt/batch/pairwise.hpp>
#include <prefopt/batch/parts.hpp>
#include <prefopt/batch/reduction.hpp>
#include <prefopt/batch/summary.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/math/lane_sum.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// One answer's loss and its derivative with respect to its log-ratio.
template <class T>
struct unpaired_term {
    T value;
    T d_log_ratio;
};

/// Options of an unpaired call; all optional.
struct unpaired_options {
    /// mean (the default) or sum.
    prefopt::reduction reduction = prefopt::reduction::mean;
    /// (N) one finite weight >= 0 per answer. A weight of 0 leaves the answer out, NaN or not.
    input<1> weights{};
    /// The version(s) of the reference that the reference log-probs were computed under.
    prefopt::reference_versions reference_versions{};
    /// Who runs it: the calling thread unless an executor is given. The bits are the same.
    prefopt::executor executor{};
};

/// What an unpaired call writes to the caller's memory; each is (N) and optional.
struct unpaired_outputs {
    output<1> losses{};
    output<1> grad{};
    output<1> rewards{};
};

/// What an unpaired call returns. `Vector` is of the family of the first argument.
template <class Vector, class Loss = double>
struct unpaired_result {
    Loss loss{};              ///< reduced over the batch
    Vector losses;            ///< (N) one per answer, before weights
    Vector grad;              ///< (N) d loss / d policy
    Vector rewards;           ///< (N) beta * (policy - reference)
    batch_summary summary{};  ///< for preference_metrics::add
};

namespace detail {

struct unpaired_inputs {
    input<1> policy{};
    input<1> reference{};
    flag_input desirable{};
    double kl = 0;
};

/// What can be said without reading an element.
template <class Formula>
status check_unpaired_operands(const Formula& f, const unpaired_inputs& in,
                               const unpaired_options& o, const unpaired_outputs& out) {
    if (status s = f.check_parameters(); !s.ok()) return s;
    if (!is_nan(in.kl) && in.kl < 0)
        return fault_value(errc::bad_parameter, "kl",
                           "must be at least 0 (kl_estimate clamps it, after the mean)", in.kl);
    const shape b = length(in.policy.extents[0]);
    return check_operands(
        {describe("policy", in.policy), describe("reference", in.reference, b, "policy"),
         describe("desirable", in.desirable.flags, b, "policy"),
         describe("weights", o.weights, b, "policy"), describe("losses", out.losses, b, "policy"),
         describe("grad", out.grad, b, "policy"), describe("rewards", out.rewards, b, "policy")});
}

/// What the weights said, and what else there is to say of n answers.
template <class Formula>
status check_unpaired_elements(const Formula& f, const unpaired_options& o, std::ptrdiff_t n,
                               const status& weights) {
    return first_of({o.reference_versions.check_length(n), weights,
                     check_not_empty(n, o.reduction, "policy"),
                     o.reference_versions.check(current_version(f))});
}

template <class Formula>
status check_unpaired(const Formula& f, const unpaired_inputs& in, const unpaired_options& o,
                      const unpaired_outputs& out) {
    if (const status s = check_unpaired_operands(f, in, o, out); !s.ok()) return s;
    return check_unpaired_elements(f, o, in.policy.extents[0], check_weights(o.weights));
}

/// Flags as 1 and 0.
template <class G>
void read_flags(const flag_input& t, std::ptrdiff_t first, std::ptrdiff_t n, G* to) noexcept {
    if (t.flags.kind == index_kind::u8) {  // how bool is read, and most flags are stored
        const auto* flag = static_cast<const std::uint8_t*>(t.flags.data);
        const std::ptrdiff_t stride = t.flags.strides[0];
        for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = flag[(first + i) * stride] != 0 ? 1 : 0;
        return;
    }
    for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = t(first + i) ? 1 : 0;
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI

namespace prefopt::inline PREFOPT_ABI::detail::scalar {
#include <prefopt/batch/unpaired.inc>
}  // namespace prefopt::inline PREFOPT_ABI::detail::scalar

#define PREFOPT_KERNELS <prefopt/batch/unpaired.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

namespace prefopt::inline PREFOPT_ABI {
namespace detail {

template <class Formula>
batch_result run_unpaired(const Formula& f, const unpaired_inputs& in, const unpaired_options& o,
                          const unpaired_outputs& out) {
    const auto& formula = formula_of(f);
    const std::ptrdiff_t n = in.policy.extents[0];
    const double scale = reduction_scale(o.reduction, n);
    const bool coarse = reads_float_or_less(in.policy, in.reference) &&
                        writes_float(out.losses, out.grad, out.rewards);
    const auto part = [&](std::ptrdiff_t first, std::ptrdiff_t last, batch_summary& s) {
        with_set(
            active_instruction_set(),
            [&](auto level) {
                if constexpr (runs_on_vectors<std::remove_cvref_t<decltype(formula)>>)
                    if (coarse)
                        return run_answers<float>(level, formula, in, o, out, scale, first, last,
                                                  s);
                run_answers<double>(level, formula, in, o, out, scale, first, last, s);
            },
            [&] {
                run_answers<double>(scalar::level{}, formula, in, o, out, scale, first, last, s);
            });
    };
    batch_result result{.loss = 0, .summary = run_parts<batch_summary>(o.executor, n, part)};
    result.loss = result.summary.loss * scale;
    return result;
}

template <class Formula, class Like, class... Others>
auto unpaired_results(const Formula& f, const unpaired_options& o, double kl, const Like& like,
                      const Others&... others) {
    const unpaired_inputs in{like, others..., kl};
    require(check_unpaired(f, in, o, {}));
    const auto make = [&] { return make_result(like, in.policy.extents, in.policy.kind); };
    unpaired_result<decltype(make())> r{
        .loss = 0, .losses = make(), .grad = make(), .rewards = make()};
    const batch_result b = run_unpaired(f, in, o, {r.losses, r.grad, r.rewards});
    r.loss = b.loss;
    r.summary = b.summary;
    return r;
}

template <class Formula, class... Tensors>
auto unpaired_call(const Formula& f, const unpaired_options& o, double kl,
                   const Tensors&... tensors) {
    return [&]<class Like, class... Others>(const Like& like, const Others&... others) {
        if constexpr (evaluates_itself<Like, Formula, unpaired_options, double, Like, Others...>)
            return adapter<Like>::evaluate(f, o, kl, like, others...);
        else
            return unpaired_results(f, o, kl, like, others...);
    }(hold(tensors)...);
}

template <class Formula, class... Tensors>
batch_result unpaired_into(const Formula& f, const unpaired_options& o, const unpaired_outputs& out,
                           double kl, const Tensors&... tensors) {
    const unpaired_inputs in{tensors..., kl};
    require(check_unpaired(f, in, o, out));
    return run_unpaired(f, in, o, out);
}

template <class Formula, class... Tensors>
status unpaired_check(const Formula& f, const unpaired_options& o, const unpaired_outputs& out,
                      double kl, const Tensors&... tensors) {
    return [&]<class Like, class... Others>(const Like& like, const Others&... others) {
        if constexpr (checks_itself<Like, Formula, unpaired_options, unpaired_outputs, double, Like,
                                    Others...>)
            return adapter<Like>::check(f, o, out, kl, like, others...);
        else
            return check_unpaired(f, unpaired_inputs{like, others..., kl}, o, out);
    }(hold(tensors)...);
}

}  // namespace detail

/// The calls of an unpaired loss: `loss(policy, reference, desirable, kl, options)` allocates;
/// `loss.into(policy, reference, desirable, kl, outputs, options)` writes to the caller's memory
/// and never allocates; `loss.check(...)` returns what either would refuse. `desirable` is (N)
/// bool, bytes or integers, non-zero meaning desirable.
// clang-format off
#define PREFOPT_UNPAIRED_CALLS(Self)                                                               \
    template <class P, class R, class D>                                                           \
        requires(Self::kind == ::prefopt::loss_kind::unpaired)                                     \
    auto operator()(const P& policy, const R& reference, const D& desirable, double kl,            \
                    const ::prefopt::unpaired_options& options = {}) const {                       \
        return ::prefopt::detail::unpaired_call(*this, options, kl, policy, reference, desirable); \
    }                                                                                              \
    template <class P, class R, class D>                                                           \
        requires(Self::kind == ::prefopt::loss_kind::unpaired)                                     \
    ::prefopt::batch_result into(const P& policy, const R& reference, const D& desirable,          \
                                 double kl, const ::prefopt::unpaired_outputs& outputs,            \
                                 const ::prefopt::unpaired_options& options = {}) const {          \
        return ::prefopt::detail::unpaired_into(*this, options, outputs, kl, policy, reference,    \
                                                desirable);                                        \
    }                                                                                              \
    template <class P, class R, class D>                                                           \
        requires(Self::kind == ::prefopt::loss_kind::unpaired)                                     \
    ::prefopt::status check(const P& policy, const R& reference, const D& desirable, double kl,    \
                            const ::prefopt::unpaired_options& options = {},                       \
                            const ::prefopt::unpaired_outputs& outputs = {}) const {               \
        return ::prefopt::detail::unpaired_check(*this, options, outputs, kl, policy, reference,   \
                                                 desirable);                                       \
    }
// clang-format on

}  // namespace prefopt::inline PREFOPT_ABI
