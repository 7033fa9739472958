// SPDX-License-Identifier: Apache-2.0
//
// The checks that stand at the door of every public call. They look at operands without reading
// their elements, in the fixed order of faults (see error.hpp): null pointers of all operands
// first, then all shapes, and so on, so that the code reported does not depend on who comes first.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>

#include <prefopt/core/buffer.hpp>
#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/error.hpp>
#include <prefopt/core/operand.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// One operand as the checks see it: a name, a block of memory and the shape it should have.
struct operand {
    const char* name = "";
    const void* data = nullptr;
    std::ptrdiff_t element_size = 0;
    std::ptrdiff_t alignment = 1;
    shape extents{};
    std::array<std::ptrdiff_t, 4> strides{};
    bool present = false;
    bool is_output = false;
    bool is_real = false;
    scalar_kind kind = scalar_kind::f64;
    const char* refusal = nullptr;  ///< why it cannot be seen at all
    errc refusal_code = errc::ok;
    std::size_t given_rank = 0;
    shape wanted{};         ///< rank 0: any shape
    const char* like = "";  ///< the argument whose shape it must have

    [[nodiscard]] bool empty() const noexcept {
        for (std::size_t i = 0; i < extents.rank; ++i)
            if (extents.extents[i] == 0) return true;
        return false;
    }
};

inline constexpr shape any_shape{};

template <std::size_t R>
shape shape_of(const std::array<std::ptrdiff_t, R>& extents) noexcept {
    shape s;
    s.rank = R;
    for (std::size_t i = 0; i < R; ++i) s.extents[i] = extents[i];
    return s;
}

/// A block of memory as the checks see it: what does not depend on its type, once.
PREFOPT_NOINLINE inline operand describe_block(const char* name, const operand_facts& facts,
                                               const void* data, std::size_t rank,
                                               const std::ptrdiff_t* extents,
                                               const std::ptrdiff_t* strides, const shape& wanted,
                                               const char* like) noexcept {
    operand o;
    o.name = name;
    o.data = data;
    o.alignment = facts.alignment;
    o.extents.rank = rank;
    for (std::size_t i = 0; i < rank; ++i) {
        o.extents.extents[i] = extents[i];
        o.strides[i] = strides[i];
    }
    o.present = facts.has_value;
    o.refusal = facts.refusal;
    o.refusal_code = facts.fault;
    o.given_rank = facts.given_rank;
    o.wanted = wanted;
    o.like = like;
    return o;
}

/// Describes an input, output or index_input to the checks; of one that was lifted to a higher
/// rank, the last `rank` axes.
template <template <std::size_t> class Operand, std::size_t R>
operand describe(const char* name, const Operand<R>& t, const shape& wanted = any_shape,
                 const char* like = "", std::size_t rank = R) noexcept {
    operand o = describe_block(name, t, t.data, rank, t.extents.data() + (R - rank),
                               t.strides.data() + (R - rank), wanted, like);
    o.element_size = size_of(t.kind);
    o.is_output = std::is_same_v<Operand<R>, output<R>>;
    if constexpr (!std::is_same_v<Operand<R>, index_input<R>>) {
        o.is_real = true;
        o.kind = t.kind;
    }
    return o;
}

/// Describes memory that is no tensor of reals. What is written may coincide with nothing.
template <class T>
operand describe_memory(const char* name, const buffer<T>& memory,
                        const shape& wanted = any_shape) noexcept {
    const std::ptrdiff_t stride = 1;
    operand o = describe_block(name, {.has_value = memory.has_value, .alignment = alignof(T)},
                               memory.data, 1, &memory.size, &stride, wanted, "");
    o.element_size = sizeof(T);
    o.is_output = !std::is_const_v<T>;
    return o;
}

/// First and one-past-last byte that an operand can touch.
struct byte_range {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
};

/// All of an operand, or a slice of it: index 0 along the axis `but`.
inline byte_range bytes_of(const operand& o, std::size_t but = 4) noexcept {
    const auto base = reinterpret_cast<std::uintptr_t>(o.data);
    byte_range r{base, base + static_cast<std::uintptr_t>(o.element_size)};
    for (std::size_t i = 0; i < o.extents.rank; ++i) {
        if (i == but) continue;
        const std::ptrdiff_t reach = (o.extents.extents[i] - 1) * o.strides[i] * o.element_size;
        (reach < 0 ? r.begin : r.end) += static_cast<std::uintptr_t>(reach);
    }
    return r;
}

