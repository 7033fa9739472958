// SPDX-License-Identifier: Apache-2.0
//
// A check of an adapter, for its author, in one line and with no test framework:
//
//     my::tensor sample = ...;   // writable, of at least two elements
//     for (const std::string& complaint : prefopt::testing::conformance(sample)) std::puts(...);
//
// The sample holds reals (rank 1 to 3) or integers, as labels are (rank 1 or 2); its rank may be
// known only at run time. It may also be a lazy expression of reals. No complaint means that the
// library can see the tensor, write to it, make results like it, and gets from it, bit for bit,
// what it gets from plain memory.
//
// Nothing but the tensor itself can say where its elements are. Where it has `t(i, j)` or `t[i]`,
// and `size()`, `rows()` and `cols()`, `extent(i)` or `shape(i)`, the view is held against them;
// else hand over how an element is found: `conformance(sample, [](auto& t, auto i, auto j) -> auto&
// { return ...; })`.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <prefopt/core/core.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/log_probs.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/testing/elements.hpp>

namespace prefopt::inline PREFOPT_ABI::testing {

namespace detail {

#if defined(__GNUC__) || defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"  // libraries count in any integer
#endif
/// Where the tensor itself says that its element is; null if it does not say.
template <class T, class... I>
const void* own_element(T& t, I... i) {
    const auto address = []<class E>(E&& e) -> const void* {
        using element = std::remove_cvref_t<E>;
        if constexpr (std::is_lvalue_reference_v<E> && (real_scalar<element> || label<element>))
            return &e;
        return nullptr;
    };
    if constexpr (requires { t(i...); })
        return address(t(i...));
    else if constexpr (sizeof...(I) == 1 && requires { t[(i, ...)]; })
        return address(t[(i, ...)]);
    return nullptr;
}
#if defined(__GNUC__) || defined(__clang__)
#pragma GCC diagnostic pop
#endif
struct own_elements {
    template <class T, class... I>
    const void* operator()(T& t, I... i) const {
        return own_element(t, i...);
    }
};

/// What the tensor itself says its extent is.
template <class T>
std::optional<std::ptrdiff_t> own_extent(const T& t, std::size_t rank, std::size_t i) {
    const auto is = [](auto n) { return static_cast<std::ptrdiff_t>(n); };
    if constexpr (requires { is(t.rows()) + is(t.cols()); }) {
        if (rank == 2) return i == 0 ? is(t.rows()) : is(t.cols());
    } else if constexpr (requires { is(t.extent(i)); }) {
        return is(t.extent(i));
    } else if constexpr (requires { is(t.shape(i)); }) {
        return is(t.shape(i));
    } else if constexpr (requires { is(t.shape()[i]); }) {
        return is(t.shape()[i]);
    }
    if constexpr (requires { is(t.size()); })
        if (rank == 1) return is(t.size());
    return std::nullopt;
}

/// Holds a view against what the tensor itself says, without touching an element.
template <class T, class At, class Expect>
void check_places(T& t, const dynamic_view& v, const At& at, const Expect& expect) {
    for (std::size_t i = 0; i < v.rank; ++i)
        if (const auto own = own_extent(t, v.rank, i); own && *own != v.extents[i])
            return expect(false, "`view` has other extents than the tensor says");
    const auto address = []<class E>(const E& e) -> const void* {
        if constexpr (std::is_pointer_v<E>)
            return e;
        else
            return &e;
    };
    const auto find = [&](const index& p) -> const void* {
        constexpr std::size_t rank = adapter<T>::rank;
        constexpr bool any = rank == dynamic_rank;
        if constexpr (any || rank == 1)
            if constexpr (requires { address(at(t, p[0])); })
                if (v.rank == 1) return address(at(t, p[0]));
        if constexpr (any || rank == 2)
            if constexpr (requires { address(at(t, p[0], p[1])); })
                if (v.rank == 2) return address(at(t, p[0], p[1]));
        if constexpr (any || rank == 3)
            if constexpr (requires { address(at(t, p[0], p[1], p[2])); })
                if (v.rank == 3) return address(at(t, p[0], p[1], p[2]));
        return nullptr;
    };
    bool fine = true;
    for_each(v, [&](std::size_t, const index& place, const void* seen) {
        if (!fine) return;
        const void* const own = find(place);
        fine = own == nullptr || own == seen;
    });
    expect(fine,
           "an element of `view` is not where the tensor has it (strides count elements, not "
           "bytes; the data of a slice begins at its offset)");
}

/// The tensors that an adapter makes: of the right kind and shape, in memory of their own.
template <class T, class Expect>
void check_made(const T& sample, const dynamic_view& v, const Expect& expect) {
    const auto overlaps = [](const dynamic_view& a, const dynamic_view& b) {
        bool found = false;
        for_each(a, [&](std::size_t, const index&, const void* p) {
            for_each(b, [&](std::size_t, const index&, const void* q) { found |= p == q; });
        });
        return found;
    };
    const auto made = [&]<class S, std::size_t R>(S, std::array<std::ptrdiff_t, R> extents) {
        const auto make = [&] { return prefopt::detail::make_like<S>(sample, extents); };
        using result = decltype(make());
        static_assert(!std::is_reference_v<result>);
        static_assert(prefopt::detail::require_tensor<result>());
        auto first = make();
        auto second = make();
        const dynamic_view a = adapter<result>::view(first);
        const dynamic_view b = adapter<result>::view(second);
        if (a.refusal != nullptr || a.data == nullptr)
            return expect(false, "what `make_like` gives has no memory");
        if (a.rank != R || !std::equal(extents.begin(), extents.end(), a.extents.begin()))
            return expect(false, "`make_like` does not give the extents it was asked for");
        if (a.element != element_kind_of<S>())
            return expect(false, "`make_like` does not give the scalar it was asked for");
        if (overlaps(a, v) || overlaps(a, b))
            return expect(false, "`make_like` gives memory that is somebody else's already");
    };
    const std::array<std::ptrdiff_t, 1> vector{v.extents[0]};
    made(float(), vector);
    made(double(), vector);
    made(std::int64_t(), vector);
    constexpr std::size_t rank = adapter<T>::rank;
    if constexpr (rank == 2 || rank == dynamic_rank)
        if (v.rank == 2) made(float(), std::array<std::ptrdiff_t, 2>{v.extents[0], v.extents[1]});
}

/// What a loss makes of the sample, and what it writes to it, against plain memory. Both hold the
/// same numbers; call(tensor) returns a result of the tensor's family, into(tensor, to) writes one.
template <class T, class Call, class Into, class Expect>
void check_loss(T& sample, const dynamic_view& v, const dynamic_view& plain, const Call& call,
                const Into& into, const Expect& expect) {
    const auto result = call(sample);
    using result_type = std::remove_cvref_t<decltype(result)>;
    const dynamic_view seen = adapter<result_type>::view(result);
    plain_memory<dynamic_view> same_result(seen);
    into(plain, same_result.view);
    expect(same(seen, same_result.view),
           "a loss of the tensor is not bit for bit that of plain memory");
    plain_memory<dynamic_view> written(v);
    into(plain, written.view);
    into(plain, sample);
    expect(same(adapter<T>::view(std::as_const(sample)), written.view),
           "what is written to the tensor is not what is read from it");
}

/// Test values: exact in every kind, and labels of a small vocabulary.
inline std::vector<double> test_values(const dynamic_view& v) {
    std::vector<double> x(values(v).size());
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = is_real(v.element) ? -1.0 - 0.25 * static_cast<double>(i % 7)
                                  : static_cast<double>(i % 7);
    return x;
}
inline constexpr std::ptrdiff_t test_vocabulary = 9;

template <class T, class View, class Expect>
void check_logits(T& sample, const View& v, const Expect& expect) {
    const dynamic_view seen = v;
    std::vector<std::int64_t> numbers(values(seen).size());
    for (std::size_t i = 0; i < numbers.size(); ++i)
        numbers[i] = static_cast<std::int64_t>(i) % seen.extents[2];
    const view labels(numbers.data(), {seen.extents[0], seen.extents[1]});
    const std::vector<double> grad(static_cast<std::size_t>(seen.extents[0]), -0.5);
    plain_memory<View> logits(v);
    plain_memory<View> gradient(v);
    assign(logits.view, test_values(seen));
    const auto scored = sequence_log_probs(sample, labels);
    const auto plain = sequence_log_probs(logits.view, labels);
    expect(same(adapter<decltype(scored.sum)>::view(scored.sum),
                adapter<decltype(plain.sum)>::view(plain.sum)),
           "sequence_log_probs of the tensor is not bit for bit that of plain memory");
    sequence_log_probs_backward(logits.view, labels, grad, gradient.view);
    sequence_log_probs_backward(logits.view, labels, grad, sample);
    expect(same(adapter<T>::view(std::as_const(sample)), gradient.view),
           "a gradient written to the tensor is not what is read from it");
}

template <class T, class Expect>
void check_labels(const T& sample, const dynamic_view& v, const Expect& expect) {
    std::vector<std::int64_t> numbers;
    for (const double x : values(v)) numbers.push_back(static_cast<std::int64_t>(x));
    const auto n = static_cast<std::ptrdiff_t>(numbers.size());
    std::vector<float> x(static_cast<std::size_t>(n * test_vocabulary));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 11) / 4;
    constexpr std::size_t rank = adapter<T>::rank;
    const auto score = [&](const auto& logits, const auto& plain) {
        expect(sequence_log_probs(logits, sample).sum == sequence_log_probs(logits, plain).sum,
               "labels of the tensor are not those of plain memory");
    };
    if constexpr (rank == 1 || rank == dynamic_rank)
        if (v.rank == 1) score(view(x.data(), {n, test_vocabulary}), numbers);
    if constexpr (rank == 2 || rank == dynamic_rank)
        if (v.rank == 2)
            score(view(x.data(), {v.extents[0], v.extents[1], test_vocabulary}),
                  view(numbers.data(), {v.extents[0], v.extents[1]}));
}

/// Everything that has numbers in it.
template <class T, class View, class Expect>
void check_numbers(T& sample, const View& v, const Expect& expect) {
    const dynamic_view seen = v;
    constexpr std::size_t rank = adapter<T>::rank;
    constexpr bool any = rank == dynamic_rank;
    constexpr bool is_label = !any && label<std::remove_pointer_t<decltype(v.data)>>;
    if constexpr (any || is_label)
        if (!is_real(seen.element)) return check_labels(sample, seen, expect);
    if constexpr (!is_label) {
        plain_memory<dynamic_view> plain(seen);
        const plain_memory<dynamic_view> zero(seen);
        assign(plain.view, test_values(seen));
        if constexpr (rank == 1 || any)
            if (seen.rank == 1) {
                const dpo loss{.beta = 0.1};
                check_loss(
                    sample, seen, plain.view,
                    [&](const auto& t) { return loss(t, zero.view, t, t).grad_chosen; },
                    [&](const auto& t, auto& to) {
                        loss.into(t, zero.view, t, t, {.grad_chosen = to});
                    },
                    expect);
            }
        if constexpr (rank == 2 || any)
            if (seen.rank == 2) {
                const plackett_luce_dpo loss{.beta = 0.1};
                std::vector<double> memory(
                    static_cast<std::size_t>(listwise_workspace(seen.extents[1])));
                const listwise_options o{.workspace = memory};
                check_loss(
                    sample, seen, plain.view,
                    [&](const auto& t) { return loss(t, zero.view).grad; },
                    [&](const auto& t, auto& to) { loss.into(t, zero.view, {.grad = to}, o); },
                    expect);
            }
        if constexpr (rank == 3 || any)
            if (seen.rank == 3) check_logits(sample, v, expect);
    }
}

}  // namespace detail

