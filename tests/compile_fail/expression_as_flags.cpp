// SPDX-License-Identifier: Apache-2.0
//
// A lazy comparison as flags of a call that must not allocate: nothing would keep its value.

#include <vector>

#include <prefopt/kto.hpp>

struct lazy {};
template <>
struct prefopt::adapter<lazy> {
    static std::vector<unsigned char> materialise(const lazy&) { return {1, 0}; }
};

void use(const std::vector<float>& policy, std::vector<float>& grad) {
#ifdef PREFOPT_MUST_FAIL
    prefopt::kto{}.into(policy, policy, lazy{}, 0.0, {.grad = grad});
#else
    const auto flags = prefopt::adapter<lazy>::materialise(lazy{});
    prefopt::kto{}.into(policy, policy, flags, 0.0, {.grad = grad});
#endif
}
