// SPDX-License-Identifier: Apache-2.0
//
// An adapter that forgot its view.

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

#else
    static auto view(auto& t) { return prefopt::view{t.values.data(), {t.values.size()}}; }
#endif
};

double use(const their_tensor& t) { return prefopt::dpo{}(t, t, t, t).loss; }
