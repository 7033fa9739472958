// SPDX-License-Identifier: Apache-2.0
//
// Log-probs are reals: a tensor of integers is a mistake, not a conversion.

#include <vector>

#include <prefopt/dpo.hpp>

#ifdef PREFOPT_MUST_FAIL
using scalar = int;
#else
using scalar = float;
#endif

double use(const std::vector<float>& v, const std::vector<scalar>& reference) {
    return prefopt::dpo{}(v, v, reference, reference).loss;
}
