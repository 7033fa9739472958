// SPDX-License-Identifier: Apache-2.0
//
// Rows of logits to log-probs and back: every type, every instruction set, one thread and two,
// beside Eigen, xtensor and oneDNN.

#include "peers/peers.hpp"
#include "support/data.hpp"
#include "support/measure.hpp"
#include "support/ours.hpp"
#include "support/sizes.hpp"

namespace prefopt_bench {
namespace {

using prefopt::instruction_set;

rows_of<float> plain(std::ptrdiff_t rows, std::ptrdiff_t vocab) {
    return {logits<float>(rows, vocab).data(), labels(rows, vocab).data(), rows, vocab};
}

/// Forces an instruction set while it lives.
struct forced {
    explicit forced(instruction_set set) {
        if (prefopt::use_instruction_set(set) != set)
            throw std::runtime_error("this machine lacks the instruction set");
    }
    ~forced() { prefopt::use_instruction_set(prefopt::widest_instruction_set()); }
    forced(const forced&) = delete;
    forced& operator=(const forced&) = delete;
};

/// The same calls on narrower vectors.
template <class S>
void add_narrower(batch_size size, instruction_set set) {
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    add(row_name<S>("forward", 1, rows, vocab) + "prefopt_" + to_string(set),
        row_work<S>(rows, vocab, 1, 1), [=] {
            const auto& x = logits<S>(rows, vocab);
            return [=, &x] {
                const forced narrow(set);
                benchmark::DoNotOptimize(score(x, rows, vocab, 1));
            };
        });
}

template <class S>
void add_one_sweep(batch_size size, int threads) {
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    const std::string name = row_name<S>("one_sweep", threads, rows, vocab);
    add(name + "prefopt", row_work<S>(rows, vocab, 2, threads), [=] {
        auto& x = fresh_logits<S>(rows, vocab);
        return [=, &x] { benchmark::DoNotOptimize(score_in_place(x, rows, vocab, threads)); };
    });
    add(name + "forward_then_backward", row_work<S>(rows, vocab, 2, threads), [=] {
        auto& x = fresh_logits<S>(rows, vocab);
        return [=, &x] {
            benchmark::DoNotOptimize(score(x, rows, vocab, threads));
            score_backward(x, x, rows, vocab, threads, 1.0);
        };
    });
}

void add_peers(batch_size size) {
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    const auto per_call = row_work<float>(rows, vocab, 1, 1);
    const std::string name = row_name<float>("forward", 1, rows, vocab);
    const auto add_forward_of = [&](const char* side, double (*forward)(rows_of<float>)) {
        add(name + side, per_call, [=] {
            const auto batch = plain(rows, vocab);
            expect_close(forward(batch), expected_score<float>(rows, vocab), 1e-4, side);
            return [=] { benchmark::DoNotOptimize(forward(batch)); };
        });
    };
    add_forward_of("eigen", eigen::forward);
    add_forward_of("xtensor", xtensor::forward);

    for (const bool in_place : {false, true})
        add(row_name<float>(in_place ? "backward_in_place" : "backward", 1, rows, vocab) + "eigen",
            row_work<float>(rows, vocab, 2, 1), [=] {
                auto batch = plain(rows, vocab);
                float* to = scratch<float>(rows, vocab).data();
                eigen::backward(batch, coefficient, to);
                expect_gradient(to, rows, vocab, 1e-5);
                if (in_place) batch.logits = to = fresh_logits<float>(rows, vocab).data();
                return [=] { eigen::backward(batch, coefficient, to); };
            });
}

template <class S>
void add_onednn(batch_size size, int threads) {
    constexpr bool half = std::is_same_v<S, prefopt::bf16>;
    const std::ptrdiff_t rows = size.rows;
    const std::ptrdiff_t vocab = size.vocab;
    add(row_name<S>("forward", threads, rows, vocab) + "onednn",
        row_work<S>(rows, vocab, 1, threads), [=] {
            const auto& y = labels(rows, vocab);
            auto peer = std::make_shared<onednn>(logits<S>(rows, vocab).data(),
                                                 half ? onednn::type::bf16 : onednn::type::f32,
                                                 rows, vocab);
            expect_close(peer->forward(y.data(), threads), expected_score<S>(rows, vocab),
                         half ? 1e-2 : 1e-4, "onednn");
            return [=, &y] { benchmark::DoNotOptimize(peer->forward(y.data(), threads)); };
        });
}

[[maybe_unused]] const bool registered = [] {
    for (const batch_size size : batch_sizes) {
        const std::ptrdiff_t rows = size.rows;
        const std::ptrdiff_t vocab = size.vocab;
        for (const int threads : {1, 2}) {
            add_forward<float>(rows, vocab, threads);
            add_backward<float>(rows, vocab, threads);
            add_backward_in_place<float>(rows, vocab, threads);
            add_one_sweep<float>(size, threads);
            add_onednn<float>(size, threads);
        }
        add_peers(size);
        add_narrower<float>(size, instruction_set::avx2);
    }
    for (const batch_size size : two_batch_sizes) {
        const std::ptrdiff_t rows = size.rows;
        const std::ptrdiff_t vocab = size.vocab;
        for (const int threads : {1, 2}) {
            add_forward<prefopt::bf16>(rows, vocab, threads);
            add_forward<prefopt::fp16>(rows, vocab, threads);
            add_forward<double>(rows, vocab, threads);
        }
        add_backward<prefopt::bf16>(rows, vocab, 1);
        add_backward<double>(rows, vocab, 1);
        add_one_sweep<prefopt::bf16>(size, 1);
        add_onednn<prefopt::bf16>(size, 1);
        add_narrower<prefopt::bf16>(size, instruction_set::avx2);
        add_narrower<prefopt::fp16>(size, instruction_set::avx2);
    }
    add_narrower<float>({64, 32000}, instruction_set::scalar);
    return true;
}();

}  // namespace
}  // namespace prefopt_bench
