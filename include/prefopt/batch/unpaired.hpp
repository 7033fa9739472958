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
};

/// What an unpaired call writes to the caller's memory; each is (N) and optional.
struct unpaired_outputs {
    output<1> losses{};
    output<1> grad{};
    output<1> rewards{};
};

/// What an unpaired call returns. `Vector` is of the family of the first argument.
template <class Vector>
struct unpaired_result {
    double loss = 0;          ///< reduced over the batch
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

template <class Formula>
status check_unpaired(const Formula& f, const unpaired_inputs& in, const unpaired_options& o,
                      const unpaired_outputs& out) {
    if (status s = f.check_parameters(); !s.ok()) return s;
    if (!is_nan(in.kl) && in.kl < 0)
        return fault_value(errc::bad_parameter, "kl",
                           "must be at least 0 (kl_estimate clamps it, after the mean)", in.kl);
    const std::ptrdiff_t n = in.policy.extents[0];
    const shape b = length(n);
    const status s = check_operands(
        {describe("policy", in.policy), describe("reference", in.reference, b, "policy"),
         describe("desirable", in.desirable.flags, b, "policy"),
         describe("weights", o.weights, b, "policy"), describe("losses", out.losses, b, "policy"),
         describe("grad", out.grad, b, "policy"), describe("rewards", out.rewards, b, "policy")});
    if (!s.ok()) return s;
    return first_of({o.reference_versions.check_length(n), check_weights(o.weights),
                     check_not_empty(n, o.reduction, "policy"),
                     o.reference_versions.check(current_version(f))});
}

template <class Formula>
batch_result run_unpaired(const Formula& f, const unpaired_inputs& in, const unpaired_options& o,
                          const unpaired_outputs& out) noexcept {
    const std::ptrdiff_t n = in.policy.extents[0];
    const double scale = reduction_scale(o.reduction, n);
    batch_result result;
    lane_sum<> losses;
    for (std::ptrdiff_t first = 0; first < n; first += block_size) {
        const std::ptrdiff_t m = n - first < block_size ? n - first : block_size;
        double p[block_size], p0[block_size], w[block_size];
        double value[block_size], g[block_size], reward[block_size];
        load_block(in.policy, first, m, p);
        load_block(in.reference, first, m, p0);
        load_weights(o.weights, first, m, w);
        for (std::ptrdiff_t i = 0; i < m; ++i) {
            const bool desirable = in.desirable(first + i);
            const double log_ratio = p[i] - p0[i];
            const unpaired_term<double> t = f.term(log_ratio, desirable, in.kl);
            const bool kept = w[i] != 0;  // left out by selection, never by multiplying
            value[i] = t.value;
            g[i] = kept ? w[i] * scale * t.d_log_ratio : 0.0;
            reward[i] = f.reward(log_ratio);
            ++result.summary.examples;
            if (!kept) {
                ++result.summary.unweighted;
                continue;
            }
            losses.add(i, w[i] * t.value);
            if (!is_finite(t.value)) ++result.summary.nonfinite;
            result.summary.add_answer(desirable, log_ratio, reward[i]);
        }
        store_block(out.losses, first, m, value);
        store_block(out.grad, first, m, g);
        store_block(out.rewards, first, m, reward);
    }
    result.summary.loss = losses.total();
    result.loss = result.summary.loss * scale;
    return result;
}

template <class Formula, class... Tensors>
auto unpaired_call(const Formula& f, const unpaired_options& o, double kl,
                   const Tensors&... tensors) {
    return [&]<class Like, class... Others>(const Like& like, const Others&... others) {
        const unpaired_inputs in{like, others..., kl};
        require(check_unpaired(f, in, o, {}));
        using scalar = result_scalar_t<element_t<Like>>;
        const auto make = [&] { return make_like<scalar>(like, in.policy.extents); };
        unpaired_result<decltype(make())> r{
            .loss = 0, .losses = make(), .grad = make(), .rewards = make()};
        const batch_result b = run_unpaired(f, in, o, {r.losses, r.grad, r.rewards});
        r.loss = b.loss;
        r.summary = b.summary;
        return r;
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
    return [&](const auto&... held) {
        return check_unpaired(f, unpaired_inputs{held..., kl}, o, out);
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
