// SPDX-License-Identifier: Apache-2.0
//
// What the calls from hidden rows take and write: options, outputs, the size of their workspace,
// and the checks of all of them.

#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <prefopt/batch/linear.hpp>
#include <prefopt/batch/sequences.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/simd/row_partial.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// Options of linear_log_probs; all optional.
struct linear_options {
    /// Packed batches: (B + 1) row offsets, as in sequence_options.
    index_input<1> offsets{};
    /// (V) logits = hidden weights^T + bias.
    input<1> bias{};
    /// Who reduces the blocks of logits. The gemm stays on the calling thread, with its own ones.
    prefopt::executor executor{};
    /// The block of logits that is held: so many scored rows, so many tokens of the vocabulary.
    /// They change nothing but the rounding.
    std::ptrdiff_t row_block = 256;
    std::ptrdiff_t vocab_block = 1024;
    /// Memory to work in, linear_workspace bytes; whatever is missing is allocated, or, by `into`,
    /// refused.
    buffer<std::byte> workspace{};
};

/// Options of linear_log_probs_backward; all optional, the same where the name is the same.
struct linear_backward_options {
    index_input<1> offsets{};
    input<1> bias{};
    /// (N) what the forward call found out about the rows. Without it, the backward call has to
    /// compute every logit twice.
    buffer<const row_partial> partials{};
    /// Adds to the gradients of the weights and of the bias (over micro-batches) instead of
    /// overwriting them. The gradient of the hidden rows is always overwritten.
    bool accumulate = false;
    prefopt::executor executor{};
    std::ptrdiff_t row_block = 256;
    std::ptrdiff_t vocab_block = 1024;
    buffer<std::byte> workspace{};
};

/// What the non-allocating form writes; each is optional.
struct linear_outputs {
    output<1> sum{};                 ///< (B)
    buffer<std::int64_t> count{};    ///< (B)
    buffer<row_partial> partials{};  ///< (N)
};

/// A gradient of rows: (N, D) or (B, T, D), like the hidden rows.
struct row_output {
    output<3> rows{};
    std::size_t rank = 3;

    row_output() = default;
    template <class T>
        requires(!std::same_as<std::remove_cvref_t<T>, row_output>)
    row_output(T&& t)  // NOLINT: implicit by design
        : rows(detail::lift<output, 3>(static_cast<T&&>(t))), rank(detail::rank_of(t)) {}
};

/// The gradients that are wanted; each is optional, and costs a matrix product. Of the type of the
/// hidden rows, and sharing memory with nothing.
struct linear_gradients {
    row_output hidden{};  ///< like the hidden rows; 0 for those that are not scored
    output<2> weights{};  ///< (V, D)
    output<1> bias{};     ///< (V), contiguous
};

/// How many bytes of workspace suffice for N rows of D numbers of type T; whatever V and the labels
/// are. Less is enough where no unscored rows lie between scored ones: all but D * row_block.
///
///     std::vector<std::byte> workspace(prefopt::linear_workspace<float>(n, d));
template <std::floating_point T, class Options = linear_options>
constexpr std::size_t linear_workspace(std::ptrdiff_t rows, std::ptrdiff_t width,
                                       const Options& o = {}) noexcept {
    return static_cast<std::size_t>(
        detail::linear_sizes::of<T>(rows, width, {o.row_block, o.vocab_block}, true).total());
}

