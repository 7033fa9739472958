// SPDX-License-Identifier: Apache-2.0
//
// The sizes at which things are measured.

#pragma once

#include <cstddef>

namespace prefopt_bench {

struct batch_size {
    std::ptrdiff_t rows;
    std::ptrdiff_t vocab;
};

/// Rows of three vocabularies; the first is 8 MB of float, the last 263 MB.
inline constexpr batch_size batch_sizes[] = {
    {64, 32000}, {64, 50257}, {64, 128256}, {512, 32000}, {512, 50257}, {512, 128256},
};
/// In cache and out of it, for what need not be measured everywhere.
inline constexpr batch_size two_batch_sizes[] = {{64, 32000}, {512, 128256}};

/// Pairs, lists, answers or entries: from what sits in the first cache to what sits in none.
inline constexpr std::ptrdiff_t vector_sizes[] = {1'000, 10'000, 100'000, 1'000'000, 10'000'000};

/// Parameters of one tensor: in cache and out of it.
inline constexpr std::ptrdiff_t parameter_sizes[] = {100'000, 20'000'000};

}  // namespace prefopt_bench
