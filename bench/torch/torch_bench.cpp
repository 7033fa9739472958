// SPDX-License-Identifier: Apache-2.0
//
// libtorch, on the memory of the very arrays that our sides use. Compiled once per libtorch that is
// found. Outputs are allocated beforehand where its calls allow it; no graph is recorded where none
// is needed.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include <prefopt/adapters/torch.hpp>

#include "../support/abstraction.hpp"
#include "../support/sizes.hpp"

namespace prefopt_bench {
namespace {

template <class S>
constexpr at::ScalarType torch_type() {
    if constexpr (std::is_same_v<S, float>) return at::kFloat;
    if constexpr (std::is_same_v<S, double>) return at::kDouble;
    if constexpr (std::is_same_v<S, prefopt::bf16>) return at::kBFloat16;
    if constexpr (std::is_same_v<S, prefopt::fp16>) return at::kHalf;
}

template <class S>
at::Tensor wrap(const S* data, std::ptrdiff_t rows, std::ptrdiff_t columns) {
    auto* memory = const_cast<std::remove_const_t<S>*>(data);
    return at::from_blob(memory, {rows, columns}, at::dtype(torch_type<std::remove_const_t<S>>()));
}
template <class S>
at::Tensor wrap(const array<S>& v) {
    return at::from_blob(const_cast<S*>(v.data()), {static_cast<std::int64_t>(v.size())},
                         at::dtype(torch_type<S>()));
}
at::Tensor wrap_labels(std::ptrdiff_t rows, std::ptrdiff_t vocab) {
    return at::from_blob(const_cast<std::int64_t*>(labels(rows, vocab).data()), {rows, 1},
                         at::dtype(at::kLong));
}

double number(const at::Tensor& t) { return t.to(at::kDouble).item<double>(); }

/// A side without a graph, on that many threads.
template <class Prepare>
void add_plain(const std::string& name, work per_call, int threads, Prepare prepare) {
    add(name, per_call, [=] {
        at::set_num_threads(threads);
        const c10::NoGradGuard off;
        auto call = prepare();
        return [call]() mutable {
            const c10::NoGradGuard off_too;
            call();
        };
    });
}

template <class S>
void add_torch_forward(batch_size size, int threads) {
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    const std::string name = row_name<S>("forward", threads, rows, vocab);
    const auto add_side = [&](const char* side, const auto& make) {
        add_plain(name + side, row_work<S>(rows, vocab, 1, threads), threads, [=] {
            auto call = make(rows, vocab);
            const double tolerance = sizeof(S) == 2 ? 1e-2 : 1e-4;
            expect_close(number(call()), expected_score<S>(rows, vocab), tolerance, side);
            return [call]() mutable { benchmark::DoNotOptimize(call()); };
        });
    };
    // A 16-bit sum of 16-bit log-probs would be off by whole nats: summed in float.
    add_side("log_softmax", [](std::ptrdiff_t r, std::ptrdiff_t v) {
        return [x = wrap(logits<S>(r, v).data(), r, v), y = wrap_labels(r, v),
                out = at::empty({r, v}, at::dtype(torch_type<S>()))]() mutable {
            at::_log_softmax_out(out, x, 1, false);
            return out.gather(1, y).sum(sizeof(S) == 2 ? at::kFloat : torch_type<S>());
        };
    });
    add_side("logsumexp", [](std::ptrdiff_t r, std::ptrdiff_t v) {
        return [x = wrap(logits<S>(r, v).data(), r, v), y = wrap_labels(r, v)]() mutable {
            return (x.gather(1, y).squeeze(1) - x.logsumexp(1))
                .sum(sizeof(S) == 2 ? at::kFloat : torch_type<S>());
        };
    });
}

/// From saved log-probs and a coefficient per sequence to the gradient of the logits.
void add_torch_backward(batch_size size) {
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    const work per_call = row_work<float>(rows, vocab, 2, 1);
    const std::string name = row_name<float>("backward", 1, rows, vocab);
    // The dense gradient of the log-probs, as the backward of gather makes it, then the kernel.
    for (const bool dense_is_given : {false, true})
        add_plain(name + (dense_is_given ? "kernel_alone" : "log_softmax_backward"), per_call, 1,
                  [=] {
                      const auto x = wrap(logits<float>(rows, vocab).data(), rows, vocab);
                      const auto y = wrap_labels(rows, vocab);
                      const auto saved = at::log_softmax(x, 1);
                      const auto ones = at::full({rows, 1}, coefficient, at::kFloat);
                      auto dense = at::zeros({rows, vocab}, at::kFloat);
                      dense.scatter_(1, y, ones);
                      auto to = wrap(scratch<float>(rows, vocab).data(), rows, vocab);
                      auto call = [=]() mutable {
                          if (!dense_is_given) {
                              dense.zero_();
                              dense.scatter_(1, y, ones);
                          }
                          at::_log_softmax_backward_data_out(to, dense, saved, 1, at::kFloat);
                      };
                      call();
                      expect_gradient(to.template data_ptr<float>(), rows, vocab, 1e-4);
                      return call;
                  });
    // From logits alone, in their own memory: coefficient * (onehot - softmax).
    add_plain(row_name<float>("backward_in_place", 1, rows, vocab) + "softmax", per_call, 1, [=] {
        const auto y = wrap_labels(rows, vocab);
        const auto ones = at::full({rows, 1}, coefficient, at::kFloat);
        auto x = wrap(fresh_logits<float>(rows, vocab).data(), rows, vocab);
        auto call = [=]() mutable {
            at::_softmax_out(x, x, 1, false);
            x.mul_(-coefficient);
            x.scatter_add_(1, y, ones);
        };
        call();
        expect_gradient(x.template data_ptr<float>(), rows, vocab, 1e-4);
        return call;
    });
}

/// A policy's logits of two answers; the reference's log-probs are known.
constexpr float reference_chosen = -2000;
constexpr float reference_rejected = -1990;

/// One DPO step from logits to their gradient.
void add_dpo_from_logits(batch_size size) {
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    const work per_call{2 * 8.0 * static_cast<double>(rows * vocab),
                        2.0 * static_cast<double>(rows * vocab)};
    const std::string name = row_name<float>("dpo_from_logits", 1, rows, vocab);
    static const prefopt::dpo loss{.beta = 0.1};

    const auto ours = [=](bool in_place) {
        return [=] {
            const std::string second = "rejected logits";
            auto* c = in_place ? &fresh_logits<float>(rows, vocab)
                               : const_cast<array<float>*>(&logits<float>(rows, vocab));
            auto* r = in_place ? &fresh_logits<float>(rows, vocab, second)
                               : const_cast<array<float>*>(&logits<float>(rows, vocab, second));
            auto* to_c = in_place ? c : &scratch<float>(rows, vocab, "chosen");
            auto* to_r = in_place ? r : &scratch<float>(rows, vocab, "rejected");
            return [=] {
                static std::vector<prefopt::row_partial> of_c;
                static std::vector<prefopt::row_partial> of_r;
                const std::array policy_chosen{score(*c, rows, vocab, 1, &of_c)};
                const std::array policy_rejected{score(*r, rows, vocab, 1, &of_r)};
                const auto result =
                    loss(policy_chosen, policy_rejected, std::array{reference_chosen},
                         std::array{reference_rejected});
                score_backward(*c, *to_c, rows, vocab, 1, &of_c, result.grad_chosen[0]);
                score_backward(*r, *to_r, rows, vocab, 1, &of_r, result.grad_rejected[0]);
            };
        };
    };
    add(name + "prefopt", per_call, ours(false));
    add(name + "prefopt_in_place", per_call, ours(true));

    add(name + "autograd", per_call, [=] {
        at::set_num_threads(1);
        ours(false)()();
        auto c = wrap(logits<float>(rows, vocab).data(), rows, vocab).set_requires_grad(true);
        auto r = wrap(logits<float>(rows, vocab, "rejected logits").data(), rows, vocab)
                     .set_requires_grad(true);
        const auto y = wrap_labels(rows, vocab);
        auto step = [=] {
            const auto policy_chosen = at::log_softmax(c, 1).gather(1, y).sum();
            const auto policy_rejected = at::log_softmax(r, 1).gather(1, y).sum();
            const auto margin =
                (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected);
            const auto l = -at::log_sigmoid(0.1 * margin);
            return torch::autograd::grad({l}, {c, r});
        };
        const auto gradients = step();
        const auto& want = scratch<float>(rows, vocab, "chosen");
        for (std::size_t i = 0; i < static_cast<std::size_t>(vocab); ++i)
            expect_close(static_cast<double>(gradients[0].data_ptr<float>()[i]),
                         static_cast<double>(want[i]), 1e-3, "autograd");
        return [=] { benchmark::DoNotOptimize(step()); };
    });
}

template <class S>
void add_torch_dpo(std::ptrdiff_t n) {
    const std::string name = vector_name<S>("dpo", n);
    add(name + "autograd", pair_work<S>(n), [=] {
        at::set_num_threads(1);
        auto& p = shared_pairs<S>(n);
        auto pc = wrap(p.policy_chosen).set_requires_grad(true);
        auto pr = wrap(p.policy_rejected).set_requires_grad(true);
        const auto rc = wrap(p.reference_chosen);
        const auto rr = wrap(p.reference_rejected);
        const auto forward = [=] {
            return (-at::log_sigmoid(0.1 * ((pc - rc) - (pr - rr)))).mean();
        };
        expect_close(number(forward()), dpo_step(p).loss, 1e-5, "autograd");
        return [=] { benchmark::DoNotOptimize(torch::autograd::grad({forward()}, {pc, pr})); };
    });
}

template <class S>
void add_lerp(std::ptrdiff_t n) {
    const double bytes = static_cast<double>(n) * 3.0 * static_cast<double>(sizeof(S));
    add_plain(vector_name<S>("soft_update", n) + "lerp", {bytes, static_cast<double>(n)}, 1, [=] {
        const auto policy = wrap(logits<S>(n, 1, "policy weights"));
        auto reference = wrap(fresh_logits<S>(n, 1, "reference weights"));
        return [=]() mutable { reference.lerp_(policy, 0.01); };
    });
}

template <class T>
void add_torch_log_sigmoid(std::ptrdiff_t n) {
    const double items = static_cast<double>(n);
    const double bytes = items * static_cast<double>(sizeof(T));
    const auto prepare = [=](bool derivative) {
        return [=] {
            const auto x = wrap(margins<T>(n));
            auto value = wrap(scratch<T>(n, 1, "values"));
            auto to = wrap(scratch<T>(n, 1, "derivatives"));
            const auto ones = at::ones({n}, at::dtype(torch_type<T>()));
            auto buffer = at::empty({n}, at::dtype(torch_type<T>()));
            auto call = [=]() mutable {
                at::log_sigmoid_forward_out(value, buffer, x);
                if (derivative) at::log_sigmoid_backward_out(to, ones, x, buffer);
            };
            call();
            expect_log_sigmoid<T>(margins<T>(n), scratch<T>(n, 1, "values"));
            return call;
        };
    };
    add_plain(vector_name<T>("log_sigmoid", n) + "torch", {2 * bytes, items}, 1, prepare(false));
    add_plain(vector_name<T>("log_sigmoid_and_derivative", n) + "torch", {3 * bytes, items}, 1,
              prepare(true));
}

/// libtorch's tensors through our adapter, labels too.
struct at_tensors {
    static at::Tensor labels(std::vector<std::int64_t>& y) {
        return at::from_blob(y.data(), {static_cast<std::int64_t>(y.size())}, at::dtype(at::kLong));
    }
    static at::Tensor matrix(float* x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        return wrap(x, rows, columns);
    }
    static at::Tensor vector(float* x, std::ptrdiff_t n) { return at::from_blob(x, {n}); }
};

[[maybe_unused]] const bool registered = [] {
    add_raw_sides();
    add_abstraction("at_tensor", at_tensors{});
    for (const batch_size size : batch_sizes) {
        const std::ptrdiff_t rows = size.rows;
        const std::ptrdiff_t vocab = size.vocab;
        for (const int threads : {1, 2}) {
            add_forward<float>(rows, vocab, threads);
            add_torch_forward<float>(size, threads);
        }
        add_backward<float>(rows, vocab, 1);
        add_backward_in_place<float>(rows, vocab, 1);
        add_torch_backward(size);
    }
    for (const batch_size size : two_batch_sizes) {
        const std::ptrdiff_t rows = size.rows;
        const std::ptrdiff_t vocab = size.vocab;
        add_forward<prefopt::bf16>(rows, vocab, 1);
        add_torch_forward<prefopt::bf16>(size, 1);
#if !defined(PREFOPT_BENCH_TORCH_1)  // the first has no log_softmax of fp16
        add_forward<prefopt::fp16>(rows, vocab, 1);
        add_torch_forward<prefopt::fp16>(size, 1);
#endif
    }
    add_dpo_from_logits({64, 32000});
    add_dpo_from_logits({512, 50257});
    for (const std::ptrdiff_t n : vector_sizes) {
        add_dpo<float>(n);
        add_torch_dpo<float>(n);
        add_log_sigmoid<float>(n);
        add_log_sigmoid<double>(n);
        add_torch_log_sigmoid<float>(n);
        add_torch_log_sigmoid<double>(n);
    }
    for (const std::ptrdiff_t n : parameter_sizes) {
        add_soft_update<float>(n);
        add_soft_update<prefopt::bf16>(n);
        add_lerp<float>(n);
        add_lerp<prefopt::bf16>(n);
    }
    return true;
}();

}  // namespace
}  // namespace prefopt_bench
