// SPDX-License-Identifier: Apache-2.0
//
// What happened in a batch, an epoch, on all ranks: counts and sums, and the averages made of them.

#pragma once

#include <cstdint>

#include <prefopt/batch/summary.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/math/lane_sum.hpp>
#include <prefopt/math/libm.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// Averages over everything added so far. Adding batches, merging micro-batches, threads or ranks
/// gives the numbers of one batch of everything, whatever the split: counts exactly, sums up to the
/// rounding of a double. Trivially copyable, so
/// that ranks can exchange it as bytes. An average over nothing is NaN, never 0.
///
/// NaN and infinity in the data propagate into the averages they touch, and are counted.
///
///     prefopt::preference_metrics metrics;
///     metrics.add(result);               // of any loss of this library
///     metrics.merge(other_threads_metrics);
///     metrics.accuracy();
class preference_metrics {
public:
    /// Adds the result of a call, or a batch_summary.
    template <class Result>
    void add(const Result& result) {
        if constexpr (requires { result.summary; })
            totals_.merge(result.summary);
        else
            totals_.merge(result);
    }
    void merge(const preference_metrics& other) noexcept {
        totals_.merge(other.totals_);
        kl_.merge(other.kl_);
        kl_k3_ += other.kl_k3_;
    }

    /// Adds answers *sampled from the policy*, for the two KL estimates; policy, reference (N).
    template <class P, class R>
    void add_samples(const P& policy, const R& reference) {
        [this](const auto& p, const auto& r) {
            kl_.merge(kl_estimate.statistics(p, r));
            const input<1> a(p);
            const input<1> b(r);
            for (std::ptrdiff_t i = 0; i < a.extents[0]; ++i) {
                const double d = detail::load_element(a, i) - detail::load_element(b, i);
                // at -infinity the exponential has it: infinity, not infinity - infinity
                kl_k3_ += is_infinite(d) && d < 0 ? -d : detail::libm::expm1(-d) + d;
            }
        }(detail::hold(policy), detail::hold(reference));
    }
    /// Counts the sequences without a scored token, and the non-finite tokens, of a
    /// sequence_report.
    template <class Report>
    void add_report(const Report& report) noexcept {
        totals_.empty += report.empty;
        totals_.nonfinite_tokens += report.nonfinite;
    }

    /// Mean (weighted) loss per example.
    [[nodiscard]] double loss() const noexcept { return mean(totals_.loss, totals_.examples); }
    /// Mean implicit reward of the chosen (desirable, first-placed) answers.
    [[nodiscard]] double chosen_reward() const noexcept {
        return mean(totals_.chosen_reward, totals_.chosen);
    }
    [[nodiscard]] double rejected_reward() const noexcept {
        return mean(totals_.rejected_reward, totals_.rejected);
    }
    /// Mean reward of the chosen minus that of the rejected (for a list: of the mean of the
    /// others). Unpaired answers are not compared one by one: there it is the difference of the two
    /// means.
    [[nodiscard]] double margin() const noexcept {
        return totals_.comparisons > 0 ? mean(totals_.margin, totals_.comparisons)
                                       : chosen_reward() - rejected_reward();
    }
    /// Share of comparisons that the chosen answer wins *strictly*: at policy = reference it is 0
    /// and ties() is 1. (For a list: against all others.)
    [[nodiscard]] double accuracy() const noexcept {
        return mean(static_cast<double>(totals_.wins), totals_.comparisons);
    }
    /// Share of comparisons that are exactly equal.
    [[nodiscard]] double ties() const noexcept {
        return mean(static_cast<double>(totals_.ties), totals_.comparisons);
    }
    /// Share of chosen answers whose log-prob fell below the reference's.
    [[nodiscard]] double chosen_below_reference() const noexcept {
        return mean(static_cast<double>(totals_.chosen_below_reference), totals_.chosen);
    }
    /// Mean log-ratio, in nats, of the chosen / the rejected answers (not of samples of the
    /// policy).
    [[nodiscard]] double chosen_log_ratio() const noexcept {
        return mean(totals_.chosen_log_ratio, totals_.chosen);
    }
    [[nodiscard]] double rejected_log_ratio() const noexcept {
        return mean(totals_.rejected_log_ratio, totals_.rejected);
    }
    /// KL(policy, reference) in nats from add_samples: the plain mean of log-ratios, unbiased, can
    /// be negative ("k1" of Schulman, "Approximating KL divergence", 2020).
    [[nodiscard]] double kl() const noexcept { return mean(kl_.sum, kl_.count); }
    /// The same, never negative and of lower variance: mean of exp(-d) - 1 + d ("k3").
    [[nodiscard]] double kl_k3() const noexcept { return mean(kl_k3_, kl_.count); }

    [[nodiscard]] std::int64_t examples() const noexcept { return totals_.examples; }
    [[nodiscard]] std::int64_t nonfinite() const noexcept { return totals_.nonfinite; }
    [[nodiscard]] std::int64_t nonfinite_tokens() const noexcept {
        return totals_.nonfinite_tokens;
    }
    [[nodiscard]] std::int64_t empty() const noexcept { return totals_.empty; }
    [[nodiscard]] std::int64_t unweighted() const noexcept { return totals_.unweighted; }
    /// The counts and sums themselves.
    [[nodiscard]] const batch_summary& totals() const noexcept { return totals_; }

private:
    static double mean(double sum, std::int64_t count) noexcept {
        return count == 0 ? detail::quiet_nan_of<double> : sum / static_cast<double>(count);
    }

    batch_summary totals_{};
    kl_statistics kl_{};
    double kl_k3_ = 0;
};

}  // namespace prefopt::inline PREFOPT_ABI
