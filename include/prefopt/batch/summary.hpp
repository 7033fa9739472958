// SPDX-License-Identifier: Apache-2.0
//
// batch_summary: the counts and sums that a batch leaves behind, whatever the loss. A monoid: the
// summaries of micro-batches, threads and ranks add up to that of the whole. preference_metrics
// (metrics.hpp) turns them into averages.

#pragma once

#include <cstdint>

#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// Sums in double, counts in 64 bits; trivially copyable, so that ranks can send it as bytes.
/// "Example" is a pair, an unpaired answer or a list. NaN and infinity propagate into the sums of
/// what they touch, and are counted.
struct batch_summary {
    std::int64_t examples = 0;
    double loss = 0;  ///< sum over examples, weighted as the loss was

    std::int64_t chosen = 0;    ///< answers that were chosen, desirable or placed first
    std::int64_t rejected = 0;  ///< answers that were not
    double chosen_reward = 0;   ///< sum of beta * log-ratio over the chosen
    double rejected_reward = 0;
    double chosen_log_ratio = 0;  ///< sum of policy - reference over the chosen
    double rejected_log_ratio = 0;
    std::int64_t chosen_below_reference = 0;  ///< chosen answers with policy < reference

    std::int64_t comparisons = 0;  ///< examples that compare a chosen answer with another
    double margin = 0;             ///< sum over comparisons of the reward difference
    std::int64_t wins = 0;         ///< chosen strictly above
    std::int64_t ties = 0;         ///< exactly equal

    std::int64_t nonfinite = 0;         ///< examples whose loss is NaN or infinite
    std::int64_t nonfinite_tokens = 0;  ///< scored tokens whose log-prob is NaN or infinite
    std::int64_t empty = 0;             ///< sequences without a scored token
    std::int64_t unweighted = 0;        ///< examples left out by a weight of 0

    /// Adds another batch's.
    constexpr void merge(const batch_summary& b) noexcept {
        examples += b.examples;
        loss += b.loss;
        chosen += b.chosen;
        rejected += b.rejected;
        chosen_reward += b.chosen_reward;
        rejected_reward += b.rejected_reward;
        chosen_log_ratio += b.chosen_log_ratio;
        rejected_log_ratio += b.rejected_log_ratio;
        chosen_below_reference += b.chosen_below_reference;
        comparisons += b.comparisons;
        margin += b.margin;
        wins += b.wins;
        ties += b.ties;
        nonfinite += b.nonfinite;
        nonfinite_tokens += b.nonfinite_tokens;
        empty += b.empty;
        unweighted += b.unweighted;
    }

    /// One answer: which side it is on, its log-ratio and its reward.
    constexpr void add_answer(bool is_chosen, double log_ratio, double reward) noexcept {
        (is_chosen ? chosen : rejected) += 1;
        (is_chosen ? chosen_reward : rejected_reward) += reward;
        (is_chosen ? chosen_log_ratio : rejected_log_ratio) += log_ratio;
        if (is_chosen && !is_nan(log_ratio) && log_ratio < 0) ++chosen_below_reference;
    }

    /// One comparison of a chosen answer's reward with another's. A NaN is neither win nor tie.
    constexpr void add_comparison(double better, double other, double difference) noexcept {
        ++comparisons;
        margin += difference;
        if (is_nan(better) || is_nan(other)) return;
        if (better > other) ++wins;
        if (better == other) ++ties;
    }
};

}  // namespace prefopt::inline PREFOPT_ABI
