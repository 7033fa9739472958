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

template <class T>
constexpr index_kind index_kind_of() noexcept {
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::byte>) {
        return index_kind::u8;  // read as a byte: memory that is not 0 or 1 still means "true"
    } else {
        constexpr int log2_size = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
        return static_cast<index_kind>(log2_size + (std::is_signed_v<T> ? 0 : 4));
    }
}

constexpr std::ptrdiff_t size_of(index_kind kind) noexcept {
    return kind == index_kind::packed_bits ? 0 : std::ptrdiff_t{1} << (static_cast<int>(kind) % 4);
}

template <class T, std::size_t R>
constexpr bool require_rank() {
    static_assert(std::size_t{adapter<T>::rank} == R,
                  "prefopt: this tensor has the wrong rank for the argument. The shapes are in the "
                  "comment of the function: (B) is rank 1, (B, K), (B, T) and (N, V) are rank 2, "
                  "(B, T, V) is rank 3.");
    return true;
}

template <class T>
constexpr bool require_value() {
    static_assert(
        !expression<T> || viewable<T>,
        "prefopt: a lazy expression cannot be passed here, because nothing would keep its "
        "value alive. Evaluate it into a variable first.");
    return true;
}

template <class T>
constexpr bool require_reals() {
    static_assert(real_scalar<T>, "prefopt: this tensor must hold float, double, bf16 or fp16");
    return true;
}

/// Makes an operand refer to what a view refers to; its kind is the caller's to set.
template <class Operand, class View>
constexpr void refer(Operand& to, const View& v) {
    to.data = v.data;
    to.has_value = true;
    to.alignment = alignof(typename View::element_type);
    to.extents = v.extents;
    to.strides = v.strides;
}

}  // namespace detail

/// A tensor of reals that is read. Empty (`has_value` false) when nothing was given.
template <std::size_t R>
struct input {
    const void* data = nullptr;
    scalar_kind kind = scalar_kind::f64;
    bool has_value = false;
    std::uint8_t alignment = 1;
    std::array<std::ptrdiff_t, R> extents{};
    std::array<std::ptrdiff_t, R> strides{};

    constexpr input() = default;

    template <class T>
        requires(!std::same_as<std::remove_cvref_t<T>, input>)
    constexpr input(const T& t) {  // NOLINT: implicit by design
        static_assert(detail::require_tensor<T>());
        static_assert(detail::require_value<T>());
        if constexpr (viewable<T>) {
            static_assert(detail::require_rank<T, R>());
            const auto v = adapter<T>::view(t);
            using scalar = std::remove_cv_t<typename decltype(v)::element_type>;
            static_assert(detail::require_reals<scalar>());
            kind = scalar_traits<scalar>::kind;
            detail::refer(*this, v);
        }
    }
};

/// A tensor of reals that is written. Empty when that output is not wanted.
template <std::size_t R>
struct output {
    void* data = nullptr;
    scalar_kind kind = scalar_kind::f64;
    bool has_value = false;
    std::uint8_t alignment = 1;
    std::array<std::ptrdiff_t, R> extents{};
    std::array<std::ptrdiff_t, R> strides{};

    constexpr output() = default;

    template <class T>
        requires(!std::same_as<std::remove_cvref_t<T>, output>)
    constexpr output(T&& t) {  // NOLINT: implicit by design
        using tensor_type = std::remove_cvref_t<T>;
        static_assert(detail::require_tensor<tensor_type>());
        static_assert(!expression<tensor_type> || viewable<tensor_type>,
                      "prefopt: an expression cannot be an output. Pass a tensor to write to.");
        static_assert(std::is_lvalue_reference_v<T> || detail::borrowed<tensor_type>,
                      "prefopt: a temporary cannot be an output: the result would be lost with it. "
                      "Pass a variable.");
        if constexpr (viewable<tensor_type>) {
            static_assert(detail::require_rank<tensor_type, R>());
            const auto v = adapter<tensor_type>::view(t);
            using element = typename std::remove_cv_t<decltype(v)>::element_type;
            static_assert(!std::is_const_v<element>,
                          "prefopt: an output must be writable; this tensor is const");
            static_assert(detail::require_reals<element>());
            if constexpr (!std::is_const_v<element>) {
                kind = scalar_traits<std::remove_cv_t<element>>::kind;
                detail::refer(*this, v);
            }
        }
    }
};

