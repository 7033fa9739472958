// SPDX-License-Identifier: Apache-2.0
//
// A gemm reads float or double, and both factors alike.

#include <vector>

#include <prefopt/linear_log_probs.hpp>

#ifdef PREFOPT_MUST_FAIL
using stored = prefopt::bf16;
#else
using stored = float;
#endif

struct gemm {
    void operator()(const prefopt::gemm_task<float>&) const;
};

auto use(const prefopt::view<const stored, 2>& hidden,
         const prefopt::view<const stored, 2>& weights, const std::vector<int>& labels) {
    return prefopt::linear_log_probs(gemm{}, hidden, weights, labels);
}
