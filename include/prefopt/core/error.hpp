// SPDX-License-Identifier: Apache-2.0
//
// How the library says that something is wrong.
//
// Every public call checks its input before it writes a byte. `check` (and every `.check` member)
// returns what it found as a `status`; the call itself throws it as `error`, or, where exceptions
// are off, prints the same text and ends the program. Faults are found in a fixed order, so that
// two faults in one call always give the same code: parameters, tensors that cannot be seen or have
// another rank, null pointers, shapes, size overflow, strides, alignment, aliasing; then what the
// elements say: lengths of version lists, weights and counts, offsets, rankings, labels, empty
// batches and sequences, stale versions.

#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <system_error>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// What is wrong. Values are append-only and never renumbered: they are logged and stored.
enum class errc : std::uint8_t {
    ok = 0,
    shape_mismatch = 1,
    empty_batch = 2,
    empty_sequence = 3,
    label_out_of_range = 4,
    bad_mask = 5,
    bad_parameter = 6,
    not_permutation = 7,
    bad_offsets = 8,
    aliasing = 9,
    misaligned = 10,
    bad_stride = 11,
    size_overflow = 12,
    null_pointer = 13,
    bad_tensor = 14,
    workspace_too_small = 15,
    nonfinite = 16,
    stale_reference = 17,
};

/// The code's own name, as it is spelled in `errc`.
constexpr const char* to_string(errc code) noexcept {
    constexpr const char* names[] = {"ok",
                                     "shape_mismatch",
                                     "empty_batch",
                                     "empty_sequence",
                                     "label_out_of_range",
                                     "bad_mask",
                                     "bad_parameter",
                                     "not_permutation",
                                     "bad_offsets",
                                     "aliasing",
                                     "misaligned",
                                     "bad_stride",
                                     "size_overflow",
                                     "null_pointer",
                                     "bad_tensor",
                                     "workspace_too_small",
                                     "nonfinite",
                                     "stale_reference"};
    const auto i = static_cast<std::size_t>(code);
    return i < std::size(names) ? names[i] : "unknown";
}

/// Extents of a tensor as an error message shows them: (4, 128). Rank 0 means "not given".
struct shape {
    std::size_t rank = 0;
    std::array<std::ptrdiff_t, 4> extents{};

    friend bool operator==(const shape& a, const shape& b) noexcept {
        if (a.rank != b.rank) return false;
        for (std::size_t i = 0; i < a.rank; ++i)
            if (a.extents[i] != b.extents[i]) return false;
        return true;
    }
    [[nodiscard]] std::string text() const;
};

namespace detail {

/// A line of text as it is put together: of every message, so it is made of what compiles quickly.
/// What does not fit is left out.
class line {
public:
    PREFOPT_COLD line& add(const char* text) noexcept {
        while (*text != '\0' && size_ < sizeof text_) text_[size_++] = *text++;
        return *this;
    }
    PREFOPT_COLD line& add(std::int64_t x) noexcept {
        char digits[24];
        std::snprintf(digits, sizeof digits, "%lld", static_cast<long long>(x));
        return add(digits);
    }
    /// The shortest text that reads back as x.
    PREFOPT_COLD line& add(double x) noexcept {
        if (x > -1e15 && x < 1e15 && x == static_cast<double>(std::int64_t(x)))
            return add(std::int64_t(x));
        char digits[32] = {};
        std::to_chars(digits, digits + sizeof digits - 1, x);
        return add(digits);
    }
    PREFOPT_COLD line& add(const shape& s) noexcept {
        add("(");
        for (std::size_t i = 0; i < s.rank; ++i)
            add(i > 0 ? ", " : "").add(std::int64_t{s.extents[i]});
        return add(")");
    }
    [[nodiscard]] std::string text() const { return {text_, size_}; }

private:
    char text_[1024];
    std::size_t size_ = 0;
};

}  // namespace detail

PREFOPT_COLD inline std::string shape::text() const { return detail::line().add(*this).text(); }

