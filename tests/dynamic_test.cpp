// SPDX-License-Identifier: Apache-2.0
//
// Tensors whose element type and rank are known only at run time: the same numbers as tensors whose
// types say it all, and what a type would have refused is refused at the door, by name.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <prefopt/prefopt.hpp>
#include <prefopt/testing/conformance.hpp>

#include "support/backends/kernels.hpp"
#include "support/catch.hpp"

namespace {

using prefopt::element_kind;
using prefopt::errc;

/// A handle to shared bytes, as runtime-typed libraries have it.
struct any_tensor {
    element_kind kind = element_kind::f32;
    std::vector<std::ptrdiff_t> shape{};
    std::vector<std::ptrdiff_t> strides{};
    std::shared_ptr<std::vector<std::uint64_t>> bytes{};
    bool constant = false;
    bool sparse = false;

    any_tensor() = default;
    any_tensor(element_kind k, std::vector<std::ptrdiff_t> s) : kind(k), shape(std::move(s)) {
        std::ptrdiff_t n = 1;
        strides.resize(shape.size());
        for (std::size_t i = shape.size(); i-- > 0; n *= shape[i]) strides[i] = n;
        bytes = std::make_shared<std::vector<std::uint64_t>>(static_cast<std::size_t>(n) + 1);
    }
    template <class T>
    static any_tensor of(const std::vector<T>& values, std::vector<std::ptrdiff_t> s) {
        any_tensor t(prefopt::element_kind_of<T>(), std::move(s));
        std::memcpy(t.bytes->data(), values.data(), values.size() * sizeof(T));
        return t;
    }
    template <class T>
    const T* data() const {
        return reinterpret_cast<const T*>(bytes->data());
    }
};

}  // namespace

template <>
struct prefopt::adapter<any_tensor> {
    static constexpr std::size_t rank = dynamic_rank;
    static constexpr bool borrowed = true;
    static dynamic_view view(const any_tensor& t) {
        if (t.bytes == nullptr) return dynamic_view::refused("is undefined", errc::null_pointer);
        if (t.sparse) return dynamic_view::refused("is sparse");
        dynamic_view v(static_cast<void*>(t.bytes->data()), t.kind, t.shape, t.strides);
        v.writable = !t.constant;
        return v;
    }
    static any_tensor make_like(const any_tensor&, element_kind kind,
                                std::span<const std::ptrdiff_t> extents) {
        return {kind, {extents.begin(), extents.end()}};
    }
};

namespace {

/// A family that cannot make tensors.
struct guest {
    any_tensor t{};
};

}  // namespace

template <>
struct prefopt::adapter<guest> {
    static constexpr std::size_t rank = dynamic_rank;
    static dynamic_view view(const guest& g) { return adapter<any_tensor>::view(g.t); }
};

namespace {

template <class T>
std::vector<T> numbers(std::size_t n, double seed) {
    std::vector<T> v(n);
    for (std::size_t i = 0; i < n; ++i)
        prefopt::detail::store(&v[i], -std::fmod(seed * static_cast<double>(i + 1), 4.0));
    return v;
}

template <class T>
bool same(const any_tensor& a, const T* b, std::size_t n) {
    return a.kind == prefopt::element_kind_of<T>() &&
           std::memcmp(a.data<T>(), b, n * sizeof(T)) == 0;
}

template <class F>
prefopt::status refusal(const F& f) {
    try {
        f();
    } catch (const prefopt::error& e) {
        return e.status();
    }
    return {};
}

}  // namespace

