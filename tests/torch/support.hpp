// SPDX-License-Identifier: Apache-2.0
//
// What the tests of libtorch's adapter share: tensors and plain memory of the same numbers, every
// loss as a function of the policy's tensors, and gradients by central differences.

#pragma once

#include <torch/torch.h>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <prefopt/adapters/torch.hpp>
#include <prefopt/prefopt.hpp>

namespace prefopt_test {

using prefopt::errc;
using tensors = std::vector<at::Tensor>;

template <class S>
constexpr at::ScalarType type_of() {
    return prefopt::detail::torch_type(prefopt::element_kind_of<S>());
}

/// Log-probs of that shape, in double; the same for the same seed.
inline at::Tensor numbers(at::IntArrayRef shape, double seed) {
    const at::Tensor i = at::arange(1, at::Tensor(at::empty(shape)).numel() + 1, at::kDouble);
    return (i * seed).fmod(4).neg().reshape(shape);
}

/// A tensor's elements, row by row.
template <class S>
std::vector<S> plain(const at::Tensor& t) {
    const at::Tensor c = t.detach().contiguous();
    std::vector<S> v(static_cast<std::size_t>(c.numel()));
    if (!v.empty()) std::memcpy(v.data(), c.data_ptr(), v.size() * sizeof(S));
    return v;
}

/// Whether a tensor holds these very bits.
template <class S>
bool same(const at::Tensor& t, const S* p, std::size_t n) {
    const std::vector<S> v = plain<S>(t);
    return t.scalar_type() == type_of<S>() && v.size() == n &&
           std::memcmp(v.data(), p, n * sizeof(S)) == 0;
}
template <class V>
bool same(const at::Tensor& t, const V& v) {
    return same(t, v.data(), v.size());
}

/// The largest difference, relative to values above 1.
inline double difference(const at::Tensor& a, const at::Tensor& b) {
    if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return 1e300;
    if (a.numel() == 0) return 0;
    const at::Tensor x = a.detach().to(at::kDouble);
    const at::Tensor y = b.detach().to(at::kDouble);
    if (!at::equal(x.isnan(), y.isnan())) return 1e300;
    const at::Tensor d = at::where(x.eq(y), at::zeros_like(x), (x - y).abs());
    return (d / y.abs().clamp_min(1)).nan_to_num(0).max().item<double>();
}

/// A function of the policy's tensors, and where to ask for its derivative.
struct differentiable {
    std::string name;
    tensors at;
    std::function<at::Tensor(const tensors&)> f;
};

inline tensors leaves(const tensors& at) {
    tensors x;
    for (const at::Tensor& t : at) x.push_back(t.detach().clone().requires_grad_());
    return x;
}

/// The worst difference between autograd's gradient and central differences.
inline double gradient_error(const differentiable& d) {
    const tensors x = leaves(d.at);
    const tensors g = torch::autograd::grad({d.f(x)}, x);
    double worst = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
        const at::Tensor measured = at::empty_like(x[k]);
        for (std::int64_t i = 0; i < x[k].numel(); ++i) {
            constexpr double h = 1e-5;
            const auto moved = [&](double by) {
                tensors y = d.at;
                y[k] = y[k].clone();
                y[k].view(-1)[i] += by;
                const c10::NoGradGuard off;
                return d.f(y).item<double>();
            };
            measured.view(-1)[i] = (moved(h) - moved(-h)) / (2 * h);
        }
        worst = std::max(worst, difference(g[k], measured));
    }
    return worst;
}

/// The same for the gradient itself, along a fixed direction.
inline double second_gradient_error(const differentiable& d) {
    const auto along = [&](const tensors& x) {
        const at::AutoGradMode on(true);
        tensors y = x;
        if (!x[0].requires_grad()) y = leaves(x);
        const tensors g = torch::autograd::grad({d.f(y)}, y, {}, true, true);
        at::Tensor sum = at::zeros({}, at::kDouble);
        for (std::size_t k = 0; k < g.size(); ++k)
            sum = sum + (g[k] * numbers(g[k].sizes(), 0.77)).sum();
        return sum;
    };
    return gradient_error({d.name, d.at, along});
}

inline prefopt::status refusal(const std::function<void()>& f) {
    try {
        f();
    } catch (const prefopt::error& e) {
        return e.status();
    }
    return {};
}

}  // namespace prefopt_test
