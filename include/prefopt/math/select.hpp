// SPDX-License-Identifier: Apache-2.0
//
// select(condition, a, b): a choice that vectors can make too. A formula that chooses with it
// instead of branching runs on sixteen examples at a time, where the condition is a mask.

#pragma once

#include <type_traits>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// a if the condition holds, else b. Both have been computed; neither is multiplied by zero.
template <class Condition, class T>
constexpr T select(const Condition& condition, const T& a, const T& b) {
    if constexpr (std::is_convertible_v<Condition, bool>)
        return condition ? a : b;
    else
        return select(condition, a, b);  // the mask's own
}

}  // namespace prefopt::inline PREFOPT_ABI
