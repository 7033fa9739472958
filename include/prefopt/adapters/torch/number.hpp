// SPDX-License-Identifier: Apache-2.0
//
// torch_number: a tensor that behaves like one number. A loss's one formula runs on it as it runs
// on a double or on a pack; what is computed are operations of libtorch, so it runs on the device
// that the tensors are on, and autograd can differentiate what it did.
//
// Wherever a formula chooses, it chooses before it takes an exponential: no branch overflows, and
// the derivative at the choice is the right one, at 0 too.

#pragma once

#include <torch/types.h>
#include <cmath>
#include <utility>

#include <prefopt/core/config.hpp>
#include <prefopt/math/log_sigmoid.hpp>

// In a namespace of its own: beside the library's own functions these would hide them.
namespace prefopt::inline PREFOPT_ABI::detail::operations {

/// What losses are computed in on a device: double, but for Metal, which has none.
inline at::ScalarType torch_real(const at::Device& device) {
    return device.type() == at::kMPS ? at::kFloat : at::kDouble;
}

/// One yes or no per element.
struct torch_mask {
    at::Tensor tensor;
};

inline torch_mask operator&&(const torch_mask& a, const torch_mask& b) {
    return {a.tensor.logical_and(b.tensor)};
}
inline torch_mask operator!(const torch_mask& a) { return {a.tensor.logical_not()}; }

/// One number per element, or one for all of them.
struct torch_number {
    using brings_primitives = void;

    at::Tensor tensor{};
    double number = 0;  ///< where there is no tensor: what is done with it is done on the host

    explicit torch_number(double x) : number(x) {}
    explicit torch_number(at::Tensor t) : tensor(std::move(t)) {}

    [[nodiscard]] bool for_all() const { return !tensor.defined(); }
    /// As an operation takes it. A number is a scalar argument, which needs no memory of a device
    /// and does not widen what it meets.
    [[nodiscard]] at::Tensor operand() const {
        return for_all() ? at::native::wrapped_scalar_tensor(number) : tensor;
    }
    /// One number per element of `other`.
    [[nodiscard]] at::Tensor like(const at::Tensor& other) const {
        return for_all() ? at::full_like(other, number) : tensor;
    }
};

template <class F>
torch_number each(const F& f, const torch_number& x) {
    return x.for_all() ? torch_number(f(x.number)) : torch_number(f(x.tensor));
}
/// Two scalar arguments would meet in float.
template <class F>
torch_number each(const F& f, const torch_number& x, const torch_number& y) {
    return x.for_all() && y.for_all() ? torch_number(f(x.number, y.number))
                                      : torch_number(f(x.operand(), y.operand()));
}

inline torch_number operator+(const torch_number& a, const torch_number& b) {
    return each([](const auto& x, const auto& y) { return x + y; }, a, b);
}
inline torch_number operator-(const torch_number& a, const torch_number& b) {
    return each([](const auto& x, const auto& y) { return x - y; }, a, b);
}
inline torch_number operator*(const torch_number& a, const torch_number& b) {
    return each([](const auto& x, const auto& y) { return x * y; }, a, b);
}
inline torch_number operator/(const torch_number& a, const torch_number& b) {
    return each([](const auto& x, const auto& y) { return x / y; }, a, b);
}
inline torch_number operator-(const torch_number& a) {
    return each([](const auto& x) { return -x; }, a);
}

// Comparisons are false where either side is NaN.
inline torch_mask operator<(const torch_number& a, const torch_number& b) {
    return {at::lt(a.operand(), b.operand())};
}
inline torch_mask operator>(const torch_number& a, const torch_number& b) { return b < a; }
inline torch_mask operator==(const torch_number& a, const torch_number& b) {
    return {at::eq(a.operand(), b.operand())};
}

inline torch_number exp(const torch_number& a) {
    using std::exp;
    return each([](const auto& x) { return exp(x); }, a);
}
inline torch_number expm1(const torch_number& a) {
    using std::expm1;
    return each([](const auto& x) { return expm1(x); }, a);
}
inline torch_number log(const torch_number& a) {
    using std::log;
    return each([](const auto& x) { return log(x); }, a);
}
inline torch_number log1p(const torch_number& a) {
    using std::log1p;
    return each([](const auto& x) { return log1p(x); }, a);
}

inline torch_mask is_minus_infinity(const torch_number& x) {
    return x == torch_number(-infinity_of<double>);
}

/// x where the mask says yes, `other` elsewhere, whatever x is there: its derivative is then 0.
inline at::Tensor keep(const torch_mask& m, const at::Tensor& x, double other = 0.0) {
    return x.masked_fill(m.tensor.logical_not(), other);
}

/// a where the mask says yes, b elsewhere.
inline torch_number select(const torch_mask& m, const torch_number& a, const torch_number& b) {
    if (m.tensor.dim() == 0) return m.tensor.item<bool>() ? a : b;  // of two numbers for all
    if (!a.for_all() && !b.for_all()) return torch_number(at::where(m.tensor, a.tensor, b.tensor));
    if (!a.for_all()) return torch_number(keep(m, a.tensor, b.number));
    const at::Tensor rest = b.for_all()
                                ? at::full(m.tensor.sizes(), b.number,
                                           m.tensor.options().dtype(torch_real(m.tensor.device())))
                                : b.tensor;
    return torch_number(rest.masked_fill(m.tensor, a.number));
}

inline torch_number sigmoid(const torch_number& x) {
    const torch_mask left = x < torch_number(0.0);
    const torch_number e = exp(select(left, x, -x));
    const torch_number one(1.0);
    return select(left, e, one) / (one + e);
}

inline value_and_derivative<torch_number> log_sigmoid_and_derivative(const torch_number& x) {
    const torch_mask left = x < torch_number(0.0);
    const torch_number e = exp(select(left, x, -x));
    const torch_number one(1.0);
    return {select(left, x, torch_number(0.0)) - log1p(e), select(left, one, e) / (one + e)};
}

inline value_and_derivative<torch_number> softplus_and_derivative(const torch_number& x) {
    const auto [value, derivative] = log_sigmoid_and_derivative(-x);
    return {-value, derivative};
}

}  // namespace prefopt::inline PREFOPT_ABI::detail::operations

namespace prefopt::inline PREFOPT_ABI::detail {
using operations::keep;
using operations::torch_mask;
using operations::torch_number;
using operations::torch_real;
}  // namespace prefopt::inline PREFOPT_ABI::detail
