// SPDX-License-Identifier: Apache-2.0
//
// The table: every loss, every scalar, through the tensors of one backend, bit for bit what plain
// memory gives; and every bad input, refused with the same words.
//
//     TEMPLATE_TEST_CASE("...", "[backends]", test::std_span, test::c_array) {
//         test::expect_table<TestType>();
//     }
//
// Kernels are compiled once, in table.cpp, which must be linked: here only calls are.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <prefopt/prefopt.hpp>

#include "backend.hpp"
#include "kernels.hpp"

namespace test {

/// Extents: pairs or answers, lists and their places, sequences, tokens, vocabulary. None is a
/// multiple of a vector.
inline constexpr std::size_t many = 19, lists = 17, places = 3, batch = 2, tokens = 3, vocab = 37;

/// n numbers between -4 and 0, rounded to S.
template <class S>
std::vector<S> numbers(std::size_t n, double seed) {
    std::vector<S> x(n);
    for (std::size_t i = 0; i < n; ++i)
        prefopt::detail::store(&x[i], -std::fmod(seed * static_cast<double>(i + 1), 4.0));
    return x;
}

/// What a batch of integers is about.
inline std::vector<std::int64_t> answer_counts() {
    std::vector<std::int64_t> n(many);
    for (std::size_t i = 0; i < many; ++i) n[i] = 1 + static_cast<std::int64_t>(i % 5);
    return n;
}
inline std::vector<std::uint8_t> answer_flags() {
    std::vector<std::uint8_t> n(many);
    for (std::size_t i = 0; i < many; ++i) n[i] = i % 3 == 1;
    return n;
}
inline std::vector<std::int32_t> rankings() {
    std::vector<std::int32_t> n(lists * places);
    for (std::size_t i = 0; i < n.size(); ++i)
        n[i] = static_cast<std::int32_t>((i / places + 2 * i) % places);
    return n;
}
inline std::vector<std::int64_t> list_counts() {
    std::vector<std::int64_t> n(lists);
    for (std::size_t i = 0; i < lists; ++i) n[i] = 1 + static_cast<std::int64_t>(i % places);
    return n;
}
inline const std::vector<std::int32_t> token_labels{1, 36, -1, 0, 35, 5};
inline const std::vector<std::int64_t> token_offsets{0, 2, 6};

/// Everything that backend B is given for scalars S.
template <class B, class S>
class table_of {
public:
    record take() {
        if constexpr (B::template has<S, many>) {
            pairs();
            answers();
            update();
        }
        if constexpr (B::template has<S, lists, places>) ranked();
        if constexpr (B::template has<S, batch, tokens, vocab>) cube();
        if constexpr (B::template has<S, batch * tokens, vocab>) rows();
        return std::move(found_);
    }

private:
    static constexpr bool is_plain = std::is_same_v<B, plain> || std::is_same_v<B, one_element>;
    record found_{};

    template <std::size_t... N>
    static auto tensor(double seed) {
        return make<B, S, N...>(numbers<S>((N * ...), seed));
    }
    template <class W, std::size_t... N>
    static auto zeros() {
        return make_owned<B, W, N...>(std::vector<W>((N * ...)));
    }

    template <class Result>
    void add_result(const char* name, const Result& r) {
        if constexpr (requires { r.grad; })
            found_.add(name, {{".loss", seen(r.loss)},
                              {".losses", seen(r.losses)},
                              {".grad", seen(r.grad)},
                              {".rewards", seen(r.rewards)}});
        else
            found_.add(name, {{".loss", seen(r.loss)},
                              {".losses", seen(r.losses)},
                              {".grad_chosen", seen(r.grad_chosen)},
                              {".grad_rejected", seen(r.grad_rejected)},
                              {".chosen_rewards", seen(r.chosen_rewards)},
                              {".rejected_rewards", seen(r.rejected_rewards)}});
    }

