// SPDX-License-Identifier: Apache-2.0
//
// Hidden rows to log-probs and back, beside the matrix products alone: the same products in the
// same blocks with nothing done to the logits, so that the difference is ours. Both are timed in
// turn within one benchmark; `over_gemm` is the median of the ratios. `scratch` is the workspace
// over the (N, V) logits that are never held, `scratch_gaps` where some rows are not scored. One
// BLAS thread: OPENBLAS_NUM_THREADS=1.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <random>
#include <vector>

#include <prefopt/linear_log_probs.hpp>

#if __has_include(<cblas.h>)
#include <prefopt/adapters/cblas.hpp>
#endif
#if __has_include(<Eigen/Core>)
#include <prefopt/adapters/eigen_gemm.hpp>
#endif

#if __has_include(<cblas.h>) || __has_include(<Eigen/Core>)
namespace {

using index = std::ptrdiff_t;

struct problem {
    index rows, width, vocab;
    std::vector<float> hidden, weights, grad_hidden, grad_weights;
    std::vector<std::int32_t> labels;
    std::vector<double> grad_sum{0.5};
    std::vector<prefopt::row_partial> partials;
    std::vector<std::byte> workspace;
    double sum = 0;

    explicit problem(const benchmark::State& state)
        : rows(state.range(0)),
          width(state.range(1)),
          vocab(state.range(2)),
          hidden(random(rows * width, 1.0F)),
          weights(random(vocab * width, 0.05F)),
          grad_hidden(hidden.size()),
          grad_weights(weights.size()),
          labels(static_cast<std::size_t>(rows)),
          partials(static_cast<std::size_t>(rows)),
          workspace(prefopt::linear_workspace<float>(rows, width)) {
        std::mt19937 engine(2);
        for (auto& y : labels)
            y = static_cast<std::int32_t>(engine() % static_cast<std::uint32_t>(vocab));
    }
    static std::vector<float> random(index n, float deviation) {
        std::mt19937 engine(1);
        std::normal_distribution<float> normal(0, deviation);
        std::vector<float> x(static_cast<std::size_t>(n));
        for (float& v : x) v = normal(engine);
        return x;
    }

    template <class Gemm>
    void forward(const Gemm& gemm) {
        const prefopt::view<double, 1> total(&sum, {1});
        prefopt::linear_log_probs.into(gemm, prefopt::view{hidden.data(), {rows, width}},
                                       prefopt::view{weights.data(), {vocab, width}}, labels,
                                       {.sum = total, .partials = partials},
                                       {.workspace = workspace});
    }
    template <class Gemm>
    void backward(const Gemm& gemm) {
        const prefopt::view to_hidden{grad_hidden.data(), {rows, width}};
        const prefopt::view to_weights{grad_weights.data(), {vocab, width}};
        prefopt::linear_log_probs_backward.into(gemm, prefopt::view{hidden.data(), {rows, width}},
                                                prefopt::view{weights.data(), {vocab, width}},
                                                labels, grad_sum,
                                                {.hidden = to_hidden, .weights = to_weights},
                                                {.partials = partials, .workspace = workspace});
    }

    /// The products of forward, or of backward, in blocks of (row_block, vocab_block).
    template <class Gemm>
    void products(const Gemm& gemm, bool back, index row_block, index vocab_block) {
        auto* const logits = reinterpret_cast<float*>(workspace.data());
        for (index v = 0; v < vocab; v += vocab_block)
            for (index r = 0; r < rows; r += row_block) {
                const index n = std::min(row_block, rows - r);
                const index tokens = std::min(vocab_block, vocab - v);
                const float* const h = hidden.data() + r * width;
                const float* const w = weights.data() + v * width;
                const prefopt::gemm_factor<float> block{logits, tokens, false};
                const prefopt::gemm_factor<float> turned{logits, tokens, true};
                gemm(prefopt::gemm_task<float>{
                    n, tokens, width, {h, width, false}, {w, width, true}, logits, tokens, false});
                if (!back) continue;
                gemm(prefopt::gemm_task<float>{n,
                                               width,
                                               tokens,
                                               block,
                                               {w, width, false},
                                               grad_hidden.data() + r * width,
                                               width,
                                               v > 0});
                gemm(prefopt::gemm_task<float>{tokens,
                                               width,
                                               n,
                                               turned,
                                               {h, width, false},
                                               grad_weights.data() + v * width,
                                               width,
                                               r > 0});
            }
    }
};

/// Of this process on a processor: other work on the machine is not counted.
template <class F>
double seconds(const F& f) {
    const std::clock_t start = std::clock();
    f();
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

double median(std::vector<double> x) {
    std::sort(x.begin(), x.end());
    return x[x.size() / 2];
}

template <bool Back, class Gemm>
void fused(benchmark::State& state, const Gemm& gemm) {
    problem p(state);
    p.forward(gemm);
    constexpr prefopt::linear_options blocks{};
    std::vector<double> ratios;
    std::vector<double> gemms;
    for (auto _ : state) {
        const double alone =
            seconds([&] { p.products(gemm, Back, blocks.row_block, blocks.vocab_block); });
        const double ours = seconds([&] { Back ? p.backward(gemm) : p.forward(gemm); });
        ratios.push_back(ours / alone);
        gemms.push_back(alone);
        state.SetIterationTime(ours);
    }
    const double flops = 2.0 * static_cast<double>(p.rows * p.width) * static_cast<double>(p.vocab);
    state.counters["over_gemm"] = median(ratios);
    state.counters["gemm_GFLOPS"] = (Back ? 3 : 1) * flops / median(gemms) * 1e-9;
    const double logits = 4.0 * static_cast<double>(p.rows * p.vocab);
    const auto gathered = static_cast<double>(4 * std::min(blocks.row_block, p.rows) * p.width);
    state.counters["scratch"] = (static_cast<double>(p.workspace.size()) - gathered) / logits;
    state.counters["scratch_gaps"] = static_cast<double>(p.workspace.size()) / logits;
}

void sizes(benchmark::internal::Benchmark* b) {
    for (const std::int64_t vocab : {32000, 128256})
        for (const std::int64_t width : {768, 2048, 4096}) b->Args({512, width, vocab});
    b->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(5);
}

#if __has_include(<cblas.h>)
void linear_forward_cblas(benchmark::State& s) { fused<false>(s, prefopt::cblas_gemm); }
void linear_backward_cblas(benchmark::State& s) { fused<true>(s, prefopt::cblas_gemm); }
BENCHMARK(linear_forward_cblas)->Apply(sizes);
BENCHMARK(linear_backward_cblas)->Apply(sizes);
#endif
#if __has_include(<Eigen/Core>)
void linear_forward_eigen(benchmark::State& s) { fused<false>(s, prefopt::eigen_gemm); }
void linear_backward_eigen(benchmark::State& s) { fused<true>(s, prefopt::eigen_gemm); }
BENCHMARK(linear_forward_eigen)->Apply(sizes);
BENCHMARK(linear_backward_eigen)->Apply(sizes);
#endif

}  // namespace
#endif
