// SPDX-License-Identifier: Apache-2.0
//
// Rankings as pairs, for the losses that know only pairs.
//
// The default is all K (K - 1) / 2 pairs, because it is the only choice that recovers the rewards
// behind Plackett-Luce rankings: adjacent pairs and best-against-worst are *inconsistent*, their
// error does not vanish with more data.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <prefopt/batch/listwise.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// One pair of a list, as indices.
struct ranked_pair {
    std::ptrdiff_t list;      ///< which list of the batch
    std::ptrdiff_t chosen;    ///< the better answer's column
    std::ptrdiff_t rejected;  ///< the worse answer's column
};

/// Which pairs of a ranking to take. All but `all` throw information away.
enum class pair_selection : std::uint8_t {
    all,                 ///< every pair: K (K - 1) / 2 of them
    best_against_rest,   ///< the best with each of the others: K - 1
    adjacent,            ///< neighbours: K - 1; inconsistent
    best_against_worst,  ///< one; inconsistent
};

struct ranked_pairs_options {
    pair_selection selection = pair_selection::all;
    index_input<1> counts{};  ///< (B) answers per list, for ragged lists
    std::int64_t placed = 0;  ///< only the best M are placed, the others are below them; 0 = all
};

namespace detail {

struct ranked_pairs_fn {
    /// ranking (B, K): ranking(b, k) is the column of the answer that was placed k-th. Returns the
    /// pairs list by list, better answers first. Two unplaced answers make no pair.
    /// Errors: not_permutation with the first bad slot; bad_parameter for counts or placed.
    ///
    ///     for (auto [list, chosen, rejected] : prefopt::ranked_pairs(ranking)) ...
    ///
    /// (Pair is always what it is: a vector of a template's own type is compiled where it is used.)
    template <class R, class Pair = ranked_pair>
    std::vector<Pair> operator()(const R& ranking, const ranked_pairs_options& o = {}) const {
        const auto& held = hold(ranking);
        const index_input<2> order(held);
        require(check_order(order, o));
        std::vector<Pair> pairs;
        for (std::ptrdiff_t b = 0; b < order.extents[0]; ++b) {
            const std::ptrdiff_t n =
                o.counts.has_value ? static_cast<std::ptrdiff_t>(o.counts(b)) : order.extents[1];
            const std::ptrdiff_t placed = o.placed == 0 || o.placed > n ? n : o.placed;
            for (std::ptrdiff_t i = 0; i < placed; ++i)
                for (std::ptrdiff_t j = i + 1; j < n; ++j)
                    if (wanted(o.selection, i, j, n))
                        pairs.push_back({b, static_cast<std::ptrdiff_t>(order(b, i)),
                                         static_cast<std::ptrdiff_t>(order(b, j))});
        }
        return pairs;
    }

    template <class R>
    status check(const R& ranking, const ranked_pairs_options& o = {}) const {
        const auto& held = hold(ranking);
        return check_order(index_input<2>(held), o);
    }

private:
    static bool wanted(pair_selection selection, std::ptrdiff_t i, std::ptrdiff_t j,
                       std::ptrdiff_t n) noexcept {
        switch (selection) {
            case pair_selection::best_against_rest: return i == 0;
            case pair_selection::adjacent: return j == i + 1;
            case pair_selection::best_against_worst: return i == 0 && j == n - 1;
            default: return true;
        }
    }

    template <class Order>  // index_input<2>; a template for the vector in it
    static status check_order(const Order& order, const ranked_pairs_options& o) {
        if (o.placed < 0)
            return fault_value(errc::bad_parameter, "placed",
                               "must be at least 0 (0 places every answer)", o.placed);
        if (status s = check_operands({describe("ranking", order),
                                       describe("counts", o.counts, length(order.extents[0]))});
            !s.ok())
            return s;
        listwise_inputs in;
        in.policy.extents = order.extents;
        in.ranking = order;
        listwise_options options;
        options.counts = o.counts;
        if (status s = check_list_counts(options, order.extents[1]); !s.ok()) return s;
        if (order.extents[0] == 0) return {};
        const enough<double> seen({}, order.extents[1]);
        const status s = check_rankings(in, options, seen.memory());
        return s.ok() ? check_no_empty_list(options, order.extents[0], order.extents[1]) : s;
    }
};

}  // namespace detail

inline constexpr detail::ranked_pairs_fn ranked_pairs{};

}  // namespace prefopt::inline PREFOPT_ABI
