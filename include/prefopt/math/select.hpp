// SPDX-License-Identifier: Apache-2.0
//
// select(condition, a, b): a choice that vectors can make too. A formula that chooses with it
// instead of branching runs on sixteen examples at a time, where the condition is a mask.

#pragma once

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// a if the condition holds, else b. Both have been computed; neither is multiplied by zero.
template <class T>
constexpr T select(bool condition, const T& a, const T& b) {
    return condition ? a : b;
}

}  // namespace prefopt::inline PREFOPT_ABI
