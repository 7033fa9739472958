// SPDX-License-Identifier: Apache-2.0
//
// An expression in the options would be gone before it is read: nothing there keeps it alive.

#include <vector>

#include <prefopt/dpo.hpp>

#include "lazy_sum.hpp"

double use(const std::vector<float>& v) {
    const lazy_sum sum{&v, &v};
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{}(v, v, sum, v, {.weights = sum}).loss;
#else
    return prefopt::dpo{}(v, v, sum, v, {.weights = v}).loss;
#endif
}
