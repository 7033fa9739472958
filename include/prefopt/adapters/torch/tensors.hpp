// SPDX-License-Identifier: Apache-2.0
//
// How a tensor of libtorch is seen: as host memory, as why it cannot be, or, on an accelerator, as
// a shape to be checked and a handle to be computed with.
//
// Options of a call have forgotten what they were made of. An operand made of a tensor that is not
// on the host keeps a pointer to it where others keep their memory, under a refusal of its own;
// what knows how to compute there takes the tensor out, everybody else reports the refusal.

#pragma once

#include <torch/types.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <prefopt/adapters/torch/number.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

template <class T>
concept torch_tensor = std::is_base_of_v<at::Tensor, T>;

inline thread_local bool torch_operations_forced = false;

/// A switch for tests: while one of these lives, this thread treats tensors on the host as if they
/// were on an accelerator, and computes losses with libtorch's operations.
struct torch_on_operations {
    torch_on_operations() : before(torch_operations_forced) { torch_operations_forced = true; }
    ~torch_on_operations() { torch_operations_forced = before; }
    torch_on_operations(const torch_on_operations&) = delete;
    torch_on_operations& operator=(const torch_on_operations&) = delete;

    bool before;
};

inline constexpr const char* torch_elsewhere =
    "is on an accelerator, whose memory this call cannot read; call .cpu() first";
inline constexpr const char* torch_not_there = "must be on the device of the call's first tensor";

/// Whether it is computed where it is, with libtorch's operations.
inline bool torch_is_elsewhere(const at::Tensor& t) {
    return t.defined() && !t.is_meta() && (!t.is_cpu() || torch_operations_forced);
}

inline std::optional<element_kind> torch_kind(at::ScalarType type) {
    switch (type) {
        case at::kFloat: return element_kind::f32;
        case at::kDouble: return element_kind::f64;
        case at::kBFloat16: return element_kind::bf16;
        case at::kHalf: return element_kind::fp16;
        case at::kChar: return element_kind::i8;
        case at::kShort: return element_kind::i16;
        case at::kInt: return element_kind::i32;
        case at::kLong: return element_kind::i64;
        case at::kByte: return element_kind::u8;
        case at::kBool: return element_kind::boolean;
        default: return {};
    }
}
inline at::ScalarType torch_type(element_kind kind) {
    switch (kind) {
        case element_kind::f32: return at::kFloat;
        case element_kind::f64: return at::kDouble;
        case element_kind::bf16: return at::kBFloat16;
        case element_kind::fp16: return at::kHalf;
        case element_kind::i8: return at::kChar;
        case element_kind::i16: return at::kShort;
        case element_kind::i32: return at::kInt;
        case element_kind::u8: return at::kByte;
        case element_kind::boolean: return at::kBool;
        default: return at::kLong;
    }
}

/// Why nothing of it can be seen, on any device; null if it can.
inline const char* torch_refusal(const at::Tensor& t) {
    if (t.is_nested()) return "is a nested tensor; call to_padded_tensor() first";
    if (t.layout() != at::kStrided)
        return "is not strided (sparse, blocked); call to_dense() first";
    if (t.is_quantized()) return "is quantized; call dequantize() first";
    if (t.is_complex()) return "is complex: log-probs are real";
    if (!torch_kind(t.scalar_type())) return "holds elements of a type that is not supported";
    if (t.is_neg()) return "is a negation that was put off; call resolve_neg() first";
    if (t.is_meta()) return "is a meta tensor, which has no values";
    if (!t.has_storage()) return "has no memory of its own";
    return nullptr;
}

/// Shape and strides, over any memory. Of more than four dimensions, as parameters have, those of
/// one element are left out and those joined that lie in one line.
inline dynamic_view torch_shape(const at::Tensor& t, void* data) {
    constexpr std::size_t most = dynamic_view::most_dimensions;
    const element_kind kind = *torch_kind(t.scalar_type());
    const auto shape = t.sizes();
    const auto step = t.strides();
    std::array<std::int64_t, most> extents{};
    std::array<std::int64_t, most> strides{};
    std::size_t rank = 0;
    const bool many = shape.size() > most;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (many && shape[i] == 1) continue;
        const std::size_t rest = shape.size() - i;
        const bool in_line = rank > 0 && strides[rank - 1] == step[i] * shape[i];
        if (rank > 0 && rank + rest > most && (in_line || t.numel() == 0)) {
            extents[rank - 1] *= shape[i];
            strides[rank - 1] = step[i];
        } else if (rank == most) {
            dynamic_view v(data, kind, shape, step);
            v.refuse("has more than 4 dimensions; call contiguous() first");
            return v;
        } else {
            extents[rank] = shape[i];
            strides[rank++] = step[i];
        }
    }
    return {data, kind, std::span(extents).first(rank), std::span(strides).first(rank)};
}

