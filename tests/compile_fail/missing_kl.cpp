// SPDX-License-Identifier: Apache-2.0
//
// KTO's reference point is an argument: nobody computes it behind the caller's back.

#include <vector>

#include <prefopt/kto.hpp>

double use(const std::vector<float>& v, const std::vector<bool>& desirable) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::kto{}(v, v, desirable).loss;
#else
    return prefopt::kto{}(v, v, desirable, 0.0).loss;
#endif
}
