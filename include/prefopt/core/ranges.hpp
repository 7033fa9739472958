// SPDX-License-Identifier: Apache-2.0
//
// What a range is, without the views of <ranges>: std::ranges::range, sized_range,
// contiguous_range and borrowed_range, size and data. The C++ library of GCC brings them with
// std::span, whose constructors ask for them, in a fraction of the time it takes to include
// <ranges>. Other libraries may not: for those it is <ranges>.

#pragma once

#include <version>

#if defined(__GLIBCXX__)
#include <span>
#else
#include <ranges>
#endif
