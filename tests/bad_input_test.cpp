// SPDX-License-Identifier: Apache-2.0
//
// Every bad input has one outcome: a code, the argument's name, the first bad index, and the value
// or both shapes in the text; thrown by the call, returned by check, the same from every kind of
// tensor. Two faults in one call give the one that comes first in the documented order. After a
// refusal every byte that could have been written is what it was.

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <prefopt/prefopt.hpp>
#ifdef PREFOPT_TEST_EIGEN
#include <prefopt/adapters/eigen.hpp>
#endif

#include "support/backends/kernels.hpp"
#include "support/catch.hpp"

namespace {

using namespace prefopt;
using floats = std::vector<float>;
using ints = std::vector<std::int64_t>;

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr std::ptrdiff_t absurd = std::ptrdiff_t{1} << 62;

/// All that is read and written lies here; a refused call must leave every byte of it.
struct arena_t {
    float f[64];
    double d[300];
    std::int64_t i[32];
};
alignas(64) arena_t arena;

void fill_arena() {
    for (std::size_t k = 0; k < std::size(arena.f); ++k) arena.f[k] = static_cast<float>(k) / 8;
    for (double& x : arena.d) x = 5.5;
    for (std::int64_t& x : arena.i) x = 0;
}

struct expected {
    errc code;
    std::string_view argument;
    std::int64_t index = -1;
    std::string_view text = "";
};

/// Throws exactly what `checked` says, which is what is expected, and writes nothing.
template <class Call>
void refused(const expected& e, const status& checked, const Call& call) {
    static arena_t before;
    std::memcpy(&before, &arena, sizeof arena);
    status s;
    try {
        call();
    } catch (const error& thrown) {
        s = thrown.status();
        CHECK(std::string(thrown.what()) == s.message());
        CHECK((thrown.code() == s.code && thrown.index() == s.index));
    } catch (const std::exception& other) {
        s.argument = other.what();
    }
    INFO(s.message() << "; wanted " << to_string(e.code) << " of " << e.argument);
    CHECK(std::string_view(to_string(s.code)) == to_string(e.code));
    CHECK(std::string_view(s.argument) == e.argument);
    CHECK(s.index == e.index);
    CHECK(s.message().find(e.text) != std::string::npos);
    CHECK(s.message().find(e.argument) != std::string::npos);
    CHECK(std::string_view(to_string(checked.code)) == to_string(s.code));
    CHECK(std::string_view(checked.argument) == s.argument);
    CHECK(checked.index == s.index);
    CHECK(std::memcmp(&before, &arena, sizeof arena) == 0);
}

template <class Op, class... A>
void refuses(const expected& e, const Op& op, A&&... a) {
    refused(e, prefopt::check(op, a...), [&] { static_cast<void>(op(a...)); });
}
template <class Op, class Outputs, class Options, class... A>
void refuses_into(const expected& e, const Op& op, const Outputs& out, const Options& o, A&&... a) {
    refused(e, op.check(a..., o, out), [&] { static_cast<void>(op.into(a..., out, o)); });
}

view<float, 1> floats_at(std::ptrdiff_t first, std::ptrdiff_t n, std::ptrdiff_t stride = 1) {
    return {arena.f + first, {n}, {stride}};
}
/// A view whose pointer is one byte off.
template <std::size_t R>
view<float, R> misaligned_view(std::array<std::ptrdiff_t, R> n, std::array<std::ptrdiff_t, R> s) {
    return {reinterpret_cast<float*>(reinterpret_cast<std::byte*>(arena.f) + 1), n, s};
}

const floats three{1, 2, 3}, two{1, 2}, none{};
const float grid[2][3] = {{1, 2, 3}, {4, 5, 6}};
const float square[2][2] = {{1, 2}, {4, 5}};
const ints flags{1, 0, 1};

}  // namespace

