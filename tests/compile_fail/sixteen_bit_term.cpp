// SPDX-License-Identifier: Apache-2.0
//
// bf16 and fp16 are storage: nothing is computed in them.

#include <prefopt/plackett_luce.hpp>

#include <span>

float use(std::span<prefopt::bf16> stored, std::span<float> widened) {
    const prefopt::plackett_luce_dpo loss{.beta = 0.1};
#ifdef PREFOPT_MUST_FAIL
    return static_cast<float>(loss.term(stored, 2)) + widened[0];
#else
    return loss.term(widened, 2) + static_cast<float>(stored[0]);
#endif
}