/// The axis of the largest stride among those that are longer than 1; the rank if none is.
PREFOPT_NOINLINE inline std::size_t outer_axis(const operand& o) noexcept {
    std::size_t axis = o.extents.rank;
    std::ptrdiff_t largest = -1;
    for (std::size_t i = 0; i < o.extents.rank; ++i) {
        const std::ptrdiff_t magnitude = o.strides[i] < 0 ? -o.strides[i] : o.strides[i];
        if (o.extents.extents[i] < 2 || magnitude <= largest) continue;
        axis = i;
        largest = magnitude;
    }
    return axis;
}

/// Same memory, same layout, same type: element i of one is element i of the other.
inline bool same_elements(const operand& a, const operand& b) noexcept {
    if (!a.is_real || !b.is_real || a.data != b.data || a.kind != b.kind) return false;
    if (!(a.extents == b.extents)) return false;
    for (std::size_t i = 0; i < a.extents.rank; ++i)
        if (a.extents.extents[i] > 1 && a.strides[i] != b.strides[i]) return false;
    return true;
}

/// Whether two operands share a byte. Exact for disjoint ranges and for slices that interleave
/// with one common outer stride (two columns, two blocks of one matrix); otherwise it errs on the
/// side of "yes".
inline bool overlap(const operand& a, const operand& b) noexcept {
    if (!a.present || !b.present || a.empty() || b.empty()) return false;
    const byte_range ra = bytes_of(a);
    const byte_range rb = bytes_of(b);
    if (ra.end <= rb.begin || rb.end <= ra.begin) return false;

    const std::size_t ia = outer_axis(a);
    const std::size_t ib = outer_axis(b);
    if (ia == a.extents.rank || ib == b.extents.rank) return true;
    const std::ptrdiff_t step = a.strides[ia] * a.element_size;
    if (step != b.strides[ib] * b.element_size || step == 0) return true;
    const auto period = static_cast<std::uintptr_t>(step < 0 ? -step : step);
    const byte_range pa = bytes_of(a, ia);
    const byte_range pb = bytes_of(b, ib);
    const std::uintptr_t wa = pa.end - pa.begin;
    const std::uintptr_t wb = pb.end - pb.begin;
    if (wa > period || wb > period) return true;
    const std::uintptr_t gap = pb.begin >= pa.begin
                                   ? (pb.begin - pa.begin) % period
                                   : (period - (pa.begin - pb.begin) % period) % period;
    return gap < wa || period - gap < wb;
}

// What may be wrong with one operand by itself: null where nothing is, else the end of a sentence.

inline const char* why_unseen(const operand& o) noexcept { return o.refusal; }

inline const char* why_null(const operand& o) noexcept {
    if (o.data != nullptr || o.empty()) return nullptr;
    return "is a null pointer although its extents are not zero";
}

inline bool has_negative_extent(const operand& o) noexcept {
    for (std::size_t i = 0; i < o.extents.rank; ++i)
        if (o.extents.extents[i] < 0) return true;
    return false;
}

inline const char* why_misshapen(const operand& o) noexcept {
    if (has_negative_extent(o)) return "must not have a negative extent";
    if (o.wanted.rank == 0 || o.extents == o.wanted) return nullptr;
    return *o.like != '\0' ? "must have the same shape as" : "must have shape";
}

inline const char* why_too_large(const operand& o) noexcept {
    constexpr std::ptrdiff_t top = std::numeric_limits<std::ptrdiff_t>::max();
    constexpr const char* why = "spans more bytes than a pointer can address";
    std::ptrdiff_t count = o.element_size > 0 ? o.element_size : 1;
    std::ptrdiff_t reach = count;
    const std::ptrdiff_t unit = count;
    for (std::size_t i = 0; i < o.extents.rank; ++i) {
        // An empty tensor may not have an absurd extent either: it would size a workspace.
        const std::ptrdiff_t e = o.extents.extents[i] == 0 ? 1 : o.extents.extents[i];
        if (count > top / e) return why;
        count *= e;
        if (e == 1 || o.strides[i] == 0) continue;
        if (o.strides[i] == std::numeric_limits<std::ptrdiff_t>::min()) return why;
        const std::ptrdiff_t step = o.strides[i] < 0 ? -o.strides[i] : o.strides[i];
        if (step > (top - reach) / unit / (e - 1)) return why;
        reach += step * (e - 1) * unit;
    }
    return nullptr;
}

