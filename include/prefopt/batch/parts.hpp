// SPDX-License-Identifier: Apache-2.0
//
// How a batch is cut: into parts, whose summaries are merged in order. The parts depend on nothing
// but the number of examples, so the same batch gives the same bits on any number of threads.
// Within a part, sums have sixteen lanes (simd/pack.hpp).

#pragma once

#include <array>
#include <cstddef>

#include <prefopt/batch/summary.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/simd/instruction_set.hpp>
#include <prefopt/simd/pack.hpp>

#if defined(__GNUC__) || defined(__clang__)
/// Inlines all that the function calls, so that a formula, which is compiled for the unit's own
/// target, is compiled for that of the region.
#define PREFOPT_FLATTEN [[gnu::flatten]]
#else
#define PREFOPT_FLATTEN
#endif

namespace prefopt::inline PREFOPT_ABI::detail {

/// Examples that are widened, computed and rounded at a time: what the first-level cache holds.
inline constexpr std::ptrdiff_t block_examples = 512;
/// Parts of a batch at most, and examples of a part at least.
inline constexpr std::ptrdiff_t most_parts = 64;
inline constexpr std::ptrdiff_t least_part = 8 * block_examples;

/// Whether a formula's `term` and `reward` run on packs: they choose with select(condition, a, b)
/// instead of branching. It says so with `static constexpr bool on_vectors = true`; one that does
/// not is asked lane by lane.
template <class Formula>
concept runs_on_vectors = requires {
    requires Formula::on_vectors;
};

/// Whether reward(x) is x times a positive constant: it says so with
/// `static constexpr bool linear_reward = true`. Sums of rewards are then rewards of sums, and who
/// wins is seen in the log-ratios.
template <class Formula>
concept is_reward_linear = requires {
    requires Formula::linear_reward;
};

/// Whether a pairwise loss is of the difference alone: it says so with
/// `static constexpr bool of_difference = true`.
template <class Formula>
concept is_of_difference = requires {
    requires Formula::of_difference;
};

/// The formula that is asked. A wrapper that changes nothing but what surrounds the formula (as a
/// trust region does) has a member `formula()`, and shares the compiled loop of the loss inside.
template <class Formula>
const auto& formula_of(const Formula& f) noexcept {
    if constexpr (requires { f.formula(); })
        return f.formula();
    else
        return f;
}

/// Whether all that is read is exact in float, and all that is written is stored in float: then
/// nobody can see more digits than a float has, and packs of that grade will do.
template <class... Inputs>
bool reads_float_or_less(const Inputs&... inputs) noexcept {
    return ((!inputs.has_value || inputs.kind != scalar_kind::f64) && ...);
}
template <class... Outputs>
bool writes_float(const Outputs&... outputs) noexcept {
    return ((!outputs.has_value || outputs.kind == scalar_kind::f32) && ...);
}

/// Runs part(first, last, summary) over the parts of n examples and merges what they leave behind.
template <class Summary, class Part>
Summary run_parts(const executor& e, std::ptrdiff_t n, const Part& part) {
    const std::ptrdiff_t blocks = (n + block_examples - 1) / block_examples;
    const std::ptrdiff_t even = (blocks + most_parts - 1) / most_parts * block_examples;
    const std::ptrdiff_t size = even < least_part ? least_part : even;
    if (n <= size) {  // one part, and no room for more to be cleared
        Summary one;
        if (n > 0) part(std::ptrdiff_t{0}, n, one);
        return one;
    }
    std::array<Summary, static_cast<std::size_t>(most_parts)> summaries{};
    const std::ptrdiff_t parts = (n + size - 1) / size;
    for_range(e, parts, 8 * n, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (std::ptrdiff_t i = begin; i < end; ++i) {
            const std::ptrdiff_t first = i * size;
            part(first, n - first < size ? n : first + size,
                 summaries[static_cast<std::size_t>(i)]);
        }
    });
    Summary all;
    for (std::ptrdiff_t i = 0; i < parts; ++i) all.merge(summaries[static_cast<std::size_t>(i)]);
    return all;
}

}  // namespace prefopt::inline PREFOPT_ABI::detail

namespace prefopt::inline PREFOPT_ABI::detail::scalar {
#include <prefopt/batch/block.inc>
}  // namespace prefopt::inline PREFOPT_ABI::detail::scalar

#define PREFOPT_KERNELS <prefopt/batch/block.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS
