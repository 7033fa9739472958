// SPDX-License-Identifier: Apache-2.0
//
// A view by xt::keep has no strides: what would be written goes into a copy. A strided one has.

#include <prefopt/adapters/xtensor.hpp>
#include <prefopt/dpo.hpp>

double use(const xt::xtensor<float, 1>& v, xt::xtensor<float, 2>& out) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{}.into(v, v, v, v, {.losses = xt::view(out, 1, xt::keep(0, 2))}).loss;
#else
    return prefopt::dpo{}.into(v, v, v, v, {.losses = xt::view(out, 1, xt::range(0, 2))}).loss;
#endif
}
