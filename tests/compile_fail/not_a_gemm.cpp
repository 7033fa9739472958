// SPDX-License-Identifier: Apache-2.0
//
// The matrix product comes first, and takes a gemm_task.

#include <vector>

#include <prefopt/linear_log_probs.hpp>

#ifdef PREFOPT_MUST_FAIL
using task = int;
#else
using task = prefopt::gemm_task<float>;
#endif

struct gemm {
    void operator()(const task&) const;
};

auto use(const prefopt::view<const float, 2>& hidden, const prefopt::view<const float, 2>& weights,
         const std::vector<int>& labels) {
    return prefopt::linear_log_probs(gemm{}, hidden, weights, labels);
}
