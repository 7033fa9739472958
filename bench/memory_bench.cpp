// SPDX-License-Identifier: Apache-2.0
//
// The yardsticks: what this machine reads, writes and copies, on the arrays that the kernels beside
// them work on.

#include "peers/peers.hpp"
#include "support/data.hpp"
#include "support/measure.hpp"
#include "support/ours.hpp"
#include "support/sizes.hpp"
#include "support/threads.hpp"

namespace prefopt_bench {
namespace {

/// Beside "<what>/...": the array of logits, read once.
template <class S>
void add_read(const char* what, int threads, batch_size size) {
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    for (const bool four : {false, true})
        add(row_name<S>(what, threads, rows, vocab) + (four ? "read_four_streams" : "read"),
            row_work<S>(rows, vocab, 1, threads), [=] {
                const S* x = logits<S>(rows, vocab).data();
                return [=] {
                    split(threads, rows, [=](std::ptrdiff_t begin, std::ptrdiff_t end) {
                        (four ? memory::read_four_streams : memory::read)(
                            x + begin * vocab,
                            (end - begin) * vocab * static_cast<std::ptrdiff_t>(sizeof(S)));
                    });
                };
            });
}

/// Read once and written elsewhere, with ordinary and with streaming stores.
template <class S>
void add_copy(const char* what, int threads, batch_size size) {
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    for (const bool streaming : {false, true})
        add(row_name<S>(what, threads, rows, vocab) + (streaming ? "copy_streaming" : "copy"),
            row_work<S>(rows, vocab, 2, threads), [=] {
                const S* x = logits<S>(rows, vocab).data();
                S* to = scratch<S>(rows, vocab).data();
                return [=] {
                    split(threads, rows, [=](std::ptrdiff_t begin, std::ptrdiff_t end) {
                        memory::copy(x + begin * vocab, to + begin * vocab,
                                     (end - begin) * vocab * static_cast<std::ptrdiff_t>(sizeof(S)),
                                     streaming);
                    });
                };
            });
}

/// Read and written in the same place.
template <class S>
void add_read_write(const char* what, int threads, batch_size size) {
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    add(row_name<S>(what, threads, rows, vocab) + "read_write",
        row_work<S>(rows, vocab, 2, threads), [=] {
            // Any bits do as floats here but subnormal ones, which bf16 logits are not either.
            auto* x = reinterpret_cast<float*>(fresh_logits<S>(rows, vocab).data());
            constexpr auto per_float = static_cast<std::ptrdiff_t>(4 / sizeof(S));
            return [=] {
                split(threads, rows, [=](std::ptrdiff_t begin, std::ptrdiff_t end) {
                    memory::scale(x + begin * vocab / per_float, (end - begin) * vocab / per_float);
                });
            };
        });
}

void add_pair_streams(const char* what, std::ptrdiff_t n) {
    for (const bool streaming : {false, true})
        add(vector_name<float>(what, n) + (streaming ? "streams_streaming" : "streams"),
            pair_work<float>(n), [=] {
                auto& p = shared_pairs<float>(n);
                return [&p, n, streaming] {
                    const float* const from[4] = {p.policy_chosen.data(), p.policy_rejected.data(),
                                                  p.reference_chosen.data(),
                                                  p.reference_rejected.data()};
                    float* const to[3] = {p.losses.data(), p.grad_chosen.data(),
                                          p.grad_rejected.data()};
                    memory::four_to_three(from, to, n, streaming);
                };
            });
}

void add_triad(std::ptrdiff_t n) {
    add(vector_name<float>("soft_update", n) + "triad",
        {12.0 * static_cast<double>(n), static_cast<double>(n)}, [=] {
            const auto& policy = logits<float>(n, 1, "policy weights");
            auto& reference = fresh_logits<float>(n, 1, "reference weights");
            return [&policy, &reference, n] {
                memory::triad(policy.data(), reference.data(), n, 0.01F);
            };
        });
}

void add_log_sigmoid_copy(std::ptrdiff_t n) {
    add(vector_name<float>("log_sigmoid", n) + "copy",
        {8.0 * static_cast<double>(n), static_cast<double>(n)}, [=] {
            const float* x = margins<float>(n).data();
            float* to = scratch<float>(n, 1, "values").data();
            return [=] { memory::copy(x, to, 4 * n, false); };
        });
}

[[maybe_unused]] const bool registered = [] {
    benchmark::AddCustomContext("eigen", eigen::version());
    benchmark::AddCustomContext("xtensor", xtensor::version());
    benchmark::AddCustomContext("onednn", onednn::version());
    benchmark::AddCustomContext("instruction_set",
                                prefopt::to_string(prefopt::active_instruction_set()));
    for (const batch_size size : batch_sizes)
        for (const int threads : {1, 2}) {
            add_read<float>("forward", threads, size);
            add_copy<float>("backward", threads, size);
            add_read_write<float>("backward_in_place", threads, size);
            add_read_write<float>("one_sweep", threads, size);
            add_copy<float>("one_sweep", threads, size);
        }
    for (const batch_size size : two_batch_sizes) {
        add_read<prefopt::bf16>("forward", 1, size);
        add_read<prefopt::fp16>("forward", 1, size);
        add_read<double>("forward", 1, size);
        add_read_write<prefopt::bf16>("one_sweep", 1, size);
    }
    for (const std::ptrdiff_t n : vector_sizes) {
        add_pair_streams("dpo", n);
        add_log_sigmoid_copy(n);
    }
    for (const std::ptrdiff_t n : parameter_sizes) add_triad(n);
    return true;
}();

}  // namespace
}  // namespace prefopt_bench
