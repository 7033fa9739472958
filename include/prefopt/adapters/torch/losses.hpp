// SPDX-License-Identifier: Apache-2.0
//
// What losses over libtorch's tensors share. On the host the library's kernels compute them; on an
// accelerator the same formula runs on torch_numbers, and so it does for the derivative of a
// gradient, wherever the tensors are.

#pragma once

#include <torch/types.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <prefopt/adapters/torch/adapter.hpp>
#include <prefopt/adapters/torch/graph.hpp>
#include <prefopt/adapters/torch/number.hpp>
#include <prefopt/adapters/torch/tensors.hpp>
#include <prefopt/batch/parts.hpp>
#include <prefopt/batch/reduction.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// Whether the formula is one that operations can be given: it chooses with select.
template <class Formula>
constexpr bool torch_runs() {
    return runs_on_vectors<std::remove_cvref_t<decltype(formula_of(std::declval<Formula>()))>>;
}
template <class Formula>
status torch_check_formula() {
    if (torch_runs<Formula>()) return {};
    return fault(errc::bad_parameter, "loss",
                 "has a formula without on_vectors, which may branch on values: it runs on the "
                 "host only, and its gradient has no derivative");
}

/// (B) in what losses are computed in; differentiable.
inline at::Tensor torch_wide(const at::Tensor& t) {
    return t.reshape({-1}).to(torch_real(t.device()));
}
/// policy - reference, where there is one.
inline at::Tensor torch_log_ratio(const at::Tensor& policy, const at::Tensor& reference) {
    const at::Tensor p = policy.to(torch_real(policy.device()));
    return reference.defined() ? p - reference.to(p.scalar_type()) : p;
}

/// What `losses`, gradients and rewards are stored as: float, or double of double.
inline at::Tensor torch_stored(const at::Tensor& computed, const at::Tensor& policy) {
    return computed.to(policy.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
}

/// Examples of weight 0 are left out by selection, never by multiplying.
struct torch_weights {
    at::Tensor weights;  ///< undefined: all are 1
    double scale;        ///< of the reduction

    /// Undefined: all of them.
    [[nodiscard]] torch_mask kept() const {
        return {weights.defined() ? weights.ne(0) : at::Tensor()};
    }
    [[nodiscard]] at::Tensor only_kept(const at::Tensor& x) const {
        return weights.defined() ? keep(kept(), x) : x;
    }
    /// An example's derivative, or a list's, as that of the reduced loss.
    [[nodiscard]] at::Tensor reduced(const at::Tensor& d) const {
        if (!weights.defined()) return d * scale;
        const torch_weights w = d.dim() == 1 ? *this : torch_weights{weights.unsqueeze(1), scale};
        return w.only_kept(w.weights * scale * d);
    }
    [[nodiscard]] at::Tensor weighted(const at::Tensor& value) const {
        return weights.defined() ? only_kept(weights * value) : value;
    }
    /// Which of the kept are in this mask.
    [[nodiscard]] at::Tensor among_kept(const at::Tensor& mask) const {
        return weights.defined() ? mask.logical_and(weights.ne(0)) : mask;
    }
};

inline torch_weights torch_weights_of(const at::Tensor& weights, reduction how, std::ptrdiff_t n) {
    return {weights.defined() ? torch_wide(weights) : weights, reduction_scale(how, n)};
}

inline status torch_bad_weight(const torch_report& r, std::size_t at) {
    return r.first(at, [](double w, std::ptrdiff_t i) { return fault_weight(w, i); });
}
inline status torch_bad_count(const torch_report& r, std::size_t at, const char* name) {
    return r.first(at, [name](double n, std::ptrdiff_t i) {
        return fault_count(name, static_cast<std::int64_t>(n), i);
    });
}
inline std::size_t torch_find_bad_weight(torch_report& r, const at::Tensor& weights) {
    if (!weights.defined()) return torch_report::none;
    const at::Tensor w = torch_wide(weights);
    return r.add_first(w.isfinite().logical_and(w.ge(0)).logical_not(), w);
}
inline std::size_t torch_find_bad_count(torch_report& r, const at::Tensor& counts) {
    return counts.defined() ? r.add_first(counts.lt(1), counts) : torch_report::none;
}

/// The loss as a number of the graph: double where the device has it.
inline at::Tensor torch_loss(double loss, const at::Tensor& like) {
    return at::full({}, loss, like.options().dtype(torch_real(like.device())).requires_grad(false));
}

/// Backward of a loss. Saved are the gradients of the policy's N arguments, these arguments, and
/// then constants; `terms` makes the gradients of them, as expressions.
template <std::size_t N, class Terms>
torch_backward torch_loss_backward(const Terms& terms) {
    return [terms](const at::Tensor& arrives, const torch_list& saved) {
        std::array<at::Tensor, N> gradients;
        if (at::GradMode::is_enabled())
            gradients = terms(saved.data() + N);
        else
            for (std::size_t i = 0; i < N; ++i) gradients[i] = saved[i];
        torch_list result;
        for (std::size_t i = 0; i < N; ++i)
            result.push_back((arrives * gradients[i])
                                 .reshape(saved[N + i].sizes())
                                 .to(saved[N + i].scalar_type()));
        return result;
    };
}

/// A tensor that was passed beside the policy, as a constant of the graph.
template <class Operand, class T>
at::Tensor torch_saved(const T& t) {
    if constexpr (torch_tensor<T>)
        return torch_constant(t);
    else
        return torch_copy(Operand(t));
}
/// The same of an option.
template <class Operand>
at::Tensor torch_saved(const Operand& o) {
    const at::Tensor there = torch_tensor_of(o);
    return there.defined() ? torch_constant(there) : torch_copy(o);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
