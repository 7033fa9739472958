// SPDX-License-Identifier: Apache-2.0
//
// Token ids -> labels: the shift by one that every system needs and some get wrong.

#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <prefopt/batch/sequences.hpp>
#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// The label written where nothing is scored.
inline constexpr int ignored_label = -100;

struct shift_labels_options {
    /// (B) how many leading tokens of each sequence are prompt: predicting them is not scored.
    index_input<1> prompt_lengths{};
    /// (B) real tokens of each sequence, where (B, T) is padded on the right.
    index_input<1> lengths{};
    /// (B + 1) offsets of packed sequences in (N) tokens.
    index_input<1> offsets{};
};

namespace detail {

struct shift_labels_fn {
    /// labels[b, t] = tokens[b, t + 1], and ignored_label (-100) at the last position of each
    /// sequence, inside the prompt, in the padding, and where the token is negative already.
    ///
    /// tokens (B, T), or (N) as one sequence or packed with offsets; any integer type. Returns the
    /// same shape and family, in the tokens' type if it is signed, else std::int64_t (always that,
    /// where the type is known only at run time).
    /// Errors: bad_offsets; bad_parameter for a length outside [0, T].
    ///
    ///     auto labels = prefopt::shift_labels(tokens, {.prompt_lengths = prompts});
    template <class T>
    auto operator()(const T& tokens, const shift_labels_options& o = {}) const {
        const auto& held = hold(tokens);
        using held_type = std::remove_cvref_t<decltype(held)>;
        const auto ids = lift<index_input, 2>(held);
        require(check_lengths(ids, o, rank_of(held)));
        using token = element_t<const held_type>;
        using label_type = std::conditional_t<std::signed_integral<token>, token, std::int64_t>;
        auto labels = make_labels<label_type>(held, ids.extents);
        const view<label_type, 2> out = rows_of_labels<label_type>(labels);
        for (std::ptrdiff_t s = 0; s < sequences(ids, o); ++s) {
            const std::ptrdiff_t outer = o.offsets.has_value ? 0 : s;
            const std::ptrdiff_t first = begin(o, s);
            const std::ptrdiff_t last = first + extent(ids, o, s);
            const std::ptrdiff_t end = o.lengths.has_value ? first + at(o.lengths, s) : last;
            const std::ptrdiff_t prompt =
                o.prompt_lengths.has_value ? first + at(o.prompt_lengths, s) : first;
            for (std::ptrdiff_t t = first; t < last; ++t) {
                const bool scored = t + 1 < end && t + 1 >= prompt;
                const std::int64_t next = scored ? ids(outer, t + 1) : ignored_label;
                out(outer, t) = static_cast<label_type>(next < 0 ? ignored_label : next);
            }
        }
        return labels;
    }

    template <class T>
    status check(const T& tokens, const shift_labels_options& o = {}) const {
        const auto& held = hold(tokens);
        return check_lengths(lift<index_input, 2>(held), o, rank_of(held));
    }

private:
    /// In the shape of the tokens; (1, N) where only the tokens know their rank and their family
    /// makes nothing.
    template <class S, class T>
    static auto make_labels(const T& tokens, std::array<std::ptrdiff_t, 2> extents) {
        const std::array<std::ptrdiff_t, 1> one{extents[1]};
        if constexpr (adapter<T>::rank == 1)
            return make_like<S>(tokens, one);
        else if constexpr (std::is_same_v<decltype(make_like<S>(tokens, one)),
                                          decltype(make_like<S>(tokens, extents))>)
            return rank_of(tokens) == 2 ? make_like<S>(tokens, extents) : make_like<S>(tokens, one);
        else
            return make_like<S>(tokens, extents);
    }
    template <class S, class T>
    static view<S, 2> rows_of_labels(T& labels) {
        const dynamic_view v = adapter<T>::view(labels);
        S* const data = static_cast<S*>(v.data);
        if (v.rank == 2) return {data, {v.extents[0], v.extents[1]}, {v.strides[0], v.strides[1]}};
        return {data, {1, v.extents[0]}, {0, v.strides[0]}};
    }

    static std::ptrdiff_t at(const index_input<1>& t, std::ptrdiff_t i) noexcept {
        return static_cast<std::ptrdiff_t>(t(i));
    }
    static std::ptrdiff_t sequences(const index_input<2>& ids, const shift_labels_options& o) {
        return o.offsets.has_value ? o.offsets.extents[0] - 1 : ids.extents[0];
    }
    static std::ptrdiff_t begin(const shift_labels_options& o, std::ptrdiff_t s) noexcept {
        return o.offsets.has_value ? at(o.offsets, s) : 0;
    }
    static std::ptrdiff_t extent(const index_input<2>& ids, const shift_labels_options& o,
                                 std::ptrdiff_t s) noexcept {
        return o.offsets.has_value ? at(o.offsets, s + 1) - at(o.offsets, s) : ids.extents[1];
    }

    static status check_lengths(const index_input<2>& ids, const shift_labels_options& o,
                                std::size_t rank) {
        if (o.offsets.has_value && rank == 2)
            return fault(errc::bad_parameter, "offsets",
                         "is for packed (N) tokens; (B, T) has its sequences already");
        const std::ptrdiff_t count =
            o.offsets.has_value && o.offsets.extents[0] == 0 ? 0 : sequences(ids, o);
        const shape b = length(count);
        if (status s =
                check_operands({describe("tokens", ids, any_shape, "", rank),
                                describe("prompt_lengths", o.prompt_lengths, b),
                                describe("lengths", o.lengths, b), describe("offsets", o.offsets)});
            !s.ok())
            return s;
        if (status s = check_offsets(o.offsets, ids.extents[1]); !s.ok()) return s;
        return first_of({check_each("prompt_lengths", o.prompt_lengths, ids, o),
                         check_each("lengths", o.lengths, ids, o)});
    }

    static status check_each(const char* name, const index_input<1>& lengths,
                             const index_input<2>& ids, const shift_labels_options& o) noexcept {
        if (!lengths.has_value) return {};
        for (std::ptrdiff_t s = 0; s < lengths.extents[0]; ++s)
            if (const std::int64_t n = lengths(s); n < 0 || n > extent(ids, o, s))
                return fault_value(errc::bad_parameter, name,
                                   "must be at least 0 and at most the sequence's length", n, s);
        return {};
    }
};

}  // namespace detail

inline constexpr detail::shift_labels_fn shift_labels{};

}  // namespace prefopt::inline PREFOPT_ABI
