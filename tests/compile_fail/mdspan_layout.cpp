// SPDX-License-Identifier: Apache-2.0
//
// An mdspan of tiles: no stride leads from one element to the next.

#include <array>
#include <cstddef>

#include <prefopt/adapters/mdspan.hpp>
#include <prefopt/plackett_luce.hpp>

#include "../support/mdspan.hpp"

struct tiles {
    template <class Extents>
    struct mapping : mini::layout_right::mapping<Extents> {
        using mini::layout_right::mapping<Extents>::mapping;
        static constexpr bool is_always_strided() noexcept { return false; }
        static constexpr bool is_strided() noexcept { return false; }
    };
};
using matrix = mini::extents<int, mini::dynamic_extent, mini::dynamic_extent>;

double use(const float* x, int n) {
#ifdef PREFOPT_MUST_FAIL
    const mini::mdspan<const float, matrix, tiles> m(x, matrix(n, n));
#else
    const mini::mdspan<const float, matrix> m(x, matrix(n, n));
#endif
    return prefopt::plackett_luce_dpo{}(m, m).loss;
}
