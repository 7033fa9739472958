// SPDX-License-Identifier: Apache-2.0
//
// An output must be writable.

#include <vector>

#include <prefopt/kto.hpp>

#ifdef PREFOPT_MUST_FAIL
using target = const std::vector<float>;
#else
using target = std::vector<float>;
#endif

double use(const std::vector<float>& v, const std::vector<bool>& desirable, target& out) {
    return prefopt::kto{}.into(v, v, desirable, 0.0, {.grad = out}).loss;
}
