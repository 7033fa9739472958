// SPDX-License-Identifier: Apache-2.0
//
// An mdspan whose accessor does more than to dereference a pointer.

#include <array>
#include <cstddef>

#include <prefopt/adapters/mdspan.hpp>
#include <prefopt/dpo.hpp>

#include "../support/mdspan.hpp"

struct negated {
    using element_type = const float;
    using reference = float;
    using data_handle_type = const float*;
};
using line = mini::extents<int, mini::dynamic_extent>;

double use(const float* x, int n) {
#ifdef PREFOPT_MUST_FAIL
    const mini::mdspan<const float, line, mini::layout_right, negated> m(x, line(n));
#else
    const mini::mdspan<const float, line> m(x, line(n));
#endif
    return prefopt::dpo{}(m, m, m, m).loss;
}
