// SPDX-License-Identifier: Apache-2.0
//
// DPO compares with a reference: two tensors are not enough, and it is not taken for granted.

#include <vector>

#include <prefopt/dpo.hpp>

double use(const std::vector<float>& v) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{}(v, v).loss;
#else
    return prefopt::dpo{}(v, v, v, v).loss;
#endif
}
