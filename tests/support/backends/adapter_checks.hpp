// SPDX-License-Identifier: Apache-2.0
//
// What every adapter is held to, in each layout that its library has: elements of every kind are
// seen where they are, at ranks 1 to 3; conformance; a loss, log-probs and their gradient as from
// plain memory; results written over their own input; and refusals in the same words.
//
//     TEMPLATE_TEST_CASE("...", "[adapters]", test::eigen_tensors<0>, ...) {
//         test::expect_adapter<TestType>();
//     }
//
// A backend is a struct that makes tensors from row-major values, with extents N that are known at
// compile time: `writable`, `has<S, N...>`, and `tensor<S, N...>`, whose get() is the tensor, or a
// view or an expression of it. Every loss and scalar through them is the table's matter.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <prefopt/dpo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/log_probs.hpp>
#include <prefopt/testing/conformance.hpp>

#include "../catch.hpp"
#include "backend.hpp"

namespace test {

template <class T>
prefopt::dynamic_view view_of(T& t) {
    return prefopt::adapter<std::remove_cv_t<T>>::view(t);
}

/// The elements of a result, float or double, as floats.
template <class T>
std::vector<float> floats(const T& t) {
    std::vector<float> x;
    const prefopt::dynamic_view v = view_of(t);
    const std::string bytes = bytes_of(v);
    for (std::size_t i = 0; i < bytes.size(); i += static_cast<std::size_t>(size_of(v.element))) {
        double wide = 0;
        float narrow = 0;
        if (v.element == prefopt::element_kind::f64)
            std::memcpy(&wide, bytes.data() + i, sizeof wide);
        else
            std::memcpy(&narrow, bytes.data() + i, sizeof narrow);
        x.push_back(v.element == prefopt::element_kind::f64 ? static_cast<float>(wide) : narrow);
    }
    return x;
}

template <class S>
std::vector<S> some_values(std::size_t n, double seed) {
    std::vector<S> x(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double value = std::fmod(seed * static_cast<double>(i + 1), 4.0);
        if constexpr (prefopt::real_scalar<S>)
            prefopt::detail::store(&x[i], -value);
        else
            x[i] = static_cast<S>(static_cast<int>(17 * value) % (sizeof(S) == 1 ? 2 : 100));
    }
    return x;
}

inline void expect_view(const prefopt::dynamic_view& v, prefopt::element_kind kind,
                        const std::vector<std::ptrdiff_t>& extents, const void* row_major,
                        std::size_t bytes) {
    REQUIRE(v.refusal == nullptr);
    CHECK((v.element == kind ||  // fp16 and bf16 of the library's own
           (is_real(kind) && is_real(v.element) && size_of(kind) == size_of(v.element))));
    CHECK(std::vector<std::ptrdiff_t>(v.extents.begin(),
                                      v.extents.begin() + static_cast<std::ptrdiff_t>(v.rank)) ==
          extents);
    CHECK(bytes_of(v) == std::string(static_cast<const char*>(row_major), bytes));
}

/// Elements of one type are seen where they are.
template <class Backend, class S, std::size_t... N>
void expect_elements() {
    if constexpr (Backend::template has<S, N...>) {
        S x[(N * ...)];
        for (std::size_t i = 0; i < (N * ...); ++i)
            x[i] = some_values<std::conditional_t<std::is_same_v<S, bool>, std::uint8_t, S>>(
                i + 1, 0.7)[i];
        typename Backend::template tensor<S, N...> made(x);
        auto&& t = made.get();
        const std::vector<std::ptrdiff_t> extents{static_cast<std::ptrdiff_t>(N)...};
        constexpr auto kind = prefopt::element_kind_of<S>();
        const auto& held = prefopt::detail::hold(t);
        expect_view(view_of(held), kind, extents, x, sizeof x);
        if constexpr (Backend::writable) {
            CHECK(view_of(t).data == view_of(held).data);
            CHECK(view_of(t).writable);
        }
    }
}

template <class Backend, class... S>
void expect_elements_of() {
    (expect_elements<Backend, S, 7>(), ...);
    (expect_elements<Backend, S, 3, 4>(), ...);
    (expect_elements<Backend, S, 2, 3, 5>(), ...);
}

template <class Backend, class S, std::size_t... N>
void expect_conformance() {
    const auto x = some_values<S>((N * ...), 0.7);
    typename Backend::template tensor<S, N...> made(x.data());
    auto&& t = made.get();
    CHECK(prefopt::testing::conformance(t) == std::vector<std::string>{});
}

/// The code a call is refused with.
template <class F>
prefopt::errc code_of(const F& f) {
    try {
        f();
    } catch (const prefopt::error& e) {
        return e.code();
    }
    return prefopt::errc::ok;
}

/// Pairs: inputs, results written over an input, and what is refused.
template <class Backend>
void expect_pairs() {
    const auto a = some_values<float>(7, 0.7), b = some_values<float>(7, 1.3);
    const std::vector<float> zero(7), short_one(6);
    const prefopt::dpo loss{.beta = 0.1};
    typename Backend::template tensor<float, 7> made_a(a.data());
    typename Backend::template tensor<float, 7> made_b(b.data());
    auto&& x = made_a.get();
    auto&& y = made_b.get();
    const auto want = loss(a, zero, b, zero);
    const auto got = loss(std::as_const(x), zero, y, zero);
    const auto same = [&](const auto& plain) {
        CHECK(got.loss == plain.loss);
        CHECK(floats(got.grad_chosen) == floats(plain.grad_chosen));
    };
    if constexpr (std::is_same_v<std::remove_const_t<decltype(got.losses)>, std::vector<double>>)
        same(loss(view_of(a), zero, b, zero));  // a family that makes no tensors
    else
        same(want);
    CHECK(prefopt::check(loss, x, y, short_one, zero).message() ==
          prefopt::check(loss, a, b, short_one, zero).message());
    if constexpr (Backend::writable) {
        prefopt::dynamic_view next = view_of(x);  // one element further in the same memory
        next.data = static_cast<std::byte*>(next.data) + next.strides[0] * size_of(next.element);
        CHECK(code_of([&] { loss.into(next, zero, zero, zero, {.losses = x}); }) ==
              prefopt::errc::aliasing);
        CHECK(floats(x) == a);  // nothing was written
        loss.into(x, zero, y, zero, {.grad_chosen = x});
        CHECK(floats(x) == want.grad_chosen);
    }
}

/// Logits (2, 3, 5) and labels, there and back, and flags.
template <class Backend>
void expect_logits() {
    const auto x = some_values<float>(30, 0.7);
    const std::int64_t y[] = {1, 0, 4, 2, -1, 3}, bad[] = {1, 0, 4, 2, 5, 3};
    const std::vector<double> k{0.5, -2};
    const prefopt::view logits(x.data(), {2, 3, 5});
    const prefopt::view plain(y, {2, 3});
    typename Backend::template tensor<float, 2, 3, 5> made(x.data());
    typename Backend::template tensor<std::int64_t, 2, 3> made_labels(y), made_bad(bad);
    auto&& t = made.get();
    auto&& labels = made_labels.get();
    const auto scored = prefopt::sequence_log_probs(t, labels);
    CHECK(floats(scored.sum) == floats(prefopt::sequence_log_probs(logits, plain).sum));
    CHECK(scored.report.scored == 5);
    const auto status = prefopt::check(prefopt::sequence_log_probs, t, made_bad.get());
    CHECK(status.code == prefopt::errc::label_out_of_range);
    CHECK(status.index == 4);
    if constexpr (Backend::writable) {
        std::vector<float> gradient(30);
        prefopt::sequence_log_probs_backward(logits, plain, k,
                                             prefopt::view(gradient.data(), {2, 3, 5}));
        typename Backend::template tensor<float, 2, 3, 5> made_to(std::vector<float>(30).data());
        auto&& to = made_to.get();
        prefopt::sequence_log_probs_backward(t, labels, k, to);
        CHECK(floats(to) == gradient);
        auto directions = x;
        prefopt::sequence_log_probs_in_place(prefopt::view(directions.data(), {2, 3, 5}), plain);
        prefopt::sequence_log_probs_in_place(t, labels);
        CHECK(floats(t) == directions);
    }
    if constexpr (Backend::template has<bool, 7>) {
        const auto a = some_values<float>(7, 0.7), b = some_values<float>(7, 1.3);
        const bool flags[] = {true, false, false, true, true, false, true};
        typename Backend::template tensor<bool, 7> made_flags(flags);
        const prefopt::kto loss{.beta = 0.1};
        CHECK(loss(a, b, made_flags.get(), 0.25).loss == loss(a, b, flags, 0.25).loss);
    }
}

/// All of it, in every scalar. For further layouts of a library, `expect_layout` is enough.
template <class Backend>
void expect_layout() {
    expect_elements_of<Backend, float, std::int32_t>();
    if constexpr (Backend::writable) expect_conformance<Backend, float, 3, 4>();
}

template <class Backend>
void expect_adapter() {
    expect_elements_of<Backend, float, double, prefopt::bf16, prefopt::fp16>();
    expect_elements_of<Backend, std::int8_t, std::int16_t, std::int32_t, std::int64_t>();
    expect_elements_of<Backend, std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t, bool>();
    if constexpr (Backend::writable) {
        expect_conformance<Backend, double, 7>();
        expect_conformance<Backend, prefopt::bf16, 3, 4>();
    }
    expect_pairs<Backend>();
    expect_logits<Backend>();
}

}  // namespace test
