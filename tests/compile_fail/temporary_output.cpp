// SPDX-License-Identifier: Apache-2.0
//
// A result written to a temporary is lost with it. A view of memory that lives on is none.

#include <cstddef>
#include <span>
#include <vector>

#include <prefopt/dpo.hpp>

double use(const std::vector<float>& v, std::vector<float>& out) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{}.into(v, v, v, v, {.losses = std::vector<float>(out.size())}).loss;
#else
    return prefopt::dpo{}
        .into(v, v, v, v,
              {.losses = std::span(out), .grad_chosen = prefopt::view{out.data(), {out.size()}}})
        .loss;
#endif
}
