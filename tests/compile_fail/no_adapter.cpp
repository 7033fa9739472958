// SPDX-License-Identifier: Apache-2.0
//
// A tensor type that nobody adapted stops at a sentence that says what to include or specialise.

#include <cstddef>
#include <vector>

#include <prefopt/dpo.hpp>

struct their_tensor {
    std::vector<float> values;
};

#ifndef PREFOPT_MUST_FAIL
template <>
struct prefopt::adapter<their_tensor> {
    static constexpr std::size_t rank = 1;
    static auto view(auto& t) { return prefopt::view{t.values.data(), {t.values.size()}}; }
};
#endif

double use(const their_tensor& t) { return prefopt::dpo{}(t, t, t, t).loss; }
