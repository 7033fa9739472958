// SPDX-License-Identifier: Apache-2.0
//
// The instruction sets that can be forced on this machine, and what their results may differ by.

#pragma once

#include <cmath>
#include <limits>
#include <prefopt/simd/instruction_set.hpp>
#include <vector>

// Units of one program differ in the sets they have: each keeps its own copy.
namespace test::inline PREFOPT_ABI {

/// From narrow to wide, scalar first.
inline std::vector<prefopt::instruction_set> instruction_sets() {
    std::vector<prefopt::instruction_set> sets;
    for (int i = 0; i < 16; ++i) {  // more than have a name
        const auto set = static_cast<prefopt::instruction_set>(i);
        if (prefopt::has_instruction_set(set)) sets.push_back(set);
    }
    return sets;
}

/// Forces a set, and gives the machine's own back.
struct forced {
    explicit forced(prefopt::instruction_set set) { prefopt::use_instruction_set(set); }
    ~forced() { prefopt::use_instruction_set(prefopt::widest_instruction_set()); }
    forced(const forced&) = delete;
    forced& operator=(const forced&) = delete;
};

/// Whether results are those of the scalar templates bit for bit: without vectors, and where the
/// compiler may not regroup what it inlines here and there.
inline bool exact_scalar() {
#ifdef __FAST_MATH__
    return false;
#else
    return prefopt::active_instruction_set() == prefopt::instruction_set::scalar;
#endif
}

/// got = want, but for `units` times the spacing of R around 1, relative, and `room`, absolute;
/// NaN and infinities alike.
template <class R>
bool close(R got, double want, double units, double room = 0) {
    const double g = static_cast<double>(got);
    if (std::isnan(want) || std::isinf(want)) return std::isnan(want) ? std::isnan(g) : g == want;
    const double eps = static_cast<double>(std::numeric_limits<R>::epsilon());
    const double least = static_cast<double>(std::numeric_limits<R>::denorm_min());
    return std::fabs(g - want) <= units * eps * std::fabs(want) + room + least;
}

}  // namespace test::inline PREFOPT_ABI
