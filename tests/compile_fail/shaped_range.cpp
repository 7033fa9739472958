// SPDX-License-Identifier: Apache-2.0
//
// A library's tensor is often a contiguous range as well. It is no vector for that: without its
// adapter, a matrix would pass for one.

#include <array>
#include <cstddef>
#include <vector>

#include <prefopt/dpo.hpp>

struct shaped : std::vector<float> {
    using std::vector<float>::vector;
    std::array<std::size_t, 2> shape() const { return {1, size()}; }
};

double use(const shaped& x) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{}(x, x, x, x).loss;
#else
    const std::vector<float>& v = x;
    return prefopt::dpo{}(v, v, v, v).loss;
#endif
}
