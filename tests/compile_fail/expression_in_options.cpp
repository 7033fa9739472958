// SPDX-License-Identifier: Apache-2.0
//
// An expression in the options would be gone before it is read: nothing there keeps it alive.

#include <cstddef>
#include <vector>

#include <prefopt/dpo.hpp>

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

double use(const std::vector<float>& v) {
    const lazy_sum sum{&v, &v};
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{}(v, v, sum, v, {.weights = sum}).loss;
#else
    return prefopt::dpo{}(v, v, sum, v, {.weights = v}).loss;
#endif
}
