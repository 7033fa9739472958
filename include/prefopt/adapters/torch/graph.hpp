// SPDX-License-Identifier: Apache-2.0
//
// A call of this library as a node of libtorch's graph. The value has been computed; backward
// multiplies what arrives with the closed-form gradient, or, where the derivative must be
// differentiable itself (create_graph), with the same gradient as an expression over the inputs.

#pragma once

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

using torch_list = std::vector<at::Tensor>;

/// What backward does: from what arrives and what was saved, the gradient of each input. It is
/// asked for a differentiable one where gradients are being recorded.
using torch_backward =
    std::function<torch_list(const at::Tensor& arrives, const torch_list& saved)>;

/// A tensor that the derivative takes for a constant, as autograd lets one save it.
inline at::Tensor torch_constant(const at::Tensor& t) {
    if (!t.defined()) return t;
    return t.is_inference() ? t.clone() : t.detach();
}

struct torch_node : torch::autograd::Function<torch_node> {
    struct state final : torch::CustomClassHolder {
        at::Tensor value;
        torch_list saved;
        torch_backward backward;
        std::size_t inputs = 0;
    };
    using context = torch::autograd::AutogradContext;

    template <class... Inputs>
    static at::Tensor forward(context* to, const c10::intrusive_ptr<state>& s, const Inputs&...) {
        to->save_for_backward(std::move(s->saved));
        to->saved_data["state"] = c10::IValue::make_capsule(s);
        return std::move(s->value);
    }

    static torch_list backward(context* from, const torch_list& arrives) {
        const auto capsule = from->saved_data["state"].toCapsule();
        const auto& s = static_cast<const state&>(*capsule);
        torch_list gradients = s.backward(arrives[0], from->get_saved_variables());
        gradients.resize(s.inputs);
        gradients.insert(gradients.begin(), at::Tensor());  // for the state
        return gradients;
    }
};

/// `value` as a function of the inputs, of which at least one requires a gradient.
template <class... Inputs>
at::Tensor torch_connect(at::Tensor value, torch_list saved, torch_backward backward,
                         const Inputs&... inputs) {
    auto s = c10::make_intrusive<torch_node::state>();
    s->value = std::move(value);
    s->saved = std::move(saved);
    s->backward = std::move(backward);
    s->inputs = sizeof...(inputs);
    return torch_node::apply(s, inputs...);
}

/// Whether a graph is being recorded, and one of these is in it.
template <class... Inputs>
bool torch_records(const Inputs&... inputs) {
    return at::GradMode::is_enabled() && (inputs.requires_grad() || ...);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
