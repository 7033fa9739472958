// SPDX-License-Identifier: Apache-2.0
//
// libtorch (1.13 and newer): at::Tensor, with automatic gradients.
//
//     #include <prefopt/adapters/torch.hpp>
//
//     auto c = prefopt::sequence_log_probs(model->forward(chosen), chosen_labels);
//     auto r = prefopt::sequence_log_probs(model->forward(rejected), rejected_labels);
//     auto result = prefopt::dpo{.beta = 0.1}(c.sum, r.sum, reference_chosen, reference_rejected);
//     result.loss.backward();
//
// What comes back. `result.loss` is a tensor without dimensions, in double (float on Metal), and so
// is `sum` of sequence_log_probs; they carry a grad_fn when the policy's log-probs, or the logits,
// require a gradient and one is being recorded. Everything else of a result is plain numbers.
// Gradients flow to the policy only: reference, weights, counts and kl are constants, whatever they
// require. Backward of backward (create_graph) is exact: the gradient is written once more, by the
// same formula, as an expression over the inputs. On the host backward uses libtorch's threads.
//
// What goes in: float, double, bf16, fp16 and integers of any strides. Undefined tensors are
// refused as null_pointer; sparse, quantized, complex and meta tensors as bad_tensor, by name.
//
// Options refer to tensors and do not own them: `loss(pc, pr, rc, rr, {.weights = w})`; a tensor in
// options that are kept must be kept too.
//
// On an accelerator the losses' one formula, and sequence_log_probs, run as libtorch's operations
// where the tensors are; all tensors of the call must be there. Such a call waits for its device
// once, for a handful of numbers: what is wrong with the input, and the summary. Ragged lists cost
// a pass for each length. What writes to the caller's memory (`into`, the other functions over
// logits, a trust region's step) is for the host, and refuses others.
//
// What is written to is written as under at::NoGradGuard, and its version counter moves, so that a
// graph which saved it says so in backward. Debian's 1.13 cannot be compiled by Clang as C++20.

#pragma once

#include <torch/types.h>
#include <cstddef>
#include <type_traits>

#include <prefopt/adapters/torch/adapter.hpp>
#include <prefopt/adapters/torch/answers.hpp>
#include <prefopt/adapters/torch/lists.hpp>
#include <prefopt/adapters/torch/pairs.hpp>
#include <prefopt/adapters/torch/sequences.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// libtorch's own threads as an executor: `{.executor = prefopt::torch_threads}`.
inline constexpr detail::torch_threads_fn torch_threads{};

namespace detail {

struct torch_gemm_fn {
    template <class T>
    void operator()(const gemm_task<T>& t) const {
        const c10::NoGradGuard off;
        const auto factor = [](const gemm_factor<T>& m, std::ptrdiff_t rows,
                               std::ptrdiff_t columns) {
            const at::Tensor stored = wrap(const_cast<T*>(m.data), m.transposed ? columns : rows,
                                           m.transposed ? rows : columns, m.stride);
            return m.transposed ? stored.t() : stored;
        };
        const at::Tensor a = factor(t.a, t.m, t.k);
        const at::Tensor b = factor(t.b, t.k, t.n);
        at::Tensor c = wrap(t.c, t.m, t.n, t.c_stride);
        if (t.accumulate)
            c.addmm_(a, b);
        else
            at::mm_out(c, a, b);
    }

private:
    template <class T>
    static at::Tensor wrap(T* data, std::ptrdiff_t rows, std::ptrdiff_t columns,
                           std::ptrdiff_t stride) {
        constexpr at::ScalarType type = std::is_same_v<T, float> ? at::kFloat : at::kDouble;
        return at::from_blob(data, {rows, columns}, {stride, 1}, at::dtype(type));
    }
};

}  // namespace detail

/// libtorch's matrix product, with its threads, as that of linear_log_probs.
///
///     auto scored = prefopt::linear_log_probs(prefopt::torch_gemm, hidden, weights, labels);
inline constexpr detail::torch_gemm_fn torch_gemm{};

}  // namespace prefopt::inline PREFOPT_ABI