    // What a call writes to the backend's memory, of S: one loss of a kind will do, since nothing
    // of the loss is known there. Plain memory is asked for all that results may be of.
    template <class Call>
    void into(const Call& call) {
        if constexpr (B::writable) call.template operator()<S>();
        if constexpr (is_plain && !std::is_same_v<S, double>) call.template operator()<double>();
    }

    template <class Loss, class... Tensors>
    void pair(const char* name, const Loss& loss, const prefopt::pairwise_options& o,
              const Tensors&... t) {
        add_result(name, loss(t..., o));
        if constexpr (is_plain || std::is_same_v<Loss, prefopt::dpo>)
            into([&]<class W>() {
                auto a = zeros<W, many>(), b = zeros<W, many>(), c = zeros<W, many>(),
                     d = zeros<W, many>(), e = zeros<W, many>();
                auto&& l = a.get();
                auto&& gc = b.get();
                auto&& gr = c.get();
                auto&& rc = d.get();
                auto&& rr = e.get();
                const prefopt::batch_result r = loss.into(t..., {l, gc, gr, rc, rr}, o);
                add_result(name, prefopt::pairwise_result<prefopt::dynamic_view>{
                                     r.loss, seen(l), seen(gc), seen(gr), seen(rc), seen(rr), {}});
            });
    }

    void pairs() {
        auto a = tensor<many>(0.7), b = tensor<many>(1.3), c = tensor<many>(0.9),
             d = tensor<many>(1.1);
        auto&& pc = a.get();
        auto&& pr = b.get();
        auto&& rc = c.get();
        auto&& rr = d.get();
        auto w = make_owned<B, S, many>(numbers<S>(many, -0.7));  // positive
        auto m = make_owned<B, std::int64_t, many>(answer_counts());
        auto&& weights = w.get();
        auto&& counts = m.get();
        pair("dpo", prefopt::dpo{.beta = 0.3}, {}, pc, pr, rc, rr);
        pair("cdpo", prefopt::dpo{.label_smoothing = 0.1},
             {.reduction = prefopt::reduction::sum, .weights = weights}, pc, pr, rc, rr);
        pair("ipo", prefopt::ipo{}, {}, pc, pr, rc, rr);
        pair("ipo_averaged", prefopt::ipo_averaged{},
             {.chosen_counts = counts, .rejected_counts = counts}, pc, pr, rc, rr);
        pair("bradley_terry", prefopt::bradley_terry{.centering = 0.1}, {}, pc, pr);
        pair("tr_dpo", prefopt::tr_dpo{}, {}, pc, pr, rc, rr);
        pair("tr_ipo", prefopt::tr_ipo{}, {}, pc, pr, rc, rr);
        if constexpr (B::writable) {  // in == out; and partly, which is refused
            const prefopt::dpo loss{};
            loss.into(pc, pr, rc, rr, {.losses = pc});
            found_.add("dpo", ".in place", seen(pc));
            prefopt::dynamic_view off = seen(pr);
            off.writable = true;
            off.data = static_cast<std::byte*>(off.data) + off.strides[0] * size_of(off.element);
            found_.add(0, loss.check(pc, pr, rc, rr, {}, {.grad_rejected = off}));
        }
    }

    template <class Loss>
    void answer(const char* name, const Loss& loss, const auto& policy, const auto& reference,
                const auto& flags, const prefopt::unpaired_options& o) {
        add_result(name, loss(policy, reference, flags, 0.25, o));
        if constexpr (is_plain || std::is_same_v<Loss, prefopt::kto>)
            into([&]<class W>() {
                auto a = zeros<W, many>(), b = zeros<W, many>(), c = zeros<W, many>();
                auto&& l = a.get();
                auto&& g = b.get();
                auto&& w = c.get();
                const auto r = loss.into(policy, reference, flags, 0.25, {l, g, w}, o);
                add_result(name, prefopt::unpaired_result<prefopt::dynamic_view>{
                                     r.loss, seen(l), seen(g), seen(w), {}});
            });
    }
    void answers() {
        auto a = tensor<many>(0.7), b = tensor<many>(1.3);
        auto w = make_owned<B, S, many>(numbers<S>(many, -0.7));
        auto f = make<B, std::uint8_t, many>(answer_flags());
        auto&& policy = a.get();
        auto&& reference = b.get();
        auto&& weights = w.get();
        auto&& flags = f.get();
        answer("kto", prefopt::kto{.beta = 0.2}, policy, reference, flags, {.weights = weights});
        answer("tr_kto", prefopt::tr_kto{}, policy, reference, flags, {});
        found_.add("kl_estimate", "", seen(prefopt::kl_estimate(policy, reference)));
    }