TEST_CASE("parameters out of range are refused with their value", "[errors]") {
    fill_arena();
    const pairwise_options counts{.chosen_counts = flags, .rejected_counts = flags};
    for (const auto& [beta, text] : {std::pair{0.0, "got 0"},
                                     {-1.0, "got -1"},
                                     {not_a_number, "nan"},
                                     {infinite, "got inf"}}) {
        const expected e{errc::bad_parameter, "beta", -1, text};
        refuses(e, dpo{.beta = beta}, three, three, three, three);
        refuses(e, ipo{.beta = beta}, three, three, three, three);
        refuses(e, ipo_averaged{.beta = beta}, three, three, three, three, counts);
        refuses(e, kto{.beta = beta}, three, three, flags, 0.0);
        refuses(e, plackett_luce_dpo{.beta = beta}, grid, grid);
        refuses(e, tr_dpo{.loss = {.beta = beta}}, three, three, three, three);
    }
    refuses({errc::bad_parameter, "beta", -1, "got 1e-310"}, ipo{.beta = 1e-310}, three, three,
            three, three);
#ifndef __FAST_MATH__  // where subnormal numbers count as 0
    CHECK(dpo{.beta = 1e-310}.check(three, three, three, three).ok());
#endif
    for (const double x : {0.5, -0.1, not_a_number, 1.0, infinite})
        refuses({errc::bad_parameter, "label_smoothing", -1, "less than 0.5"},
                dpo{.label_smoothing = x}, three, three, three, three);
    for (const double x : {-1e-9, not_a_number, infinite}) {
        refuses({errc::bad_parameter, "desirable_weight"}, kto{.desirable_weight = x}, three, three,
                flags, 0.0);
        refuses({errc::bad_parameter, "undesirable_weight"}, kto{.undesirable_weight = x}, three,
                three, flags, 0.0);
        refuses({errc::bad_parameter, "centering"}, bradley_terry{.centering = x}, three, three);
        floats w{1, 0, static_cast<float>(x)};
        const expected e{errc::bad_parameter, "weights", 2, "weights[2] must be finite"};
        refuses(e, dpo{}, three, three, three, three, pairwise_options{.weights = w});
        refuses(e, bradley_terry{}, three, three, pairwise_options{.weights = w});
        refuses(e, kto{}, three, three, flags, 0.0, unpaired_options{.weights = w});
        w.erase(w.begin());
        refuses({errc::bad_parameter, "weights", 1}, plackett_luce_dpo{}, grid, grid,
                listwise_options{.weights = w});
    }
    refuses({errc::bad_parameter, "margin"}, bradley_terry{.margin = infinite}, three, three);
    refuses({errc::bad_parameter, "kl", -1, "got -0.5"}, kto{}, three, three, flags, -0.5);
    refuses({errc::bad_parameter, "placed", -1, "got -1"}, plackett_luce_dpo{}, grid, grid,
            listwise_options{.placed = -1});
    refuses({errc::bad_parameter, "chosen_counts"}, ipo_averaged{}, three, three, three, three);
    refuses({errc::bad_parameter, "rejected_counts"}, ipo_averaged{}, three, three, three, three,
            pairwise_options{.chosen_counts = flags});
    refuses({errc::bad_parameter, "rejected_counts", -1, "not used"}, dpo{}, three, three, three,
            three, pairwise_options{.rejected_counts = flags});
    for (const double alpha : {-0.01, 1.01, not_a_number})
        refuses({errc::bad_parameter, "alpha"}, tr_dpo{.update = {.alpha = alpha}}, three, three,
                three, three);
    refuses({errc::bad_parameter, "every", -1, "got 0"}, tr_kto{.update = {.every = 0}}, three,
            three, flags, 0.0);
}

