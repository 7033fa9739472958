// SPDX-License-Identifier: Apache-2.0
//
// What the abstraction costs: the public call, with its checks, views and adapters, beside a loop
// over raw pointers that calls the same kernel. On short rows too, where there is little to hide
// behind.

#include <Eigen/Core>
#include <prefopt/adapters/eigen.hpp>

#include "support/ours.hpp"

namespace prefopt_bench {
namespace {

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

double raw_loop(const float* x, const std::int64_t* y, std::ptrdiff_t rows, std::ptrdiff_t vocab) {
    double sum = 0;
    for (std::ptrdiff_t r = 0; r < rows; ++r)
        sum += prefopt::detail::row_log_prob<float>(x + r * vocab, vocab, 1, y[r]).log_prob;
    return sum;
}

void add_abstraction(std::ptrdiff_t rows, std::ptrdiff_t vocab) {
    const std::string name = row_name<float>("abstraction", 1, rows, vocab);
    const work per_call = row_work<float>(rows, vocab, 1, 1);
    add(name + "raw_loop", per_call, [=] {
        const float* x = logits<float>(rows, vocab).data();
        const std::int64_t* y = labels(rows, vocab).data();
        expect_close(raw_loop(x, y, rows, vocab), expected_score<float>(rows, vocab), 1e-12, "");
        return [=] { benchmark::DoNotOptimize(raw_loop(x, y, rows, vocab)); };
    });
    add(name + "view", per_call, [=] {
        const auto& x = logits<float>(rows, vocab);
        return [=, &x] { benchmark::DoNotOptimize(score(x, rows, vocab, 1)); };
    });
    add(name + "eigen_map", per_call, [=] {
        const Eigen::Map<const row_major> x(logits<float>(rows, vocab).data(), rows, vocab);
        const auto& y = labels(rows, vocab);
        return [=, &y] {
            double sum = 0;
            prefopt::sequence_log_probs.into(x, y, {.sum = prefopt::view<double, 1>(&sum, {1})});
            benchmark::DoNotOptimize(sum);
        };
    });
    add(name + "allocating", per_call, [=] {
        const Eigen::Map<const row_major> x(logits<float>(rows, vocab).data(), rows, vocab);
        const auto& y = labels(rows, vocab);
        return [=, &y] { benchmark::DoNotOptimize(prefopt::sequence_log_probs(x, y).sum[0]); };
    });
}

[[maybe_unused]] const bool registered = [] {
    add_abstraction(64, 512);
    add_abstraction(64, 4096);
    add_abstraction(64, 32000);
    return true;
}();

}  // namespace
}  // namespace prefopt_bench