    template <class Loss, class... Tensors>
    void list(const char* name, const Loss& loss, const prefopt::listwise_options& o,
              const Tensors&... t) {
        add_result(name, loss(t..., o));
        if constexpr (is_plain || std::is_same_v<Loss, prefopt::plackett_luce_dpo>)
            into([&]<class W>() {
                auto a = zeros<W, lists>();
                auto b = zeros<W, lists, places>(), c = zeros<W, lists, places>();
                auto&& l = a.get();
                auto&& g = b.get();
                auto&& w = c.get();
                const auto r = loss.into(t..., {l, g, w}, o);
                using prefopt::dynamic_view;
                add_result(name, prefopt::listwise_result<dynamic_view, dynamic_view>{
                                     r.loss, seen(l), seen(g), seen(w), {}});
            });
    }
    void ranked() {
        auto a = tensor<lists, places>(0.7), b = tensor<lists, places>(1.3);
        auto k = make<B, std::int32_t, lists, places>(rankings());
        auto n = make_owned<B, std::int64_t, lists>(list_counts());
        auto&& policy = a.get();
        auto&& reference = b.get();
        auto&& ranking = k.get();
        auto&& counts = n.get();
        const prefopt::plackett_luce_dpo loss{.beta = 0.3};
        list("plackett_luce", loss, {}, policy, reference);
        list("ranked", loss, {}, policy, reference, ranking);
        list("partial", loss, {.placed = 1}, policy, reference, ranking);
        list("ragged", loss, {.counts = counts}, policy, reference);
        list("tr_plackett_luce", prefopt::tr_plackett_luce_dpo{}, {}, policy, reference);
        if constexpr (B::writable) {
            loss.into(policy, reference, {.grad = policy});
            found_.add("plackett_luce", ".in place", seen(policy));
        }
    }

    template <std::size_t... N>
    void logits(const char* name, const auto& labels, const prefopt::sequence_options& o) {
        auto l = tensor<N...>(0.37);
        auto&& x = l.get();
        const auto scored = prefopt::sequence_log_probs(x, labels, o);
        found_.add(name, ".sum", seen(scored.sum));
        found_.add(name, ".count", seen(scored.count));
        auto k = make<B, double, batch>({0.5, -2});
        auto g = zeros<S, N...>();
        auto&& grad_sum = k.get();
        auto&& grad = g.get();
        prefopt::sequence_log_probs_backward(x, labels, grad_sum, grad, o);
        found_.add(name, ".grad", seen(grad));
        if constexpr (B::writable) {
            auto s = zeros<double, batch>();
            auto&& sum = s.get();
            prefopt::sequence_log_probs_in_place.into(x, labels, {.sum = sum}, o);
            found_.add(name, ".sum", seen(sum));
            found_.add(name, ".in place", seen(x));
        }
    }
    void cube() {
        auto y = make<B, std::int32_t, batch, tokens>(token_labels);
        auto&& labels = y.get();
        logits<batch, tokens, vocab>("logits", labels, {});
    }
    void rows() {
        auto y = make<B, std::int32_t, batch * tokens>(token_labels);
        auto at = make_owned<B, std::int64_t, batch + 1>(token_offsets);
        auto&& labels = y.get();
        auto&& offsets = at.get();
        logits<batch * tokens, vocab>("packed", labels, {.offsets = offsets});
    }

