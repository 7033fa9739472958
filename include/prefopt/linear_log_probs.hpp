// SPDX-License-Identifier: Apache-2.0
//
// From hidden states and the weights of the last linear layer to sequence log-probs and back,
// without the logits: (N, V) is never held. A block of it at a time is multiplied out, reduced or
// turned into its gradient, and forgotten. As in Wijmans et al., "Cut Your Losses in Large-
// Vocabulary Language Models", 2411.09009; exact, nothing is filtered.
//
// The matrix products are the caller's: prefopt::cblas_gemm (adapters/cblas.hpp), eigen_gemm
// (adapters/eigen_gemm.hpp), or any callable as core/gemm.hpp describes it.

#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <prefopt/batch/linear.hpp>
#include <prefopt/batch/linear_operands.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/log_probs.hpp>
#include <prefopt/math/lane_sum.hpp>
#include <prefopt/simd/row_partial.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// What linear_log_probs returns: the scores of sequence_log_probs, and what backward needs.
template <class Sums, class Counts>
struct linear_scores : sequence_scores<Sums, Counts> {
    std::vector<row_partial> partials{};  ///< (N)
};

namespace detail {

/// The operands, checked but for the workspace, and the sizes of what they need.
template <class T, class Options>
struct linear_call {
    const linear_batch& batch;
    const Options& options;
    linear_blocks blocks{options.row_block, options.vocab_block};
    linear_plan<T> plan{batch, blocks};

    [[nodiscard]] std::ptrdiff_t need() const noexcept { return plan.sizes(batch, blocks).total(); }

    /// f(work) on the caller's memory where it is enough, else on some of ours.
    template <class F>
    decltype(auto) with_memory(const F& f) const {
        const enough<std::byte> workspace(options.workspace, need());
        return f(linear_work<T>(batch, plan, blocks, workspace.memory()));
    }
    /// f(work) on the caller's memory, or an error.
    template <class F>
    decltype(auto) with_workspace(const F& f) const {
        require(check_workspace(need(), options.workspace));
        return f(linear_work<T>(batch, plan, blocks, options.workspace));
    }
};

/// f.template operator()<T>() with the scalar type of the hidden rows, once it is clear that the
/// gemm takes it.
template <class Gemm, class H, class W, class F>
decltype(auto) with_linear_scalar(scalar_kind kind, const F& f) {
    using hidden = element_t<H>;
    using weights = element_t<W>;
    constexpr bool dynamic = std::is_void_v<hidden> || std::is_void_v<weights>;
    static_assert(dynamic || (std::is_floating_point_v<hidden> && std::is_same_v<hidden, weights>),
                  "prefopt: hidden and weights must both hold float, or both double: a gemm reads "
                  "them as they are. Convert 16-bit ones first.");
    constexpr bool takes_them = [] {
        if constexpr (dynamic)
            return gemm_for<Gemm, float> && gemm_for<Gemm, double>;
        else
            return gemm_for<Gemm, hidden>;
    }();
    static_assert(
        takes_them,
        "prefopt: the first argument must be a gemm, callable with a prefopt::gemm_task<T> (see "
        "<prefopt/core/gemm.hpp>): prefopt::cblas_gemm of <prefopt/adapters/cblas.hpp>, or "
        "prefopt::eigen_gemm of <prefopt/adapters/eigen_gemm.hpp>");
    if constexpr (!dynamic)
        return f.template operator()<hidden>();
    else
        return kind == scalar_kind::f64 ? f.template operator()<double>()
                                        : f.template operator()<float>();
}

struct linear_log_probs_fn {
    /// sum over t of log softmax(weights hidden[b, t] + bias)[labels[b, t]]: sequence_log_probs of
    /// logits that never exist. Scratch does not grow with V.
    ///
    /// gemm: see core/gemm.hpp. hidden: (B, T, D), or packed (N, D) with `.offsets`, or (N, D) as
    /// one sequence; weights (V, D); both float or both double, row-major or column-major with any
    /// leading dimension. labels: (B, T) or (N), any integer type; the rows of negative ones are
    /// not read and cost nothing.
    ///
    /// Returns sum and count (B), a report, and the partials (N) that backward can use. A log-prob
    /// is never above 0 and confident tokens keep their digits; it is that of the logits that the
    /// gemm computes, whose rounding is the gemm's own.
    ///
    /// Errors: as sequence_log_probs; bad_stride, where a gemm could not read a matrix.
    ///
    ///     auto scored = prefopt::linear_log_probs(prefopt::cblas_gemm, hidden, weights, labels);
    template <class G, class H, class W, class Y>
    auto operator()(const G& gemm, const H& hidden, const W& weights, const Y& labels,
                    const linear_options& o = {}) const {
        const auto& held = hold(hidden);
        const auto& held_weights = hold(weights);
        const auto& held_labels = hold(labels);
        const linear_batch s(held, held_weights, held_labels, o.offsets, o.bias);
        require(check_linear(s, {o.row_block, o.vocab_block}, largest_extent<G>(), o.workspace, {},
                             {}, {}));
        std::vector<row_partial> partials(static_cast<std::size_t>(s.rows()));
        auto scores = make_scores(held, s, [&](const sequence_outputs& out) {
            return with_linear_scalar<G, held_t<H>, held_t<W>>(s.logits.kind, [&]<class T>() {
                return linear_call<T, linear_options>{s, o}.with_memory([&](const auto& work) {
                    return run(work, gemm, {out.sum, out.count, partials}, o.executor);
                });
            });
        });
        using result = linear_scores<decltype(scores.sum), decltype(scores.count)>;
        return result{std::move(scores), std::move(partials)};
    }

