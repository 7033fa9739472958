// SPDX-License-Identifier: Apache-2.0
//
// Operands: tensors with their type erased, as the batch algorithms see them.
//
// input<R> and output<R> carry a pointer, the scalar's kind, extents and strides; index_input<R>
// the same for labels, rankings, offsets, counts and flags. They are made implicitly from any
// adapted tensor, so that option and output structs can be plain aggregates filled with
// designated initialisers: `{.weights = w}`. They never own: an expression is refused by name.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include <prefopt/core/adapter.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

/// Bytes of an integer element, or one of the two ways a flag is stored.
enum class index_kind : std::uint8_t { i8, i16, i32, i64, u8, u16, u32, u64, packed_bits };

/// How an integer, or a flag, is read.
constexpr index_kind index_kind_of(element_kind k) noexcept {
    if (k == element_kind::boolean)
        return index_kind::u8;  // read as a byte: memory that is not 0 or 1 still means "true"
    return static_cast<index_kind>(static_cast<int>(k) - static_cast<int>(element_kind::i8));
}

constexpr std::ptrdiff_t size_of(index_kind kind) noexcept {
    return kind == index_kind::packed_bits ? 0 : std::ptrdiff_t{1} << (static_cast<int>(kind) % 4);
}

template <class T, std::size_t R>
constexpr bool require_rank() {
    constexpr bool fits = std::size_t{adapter<T>::rank} == R || adapter<T>::rank == dynamic_rank;
    static_assert(fits,
                  "prefopt: this tensor has the wrong rank for the argument. The shapes are in the "
                  "comment of the function: (B) is rank 1, (B, K), (B, T) and (N, V) are rank 2, "
                  "(B, T, V) is rank 3.");
    return true;
}

template <class T>
constexpr bool require_value() {
    constexpr bool has_value = !expression<T> || viewable<T>;
    static_assert(
        has_value,
        "prefopt: a lazy expression cannot be passed here, because nothing would keep its "
        "value alive. Evaluate it into a variable first.");
    return true;
}

template <class T>
constexpr bool require_reals() {
    static_assert(real_scalar<T>, "prefopt: this tensor must hold float, double, bf16 or fp16");
    return true;
}

/// Whether the elements may be written to, as far as the type says.
template <class View>
constexpr bool require_writable() {
    if constexpr (requires { typename View::element_type; }) {
        constexpr bool writable = !std::is_const_v<typename View::element_type>;
        static_assert(writable, "prefopt: an output must be writable; this tensor is const");
        return writable;
    }
    return true;
}

/// Whether T&& is something to write to.
template <class T>
constexpr bool require_output() {
    using tensor_type = std::remove_cvref_t<T>;
    static_assert(require_tensor<tensor_type>());
    constexpr bool has_memory = !expression<tensor_type> || viewable<tensor_type>;
    static_assert(has_memory,
                  "prefopt: an expression cannot be an output. Pass a tensor to write to.");
    constexpr bool stays = std::is_lvalue_reference_v<T> || borrowed<tensor_type>;
    static_assert(stays,
                  "prefopt: a temporary cannot be an output: the result would be lost with it. "
                  "Pass a variable.");
    return true;
}

/// What all operands have, whatever their rank. Where a tensor that is known only at run time
/// cannot be seen, or has another rank, `refusal` says so, and the checks report it.
struct operand_facts {
    bool has_value = false;
    std::uint8_t alignment = 1;
    errc fault = errc::ok;  ///< with `refusal`
    std::uint8_t given_rank = 0;
    const char* refusal = nullptr;
};

template <std::size_t R, class Void>
struct strided : operand_facts {
    Void* data = nullptr;
    std::array<std::ptrdiff_t, R> extents{};
    std::array<std::ptrdiff_t, R> strides{};

    constexpr void refuse(const char* why, errc code = errc::bad_tensor) noexcept {
        if (refusal != nullptr) return;  // the first reason counts
        refusal = why;
        fault = code;
        extents = {};
    }

    template <class T>
    constexpr void refer(const view<T, R>& v) noexcept {
        data = v.data;
        has_value = true;
        alignment = alignof(T);
        extents = v.extents;
        strides = v.strides;
    }
    constexpr void refer(const dynamic_view& v) noexcept {
        constexpr const char* wrong_rank[] = {"must have rank 1", "must have rank 2",
                                              "must have rank 3", "must have rank 4"};
        data = v.data;
        has_value = true;
        alignment = static_cast<std::uint8_t>(size_of(v.element));
        if (v.refusal != nullptr) return refuse(v.refusal, v.fault);
        if (v.rank == 0 && R == 1) {  // one number
            extents[0] = 1;
            strides[0] = 1;
            return;
        }
        if (v.rank != R) {
            given_rank = static_cast<std::uint8_t>(v.rank);
            return refuse(wrong_rank[R - 1], errc::shape_mismatch);
        }
        for (std::size_t i = 0; i < R; ++i) {
            extents[i] = v.extents[i];
            strides[i] = v.strides[i];
        }
    }
};

