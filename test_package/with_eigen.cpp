// SPDX-License-Identifier: Apache-2.0
//
// DPO on Eigen's vectors, which come back as Eigen's vectors.

#include <cmath>
#include <cstdio>

#include <prefopt/adapters/eigen.hpp>
#include <prefopt/dpo.hpp>

int main() {
    const Eigen::VectorXd same = Eigen::VectorXd::Constant(2, -12.0);
    const auto result = prefopt::dpo{.beta = 0.1}(same, same, same, same);
    const Eigen::VectorXd gradient = result.grad_chosen;
    std::printf("Eigen: loss %.6f, gradient %+.6f\n", result.loss, gradient(0));
    return std::abs(gradient.sum() + 0.05) < 1e-12 ? 0 : 1;
}