/// An output must not overlap itself: with the axes sorted by stride, each must step over all that
/// the smaller ones span.
inline const char* why_overlapping_itself(const operand& o) noexcept {
    if (!o.is_output || o.empty()) return nullptr;
    std::array<std::size_t, 4> order{0, 1, 2, 3};
    const auto magnitude = [&](std::size_t i) {
        return o.strides[i] < 0 ? -o.strides[i] : o.strides[i];
    };
    for (std::size_t i = 1; i < o.extents.rank; ++i)
        for (std::size_t j = i; j > 0 && magnitude(order[j]) < magnitude(order[j - 1]); --j)
            std::swap(order[j], order[j - 1]);
    std::ptrdiff_t span = 1;
    for (std::size_t k = 0; k < o.extents.rank; ++k) {
        const std::size_t i = order[k];
        if (o.extents.extents[i] < 2) continue;
        if (magnitude(i) < span) return "is an output whose strides make its elements overlap";
        span += magnitude(i) * (o.extents.extents[i] - 1);
    }
    return nullptr;
}

inline const char* why_misaligned(const operand& o) noexcept {
    if (o.empty() ||
        reinterpret_cast<std::uintptr_t>(o.data) % static_cast<std::uintptr_t>(o.alignment) == 0)
        return nullptr;
    return "is not aligned to its own element type";
}

/// What is checked of each operand alone, in the order of faults. No status is made before there
/// is one: to clear it for each of these would cost more than all that is looked at.
struct operand_rule {
    errc code;
    const char* (*why)(const operand&) noexcept;
};
inline constexpr operand_rule operand_rules[] = {{errc::bad_tensor, why_unseen},
                                                 {errc::null_pointer, why_null},
                                                 {errc::shape_mismatch, why_misshapen},
                                                 {errc::size_overflow, why_too_large},
                                                 {errc::bad_stride, why_overlapping_itself},
                                                 {errc::misaligned, why_misaligned}};

/// The fault of an operand that breaks a rule, with the evidence.
PREFOPT_COLD inline status fault_operand(const operand_rule& rule, const operand& o) noexcept {
    const char* const why = rule.why(o);
    if (rule.code == errc::misaligned) return fault(rule.code, o.name, why);
    if (rule.code == errc::bad_tensor) {
        if (o.refusal_code != errc::shape_mismatch) return fault(o.refusal_code, o.name, why);
        return fault_value(o.refusal_code, o.name, why, o.given_rank);
    }
    if (rule.code == errc::shape_mismatch && !has_negative_extent(o))
        return fault_shape(rule.code, o.name, why, o.extents, o.wanted, o.like);
    return fault_shape(rule.code, o.name, why, o.extents);
}

/// An output may coincide element for element with a real input (every kernel reads a block before
/// it writes it); it may share nothing else with anybody.
inline status check_aliasing(std::initializer_list<operand> all) noexcept {
    for (const operand& a : all) {
        if (!a.is_output) continue;
        for (const operand& b : all) {
            if (&a == &b || (b.is_output && &b < &a) || !overlap(a, b)) continue;
            if (!b.is_output && same_elements(a, b)) continue;
            return fault_shape(errc::aliasing, a.name, "shares memory with", {}, {}, b.name);
        }
    }
    return {};
}

/// All of the above over all operands that are present, rule by rule.
inline status check_operands(std::initializer_list<operand> all) noexcept {
    for (const operand_rule& rule : operand_rules)
        for (const operand& o : all)
            if (o.present && rule.why(o) != nullptr) return fault_operand(rule, o);
    return check_aliasing(all);
}

/// A required operand that was not given.
template <class Operand>
status check_given(const char* name, const Operand& t, const char* why) noexcept {
    if (t.has_value) return {};
    return fault(errc::bad_parameter, name, why);
}

constexpr status check_positive(const char* name, double value) noexcept {
    if (is_finite(value) && value > 0) return {};
    return fault_value(errc::bad_parameter, name, "must be finite and greater than 0", value);
}

constexpr status check_not_negative(const char* name, double value) noexcept {
    if (is_finite(value) && value >= 0) return {};
    return fault_value(errc::bad_parameter, name, "must be finite and at least 0", value);
}

/// low <= value < high, or <= high where `closed`.
constexpr status check_range(const char* name, double value, double low, double high, bool closed,
                             const char* expected) noexcept {
    if (is_finite(value) && value >= low && (value < high || (closed && value <= high))) return {};
    return fault_value(errc::bad_parameter, name, expected, value);
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