    /// The same into the caller's memory and workspace; never allocates (the gemm may).
    template <class G, class H, class W, class Y>
    sequence_report into(const G& gemm, const H& hidden, const W& weights, const Y& labels,
                         const linear_outputs& out, const linear_options& o = {}) const {
        const linear_batch s(hidden, weights, labels, o.offsets, o.bias);
        require(check_linear(s, {o.row_block, o.vocab_block}, largest_extent<G>(), o.workspace, out,
                             {}, {}));
        return with_linear_scalar<G, H, W>(s.logits.kind, [&]<class T>() {
            return linear_call<T, linear_options>{s, o}.with_workspace(
                [&](const auto& work) { return run(work, gemm, out, o.executor); });
        });
    }

    template <class G, class H, class W, class Y>
    status check(const G&, const H& hidden, const W& weights, const Y& labels,
                 const linear_options& o = {}, const linear_outputs& out = {}) const {
        const auto& held = hold(hidden);
        const auto& held_weights = hold(weights);
        const auto& held_labels = hold(labels);
        const linear_batch s(held, held_weights, held_labels, o.offsets, o.bias);
        const status found = check_linear(s, {o.row_block, o.vocab_block}, largest_extent<G>(),
                                          o.workspace, out, {}, {});
        const bool into = out.sum.has_value || out.count.has_value || out.partials.has_value;
        if (!found.ok() || !into) return found;
        return with_linear_scalar<G, held_t<H>, held_t<W>>(s.logits.kind, [&]<class T>() {
            return check_workspace(linear_call<T, linear_options>{s, o}.need(), o.workspace);
        });
    }

private:
    template <class T, class G>
    static sequence_report run(const linear_work<T>& work, const G& gemm, const linear_outputs& out,
                               const executor& e) {
        reduce_tiles(work, gemm, e);
        const linear_batch& s = work.batch();
        const std::span<const linear_row<T>> rows = work.rows();
        const sequence_outputs scores{out.sum, out.count};
        const auto write = writer(scores);
        const instruction_set set = active_instruction_set();
        sequence_report report;
        report.rows = s.rows();
        auto next = rows.begin();
        for (std::ptrdiff_t b = 0; b < s.sequences(); ++b) {
            lane_sum<> sum;
            std::int64_t count = 0;
            const std::ptrdiff_t end = s.start(b + 1);
            for (; next != rows.end() && next->row < end; ++next) {
                const double log_prob = finish<T>(next->partial, set).log_prob;
                if (!is_finite(log_prob)) ++report.nonfinite;
                sum.add(count++, log_prob);
            }
            report.scored += count;
            if (count == 0) ++report.empty;
            write(b, sum.total(), count);
        }
        if (!out.partials.has_value) return report;
        for (row_partial& p : out.partials) p = {};
        for (const auto& r : rows) out.partials[r.row] = r.partial;
        return report;
    }
};

struct linear_log_probs_backward_fn {
    /// The gradients of a loss with d loss / d sum = grad_sum (B), through the logits
    /// d_logits[b, t, :] = grad_sum[b] * (onehot(labels[b, t]) - softmax), which are never held:
    ///     to.hidden (N, D) = d_logits weights,  to.weights (V, D) = d_logits^T hidden,
    ///     to.bias (V) = d_logits^T 1.
    ///
    /// With the `.partials` of the forward call each logit is computed once more, else twice. A
    /// sequence with a coefficient of 0 takes no part, whatever its rows.
    ///
    /// Errors: as linear_log_probs; aliasing, where a gradient shares memory with anything.
    ///
    ///     prefopt::linear_log_probs_backward(gemm, hidden, weights, labels, result.grad_chosen,
    ///                                        {.hidden = grad_hidden, .weights = grad_weights},
    ///                                        {.partials = scored.partials});
    template <class G, class H, class W, class Y, class C>
    void operator()(const G& gemm, const H& hidden, const W& weights, const Y& labels,
                    const C& grad_sum, const linear_gradients& to,
                    const linear_backward_options& o = {}) const {
        const auto& held = hold(hidden);
        const auto& held_weights = hold(weights);
        const auto& held_labels = hold(labels);
        const auto& held_grad = hold(grad_sum);
        const linear_batch s(held, held_weights, held_labels, o.offsets, o.bias, held_grad);
        require(checked(s, o, largest_extent<G>(), to));
        with_linear_scalar<G, held_t<H>, held_t<W>>(s.logits.kind, [&]<class T>() {
            linear_call<T, linear_backward_options>{s, o}.with_memory(
                [&](const auto& work) { run(work, gemm, to, o); });
        });
    }