    void update() {
        if constexpr (B::writable) {
            auto a = tensor<many>(0.7), b = tensor<many>(1.3);
            auto&& policy = a.get();
            auto&& reference = b.get();
            prefopt::tr_dpo loss{.update = prefopt::soft_update({.alpha = 0.5})};
            loss.step(policy, reference);
            found_.add("reference", "", seen(reference));
        }
    }
};

/// What is refused, and how, through backend B. One scalar will do: the checks know no types.
template <class B>
class refusals_of {
public:
    record take() {
        if constexpr (B::template has<float, 3>) {
            parameters_and_shapes();
            elements();
        }
        if constexpr (B::template has<float, 2, 3>) matrices();
        if constexpr (B::template has<float, 2, 3, 4>) cubes();
        return std::move(found_);
    }

private:
    record found_{};
    int number_ = 0;

    template <std::size_t... N>
    static auto floats(std::vector<float> x) {
        x.resize((N * ...));
        return make<B, float, N...>(x);
    }
    static auto weights(std::vector<float> x) { return make_owned<B, float, 3>(x); }
    template <std::size_t... N>
    static auto integers(std::vector<std::int64_t> x) {
        x.resize((N * ...));
        return make_owned<B, std::int64_t, N...>(x);
    }
    template <class Operation, class... A>
    void refused(const Operation& operation, A&&... a) {
        add(prefopt::check(operation, a...));
    }
    void add(const prefopt::status& s) { found_.add(++number_, s); }

