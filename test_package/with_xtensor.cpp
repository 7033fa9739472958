// SPDX-License-Identifier: Apache-2.0
//
// DPO of xtensor's arrays.

#include <cmath>
#include <cstdio>

#include <prefopt/adapters/xtensor.hpp>
#include <prefopt/dpo.hpp>

int main() {
    const xt::xtensor<double, 1> policy{-12.0, -12.0};
    const auto result = prefopt::dpo{.beta = 0.1}(policy, policy, policy + 0.0, policy);
    std::printf("xtensor: loss %.6f, gradient %+.6f\n", result.loss, result.grad_chosen[0]);
    return std::abs(result.grad_chosen[0] + 0.025) < 1e-12 ? 0 : 1;
}
