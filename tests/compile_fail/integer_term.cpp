// SPDX-License-Identifier: Apache-2.0
//
// A formula in integers would take beta for 0.

#include <prefopt/dpo.hpp>

double use() {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{.beta = 0.1}.term(-3, -5).value;
#else
    return prefopt::dpo{.beta = 0.1}.term(-3.0, -5.0).value;
#endif
}
