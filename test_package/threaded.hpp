// SPDX-License-Identifier: Apache-2.0
//
// Log-probs of rows enough to be split, by an executor and serially: the bits are the same.

#pragma once

#include <cstdio>
#include <vector>

#include <prefopt/log_probs.hpp>

template <class Executor>
int threaded(const char* name, Executor&& executor) {
    constexpr int rows = 64;
    constexpr int vocabulary = 4096;
    prefopt::tensor<float, 2> logits({rows, vocabulary});
    std::vector<int> labels(rows);
    for (int row = 0; row < rows; ++row) {
        labels[static_cast<std::size_t>(row)] = row;
        for (int token = 0; token < vocabulary; ++token)
            logits(row, token) = static_cast<float>((row * 31 + token * 17) % 101) / 10;
    }
    const double serial = prefopt::sequence_log_probs(logits, labels).sum[0];
    const double split = prefopt::sequence_log_probs(logits, labels, {.executor = executor}).sum[0];
    std::printf("%s: log-prob %.6f\n", name, split);
    return split == serial ? 0 : 1;
}
