// SPDX-License-Identifier: Apache-2.0
//
// DPO on the memory of libtorch's tensors.

#include <cmath>
#include <cstdio>
#include <span>

#include <ATen/ops/full.h>
#include <prefopt/dpo.hpp>

int main() {
    const at::Tensor policy = at::full({2}, -12.0, at::kDouble);
    const std::span<const double> same(policy.data_ptr<double>(), 2);
    const auto result = prefopt::dpo{.beta = 0.1}(same, same, same, same);
    std::printf("libtorch: loss %.6f, gradient %+.6f\n", result.loss, result.grad_chosen[0]);
    return std::abs(result.grad_chosen[0] + 0.025) < 1e-12 ? 0 : 1;
}
