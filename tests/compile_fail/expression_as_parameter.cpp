// SPDX-License-Identifier: Apache-2.0
//
// A trust region reads parameters where they are: an expression has no place.

#include <cstddef>
#include <vector>

#include <prefopt/trust_region.hpp>

struct lazy_sum {  // an expression: it has to be evaluated before it can be seen
    const std::vector<float>* a;
    const std::vector<float>* b;
};

template <>
struct prefopt::adapter<lazy_sum> {
    static constexpr std::size_t rank = 1;
    static auto materialise(const lazy_sum& s) {
        std::vector<float> v(*s.a);
        for (std::size_t i = 0; i < v.size(); ++i) v[i] += (*s.b)[i];
        return v;
    }
};

bool use(prefopt::tr_dpo& loss, const std::vector<float>& policy, std::vector<float>& reference) {
#ifdef PREFOPT_MUST_FAIL
    return loss.step(lazy_sum{&policy, &policy}, reference);
#else
    return loss.step(policy, reference);
#endif
}
