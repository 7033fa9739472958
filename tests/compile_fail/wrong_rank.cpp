// SPDX-License-Identifier: Apache-2.0
//
// A matrix of log-probs where one per pair is wanted.

#include <vector>

#include <prefopt/dpo.hpp>

double use(const std::vector<float>& v, const prefopt::view<const float, 2>& matrix) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{}(v, v, matrix, v).loss;
#else
    return prefopt::dpo{}(v, v, prefopt::view(matrix.data, {matrix.size()}), v).loss;
#endif
}