TEMPLATE_TEST_CASE("dynamic: every loss as with types", "[adapters]", float, double, prefopt::bf16,
                   prefopt::fp16) {
    using T = TestType;
    const std::size_t n = 37;
    const auto len = static_cast<std::ptrdiff_t>(n);
    const auto a = numbers<T>(n, 0.7), b = numbers<T>(n, 1.3), c = numbers<T>(n, 0.9),
               d = numbers<T>(n, 1.1);
    const auto dyn = [&](const std::vector<T>& v) { return any_tensor::of(v, {len}); };

    SECTION("pairs") {
        const prefopt::dpo loss{.beta = 0.1};
        const auto want = loss(a, b, c, d, {.weights = std::vector<float>(n, 2.F)});
        const auto weights = any_tensor::of(std::vector<float>(n, 2.F), {len});
        const auto got = loss(dyn(a), dyn(b), dyn(c), dyn(d), {.weights = weights});
        CHECK(got.loss == want.loss);
        CHECK(same(got.losses, want.losses.data(), n));
        CHECK(same(got.grad_chosen, want.grad_chosen.data(), n));
        CHECK(same(got.grad_rejected, want.grad_rejected.data(), n));
        CHECK(same(got.chosen_rewards, want.chosen_rewards.data(), n));
        CHECK(got.losses.shape == std::vector<std::ptrdiff_t>{len});
        // mixed with typed ones, and without a family of its own
        CHECK(loss(a, dyn(b), c, dyn(d)).loss == loss(a, b, c, d).loss);
        const auto guests = loss(guest{dyn(a)}, b, c, d);
        CHECK(std::is_same_v<decltype(guests.losses), std::vector<double>>);
        std::vector<double> exact(n);
        loss.into(a, b, c, d, {.losses = exact});
        CHECK(guests.losses == exact);
    }
    SECTION("answers") {
        std::vector<std::uint8_t> flags(n);
        for (std::size_t i = 0; i < n; i += 3) flags[i] = 1;
        auto bools = any_tensor::of(flags, {len});
        bools.kind = element_kind::boolean;
        const prefopt::kto loss{.beta = 0.1};
        const auto want = loss(a, b, flags, 0.25);
        for (const auto& f : {any_tensor::of(flags, {len}), bools}) {
            const auto got = loss(dyn(a), dyn(b), f, 0.25);
            CHECK(got.loss == want.loss);
            CHECK(same(got.grad, want.grad.data(), n));
        }
        CHECK(refusal([&] { loss(dyn(a), dyn(b), dyn(c), 0.25); }).code == errc::bad_tensor);
    }
    SECTION("rankings") {
        const prefopt::plackett_luce_dpo loss{.beta = 0.1};
        const prefopt::view<const T, 2> p(a.data(), {9, 4}), r(b.data(), {9, 4});
        std::vector<std::int32_t> order(36);
        for (std::size_t i = 0; i < 36; ++i) order[i] = 3 - static_cast<int>(i % 4);
        const auto want = loss(p, r, prefopt::view<const std::int32_t, 2>(order.data(), {9, 4}));
        const auto got = loss(any_tensor::of(a, {9, 4}), any_tensor::of(b, {9, 4}),
                              any_tensor::of(order, {9, 4}));
        CHECK(got.loss == want.loss);
        CHECK(same(got.grad, want.grad.data(), 36));
        CHECK(got.grad.shape == std::vector<std::ptrdiff_t>{9, 4});
    }
    SECTION("logits") {
        std::vector<std::int64_t> labels{1, 2, -1, 0, 3, 5};
        const std::vector<std::ptrdiff_t> shape{2, 3, 6};
        const auto x = numbers<T>(36, 0.37);
        const auto y = any_tensor::of(labels, {2, 3});
        const prefopt::view<const T, 3> logits(x.data(), {2, 3, 6});
        const prefopt::view<const std::int64_t, 2> typed(labels.data(), {2, 3});
        const auto want = prefopt::sequence_log_probs(logits, typed);
        const auto got = prefopt::sequence_log_probs(any_tensor::of(x, shape), y);
        CHECK(same(got.sum, want.sum.data(), 2));
        CHECK(same(got.count, want.count.data(), 2));
        CHECK(got.report.scored == 5);

        const std::vector<double> coefficients{0.5, -2};
        std::vector<T> expected(36);
        prefopt::sequence_log_probs_backward(logits, typed, coefficients,
                                             prefopt::view<T, 3>(expected.data(), {2, 3, 6}));
        any_tensor gradient(prefopt::element_kind_of<T>(), shape);
        prefopt::sequence_log_probs_backward(any_tensor::of(x, shape), y,
                                             any_tensor::of(coefficients, {2}), gradient);
        CHECK(same(gradient, expected.data(), 36));

        auto in_place = any_tensor::of(x, shape);
        CHECK(same(prefopt::sequence_log_probs_in_place(in_place, y).sum, want.sum.data(), 2));

        // (N, V) with offsets
        const std::vector<std::int32_t> offsets{0, 2, 6};
        const auto rows = any_tensor::of(x, {6, 6});
        const auto packed =
            prefopt::sequence_log_probs(rows, any_tensor::of(labels, {6}), {.offsets = offsets});
        CHECK((packed.count.template data<std::int64_t>()[1] == 3));
        const auto s = refusal([&] { prefopt::sequence_log_probs(rows, y); });
        CHECK(s.code == errc::shape_mismatch);
        CHECK(std::string(s.argument) == "labels");
        CHECK(s.message() ==
              "prefopt: labels must have one dimension less than the logits, got 2 "
              "[shape_mismatch]");
    }
    SECTION("a trust region's tensors") {
        prefopt::tr_dpo loss{.update = prefopt::soft_update({.alpha = 0.5})};
        const std::vector<any_tensor> policy{any_tensor::of(a, {1, 37}), any_tensor::of(b, {37})};
        std::vector<any_tensor> reference{any_tensor::of(c, {1, 37}), any_tensor::of(d, {37})};
        std::vector<T> typed = c;
        prefopt::tr_dpo same_loss = loss;
        CHECK(same_loss.step(a, typed));
        CHECK(loss.step(policy, reference));
        CHECK(same(reference[0], typed.data(), n));
        reference[1].constant = true;
        const auto s = refusal([&] { loss.step(policy, reference); });
        CHECK(s.code == errc::bad_tensor);
        CHECK(s.index == 1);
    }
}