namespace detail {

/// Inputs may not coincide with outputs here: they are read to the end.
inline operand apart(operand o) noexcept {
    o.is_real = false;
    return o;
}

/// What a gemm can take.
template <class Operand>
status check_multiplied(const char* name, const Operand& t) noexcept {
    if (t.refusal != nullptr || t.kind == scalar_kind::f32 || t.kind == scalar_kind::f64) return {};
    return fault(errc::bad_tensor, name,
                 "must hold float or double: a gemm reads it as it is. Convert 16-bit ones first");
}

/// The kinds that a gemm can take together.
template <class Operand>
status check_kind(const char* name, const Operand& t, scalar_kind kind) noexcept {
    if (!t.has_value || t.refusal != nullptr || t.kind == kind) return {};
    return fault(errc::bad_tensor, name, "must hold the same type as hidden");
}

/// A layout that the gemm can take, in numbers that it can take.
inline status check_layout(const char* name, bool present, matrix_layout layout, std::ptrdiff_t n,
                           std::ptrdiff_t largest) noexcept {
    if (!present) return {};
    if (layout.stride == 0)
        return fault(errc::bad_stride, name,
                     "must have rows, or columns, that are contiguous and do not overlap");
    if (n <= largest && layout.stride <= largest) return {};
    return fault_value(errc::size_overflow, name, "is wider than the gemm can take",
                       n > largest ? n : layout.stride);
}

inline status check_at_least_one(const char* name, std::ptrdiff_t n) noexcept {
    if (n >= 1) return {};
    return fault_value(errc::bad_parameter, name, "must be at least 1", n);
}

inline status check_workspace(std::ptrdiff_t need, const buffer<std::byte>& workspace) noexcept {
    if (workspace.size >= need) return {};
    return fault_shape(errc::workspace_too_small, "workspace",
                       "must hold linear_workspace(N, D) bytes, or here", length(workspace.size),
                       length(need));
}

/// Everything that both calls check, but for the workspace; what is absent is not looked at.
inline status check_linear(const linear_batch& s, const linear_blocks& blocks,
                           std::ptrdiff_t largest, const buffer<std::byte>& workspace,
                           const linear_outputs& out, const buffer<const row_partial>& partials,
                           const linear_gradients& to) {
    const auto& hidden = s.logits;
    for (const status& found :
         {check_at_least_one("row_block", blocks.rows),
          check_at_least_one("vocab_block", blocks.tokens), check_multiplied("hidden", hidden),
          check_kind("weights", s.weights, hidden.kind), check_kind("bias", s.bias, hidden.kind),
          check_kind("grad_hidden", to.hidden.rows, hidden.kind),
          check_kind("grad_weights", to.weights, hidden.kind),
          check_kind("grad_bias", to.bias, hidden.kind)})
        if (!found.ok()) return found;
    if (s.offsets.has_value && s.rank == 3)
        return fault(errc::bad_parameter, "offsets",
                     "is for packed (N, D) rows; (B, T, D) has its sequences already");
    const operand rows = describe("hidden", hidden, any_shape, "", s.rank);
    shape tokens = rows.extents;
    tokens.rank = s.rank - 1;
    const shape b = length(s.offsets.has_value && s.offsets.extents[0] == 0 ? 0 : s.sequences());
    const shape v = length(s.vocab());
    const shape all{2, {s.vocab(), s.width()}};
    const status found = check_operands(
        {apart(rows), apart(describe("weights", s.weights, all)),
         describe("labels", s.labels, tokens, "", s.rank - 1), describe("offsets", s.offsets),
         apart(describe("bias", s.bias, v)),
         describe_memory("partials", partials, length(s.rows())),
         apart(describe("grad_sum", s.grad_sum, b)), describe("sum", out.sum, b),
         describe_memory("count", out.count, b),
         describe_memory("partials", out.partials, length(s.rows())),
         describe("grad_hidden", to.hidden.rows, rows.extents, "hidden", to.hidden.rank),
         describe("grad_weights", to.weights, all, "weights"), describe("grad_bias", to.bias, v),
         describe_memory("workspace", workspace)});
    if (!found.ok()) return found;
    const bool contiguous = to.bias.extents[0] < 2 || to.bias.strides[0] == 1;
    return first_of(
        {check_layout("hidden", true, layout_of_rows(hidden), s.width(), largest),
         check_layout("weights", true, layout_of(s.weights), s.width(), largest),
         check_layout("grad_hidden", to.hidden.rows.has_value, layout_of_rows(to.hidden.rows),
                      s.width(), largest),
         check_layout("grad_weights", to.weights.has_value, layout_of(to.weights), s.width(),
                      largest),
         check_layout("grad_bias", to.bias.has_value, {contiguous ? 1 : 0, false}, 1, largest),
         check_offsets(s.offsets, s.rows()), check_labels(s.labels, s.vocab())});
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
