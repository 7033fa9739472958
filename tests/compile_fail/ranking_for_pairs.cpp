// SPDX-License-Identifier: Apache-2.0
//
// A fifth tensor is not an option of a loss of pairs.

#include <vector>

#include <prefopt/dpo.hpp>

double use(const std::vector<float>& v, const std::vector<float>& weights) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{}(v, v, v, v, weights).loss;
#else
    return prefopt::dpo{}(v, v, v, v, {.weights = weights}).loss;
#endif
}