    /// The same in the caller's workspace; never allocates (the gemm may).
    template <class G, class H, class W, class Y, class C>
    void into(const G& gemm, const H& hidden, const W& weights, const Y& labels, const C& grad_sum,
              const linear_gradients& to, const linear_backward_options& o = {}) const {
        const linear_batch s(hidden, weights, labels, o.offsets, o.bias, grad_sum);
        require(checked(s, o, largest_extent<G>(), to));
        with_linear_scalar<G, H, W>(s.logits.kind, [&]<class T>() {
            linear_call<T, linear_backward_options>{s, o}.with_workspace(
                [&](const auto& work) { run(work, gemm, to, o); });
        });
    }

    template <class G, class H, class W, class Y, class C>
    status check(const G&, const H& hidden, const W& weights, const Y& labels, const C& grad_sum,
                 const linear_gradients& to, const linear_backward_options& o = {}) const {
        const auto& held = hold(hidden);
        const auto& held_weights = hold(weights);
        const auto& held_labels = hold(labels);
        const auto& held_grad = hold(grad_sum);
        const linear_batch s(held, held_weights, held_labels, o.offsets, o.bias, held_grad);
        return checked(s, o, largest_extent<G>(), to);
    }

private:
    static status checked(const linear_batch& s, const linear_backward_options& o,
                          std::ptrdiff_t largest, const linear_gradients& to) {
        return check_linear(s, {o.row_block, o.vocab_block}, largest, o.workspace, {}, o.partials,
                            to);
    }

    template <class T, class G>
    static void run(const linear_work<T>& work, const G& gemm, const linear_gradients& to,
                    const linear_backward_options& o) {
        if (!o.partials.has_value) reduce_tiles(work, gemm, o.executor);
        const instruction_set set = active_instruction_set();
        for (linear_row<T>& r : work.rows()) {
            if (o.partials.has_value) r.partial = o.partials[r.row];
            r.statistics = finish<T>(r.partial, set);
        }
        const linear_batch& s = work.batch();
        linear_targets<T> targets;
        targets.accumulate = o.accumulate;
        if (to.hidden.rows.has_value)
            targets.hidden = {static_cast<T*>(to.hidden.rows.data), s.rows(), s.width(),
                              layout_of_rows(to.hidden.rows)};
        if (to.weights.has_value)
            targets.weights = {static_cast<T*>(to.weights.data), s.vocab(), s.width(),
                               layout_of(to.weights)};
        if (to.bias.has_value)
            targets.bias = {static_cast<T*>(to.bias.data), 1, s.vocab(), {s.vocab(), false}};
        differentiate_tiles(work, gemm, targets, o.executor);
    }
};

}  // namespace detail

inline constexpr detail::linear_log_probs_fn linear_log_probs{};
inline constexpr detail::linear_log_probs_backward_fn linear_log_probs_backward{};

}  // namespace prefopt::inline PREFOPT_ABI
