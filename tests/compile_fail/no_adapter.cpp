// SPDX-License-Identifier: Apache-2.0
//
// A tensor type that nobody adapted stops at a sentence that says what to include or specialise.

#include "calls.hpp"

struct their_tensor {
    std::vector<float> values;
};

#ifndef PREFOPT_MUST_FAIL
template <>
struct prefopt::adapter<their_tensor> {
    static constexpr std::size_t rank = 1;
    static auto view(auto& t) { return prefopt::view{t.values.data(), {t.values.size()}}; }
};
void use(const their_tensor& t) { pairs(t); }
#else
void use(their_tensor& t) { PREFOPT_CALL(t); }
#endif