/// The tensor as every call sees it.
inline dynamic_view torch_view(const at::Tensor& t) {
    if (!t.defined()) return dynamic_view::refused("is an undefined tensor", errc::null_pointer);
    if (const char* why = torch_refusal(t)) return dynamic_view::refused(why);
    if (!torch_is_elsewhere(t)) return torch_shape(t, t.data_ptr());
    dynamic_view v = torch_shape(t, t.unsafeGetTensorImpl());
    if (v.refusal == nullptr) v.refuse(torch_elsewhere);
    return v;
}

/// A tensor as a call on `device` sees it: its shape is checked, its memory is not looked at.
inline dynamic_view torch_view_on(const at::Device& device, const at::Tensor& t) {
    static constexpr double somewhere = 0;
    dynamic_view v = torch_view(t);
    if (v.refusal != nullptr && v.refusal != torch_elsewhere) return v;
    if (t.device() != device) return dynamic_view::refused(torch_not_there);
    return torch_shape(t, const_cast<double*>(&somewhere));
}
/// Plain memory is on the host.
template <class T>
dynamic_view torch_view_on(const at::Device&, const T&) {
    return dynamic_view::refused(torch_not_there);
}

template <class T>
at::Tensor torch_only(const T& t) {
    if constexpr (torch_tensor<T>)
        return t;
    else
        return {};
}

/// The tensor on an accelerator that an option was made of; undefined if it is none.
template <class Operand>
at::Tensor torch_tensor_of(const Operand& o) {
    if (!o.has_value || o.refusal == nullptr || std::string_view(o.refusal) != torch_elsewhere)
        return {};
    auto* impl = const_cast<at::TensorImpl*>(static_cast<const at::TensorImpl*>(o.data));
    return at::Tensor(
        c10::intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>::reclaim_copy(impl));
}

/// The same, and the option becomes what a call on `device` sees.
template <class Operand>
at::Tensor torch_take(const at::Device& device, Operand& o) {
    const at::Tensor t = torch_tensor_of(o);
    if (t.defined())
        o = Operand(torch_view_on(device, t));
    else if (o.has_value)
        o.refuse(torch_not_there);
    return t;
}

/// A copy, of all digits, of anything that was passed beside a tensor of ours.
template <std::size_t R>
at::Tensor torch_copy(const input<R>& t) {
    if (!t.has_value) return {};
    const std::vector<std::int64_t> extents(t.extents.begin(), t.extents.end());
    at::Tensor copy = at::empty(extents, at::kDouble);
    auto* to = copy.template data_ptr<double>();
    if constexpr (R == 1) {
        load_block(t, 0, t.extents[0], to);
    } else {
        for (std::ptrdiff_t i = 0; i < t.extents[0]; ++i)
            load_block(t, 0, t.extents[1], to + i * t.extents[1], i);
    }
    return copy;
}
template <std::size_t R>
at::Tensor torch_copy(const index_input<R>& t) {
    if (!t.has_value) return {};
    const std::vector<std::int64_t> extents(t.extents.begin(), t.extents.end());
    at::Tensor copy = at::empty(extents, at::kLong);
    auto* to = copy.template data_ptr<std::int64_t>();
    const std::ptrdiff_t columns = R == 1 ? 1 : t.extents[R - 1];
    for (std::ptrdiff_t i = 0; i < copy.numel(); ++i) {
        if constexpr (R == 1)
            to[i] = t(i);
        else
            to[i] = t(i / columns, i % columns);
    }
    return copy;
}

/// Numbers that a call brings back from the device: all of them in one go.
class torch_report {
public:
    explicit torch_report(const at::Device& device) : real_(torch_real(device)) {}

    std::size_t add(const at::Tensor& number) {
        numbers_.push_back(number.reshape({}).to(real_));
        return numbers_.size() - 1;
    }
    std::size_t add_sum(const at::Tensor& numbers) { return add(numbers.to(real_).sum()); }

    /// The first of the bad ones: whether, where (in row-major order), and its value.
    std::size_t add_first(const at::Tensor& bad, const at::Tensor& values) {
        if (bad.numel() == 0) return none;
        const at::Tensor where = bad.reshape({-1}).to(at::kInt).argmax();
        const std::size_t first = add(bad.any());
        add(where);
        add(values.reshape({-1}).index_select(0, where.reshape({1})));
        return first;
    }

    /// Waits for the device.
    void fetch() {
        if (numbers_.empty()) return;
        const at::Tensor all = at::stack(numbers_).to(at::kCPU, at::kDouble);
        const auto* p = all.data_ptr<double>();
        fetched_.assign(p, p + all.numel());
    }

    double operator[](std::size_t i) const { return fetched_[i]; }
    std::int64_t count(std::size_t i) const { return static_cast<std::int64_t>(fetched_[i]); }

    /// fault(value, index) if there was a first.
    template <class Fault>
    status first(std::size_t i, const Fault& fault) const {
        if (i == none || fetched_[i] == 0) return {};
        return fault(fetched_[i + 2], static_cast<std::ptrdiff_t>(fetched_[i + 1]));
    }

    static constexpr std::size_t none = static_cast<std::size_t>(-1);

private:
    at::ScalarType real_;
    std::vector<at::Tensor> numbers_;
    std::vector<double> fetched_;
};

}  // namespace prefopt::inline PREFOPT_ABI::detail