/// What a check found: a code, the argument's name, the first bad index, and the evidence.
/// Trivially copyable; the names are string literals. `index` is -1 where there is none; for a
/// tensor of rank 2 or more it counts elements in row-major order, whatever the memory layout.
struct [[nodiscard]] status {
    errc code = errc::ok;
    const char* argument = "";
    const char* expected = "";  ///< what was expected, as the end of a sentence: "must be ..."
    const char* other = "";     ///< the argument it was compared with, if any
    std::int64_t index = -1;
    double value = 0;  ///< the offending value, if has_value
    bool has_value = false;
    shape found{};
    shape wanted{};

    [[nodiscard]] constexpr bool ok() const noexcept { return code == errc::ok; }

    /// One sentence: the argument, the index, what was expected, the value or both shapes.
    [[nodiscard]] PREFOPT_COLD std::string message() const {
        detail::line text;
        if (ok()) return text.add("ok").text();
        text.add("prefopt: ").add(argument);
        if (index >= 0) text.add("[").add(index).add("]");
        text.add(" ").add(expected);
        if (*other != '\0') text.add(" ").add(other);
        if (wanted.rank > 0) text.add(" ").add(wanted);
        if (found.rank > 0) text.add(", got ").add(found);
        if (has_value) text.add(", got ").add(value);
        return text.add(" [").add(to_string(code)).add("]").text();
    }
};

/// Thrown by a public call whose input is wrong. Nothing has been written when it is thrown.
class error : public std::invalid_argument {
public:
    explicit error(const prefopt::status& s) : std::invalid_argument(s.message()), status_(s) {}
    [[nodiscard]] errc code() const noexcept { return status_.code; }
    [[nodiscard]] const char* argument() const noexcept { return status_.argument; }
    [[nodiscard]] std::int64_t index() const noexcept { return status_.index; }
    [[nodiscard]] const prefopt::status& status() const noexcept { return status_; }

private:
    prefopt::status status_;
};

/// The library's one check without a throw: `prefopt::check(op, arguments...)` is what the call
/// `op(arguments...)` would have refused, as a status.
///
///     if (auto s = prefopt::check(loss, pc, pr, rc, rr); !s.ok()) return fail(s.message());
template <class Operation, class... Arguments>
status check(const Operation& operation, Arguments&&... arguments) {
    return operation.check(static_cast<Arguments&&>(arguments)...);
}

namespace detail {

/// The one place where a failed check leaves the library.
[[noreturn]] PREFOPT_COLD inline void raise(const status& s) {
#if PREFOPT_EXCEPTIONS
    throw error(s);
#else
    std::fprintf(stderr, "%s\n", s.message().c_str());
    std::terminate();
#endif
}

constexpr void require(const status& s) {
    if (!s.ok()) raise(s);
}

/// A fault without further evidence.
PREFOPT_COLD constexpr status fault(errc code, const char* argument, const char* expected,
                                    std::int64_t index = -1) noexcept {
    status s;
    s.code = code;
    s.argument = argument;
    s.expected = expected;
    s.index = index;
    return s;
}

/// A fault of one value, integer or real.
template <class V>
PREFOPT_COLD constexpr status fault_value(errc code, const char* argument, const char* expected,
                                          V value, std::int64_t index = -1) noexcept {
    status s = fault(code, argument, expected, index);
    s.value = static_cast<double>(value);
    s.has_value = true;
    return s;
}

/// A fault of a shape, against the one that was wanted and the argument that has it.
PREFOPT_COLD inline status fault_shape(errc code, const char* argument, const char* expected,
                                       const shape& found, const shape& wanted = {},
                                       const char* other = "") noexcept {
    status s = fault(code, argument, expected);
    s.found = found;
    s.wanted = wanted;
    s.other = other;
    return s;
}

/// The shape of a vector, for messages.
inline shape length(std::ptrdiff_t n) noexcept { return {1, {n}}; }

/// The first of several independent findings, in order.
constexpr status first_of(std::initializer_list<status> findings) noexcept {
    for (const status& s : findings)
        if (!s.ok()) return s;
    return {};
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