/// What is wrong with `adapter<T>`, as sentences; empty if nothing is. `sample` is overwritten with
/// test values and restored. `at(sample, i, j, ...)` is its element (i, j, ...), or the address of
/// it, for tensors that do not say so themselves.
template <class T, class At = detail::own_elements>
    requires(viewable<T> || !expression<T>)
std::vector<std::string> conformance(T& sample, const At& at = {}) {
    static_assert(prefopt::detail::require_tensor<T>());
    std::vector<std::string> complaints;
    const auto expect = [&](bool ok, const char* complaint) {
        if (!ok) complaints.emplace_back(complaint);
    };
    const auto v = adapter<T>::view(sample);
    const dynamic_view seen = v;
    const bool reals = is_real(seen.element);
    expect(seen.refusal == nullptr, seen.refusal);
    expect(reals || is_integer(seen.element), "the sample must hold reals or integers");
    expect(seen.rank >= 1 && seen.rank <= (reals ? 3U : 2U),
           "conformance looks at reals of rank 1 to 3 and at integers of rank 1 and 2");
    expect(seen.writable,
           "`view` of a mutable tensor gives const elements: it cannot be an output");
    if (!complaints.empty()) return complaints;
    expect(seen.data != nullptr, "`view` gives a null pointer");
    std::ptrdiff_t size = 1;
    for (std::size_t i = 0; i < seen.rank; ++i) size *= seen.extents[i];
    expect(size >= 2, "the sample needs at least two elements");
    const dynamic_view constant = adapter<T>::view(std::as_const(sample));
    expect(constant.data == seen.data, "`view` of the const tensor sees other memory");
    expect(constant.element == seen.element && constant.rank == seen.rank &&
               constant.extents == seen.extents && constant.strides == seen.strides,
           "`view` of the const tensor has another shape");
    if (!complaints.empty()) return complaints;
    detail::check_places(sample, seen, at, expect);
    if (!complaints.empty()) return complaints;
    detail::check_made(sample, seen, expect);
    if (!complaints.empty()) return complaints;
    // Not is_const_v, which GCC 15 takes for its own initialiser here.
    if constexpr (!std::is_const<std::remove_pointer_t<decltype(v.data)>>::value) {
        const std::vector<double> before = detail::values(seen);
        detail::assign(seen, detail::test_values(seen));
        detail::check_numbers(sample, v, expect);
        detail::assign(seen, before);
    }
    return complaints;
}

/// The same for a lazy expression of reals: its value is one, and stays.
template <expression T>
    requires(!viewable<T>)
std::vector<std::string> conformance(const T& sample) {
    static_assert(prefopt::detail::require_tensor<T>());
    using value = decltype(adapter<T>::materialise(sample));
    if constexpr (prefopt::detail::borrowed<value>) {
        return {"what `materialise` returns refers to memory of others, which may be gone"};
    } else {
        const value first = adapter<T>::materialise(sample);
        const value second = adapter<T>::materialise(sample);
        const dynamic_view a = adapter<value>::view(first);
        const dynamic_view b = adapter<value>::view(second);
        if (a.data == b.data) return {"what `materialise` returns is not a value of its own"};
        if (!detail::same(a, b)) return {"`materialise` gives other numbers the second time"};
        if (adapter<T>::rank != dynamic_rank && a.rank != adapter<T>::rank)
            return {"the rank of what `materialise` returns is not the adapter's `rank`"};
        return {};
    }
}

}  // namespace prefopt::inline PREFOPT_ABI::testing
