// SPDX-License-Identifier: Apache-2.0
//
// A view of run-time rank beside a rank that the type says.

#include <cstddef>
#include <span>
#include <vector>

#include <prefopt/dpo.hpp>

struct their_tensor {
    std::vector<float> values;
};

template <>
struct prefopt::adapter<their_tensor> {
    static prefopt::dynamic_view view(auto& t) {
        return prefopt::view{t.values.data(), {t.values.size()}};
    }
#ifdef PREFOPT_MUST_FAIL
    static constexpr std::size_t rank = 1;
#else
    static constexpr std::size_t rank = prefopt::dynamic_rank;
#endif
};

double use(const their_tensor& t) { return prefopt::dpo{}(t, t, t, t).loss; }