TEST_CASE("wrong shapes and empty batches are refused; a sum over nothing is 0", "[errors]") {
    fill_arena();
    const expected e{errc::shape_mismatch, "policy_rejected", -1, "policy_chosen (3), got (2)"};
    refuses(e, dpo{}, three, two, three, three);
    refuses({errc::shape_mismatch, "reference_chosen"}, ipo{}, three, three, two, two);
    refuses({errc::shape_mismatch, "reference_rejected"}, dpo{}, three, three, three, two);
    refuses({errc::shape_mismatch, "rejected_scores", -1, "chosen_scores (3), got (2)"},
            bradley_terry{}, three, two);
    refuses({errc::shape_mismatch, "weights"}, dpo{}, three, three, three, three,
            pairwise_options{.weights = two});
    refuses({errc::shape_mismatch, "rejected_counts"}, ipo_averaged{}, two, two, two, two,
            pairwise_options{.chosen_counts = ints{1, 1}, .rejected_counts = flags});
    refuses({errc::shape_mismatch, "desirable"}, kto{}, two, two, flags, 0.0);
    refuses({errc::shape_mismatch, "reference"}, kl_estimate, two, three);
    refuses({errc::shape_mismatch, "reference", -1, "policy (2, 3), got (2, 2)"},
            plackett_luce_dpo{}, grid, square);
    refuses({errc::shape_mismatch, "ranking"}, plackett_luce_dpo{}, square, square,
            view(arena.i, {2, 3}));
    refuses({errc::shape_mismatch, "counts", -1, "(2), got (3)"}, ranked_pairs,
            view(arena.i, {2, 3}), ranked_pairs_options{.counts = flags});
    refuses({errc::shape_mismatch, "labels", -1, "(2), got (3)"}, sequence_log_probs, grid, flags);
    const view out(arena.f, {2, 3});
    refuses({errc::shape_mismatch, "grad_sum", -1, "(1), got (2)"}, sequence_log_probs_backward,
            grid, ints{0, 1}, two, out);
    refuses({errc::shape_mismatch, "grad_logits", -1, "logits (2, 2), got (2, 3)"},
            sequence_log_probs_backward, square, ints{0, 1}, floats{1}, out);
    refuses({errc::shape_mismatch, "labels"}, sequence_log_probs_in_place, out, flags);
    refuses({errc::shape_mismatch, "lengths"}, shift_labels, flags,
            shift_labels_options{.lengths = ints{1, 2}});
    refuses({errc::shape_mismatch, "policy_chosen", -1, "negative"}, dpo{}, floats_at(0, -1), three,
            three, three);
    refuses_into({errc::shape_mismatch, "losses"}, dpo{},
                 pairwise_outputs{.losses = floats_at(8, 4), .grad_chosen = floats_at(0, 3)},
                 pairwise_options{}, three, three, three, three);
    refuses_into({errc::shape_mismatch, "count"}, sequence_log_probs,
                 sequence_outputs{.count = std::span(arena.i, 2)}, sequence_options{}, grid,
                 ints{0, 1});

    const expected empty{errc::empty_batch, "policy_chosen", -1, "reduction::sum"};
    refuses(empty, dpo{}, none, none, none, none);
    refuses({errc::empty_batch, "chosen_scores"}, bradley_terry{}, none, none);
    refuses({errc::empty_batch, "policy"}, kto{}, none, none, ints{}, 0.0);
    refuses({errc::empty_batch, "policy"}, kl_estimate, none, none);
    const view no_lists(static_cast<float*>(nullptr), {0, 3});
    refuses({errc::empty_batch, "policy"}, plackett_luce_dpo{}, no_lists, no_lists);
    CHECK(dpo{}(none, none, none, none, {.reduction = reduction::sum}).loss == 0);
    CHECK(kto{}(none, none, ints{}, 0.0, {.reduction = reduction::sum}).loss == 0);
    CHECK(plackett_luce_dpo{}(no_lists, no_lists, {.reduction = reduction::sum}).loss == 0);
    CHECK(sequence_log_probs(no_lists, ints{}).sum == std::vector{0.0});
    CHECK(ranked_pairs(view(arena.i, {0, 3})).empty());
}

