// SPDX-License-Identifier: Apache-2.0
//
// The trust-region update beside the yardsticks of this machine, all of them in turn in every round
// and on the same memory, so that the ratios (of medians) mean something on a busy machine:
//
//     in_place   r = r + a (p - r) as a plain loop of the widest vectors: read, read, write
//     triad      c = a + s b of STREAM, with plain stores; counted as it counts, 12 bytes
//
// `of_in_place` and `of_triad` are bytes per second of the update over theirs. Sizes are elements.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <prefopt/trust_region.hpp>
#include <vector>

namespace {

using prefopt::bf16;
using prefopt::fp16;
using prefopt::rounding;

#if PREFOPT_SIMD_X86
__attribute__((target("avx512f"))) void in_place_512(const float* p, float* r, std::size_t n) {
    const __m512 a = _mm512_set1_ps(0.005F);
    for (std::size_t i = 0; i + 16 <= n; i += 16) {
        const __m512 x = _mm512_loadu_ps(r + i);
        _mm512_storeu_ps(r + i, _mm512_fmadd_ps(a, _mm512_sub_ps(_mm512_loadu_ps(p + i), x), x));
    }
}
__attribute__((target("avx512f"))) void triad_512(const float* a, const float* b, float* c,
                                                  std::size_t n) {
    const __m512 s = _mm512_set1_ps(0.005F);
    for (std::size_t i = 0; i + 16 <= n; i += 16)
        _mm512_storeu_ps(c + i, _mm512_fmadd_ps(s, _mm512_loadu_ps(b + i), _mm512_loadu_ps(a + i)));
}
bool wide() { return prefopt::widest_instruction_set() == prefopt::instruction_set::avx512; }
#else
void in_place_512(const float*, float*, std::size_t) {}
void triad_512(const float*, const float*, float*, std::size_t) {}
bool wide() { return false; }
#endif

void in_place(const float* p, float* r, std::size_t n) {
    if (wide()) return in_place_512(p, r, n);
    for (std::size_t i = 0; i < n; ++i) r[i] += 0.005F * (p[i] - r[i]);
}
void triad(const float* a, const float* b, float* c, std::size_t n) {
    if (wide()) return triad_512(a, b, c, n);
    for (std::size_t i = 0; i < n; ++i) c[i] = a[i] + 0.005F * b[i];
}

/// Seconds of several things done in turn.
class stopwatch {
public:
    template <class F>
    void time(std::size_t what, std::size_t repeats, const F& f) {
        const auto start = std::chrono::steady_clock::now();
        for (std::size_t i = 0; i < repeats; ++i) {
            f();
            benchmark::ClobberMemory();
        }
        const std::chrono::duration<double> d = std::chrono::steady_clock::now() - start;
        if (seconds_.size() <= what) seconds_.resize(what + 1);
        seconds_[what].push_back(d.count() / static_cast<double>(repeats));
    }
    [[nodiscard]] double median(std::size_t what) {
        auto& s = seconds_[what];
        std::sort(s.begin(), s.end());
        return s[s.size() / 2];
    }

private:
    std::vector<std::vector<double>> seconds_;
};

template <class T>
std::vector<T> values(std::size_t n, double scale) {
    std::vector<T> v(n);
    for (std::size_t i = 0; i < n; ++i)
        prefopt::detail::store(&v[i], scale * (0.5 + static_cast<double>(i % 1009) / 1009));
    return v;
}

/// The rounds of one benchmark: `update` over `n` elements of `bytes` bytes in all.
template <class Update>
void compare(benchmark::State& state, std::size_t n, double bytes, const Update& update) {
    const std::vector<float> p = values<float>(n, 1.0);
    const std::vector<float> q = values<float>(n, 0.7);
    std::vector<float> r = values<float>(n, 1.01);
    const std::size_t repeats = std::max<std::size_t>(1, 1000000 / n);
    stopwatch watch;
    for (auto _ : state) {
        watch.time(0, repeats, update);
        watch.time(1, repeats, [&] { in_place(p.data(), r.data(), n); });
        watch.time(2, repeats, [&] { triad(p.data(), q.data(), r.data(), n); });
    }
    const double floats = 12.0 * static_cast<double>(n);
    const double speed = bytes / watch.median(0);
    state.counters["GB/s"] = speed * 1e-9;
    state.counters["elements/ns"] = static_cast<double>(n) / watch.median(0) * 1e-9;
    state.counters["of_in_place"] = speed / (floats / watch.median(1));
    state.counters["of_triad"] = speed / (floats / watch.median(2));
}

/// One tensor of range(0) elements.
template <class P, class R, rounding To = rounding::nearest>
void update(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const std::vector<P> policy = values<P>(n, 1.0);
    std::vector<R> reference = values<R>(n, 1.01);
    prefopt::tr_dpo loss{.update = prefopt::soft_update({.alpha = 0.005, .rounding = To})};
    compare(state, n, static_cast<double>(n * (sizeof(P) + 2 * sizeof(R))),
            [&] { loss.step(policy, reference); });
}

/// range(0) elements in tensors of range(1) each.
void many_tensors(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto each = static_cast<std::size_t>(state.range(1));
    const std::vector<std::vector<float>> policy(n / each, values<float>(each, 1.0));
    std::vector<std::vector<float>> reference(n / each, values<float>(each, 1.01));
    prefopt::tr_dpo loss{.update = prefopt::soft_update({.alpha = 0.005})};
    compare(state, n, 12.0 * static_cast<double>(n), [&] { loss.step(policy, reference); });
}

/// A matrix whose rows continue each other, as range(0) / range(1) rows.
void matrix(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const std::int64_t rows = state.range(0) / state.range(1);
    const std::vector<float> policy = values<float>(n, 1.0);
    std::vector<float> reference = values<float>(n, 1.01);
    prefopt::tr_dpo loss{.update = prefopt::soft_update({.alpha = 0.005})};
    compare(state, n, 12.0 * static_cast<double>(n), [&] {
        loss.step(prefopt::view{policy.data(), {rows, state.range(1)}},
                  prefopt::view{reference.data(), {rows, state.range(1)}});
    });
}

void sizes(benchmark::internal::Benchmark* b) {
    b->RangeMultiplier(10)->Range(1000, 100000000)->MinTime(0.5);
}
void two_sizes(benchmark::internal::Benchmark* b) { b->Arg(100000)->Arg(100000000)->MinTime(0.5); }

BENCHMARK(update<float, float>)->Apply(sizes);
BENCHMARK(update<bf16, bf16>)->Apply(sizes);
BENCHMARK(update<bf16, bf16, rounding::stochastic>)->Apply(sizes);
BENCHMARK(update<bf16, float>)->Apply(two_sizes);
BENCHMARK(update<float, bf16, rounding::stochastic>)->Apply(two_sizes);
BENCHMARK(update<fp16, fp16>)->Apply(two_sizes);
BENCHMARK(update<fp16, fp16, rounding::stochastic>)->Apply(two_sizes);
BENCHMARK(update<double, double>)->Apply(two_sizes);
BENCHMARK(many_tensors)->Args({10000000, 1000})->Args({10000000, 64})->MinTime(0.5);
BENCHMARK(matrix)->Args({10000000, 8})->MinTime(0.5);

}  // namespace
