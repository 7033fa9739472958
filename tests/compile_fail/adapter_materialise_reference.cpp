// SPDX-License-Identifier: Apache-2.0
//
// A reference to the value of an expression, which nobody keeps.

#include <cstddef>
#include <span>
#include <vector>

#include <prefopt/dpo.hpp>

struct their_tensor {
    std::vector<float> values;
};

template <>
struct prefopt::adapter<their_tensor> {
    static constexpr std::size_t rank = 1;
#ifdef PREFOPT_MUST_FAIL
    static const std::vector<float>& materialise(const their_tensor& t) { return t.values; }
#else
    static std::vector<float> materialise(const their_tensor& t) { return t.values; }
#endif
};

double use(const their_tensor& t) { return prefopt::dpo{}(t, t, t, t).loss; }
