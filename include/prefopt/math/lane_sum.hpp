// SPDX-License-Identifier: Apache-2.0
//
// The fixed shape of every sum: term i goes to lane i mod 64, lanes are added as a balanced tree.
//
// The shape depends on nothing but the position of a term, so the same input gives the same bits
// however a batch is chunked, wherever it lies in memory and however wide the vectors are. The
// error bound grows with n / 64 + 6 instead of n.

#pragma once

#include <array>
#include <cstddef>
#include <type_traits>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

inline constexpr std::ptrdiff_t lane_count = 64;

/// Sums terms by their position, counted from 0.
template <class A = double>
struct lane_sum {
    std::array<A, static_cast<std::size_t>(lane_count)> lane{};

    constexpr lane_sum() {
        if constexpr (!std::is_arithmetic_v<A>) lane.fill(A(0));  // A{} need not be zero
    }
    constexpr void add(std::ptrdiff_t position, const A& term) noexcept {
        A& sum = lane[static_cast<std::size_t>(position) % lane.size()];
        sum = sum + term;
    }
    [[nodiscard]] constexpr A total() const noexcept {
        auto t = lane;
        for (std::size_t width = t.size() / 2; width > 0; width /= 2)
            for (std::size_t i = 0; i < width; ++i) t[i] = t[i] + t[i + width];
        return t[0];
    }
};

}  // namespace prefopt::inline PREFOPT_ABI::detail