TEST_CASE("null, misaligned, overlapping and absurd memory is refused before it is touched",
          "[errors]") {
    fill_arena();
    const view<float, 1> null(nullptr, {3});
    refuses({errc::null_pointer, "policy_chosen", -1, "(3)"}, dpo{}, null, three, three, three);
    refuses({errc::null_pointer, "reference"}, kto{}, three, null, flags, 0.0);
    refuses({errc::null_pointer, "weights"}, ipo{}, three, three, three, three,
            pairwise_options{.weights = null});
    refuses({errc::null_pointer, "labels"}, sequence_log_probs, grid,
            view<const int, 1>(nullptr, {2}));
    refuses_into({errc::null_pointer, "grad"}, kto{}, unpaired_outputs{.grad = null},
                 unpaired_options{}, three, three, flags, 0.0);
    const view<float, 1> legal(nullptr, {0});
    CHECK(dpo{}.check(legal, legal, legal, legal, {.reduction = reduction::sum}).ok());

    const view big(arena.f, {absurd}), wide(arena.f, {std::ptrdiff_t{2}}, {absurd});
    refuses({errc::size_overflow, "policy_chosen"}, dpo{}, big, big, big, big);
    refuses({errc::size_overflow, "policy_rejected"}, dpo{}, two, wide, two, two);
    const view lists(arena.f, {std::ptrdiff_t{1}, absurd});
    refuses({errc::size_overflow, "policy"}, plackett_luce_dpo{}, lists, lists);
    refuses({errc::size_overflow, "ranking"}, ranked_pairs, view(arena.i, {absurd, absurd}));
    refuses({errc::size_overflow, "logits"}, sequence_log_probs,
            view(arena.f, {std::ptrdiff_t{1}, absurd}), ints{0});
    refuses({errc::size_overflow, "tokens"}, shift_labels, view(arena.i, {absurd}));

    const auto off = misaligned_view<1>({3}, {1});
    refuses({errc::misaligned, "reference_rejected"}, dpo{}, three, three, three, off);
    refuses({errc::misaligned, "logits"}, sequence_log_probs, misaligned_view<2>({2, 3}, {3, 1}),
            ints{0, 1});
    refuses_into({errc::misaligned, "rewards"}, kto{}, unpaired_outputs{.rewards = off},
                 unpaired_options{}, three, three, flags, 0.0);

    // Outputs: stride 0, rows that overlap, memory shared with another output or (in part) an
    // input. `p` is the input policy at the start of the arena.
    const auto p = floats_at(0, 3);
    const auto pairwise = [&](const expected& e, const pairwise_outputs& out) {
        refuses_into(e, dpo{}, out, pairwise_options{}, p, three, three, three);
    };
    pairwise({errc::bad_stride, "losses"}, {.losses = floats_at(8, 3, 0)});
    pairwise({errc::aliasing, "grad_chosen", -1, "policy_chosen"},
             {.grad_chosen = floats_at(1, 3)});
    pairwise({errc::aliasing, "grad_chosen"}, {.grad_chosen = floats_at(2, 3, -1)});
    pairwise({errc::aliasing, "losses", -1, "grad_rejected"},
             {.losses = floats_at(8, 3), .grad_rejected = floats_at(8, 3)});
    pairwise({errc::aliasing, "chosen_rewards", -1, "rejected_rewards"},
             {.chosen_rewards = floats_at(8, 3, 2), .rejected_rewards = floats_at(10, 3, 2)});
    pairwise({errc::aliasing, "losses"}, {.losses = view(reinterpret_cast<bf16*>(arena.f), {3})});
    const view out(arena.f, {2, 3});
    const view rows_overlap(arena.f, {2, 3}, {2, 1});
    refuses_into({errc::bad_stride, "grad"}, plackett_luce_dpo{},
                 listwise_outputs{.grad = rows_overlap}, listwise_options{}, grid, grid);
    refuses({errc::bad_stride, "logits"}, sequence_log_probs_in_place, rows_overlap, ints{0, 1});
    refuses({errc::bad_stride, "grad_logits"}, sequence_log_probs_backward, grid, ints{0, 1},
            floats{1}, view(arena.f, {2, 3}, {0, 1}));
    refuses({errc::aliasing, "grad_logits", -1, "logits"}, sequence_log_probs_backward,
            view(arena.f + 1, {2, 3}), ints{0, 1}, floats{1}, out);
    refuses({errc::aliasing, "grad_logits", -1, "labels"}, sequence_log_probs_backward, grid,
            view(reinterpret_cast<const int*>(arena.f), {2}), floats{1}, out);
    refuses({errc::aliasing, "logits", -1, "labels"}, sequence_log_probs_in_place, out,
            view(reinterpret_cast<const int*>(arena.f + 2), {2}));
    refuses_into({errc::aliasing, "count", -1, "labels"}, sequence_log_probs,
                 sequence_outputs{.count = std::span(arena.i, 1)}, sequence_options{}, grid,
                 view(arena.i, {2}));
    refuses_into({errc::aliasing, "sum", -1, "count"}, sequence_log_probs,
                 sequence_outputs{.sum = view(reinterpret_cast<double*>(arena.i), {1}),
                                  .count = std::span(arena.i, 1)},
                 sequence_options{}, grid, ints{0, 1});
    refuses_into({errc::aliasing, "losses", -1, "ranking"}, plackett_luce_dpo{},
                 listwise_outputs{.losses = view(reinterpret_cast<float*>(arena.i), {2})},
                 listwise_options{}, grid, grid, view(arena.i, {2, 3}));
    const tensor<float, 2> many({1, 129});
    refuses_into({errc::workspace_too_small, "workspace", -1, "(6458), got (257)"},
                 plackett_luce_dpo{}, listwise_outputs{.losses = floats_at(0, 1)},
                 listwise_options{.workspace = std::span(arena.d, 257)}, many, many);
    refuses_into({errc::aliasing, "rewards", -1, "workspace"}, plackett_luce_dpo{},
                 listwise_outputs{.rewards = view(arena.d + 100, {1, 129})},
                 listwise_options{.workspace = std::span(arena.d, 258)}, many, many);

    // Legal: an output that is an input, columns of one matrix, strides 0 and -1 for inputs.
    CHECK(dpo{}.check(p, p, p, p, {}, {.losses = p}).ok());
    CHECK(dpo{}
              .check(floats_at(0, 3, 0), floats_at(2, 3, -1), p, p, {},
                     {.losses = floats_at(8, 3, 2), .grad_chosen = floats_at(9, 3, 2)})
              .ok());
    CHECK(plackett_luce_dpo{}.check(out, out, {}, {.grad = out}).ok());
}

