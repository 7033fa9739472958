// SPDX-License-Identifier: Apache-2.0
//
// A view of mutable tensors alone: inputs are const.

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
    static auto view(their_tensor& t) {
        return prefopt::view{t.values.data(), { t.values.size() }};
    }
#else
    static auto view(auto& t) { return prefopt::view{t.values.data(), {t.values.size()}}; }
#endif
};

double use(const their_tensor& t) { return prefopt::dpo{}(t, t, t, t).loss; }