TEST_CASE("dynamic: labels are shifted in their own family", "[adapters]") {
    const std::vector<std::int32_t> tokens{5, 6, 7, 8, 9, 10};
    const auto want =
        prefopt::shift_labels(prefopt::view<const std::int32_t, 2>(tokens.data(), {2, 3}));
    const auto got = prefopt::shift_labels(any_tensor::of(tokens, {2, 3}));
    CHECK(got.shape == std::vector<std::ptrdiff_t>{2, 3});
    CHECK(got.kind == element_kind::i64);
    for (std::size_t i = 0; i < 6; ++i) CHECK(got.data<std::int64_t>()[i] == want.data()[i]);
    CHECK(prefopt::shift_labels(any_tensor::of(tokens, {6})).shape.size() == 1);
    const auto row = prefopt::shift_labels(guest{any_tensor::of(tokens, {6})});
    CHECK(row.extent(0) == 1);
    CHECK(row(0, 0) == 6);
}

TEST_CASE("dynamic: what a type would have refused", "[adapters]") {
    const prefopt::dpo loss{};
    const auto v = any_tensor::of(numbers<float>(6, 0.7), {6});
    const auto says = [&](const any_tensor& bad, errc code, const std::string& text) {
        CAPTURE(text);
        const auto s = refusal([&] { loss(v, v, bad, v); });
        CHECK(s.code == code);
        CHECK(s.message() == "prefopt: reference_chosen " + text);
        CHECK(prefopt::check(loss, v, v, bad, v).code == code);
    };
    says(any_tensor::of(numbers<float>(6, 0.7), {2, 3}), errc::shape_mismatch,
         "must have rank 1, got 2 [shape_mismatch]");
    says(any_tensor::of(std::vector<std::int64_t>(6), {6}), errc::bad_tensor,
         "must hold float, double, bf16 or fp16 [bad_tensor]");
    says(any_tensor(), errc::null_pointer, "is undefined [null_pointer]");
    says(any_tensor(element_kind::f32, {1, 1, 1, 1, 6}), errc::bad_tensor,
         "has more than 4 dimensions [bad_tensor]");
    auto sparse = v;
    sparse.sparse = true;
    says(sparse, errc::bad_tensor, "is sparse [bad_tensor]");

    auto constant = any_tensor::of(numbers<float>(6, 0.7), {6});
    constant.constant = true;
    const auto s = refusal([&] { loss.into(v, v, v, v, {.grad_chosen = constant}); });
    CHECK(s.message() == "prefopt: grad_chosen is read-only and would be written to [bad_tensor]");

    // labels and offsets
    const auto logits = any_tensor::of(numbers<float>(6, 0.7), {2, 3});
    CHECK(refusal([&] {
              prefopt::sequence_log_probs(logits, any_tensor::of(numbers<float>(2, 1), {2}));
          }).message() == "prefopt: labels must hold integers (not bool) [bad_tensor]");
    CHECK(refusal([&] { prefopt::sequence_log_probs(v, v); }).argument == std::string("logits"));
}

TEST_CASE("dynamic: one number is a batch of one", "[adapters]") {
    const auto one = any_tensor::of(std::vector<float>{-1.F}, {});
    const auto got = prefopt::dpo{}(one, one, one, one);
    CHECK(got.loss == prefopt::dpo{}(std::vector<float>{-1.F}, one, one, one).loss);
    CHECK(got.losses.shape == std::vector<std::ptrdiff_t>{1});
}

TEST_CASE("dynamic: conformance looks at what a sample is", "[adapters]") {
    const std::vector<std::string> none;
    for (const auto kind :
         {element_kind::f32, element_kind::f64, element_kind::bf16, element_kind::fp16}) {
        any_tensor vector(kind, {7});
        any_tensor matrix(kind, {3, 2});
        CHECK(prefopt::testing::conformance(vector) == none);
        CHECK(prefopt::testing::conformance(matrix) == none);
        std::swap(matrix.strides[0], matrix.strides[1]);
        matrix.strides = {1, 3};
        CHECK(prefopt::testing::conformance(matrix) == none);
        guest g{vector};
        CHECK(prefopt::testing::conformance(g) == none);
    }
    any_tensor integers(element_kind::i32, {4});
    CHECK(prefopt::testing::conformance(integers) == none);
    any_tensor cube(element_kind::f32, {2, 2, 2});
    CHECK(prefopt::testing::conformance(cube) == none);
    any_tensor flags(element_kind::boolean, {4});
    CHECK(prefopt::testing::conformance(flags) ==
          std::vector<std::string>{"the sample must hold reals or integers"});
    any_tensor four(element_kind::f32, {2, 2, 2, 2});
    CHECK(prefopt::testing::conformance(four).size() == 1);
}