TEST_CASE("labels, rankings, offsets, counts and versions name their first bad entry", "[errors]") {
    fill_arena();
    const auto score = [](const expected& e, const auto& labels, const sequence_options& o = {}) {
        const view rows(arena.f, {std::size(labels), std::size_t{4}});
        const view labels_view(std::data(labels), {std::size(labels)});
        refuses(e, sequence_log_probs, rows, labels_view, o);
        refuses(e, sequence_log_probs_in_place, rows, labels_view, o);
        const floats grad(o.offsets.has_value && o.offsets.extents[0] > 0
                              ? static_cast<std::size_t>(o.offsets.extents[0] - 1)
                              : std::size_t{!o.offsets.has_value});
        refuses(e, sequence_log_probs_backward, rows, labels_view, grad, rows, o);
    };
    score({errc::label_out_of_range, "labels", 1, "got 4"}, std::array{3, 4, 5});
    score({errc::label_out_of_range, "labels", 2, "got 255"},
          std::array<std::uint8_t, 3>{0, 1, 255});
    score({errc::label_out_of_range, "labels", 0, "got 4294967196"},
          std::array<std::uint32_t, 1>{4294967196U});  // -100 as somebody else's unsigned
    score({errc::label_out_of_range, "labels", 0}, std::array<std::uint64_t, 2>{~0ULL, 9});
    refuses({errc::label_out_of_range, "labels", 5}, sequence_log_probs, view(arena.f, {2, 3, 4}),
            view(std::array{0, 1, 2, 3, -5, 4}.data(), {2, 3}));  // counted in row-major order

    const std::array<int, 3> y{0, 1, 2};
    score({errc::bad_offsets, "offsets", 0, "got 1"}, y, {.offsets = ints{1, 3}});
    score({errc::bad_offsets, "offsets", 2, "got 1"}, y, {.offsets = ints{0, 2, 1, 3}});
    score({errc::bad_offsets, "offsets", 1, "got 4"}, y, {.offsets = ints{0, 4, 3}});
    score({errc::bad_offsets, "offsets", 1, "got 2"}, y, {.offsets = ints{0, 2}});
    score({errc::bad_offsets, "offsets", 0, "got -1"}, y, {.offsets = ints{-1, 3}});
    score({errc::bad_offsets, "offsets", -1, "B + 1"}, y, {.offsets = ints{}});
    const std::vector<std::uint64_t> far{0, ~0ULL, 3};
    score({errc::bad_offsets, "offsets", 1}, y, {.offsets = far});
    refuses({errc::bad_offsets, "offsets", 1, "got 2"}, shift_labels, y,
            shift_labels_options{.offsets = ints{0, 2}});
    refuses({errc::bad_parameter, "offsets"}, sequence_log_probs, view(arena.f, {1, 3, 4}),
            view(y.data(), {1, 3}), sequence_options{.offsets = ints{0, 3}});
    for (const std::int64_t n : {-1, 4}) {
        refuses({errc::bad_parameter, "prompt_lengths", 0, "got"}, shift_labels, y,
                shift_labels_options{.prompt_lengths = ints{n}});
        refuses({errc::bad_parameter, "lengths", 0, "got"}, shift_labels, y,
                shift_labels_options{.lengths = ints{n}});
    }

    const auto rank = [](const expected& e, std::array<int, 6> order) {
        refuses(e, plackett_luce_dpo{}, grid, grid, view(order.data(), {2, 3}));
        refuses(e, ranked_pairs, view(order.data(), {2, 3}));
    };
    rank({errc::not_permutation, "ranking", 4, "earlier"}, {2, 1, 0, 0, 0, 3});
    rank({errc::not_permutation, "ranking", 1, "got 3"}, {2, 3, 0, 0, 0, 1});
    rank({errc::not_permutation, "ranking", 5, "got -1"}, {2, 1, 0, 1, 0, -1});
    const int ragged[2][3] = {{2, 1, 0}, {0, 2, 1}};
    refuses({errc::not_permutation, "ranking", 4, "got 2"}, plackett_luce_dpo{}, grid, grid, ragged,
            listwise_options{.counts = ints{3, 2}});
    for (const auto& [n, code] : {std::pair{0, errc::empty_sequence},
                                  {4, errc::bad_parameter},
                                  {-1, errc::bad_parameter}}) {
        refuses({code, "counts", 1}, plackett_luce_dpo{}, grid, grid,
                listwise_options{.counts = ints{3, n}});
        refuses({code, "counts", 1}, ranked_pairs, ragged,
                ranked_pairs_options{.counts = ints{3, n}});
    }
    for (const std::int64_t n : {0, -2})
        refuses({errc::empty_sequence, "rejected_counts", 2}, ipo_averaged{}, three, three, three,
                three,
                pairwise_options{.chosen_counts = ints{1, 1, 1}, .rejected_counts = ints{4, 1, n}});
    refuses({errc::empty_sequence, "policy", -1, "(2, 0)"}, plackett_luce_dpo{},
            view(arena.f, {2, 0}), view(arena.f, {2, 0}));

    const tr_dpo moved{.state = {.steps = 9, .version = 4}};
    const std::vector<std::uint64_t> mixed{4, 4, 3};
    refuses({errc::stale_reference, "reference_versions", -1, "got 3"}, moved, three, three, three,
            three, pairwise_options{.reference_versions = 3});
    refuses({errc::stale_reference, "reference_versions", 2, "got 3"}, moved, three, three, three,
            three, pairwise_options{.reference_versions = mixed});
    refuses({errc::stale_reference, "reference_versions", 2}, dpo{}, three, three, three, three,
            pairwise_options{.reference_versions = mixed});
    CHECK(moved.check(three, three, three, three, {.reference_versions = 4}).ok());
}
