// SPDX-License-Identifier: Apache-2.0
//
// A call of each kind with one tensor in it that may be a mistake. PREFOPT_CALL is the name of one.

#pragma once

#include <cstdint>
#include <vector>

#include <prefopt/prefopt.hpp>

#ifndef PREFOPT_CALL
#define PREFOPT_CALL pairs
#endif

inline const std::vector<float> v(4);
inline float grid[2][3];
inline const std::vector<std::int64_t> two(2);

// As an input.
template <class T>
void pairs(const T& t) {
    (void)prefopt::dpo{}(v, v, t, v);
}
template <class T>
void answers(const T& t) {
    (void)prefopt::kto{}(v, t, two, 0.0);
}
template <class T>
void rankings(const T& t) {
    (void)prefopt::plackett_luce_dpo{}(grid, t);
}
template <class T>
void logits(const T& t) {
    (void)prefopt::sequence_log_probs(t, two);
}
template <class T>
void labels(const T& t) {
    (void)prefopt::sequence_log_probs(grid, t);
}
template <class T>
void options(const T& t) {
    (void)prefopt::dpo{}(v, v, v, v, {.weights = t});
}

// As an output.
template <class T>
void pairs_into(T& t) {
    prefopt::dpo{}.into(v, v, v, v, {.losses = t});
}
template <class T>
void answers_into(T& t) {
    prefopt::kto{}.into(v, v, two, 0.0, {.grad = t});
}
template <class T>
void rankings_into(T& t) {
    prefopt::plackett_luce_dpo{}.into(grid, grid, {.losses = t});
}
template <class T>
void logits_into(T& t) {
    prefopt::sequence_log_probs.into(grid, two, {.sum = t});
}
template <class T>
void backward_into(T& t) {
    prefopt::sequence_log_probs_backward(grid, two, v, t);
}
template <class T>
void in_place(T& t) {
    prefopt::sequence_log_probs_in_place(t, two);
}
