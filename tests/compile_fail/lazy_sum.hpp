// SPDX-License-Identifier: Apache-2.0
//
// An expression: it has to be evaluated before it can be seen.

#pragma once

#include <cstddef>
#include <vector>

#include <prefopt/core/adapter.hpp>

struct lazy_sum {
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
