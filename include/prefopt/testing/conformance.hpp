// SPDX-License-Identifier: Apache-2.0
//
// A check of an adapter, for its author, in one line and with no test framework:
//
//     my::tensor sample = ...;   // writable, of any shape with at least two elements
//     for (const std::string& complaint : prefopt::testing::conformance(sample)) std::puts(...);
//
// No complaint means that the library can see the tensor, write to it, make results like it, and
// gets from it, bit for bit, what it gets from plain memory.

#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <prefopt/core/core.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/plackett_luce.hpp>

namespace prefopt::inline PREFOPT_ABI::testing {

namespace detail {

/// Calls f(flat index, element) for every element of a view of rank 1 or 2, row by row.
template <class View, class F>
void for_each(const View& v, const F& f) {
    std::size_t i = 0;
    if constexpr (View::rank == 1) {
        for (std::ptrdiff_t a = 0; a < v.extent(0); ++a) f(i++, v(a));
    } else {
        for (std::ptrdiff_t a = 0; a < v.extent(0); ++a)
            for (std::ptrdiff_t b = 0; b < v.extent(1); ++b) f(i++, v(a, b));
    }
}

/// The elements of an adapted tensor, row by row, as doubles.
template <class T>
std::vector<double> values(const T& t) {
    std::vector<double> out;
    for_each(adapter<T>::view(t), [&](std::size_t, const auto& x) {
        out.push_back(static_cast<double>(prefopt::detail::load(&x)));
    });
    return out;
}

}  // namespace detail

/// What is wrong with `adapter<T>`, as sentences; empty if nothing is. `sample` is overwritten with
/// test values and restored. T holds reals and has rank 1 or 2.
template <class T>
std::vector<std::string> conformance(T& sample) {
    static_assert(viewable<T>, "prefopt: specialise prefopt::adapter<T> with `rank` and `view`");
    constexpr std::size_t rank = adapter<T>::rank;
    static_assert(rank == 1 || rank == 2, "prefopt: conformance looks at rank 1 and 2");
    using scalar = prefopt::detail::element_t<T>;
    static_assert(real_scalar<scalar>, "prefopt: conformance looks at tensors of reals");

    std::vector<std::string> complaints;
    const auto expect = [&](bool ok, const char* complaint) {
        if (!ok) complaints.emplace_back(complaint);
    };

    const auto view = adapter<T>::view(sample);
    using view_type = std::remove_cv_t<decltype(view)>;
    expect(view_type::rank == rank, "the rank of `view` is not the adapter's `rank`");
    expect(!std::is_const_v<typename view_type::element_type>,
           "`view` of a mutable tensor gives const elements: it cannot be an output");
    std::ptrdiff_t size = 1;
    for (const std::ptrdiff_t e : view.extents) size *= e;
    expect(size >= 2, "the sample needs at least two elements");
    expect(view.data != nullptr, "`view` gives a null pointer");
    if (!complaints.empty()) return complaints;

    const auto seen = adapter<T>::view(std::as_const(sample));
    expect(seen.data == view.data, "`view` of the const tensor sees other memory");
    expect(seen.extents == view.extents && seen.strides == view.strides,
           "`view` of the const tensor has another shape");
    if (!complaints.empty()) return complaints;

    if constexpr (!std::is_const_v<typename view_type::element_type>) {
        // Write through the view, then let the library read: the tensor against plain memory.
        const std::vector<double> before = detail::values(sample);
        const std::ptrdiff_t rows = view.extent(0);
        const std::ptrdiff_t columns = rank == 1 ? 1 : view.extents[rank - 1];
        std::vector<scalar> plain(static_cast<std::size_t>(size));
        detail::for_each(view, [&](std::size_t i, scalar& x) {
            prefopt::detail::store(&x, -1.0 - 0.25 * static_cast<double>(i % 7));
            plain[i] = x;
        });
        const auto same = [&](const auto& a, const auto& b) {
            const std::vector<double> x = detail::values(a);
            const std::vector<double> y = detail::values(b);
            return x.size() == y.size() &&
                   std::memcmp(x.data(), y.data(), x.size() * sizeof(double)) == 0;
        };
        const char* lost = "what is written to the tensor is not what is read from it";
        const char* differs = "a loss of the tensor is not bit for bit that of plain memory";
        if constexpr (rank == 1) {
            std::vector<scalar> zero(plain.size());
            const dpo loss{.beta = 0.1};
            const auto ours = loss(sample, zero, sample, sample);
            const auto theirs = loss(plain, zero, plain, plain);
            expect(ours.loss == theirs.loss && same(ours.grad_chosen, theirs.grad_chosen), differs);
            expect(adapter<std::remove_cvref_t<decltype(ours.losses)>>::view(ours.losses).extents ==
                       view.extents,
                   "`make_like` does not give the extents it was asked for");
            std::vector<scalar> expected(plain.size());
            loss.into(plain, zero, plain, plain, {.losses = expected});
            loss.into(plain, zero, plain, plain, {.losses = sample});
            expect(same(sample, expected), lost);
        } else {
            const prefopt::view flat(static_cast<const scalar*>(plain.data()), {rows, columns});
            const plackett_luce_dpo loss{.beta = 0.1};
            tensor<scalar, 2> zero({rows, columns});
            const auto ours = loss(sample, zero);
            const auto theirs = loss(flat, zero);
            expect(ours.loss == theirs.loss && same(ours.grad, theirs.grad), differs);
            expect(adapter<std::remove_cvref_t<decltype(ours.grad)>>::view(ours.grad).extents ==
                       view.extents,
                   "`make_like` does not give the extents it was asked for");
            tensor<scalar, 2> expected({rows, columns});
            loss.into(flat, zero, {.grad = expected});
            loss.into(flat, zero, {.grad = sample});
            expect(same(sample, expected), lost);
        }
        detail::for_each(view,
                         [&](std::size_t i, scalar& x) { prefopt::detail::store(&x, before[i]); });
    }
    return complaints;
}

}  // namespace prefopt::inline PREFOPT_ABI::testing
