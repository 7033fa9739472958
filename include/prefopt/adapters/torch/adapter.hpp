// SPDX-License-Identifier: Apache-2.0
//
// adapter<at::Tensor>. Whole calls are computed by what adapters/torch.hpp knows, and this does
// not: the other rooms come after it, because they hand tensors to the library themselves.

#pragma once

#include <torch/types.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <prefopt/adapters/torch/tensors.hpp>
#include <prefopt/batch/listwise.hpp>
#include <prefopt/batch/pairwise.hpp>
#include <prefopt/batch/sequences.hpp>
#include <prefopt/batch/unpaired.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/log_probs.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

using torch_pair_result = pairwise_result<at::Tensor, at::Tensor>;
using torch_answer_result = unpaired_result<at::Tensor, at::Tensor>;
using torch_list_result = listwise_result<at::Tensor, at::Tensor, at::Tensor>;
using torch_scores = sequence_scores<at::Tensor, at::Tensor>;

template <class Formula, class Rejected, class... References>
torch_pair_result torch_evaluate(const Formula& f, const pairwise_options& o,
                                 const at::Tensor& chosen, const Rejected& rejected,
                                 const References&... references);
template <class Formula, class Reference, class Flags>
torch_answer_result torch_evaluate(const Formula& f, const unpaired_options& o, double kl,
                                   const at::Tensor& policy, const Reference& reference,
                                   const Flags& desirable);
template <class Formula, class Reference, class... Ranking>
torch_list_result torch_evaluate(const Formula& f, const listwise_options& o,
                                 const at::Tensor& policy, const Reference& reference,
                                 const Ranking&... ranking);
template <class Labels>
torch_scores torch_evaluate(const sequence_log_probs_fn& f, const sequence_options& o,
                            const at::Tensor& logits, const Labels& labels);

/// What these calls would refuse; with outputs, what `into` would.
template <class Formula, class... Others>
status torch_check(const Formula& f, const pairwise_options& o, const pairwise_outputs& out,
                   const at::Tensor& chosen, const Others&... others);
template <class Formula, class Reference, class Flags>
status torch_check(const Formula& f, const unpaired_options& o, const unpaired_outputs& out,
                   double kl, const at::Tensor& policy, const Reference& reference,
                   const Flags& desirable);
template <class Formula, class... Others>
status torch_check(const Formula& f, const listwise_options& o, const listwise_outputs& out,
                   const at::Tensor& policy, const Others&... others);
template <class Labels>
status torch_check(const sequence_log_probs_fn& f, const sequence_options& o,
                   const sequence_outputs& out, const at::Tensor& logits, const Labels& labels);

}  // namespace detail

template <detail::torch_tensor T>
struct adapter<T> {
    static constexpr std::size_t rank = dynamic_rank;
    /// A tensor is a handle.
    static constexpr bool borrowed = true;

    static dynamic_view view(const at::Tensor& t) { return detail::torch_view(t); }

    /// On the same device; of the same order of strides where it has the same shape.
    static at::Tensor make_like(const at::Tensor& t, element_kind kind,
                                std::span<const std::ptrdiff_t> extents) {
        std::array<std::int64_t, dynamic_view::most_dimensions> sizes{};
        for (std::size_t i = 0; i < extents.size(); ++i) sizes[i] = extents[i];
        const at::IntArrayRef shape(sizes.data(), extents.size());
        const auto options = at::device(t.device()).dtype(detail::torch_type(kind));
        return t.sizes() == shape ? at::empty_like(t, options, at::MemoryFormat::Preserve)
                                  : at::empty(shape, options);
    }

    static void announce_write(const at::Tensor& t) {
        if (t.defined() && !t.is_inference()) t.unsafeGetTensorImpl()->bump_version();
    }

    template <class... Arguments>
        requires requires(const Arguments&... a) { detail::torch_evaluate(a...); }
    static auto evaluate(const Arguments&... arguments) {
        return detail::torch_evaluate(arguments...);
    }
    template <class... Arguments>
        requires requires(const Arguments&... a) { detail::torch_check(a...); }
    static auto check(const Arguments&... arguments) { return detail::torch_check(arguments...); }
};

}  // namespace prefopt::inline PREFOPT_ABI