/// A tensor of integers that is read: labels, rankings, offsets, counts; any integer type but bool.
template <std::size_t R>
struct index_input {
    const void* data = nullptr;
    detail::index_kind kind = detail::index_kind::i64;
    bool has_value = false;
    std::uint8_t alignment = 1;
    std::array<std::ptrdiff_t, R> extents{};
    std::array<std::ptrdiff_t, R> strides{};

    constexpr index_input() = default;

    template <class T>
        requires(!std::same_as<std::remove_cvref_t<T>, index_input>)
    constexpr index_input(const T& t) {  // NOLINT: implicit by design
        static_assert(detail::require_tensor<T>());
        static_assert(detail::require_value<T>());
        if constexpr (viewable<T>) {
            static_assert(detail::require_rank<T, R>());
            const auto v = adapter<T>::view(t);
            using integer = std::remove_cv_t<typename decltype(v)::element_type>;
            static_assert(label<integer>, "prefopt: this tensor must hold integers (not bool)");
            kind = detail::index_kind_of<integer>();
            detail::refer(*this, v);
        }
    }

    /// The element at (i, j, ...), widened; above 2^63 - 1 it reads as 2^63 - 1, which is out of
    /// every range it will be compared with.
    template <std::integral... I>
        requires(sizeof...(I) == R)
    [[nodiscard]] std::int64_t operator()(I... index) const noexcept {
        std::size_t axis = 0;
        std::ptrdiff_t at = 0;
        ((at += static_cast<std::ptrdiff_t>(index) * strides[axis++]), ...);
        using enum detail::index_kind;
        switch (kind) {
            case i8: return static_cast<const std::int8_t*>(data)[at];
            case i16: return static_cast<const std::int16_t*>(data)[at];
            case i32: return static_cast<const std::int32_t*>(data)[at];
            case i64: return static_cast<const std::int64_t*>(data)[at];
            case u8: return static_cast<const std::uint8_t*>(data)[at];
            case u16: return static_cast<const std::uint16_t*>(data)[at];
            case u32: return static_cast<const std::uint32_t*>(data)[at];
            case u64: {
                const std::uint64_t u = static_cast<const std::uint64_t*>(data)[at];
                constexpr auto top = std::numeric_limits<std::int64_t>::max();
                return u > static_cast<std::uint64_t>(top) ? top : static_cast<std::int64_t>(u);
            }
            case packed_bits:
            default:
                return (*static_cast<const std::vector<bool>*>(data))[static_cast<std::size_t>(at)];
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
            using flag = std::remove_cv_t<typename decltype(v)::element_type>;
            static_assert(label<flag> || std::same_as<flag, bool> || std::same_as<flag, std::byte>,
                          "prefopt: flags must be bool, bytes or integers");
            flags.kind = detail::index_kind_of<flag>();
            detail::refer(flags, v);
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

/// Widens `n` elements of one row into doubles (exact for every stored kind).
template <std::size_t R, std::integral... Row>
void load_block(const input<R>& t, std::ptrdiff_t first, std::ptrdiff_t n, double* to,
                Row... row) noexcept {
    with_scalar(t.kind, [&]<class S>() {
        const S* p = element_of<S>(t, row..., first);
        const std::ptrdiff_t stride = t.strides[R - 1];
        for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = static_cast<double>(load(p + i * stride));
    });
}

/// Rounds `n` doubles into one row, once each. Does nothing for an output that is not wanted.
template <std::size_t R, std::integral... Row>
void store_block(const output<R>& t, std::ptrdiff_t first, std::ptrdiff_t n, const double* from,
                 Row... row) noexcept {
    if (!t.has_value) return;
    with_scalar(t.kind, [&]<class S>() {
        S* p = element_of<S>(t, row..., first);
        const std::ptrdiff_t stride = t.strides[R - 1];
        for (std::ptrdiff_t i = 0; i < n; ++i) store(p + i * stride, from[i]);
    });
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
