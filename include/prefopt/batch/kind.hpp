// SPDX-License-Identifier: Apache-2.0
//
// The three batch algorithms, by name. A formula says which of them it is asked by.

#pragma once

#include <cstdint>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// pairwise: a chosen and a rejected answer; unpaired: one answer and a flag; listwise: a ranking.
enum class loss_kind : std::uint8_t { pairwise, unpaired, listwise };

/// A loss with a frozen or slowly moving reference, as a trust region needs.
template <class Loss>
concept has_reference = requires {
    requires Loss::has_reference;
};

}  // namespace prefopt::inline PREFOPT_ABI
