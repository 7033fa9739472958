// SPDX-License-Identifier: Apache-2.0
//
// What every batch algorithm shares: how per-example losses become one number, per-example
// weights, and the version of the reference that the given log-probs came from.

#pragma once

#include <cstddef>
#include <cstdint>

#include <prefopt/core/arithmetic.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/core/ranges.hpp>
#include <prefopt/math/lane_sum.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// How the losses of a batch become `result.loss`.
enum class reduction : std::uint8_t {
    mean,  ///< sum of weight * loss over the number of examples; an empty batch is an error
    sum,   ///< sum of weight * loss; 0 for an empty batch
};

/// The versions of the reference under which log-probs were computed: one number, or one per
/// example (for a cache that was filled bit by bit). All must agree with each other and, for a
/// trust_region, with its current version; otherwise the call is refused with stale_reference.
class reference_versions {
public:
    constexpr reference_versions() = default;
    constexpr reference_versions(std::uint64_t version) noexcept  // NOLINT: implicit by design
        : one_(version), one_given_(true) {}
    template <std::ranges::contiguous_range R>
        requires std::same_as<std::ranges::range_value_t<R>, std::uint64_t>
    constexpr reference_versions(const R& versions)  // NOLINT: implicit by design
        : many_(versions) {}

    /// One entry per example, if it is a list.
    [[nodiscard]] status check_length(std::ptrdiff_t examples) const {
        if (!many_.has_value || many_.size == examples) return {};
        return detail::fault_shape(errc::shape_mismatch, name, "must have one entry per example",
                                   detail::length(many_.size), detail::length(examples));
    }

    /// Against the current version if there is one (a trust region), else against each other.
    [[nodiscard]] status check(const std::uint64_t* current) const {
        const auto stale = [&](std::int64_t index, std::uint64_t got) {
            return detail::fault_value(
                errc::stale_reference, name,
                current != nullptr ? "must be the reference's current version: the reference "
                                     "has moved since these log-probs were computed"
                                   : "must all be one version",
                got, index);
        };
        if (one_given_ && current != nullptr && one_ != *current) return stale(-1, one_);
        for (std::ptrdiff_t i = 0; i < many_.size; ++i)
            if (many_[i] != (current != nullptr ? *current : many_[0])) return stale(i, many_[i]);
        return {};
    }

private:
    static constexpr const char* name = "reference_versions";
    buffer<const std::uint64_t> many_{};
    std::uint64_t one_ = 0;
    bool one_given_ = false;
};

namespace detail {

inline constexpr std::ptrdiff_t block_size = lane_count;

/// The current version of a formula's reference, or null for one whose reference stays put.
template <class Formula>
const std::uint64_t* current_version(const Formula& f) noexcept {
    if constexpr (requires { f.state.version; })
        return &f.state.version;
    else
        return nullptr;
}

/// Weights must be finite and not negative.
inline status fault_weight(double weight, std::ptrdiff_t index) noexcept {
    return fault_value(errc::bad_parameter, "weights", "must be finite and at least 0", weight,
                       index);
}
inline status check_weights(const input<1>& weights) noexcept {
    if (!weights.has_value) return {};
    double w[block_size];
    for (std::ptrdiff_t first = 0; first < weights.extents[0]; first += block_size) {
        const std::ptrdiff_t n = smaller(block_size, weights.extents[0] - first);
        load_block(weights, first, n, w);
        for (std::ptrdiff_t i = 0; i < n; ++i)
            if (!is_finite(w[i]) || w[i] < 0) return fault_weight(w[i], first + i);
    }
    return {};
}

inline status check_not_empty(std::ptrdiff_t examples, reduction how, const char* name) noexcept {
    if (examples > 0 || how == reduction::sum) return {};
    return detail::fault(errc::empty_batch, name,
                         "is empty: the mean over no examples is not defined (reduction::sum is)");
}

/// A count of scored tokens per example must be given and positive where averages are taken.
inline status fault_count(const char* name, std::int64_t tokens, std::ptrdiff_t index) noexcept {
    return fault_value(errc::empty_sequence, name,
                       "must be at least 1: the average over no tokens is not defined", tokens,
                       index);
}
inline status check_counts(const char* name, const index_input<1>& counts) noexcept {
    for (std::ptrdiff_t i = 0; i < counts.extents[0]; ++i)
        if (const std::int64_t n = counts(i); n < 1) return fault_count(name, n, i);
    return {};
}

/// Weights of one block, 1 where none were given.
inline void load_weights(const input<1>& weights, std::ptrdiff_t first, std::ptrdiff_t n,
                         double* to) noexcept {
    if (weights.has_value)
        load_block(weights, first, n, to);
    else
        for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = 1;
}

/// What one example's loss and gradient are multiplied by in the reduced loss, over its weight.
inline double reduction_scale(reduction how, std::ptrdiff_t examples) noexcept {
    return how == reduction::mean ? 1.0 / static_cast<double>(examples) : 1.0;
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