/// The scalar kind of a view, which must be of reals.
template <class Operand, class T, std::size_t R>
constexpr scalar_kind kind_of_reals(Operand&, const view<T, R>&) {
    static_assert(require_reals<T>());
    return scalar_traits<std::remove_cv_t<T>>::kind;
}
template <class Operand>
constexpr scalar_kind kind_of_reals(Operand& to, const dynamic_view& v) {
    if (is_real(v.element)) return static_cast<scalar_kind>(v.element);
    to.refuse("must hold float, double, bf16 or fp16");
    return scalar_kind::f64;
}

}  // namespace detail

/// A tensor of reals that is read. Empty (`has_value` false) when nothing was given.
template <std::size_t R>
struct input : detail::strided<R, const void> {
    scalar_kind kind = scalar_kind::f64;

    constexpr input() = default;

    template <class T>
        requires(!std::same_as<std::remove_cvref_t<T>, input>)
    constexpr input(const T& t) {  // NOLINT: implicit by design
        static_assert(detail::require_tensor<T>());
        static_assert(detail::require_value<T>());
        if constexpr (viewable<T>) {
            static_assert(detail::require_rank<T, R>());
            this->refer(adapter<T>::view(t));
            kind = detail::kind_of_reals(*this, adapter<T>::view(t));
        }
    }
};

/// A tensor of reals that is written. Empty when that output is not wanted.
template <std::size_t R>
struct output : detail::strided<R, void> {
    scalar_kind kind = scalar_kind::f64;

    constexpr output() = default;

    template <class T>
        requires(!std::same_as<std::remove_cvref_t<T>, output>)
    constexpr output(T&& t) {  // NOLINT: implicit by design
        using tensor_type = std::remove_cvref_t<T>;
        static_assert(detail::require_output<T>());
        if constexpr (viewable<tensor_type>) {
            static_assert(detail::require_rank<tensor_type, R>());
            const auto v = adapter<tensor_type>::view(t);
            if constexpr (detail::require_writable<decltype(v)>()) {
                if constexpr (requires { adapter<tensor_type>::announce_write(t); })
                    adapter<tensor_type>::announce_write(t);
                this->refer(v);
                kind = detail::kind_of_reals(*this, v);
                if constexpr (std::is_same_v<decltype(v), const dynamic_view>)
                    if (!v.writable) this->refuse("is read-only and would be written to");
            }
        }
    }
};

/// A tensor of integers that is read: labels, rankings, offsets, counts; any integer type but bool.
template <std::size_t R>
struct index_input : detail::strided<R, const void> {
    detail::index_kind kind = detail::index_kind::i64;

    constexpr index_input() = default;

    template <class T>
        requires(!std::same_as<std::remove_cvref_t<T>, index_input>)
    constexpr index_input(const T& t) {  // NOLINT: implicit by design
        static_assert(detail::require_tensor<T>());
        static_assert(detail::require_value<T>());
        if constexpr (viewable<T>) {
            static_assert(detail::require_rank<T, R>());
            const auto v = adapter<T>::view(t);
            this->refer(v);
            if constexpr (std::is_same_v<decltype(v), const dynamic_view>) {
                if (is_integer(v.element))
                    kind = detail::index_kind_of(v.element);
                else
                    this->refuse("must hold integers (not bool)");
            } else {
                using integer = std::remove_cv_t<typename decltype(v)::element_type>;
                static_assert(label<integer>, "prefopt: this tensor must hold integers (not bool)");
                kind = detail::index_kind_of(element_kind_of<integer>());
            }
        }
    }