    void parameters_and_shapes() {
        number_ = 0;
        auto f3 = floats<3>({1, 2, 3});
        auto f2 = floats<2>({1, 2});
        auto i3 = integers<3>({1, 0, 1});
        auto w3 = weights({1, 2, 3});
        auto&& three = f3.get();
        auto&& two = f2.get();
        auto&& long_weights = w3.get();
        auto&& flags = i3.get();
        const prefopt::dpo loss{};
        refused(prefopt::dpo{.beta = -1}, three, three, three, three);
        refused(prefopt::kto{.beta = 0}, three, three, flags, 0.0);
        refused(prefopt::kto{}, three, three, flags, -0.5);
        refused(prefopt::ipo_averaged{}, three, three, three, three);
        refused(loss, three, two, three, three);
        refused(loss, three, three, three, two);
        refused(loss, two, two, two, two, prefopt::pairwise_options{.weights = long_weights});
        refused(prefopt::bradley_terry{}, three, two);
        refused(prefopt::kto{}, two, two, flags, 0.0);
        refused(prefopt::kl_estimate, two, three);
        if constexpr (B::writable) {
            add(loss.check(three, three, three, three, {}, {.losses = two}));
            add(loss.check(two, two, two, two, {}, {.losses = three, .grad_chosen = three}));
        }
    }
    void elements() {
        number_ = 100;
        auto f3 = floats<3>({1, 2, 3});
        auto below = weights({1, 0, -1});
        auto i3 = integers<3>({1, 0, 1}), n3 = integers<3>({4, 1, -2});
        auto&& three = f3.get();
        auto&& negative = below.get();
        auto&& some = i3.get();
        auto&& bad = n3.get();
        refused(prefopt::dpo{}, three, three, three, three,
                prefopt::pairwise_options{.weights = negative});
        refused(prefopt::kto{}, three, three, some, 0.0,
                prefopt::unpaired_options{.weights = negative});
        refused(prefopt::ipo_averaged{}, three, three, three, three,
                prefopt::pairwise_options{.chosen_counts = some, .rejected_counts = some});
        refused(prefopt::ipo_averaged{}, three, three, three, three,
                prefopt::pairwise_options{.chosen_counts = bad, .rejected_counts = bad});
        refused(prefopt::tr_dpo{.state = {.steps = 9, .version = 4}}, three, three, three, three,
                prefopt::pairwise_options{.reference_versions = 3});
    }
    void matrices() {
        number_ = 200;
        auto g = floats<2, 3>({1, 2, 3, 4, 5, 6});
        auto s = floats<2, 2>({1, 2, 3, 4});
        auto twice = integers<2, 3>({2, 1, 0, 0, 0, 3}), far = integers<2, 3>({2, 3, 0, 0, 0, 1});
        auto n2 = integers<2>({3, 4}), n0 = integers<2>({3, 0});
        auto&& grid = g.get();
        auto&& square = s.get();
        auto&& repeated = twice.get();
        auto&& beyond = far.get();
        auto&& long_count = n2.get();
        auto&& no_count = n0.get();
        const prefopt::plackett_luce_dpo loss{};
        refused(loss, grid, square);
        refused(loss, square, square, repeated);
        refused(loss, grid, grid, repeated);
        refused(loss, grid, grid, beyond);
        refused(loss, grid, grid, prefopt::listwise_options{.placed = -1});
        refused(loss, grid, grid, prefopt::listwise_options{.counts = long_count});
        refused(loss, grid, grid, prefopt::listwise_options{.counts = no_count});
        refused(prefopt::ranked_pairs, repeated);

        auto y2 = integers<2>({0, 3}), z = integers<2>({-1, 2}), one = integers<2>({1, 2});
        auto y3 = integers<3>({0, 1, 2}), at = integers<3>({0, 3, 2});
        auto&& label = y2.get();
        auto&& labels = y3.get();
        auto&& fine = z.get();
        auto&& past = at.get();
        auto&& late = one.get();
        refused(prefopt::sequence_log_probs, grid, label);
        refused(prefopt::sequence_log_probs, grid, labels);
        refused(prefopt::sequence_log_probs, grid, fine,
                prefopt::sequence_options{.offsets = past});
        refused(prefopt::sequence_log_probs, grid, fine,
                prefopt::sequence_options{.offsets = late});
        if constexpr (B::writable) {
            auto k1 = floats<1>({1});
            auto k2 = floats<2>({1, 2});
            auto&& k = k1.get();
            auto&& two = k2.get();
            using prefopt::sequence_log_probs_backward;
            refused(sequence_log_probs_backward, grid, fine, two, grid);
            refused(sequence_log_probs_backward, grid, fine, k, square);
            refused(sequence_log_probs_backward, grid, label, k, grid);
            refused(prefopt::sequence_log_probs_in_place, grid, label);
        }
    }
    void cubes() {
        number_ = 300;
        auto l = floats<2, 3, 4>({});
        auto y = integers<2, 3>({0, 1, 2, 3, -5, 4});
        auto z = integers<2, 2>({});
        auto o = integers<2>({});
        auto&& logits = l.get();
        auto&& labels = y.get();
        auto&& few = z.get();
        auto&& offsets = o.get();
        refused(prefopt::sequence_log_probs, logits, labels);
        refused(prefopt::sequence_log_probs, logits, few);
        refused(prefopt::sequence_log_probs, logits, labels,
                prefopt::sequence_options{.offsets = offsets});
    }
};

/// What plain memory gives.
template <class S>
const record& plain_table();
extern template const record& plain_table<float>();
extern template const record& plain_table<double>();
extern template const record& plain_table<prefopt::bf16>();
extern template const record& plain_table<prefopt::fp16>();
const record& plain_refusals();

/// Checks one backend against plain memory, for every scalar that it has.
template <class B, class... S>
void expect_scalars() {
    const auto of = [&]<class T>(T) {
        if constexpr (B::template has<T, many> || B::template has<T, lists, places>)
            table_of<B, T>().take().expect_in(plain_table<T>());
    };
    (of(S()), ...);
}
template <class B>
void expect_table() {
    expect_scalars<B, float, double, prefopt::bf16, prefopt::fp16>();
    refusals_of<B>().take().expect_in(plain_refusals());
}
/// The same for another layout of a backend whose scalars have all been seen.
template <class B>
void expect_layout() {
    expect_scalars<B, float>();
}
/// The same for strides of 0, as of expanded tensors.
template <class B>
void expect_repeated() {
    static const record want = table_of<one_element, float>().take();
    table_of<B, float>().take().expect_in(want);
}

}  // namespace test
