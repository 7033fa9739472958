// SPDX-License-Identifier: Apache-2.0
//
// Rows of logits to log-probs and back, in cache (T = 64, V = 32000) and out of it (T = 512,
// V = 128256), per instruction set, beside what this machine reads and copies in the same process.
// bytes_per_second counts the logits once per read and once per write.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <prefopt/log_probs.hpp>
#include <random>
#include <vector>

namespace {

using prefopt::instruction_set;

template <class S>
struct batch {
    std::ptrdiff_t rows;
    std::ptrdiff_t vocab;
    std::vector<S> logits;
    std::vector<std::int32_t> labels;

    explicit batch(const benchmark::State& state)
        : rows(state.range(0)),
          vocab(state.range(1)),
          logits(static_cast<std::size_t>(rows * vocab)),
          labels(static_cast<std::size_t>(rows)) {
        std::mt19937 random(1);
        std::normal_distribution<float> normal(0, 3);
        for (S& x : logits) prefopt::detail::store(&x, static_cast<double>(normal(random)));
        for (auto& y : labels)
            y = static_cast<std::int32_t>(random() % static_cast<unsigned>(vocab));
    }
    [[nodiscard]] auto view() { return prefopt::view{logits.data(), {rows, vocab}}; }
};

bool force(benchmark::State& state) {
    const auto wanted = static_cast<instruction_set>(state.range(2));
    if (prefopt::use_instruction_set(wanted) == wanted) return true;
    state.SkipWithError("this machine lacks the instruction set");
    return false;
}

void count(benchmark::State& state, std::int64_t bytes_per_element) {
    const std::int64_t elements = state.iterations() * state.range(0) * state.range(1);
    state.SetItemsProcessed(elements);
    state.SetBytesProcessed(elements * bytes_per_element);
    prefopt::use_instruction_set(prefopt::widest_instruction_set());
}

/// What memory gives: a search for a byte that is not there, which the C library does with the
/// widest vectors of the machine and nothing else per byte.
void read_bandwidth(benchmark::State& state) {
    const std::vector<float> ones(static_cast<std::size_t>(state.range(0) * state.range(1)), 1.0F);
    for (auto _ : state) {
        const void* found = std::memchr(ones.data(), 0x55, ones.size() * sizeof(float));
        benchmark::DoNotOptimize(found);
    }
    count(state, 4);
}

void copy_bandwidth(benchmark::State& state) {
    batch<float> b(state);
    std::vector<float> to(b.logits.size());
    for (auto _ : state) {
        std::memcpy(to.data(), b.logits.data(), to.size() * sizeof(float));
        benchmark::ClobberMemory();
    }
    count(state, 8);
}

template <class S>
void forward(benchmark::State& state) {
    if (!force(state)) return;
    batch<S> b(state);
    double sum = 0;
    const prefopt::view<double, 1> out(&sum, {1});
    for (auto _ : state) {
        prefopt::sequence_log_probs.into(b.view(), b.labels, {.sum = out});
        benchmark::DoNotOptimize(sum);
    }
    count(state, sizeof(S));
}

template <class S>
void backward(benchmark::State& state) {
    if (!force(state)) return;
    batch<S> b(state);
    std::vector<S> gradient(b.logits.size());
    const std::vector<double> coefficient{0.5};
    for (auto _ : state) {
        prefopt::sequence_log_probs_backward(b.view(), b.labels, coefficient,
                                             prefopt::view{gradient.data(), {b.rows, b.vocab}});
        benchmark::ClobberMemory();
    }
    count(state, 2 * sizeof(S));
}

template <class S>
void in_place(benchmark::State& state) {
    if (!force(state)) return;
    batch<S> b(state);
    double sum = 0;
    const prefopt::view<double, 1> out(&sum, {1});
    for (auto _ : state) {
        prefopt::sequence_log_probs_in_place.into(b.view(), b.labels, {.sum = out});
        benchmark::ClobberMemory();
    }
    count(state, 2 * sizeof(S));
}

void sizes(benchmark::internal::Benchmark* b) {
    b->Args({64, 32000})->Args({512, 128256})->MinTime(0.5);
}
void sizes_and_sets(benchmark::internal::Benchmark* b) {
    for (const std::int64_t set : {3, 2, 0}) b->Args({64, 32000, set});
    for (const std::int64_t set : {3, 2}) b->Args({512, 128256, set});
    b->MinTime(0.5);
}

BENCHMARK(read_bandwidth)->Apply(sizes);
BENCHMARK(copy_bandwidth)->Apply(sizes);
BENCHMARK(forward<float>)->Apply(sizes_and_sets);
BENCHMARK(forward<prefopt::bf16>)->Apply(sizes_and_sets);
BENCHMARK(forward<prefopt::fp16>)->Apply(sizes_and_sets);
BENCHMARK(forward<double>)->Apply(sizes_and_sets);
BENCHMARK(backward<float>)->Apply(sizes_and_sets);
BENCHMARK(in_place<float>)->Apply(sizes_and_sets);
BENCHMARK(in_place<prefopt::bf16>)->Apply(sizes_and_sets);

}  // namespace