    /// The element at (i, j, ...), widened; above 2^63 - 1 it reads as 2^63 - 1, which is out of
    /// every range it will be compared with.
    template <std::integral... I>
        requires(sizeof...(I) == R)
    [[nodiscard]] std::int64_t operator()(I... index) const noexcept {
        std::size_t axis = 0;
        std::ptrdiff_t at = 0;
        ((at += static_cast<std::ptrdiff_t>(index) * this->strides[axis++]), ...);
        const void* const p = this->data;
        using enum detail::index_kind;
        switch (kind) {
            case i8: return static_cast<const std::int8_t*>(p)[at];
            case i16: return static_cast<const std::int16_t*>(p)[at];
            case i32: return static_cast<const std::int32_t*>(p)[at];
            case i64: return static_cast<const std::int64_t*>(p)[at];
            case u8: return static_cast<const std::uint8_t*>(p)[at];
            case u16: return static_cast<const std::uint16_t*>(p)[at];
            case u32: return static_cast<const std::uint32_t*>(p)[at];
            case u64: {
                const std::uint64_t u = static_cast<const std::uint64_t*>(p)[at];
                constexpr auto top = std::numeric_limits<std::int64_t>::max();
                return u > static_cast<std::uint64_t>(top) ? top : static_cast<std::int64_t>(u);
            }
            case packed_bits:
            default:
                return (*static_cast<const std::vector<bool>*>(p))[static_cast<std::size_t>(at)];
        }
    }
};

/// A vector of flags that is read: bool (std::vector<bool> included), bytes or any integer, of
/// which everything but 0 means true. Memory of bool is read as bytes: it may hold anything.
struct flag_input {
    index_input<1> flags{};

    flag_input() = default;

    flag_input(const std::vector<bool>& bits) {  // NOLINT: implicit by design
        flags.data = &bits;
        flags.kind = detail::index_kind::packed_bits;
        flags.has_value = true;
        flags.extents = {static_cast<std::ptrdiff_t>(bits.size())};
        flags.strides = {1};
    }

    template <class T>
        requires(!std::same_as<std::remove_cvref_t<T>, flag_input> &&
                 !std::same_as<std::remove_cvref_t<T>, std::vector<bool>>)
    constexpr flag_input(const T& t) {  // NOLINT: implicit by design
        static_assert(detail::require_tensor<T>());
        static_assert(detail::require_value<T>());
        if constexpr (viewable<T>) {
            static_assert(detail::require_rank<T, 1>());
            const auto v = adapter<T>::view(t);
            flags.refer(v);
            if constexpr (std::is_same_v<decltype(v), const dynamic_view>) {
                if (!is_real(v.element))
                    flags.kind = detail::index_kind_of(v.element);
                else
                    flags.refuse("must hold flags: bool, bytes or integers");
            } else {
                using flag = std::remove_cv_t<typename decltype(v)::element_type>;
                static_assert(
                    label<flag> || std::same_as<flag, bool> || std::same_as<flag, std::byte>,
                    "prefopt: flags must be bool, bytes or integers");
                flags.kind = detail::index_kind_of(element_kind_of<flag>());
            }
        }
    }

    [[nodiscard]] bool operator()(std::ptrdiff_t i) const noexcept { return flags(i) != 0; }
};

namespace detail {

/// The pointer to element (i, ...) of an operand whose kind is known to be S.
template <class S, class Operand, std::integral... I>
auto* element_of(const Operand& t, I... index) noexcept {
    std::size_t axis = 0;
    std::ptrdiff_t at = 0;
    ((at += static_cast<std::ptrdiff_t>(index) * t.strides[axis++]), ...);
    if constexpr (std::is_const_v<std::remove_pointer_t<decltype(t.data)>>)
        return static_cast<const S*>(t.data) + at;
    else
        return static_cast<S*>(t.data) + at;
}

/// The element at (i, j, ...), widened: exact for every stored kind.
template <std::size_t R, std::integral... I>
PREFOPT_NOINLINE double load_element(const input<R>& t, I... index) noexcept {
    return with_scalar(
        t.kind, [&]<class S>() { return static_cast<double>(load(element_of<S>(t, index...))); });
}

/// Rounds x into the element at (i, j, ...). Does nothing for an output that is not wanted.
template <std::size_t R, std::integral... I>
PREFOPT_NOINLINE void store_element(const output<R>& t, double x, I... index) noexcept {
    if (t.has_value) with_scalar(t.kind, [&]<class S>() { store(element_of<S>(t, index...), x); });
}

/// Widens `n` elements of one row into doubles.
template <std::size_t R, std::integral... Row>
void load_block(const input<R>& t, std::ptrdiff_t first, std::ptrdiff_t n, double* to,
                Row... row) noexcept {
    with_scalar(t.kind, [&]<class S>() {
        const S* p = element_of<S>(t, row..., first);
        const std::ptrdiff_t stride = t.strides[R - 1];
        for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = static_cast<double>(load(p + i * stride));
    });
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
