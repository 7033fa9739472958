// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic of sizes and addresses: std::min and std::max without <algorithm>, and std::align, for
// memory that is known to suffice, without <memory>. Each of these headers would be a tenth of what
// including this library costs.

#pragma once

#include <cstddef>
#include <cstdint>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

constexpr std::ptrdiff_t smaller(std::ptrdiff_t a, std::ptrdiff_t b) noexcept {
    return b < a ? b : a;
}

constexpr std::ptrdiff_t larger(std::ptrdiff_t a, std::ptrdiff_t b) noexcept {
    return a < b ? b : a;
}

/// The first address from p on that is a multiple of `alignment` bytes.
inline std::byte* align_up(void* p, std::size_t alignment) noexcept {
    const std::size_t past = reinterpret_cast<std::uintptr_t>(p) % alignment;
    return static_cast<std::byte*>(p) + (past == 0 ? 0 : alignment - past);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
