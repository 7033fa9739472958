// SPDX-License-Identifier: Apache-2.0
//
// Log-probs from hidden rows, multiplied out by the BLAS that was found.

#include <cmath>
#include <cstdio>
#include <vector>

#include <prefopt/adapters/cblas.hpp>
#include <prefopt/linear_log_probs.hpp>

int main() {
    prefopt::tensor<float, 2> hidden({1, 2});
    prefopt::tensor<float, 2> weights({4, 2});
    const std::vector<int> label{3};
    hidden(0, 0) = 1;
    for (int token = 0; token < 4; ++token) weights(token, 0) = 5;  // all four are as likely
    const auto scored = prefopt::linear_log_probs(prefopt::cblas_gemm, hidden, weights, label);
    std::printf("CBLAS: log-prob %.6f\n", scored.sum[0]);
    return std::abs(scored.sum[0] + std::log(4.0)) < 1e-6 ? 0 : 1;
}
