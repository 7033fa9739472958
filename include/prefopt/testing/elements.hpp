// SPDX-License-Identifier: Apache-2.0
//
// The elements of a tensor of any kind and rank, one by one and as doubles, for the checks of
// adapters; and plain memory to compare it with.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include <prefopt/core/core.hpp>

namespace prefopt::inline PREFOPT_ABI::testing::detail {

using index = std::array<std::ptrdiff_t, dynamic_view::most_dimensions>;

/// f(S&) with an element of a dynamic view, as the type that it is.
template <class F>
void with_element(void* p, element_kind kind, const F& f) {
    using enum element_kind;
    switch (kind) {
        case i8: return f(*static_cast<std::int8_t*>(p));
        case i16: return f(*static_cast<std::int16_t*>(p));
        case i32: return f(*static_cast<std::int32_t*>(p));
        case i64: return f(*static_cast<std::int64_t*>(p));
        case u8:
        case boolean: return f(*static_cast<std::uint8_t*>(p));
        case u16: return f(*static_cast<std::uint16_t*>(p));
        case u32: return f(*static_cast<std::uint32_t*>(p));
        case u64: return f(*static_cast<std::uint64_t*>(p));
        default:
            prefopt::detail::with_scalar(static_cast<scalar_kind>(kind),
                                         [&]<class S>() { f(*static_cast<S*>(p)); });
    }
}

inline double read(void* p, element_kind kind) {
    double x = 0;
    with_element(p, kind, [&]<class S>(S& e) {
        if constexpr (real_scalar<S>)
            x = static_cast<double>(prefopt::detail::load(&e));
        else
            x = static_cast<double>(e);
    });
    return x;
}
inline void write(void* p, element_kind kind, double x) {
    with_element(p, kind, [&]<class S>(S& e) {
        if constexpr (real_scalar<S>)
            prefopt::detail::store(&e, x);
        else
            e = static_cast<S>(x);
    });
}

/// f(number, place, pointer) for every element, row by row.
template <class F>
void for_each(const dynamic_view& v, const F& f) {
    std::ptrdiff_t n = 1;
    for (std::size_t i = 0; i < v.rank; ++i) n *= v.extents[i];
    for (std::ptrdiff_t i = 0; i < n; ++i) {
        index place{};
        std::ptrdiff_t at = 0;
        std::ptrdiff_t rest = i;
        for (std::size_t axis = v.rank; axis-- > 0; rest /= v.extents[axis]) {
            place[axis] = rest % v.extents[axis];
            at += place[axis] * v.strides[axis];
        }
        f(static_cast<std::size_t>(i), place,
          static_cast<std::byte*>(v.data) + at * size_of(v.element));
    }
}

inline std::vector<double> values(const dynamic_view& v) {
    std::vector<double> out;
    for_each(v, [&](std::size_t, const index&, void* p) { out.push_back(read(p, v.element)); });
    return out;
}
inline void assign(const dynamic_view& v, const std::vector<double>& x) {
    for_each(v, [&](std::size_t i, const index&, void* p) { write(p, v.element, x[i]); });
}
inline bool same(const dynamic_view& a, const dynamic_view& b) {
    const std::vector<double> x = values(a);
    const std::vector<double> y = values(b);
    return a.element == b.element && x.size() == y.size() &&
           std::memcmp(x.data(), y.data(), x.size() * sizeof(double)) == 0;
}

/// Compact memory of a view's kind and shape, and a view of it: what `of` is compared with.
template <class View>
struct plain_memory {
    std::vector<std::uint64_t> bytes{};
    View view;

    explicit plain_memory(const View& of) : view(of) {
        const dynamic_view v = of;
        std::ptrdiff_t n = 1;
        for (std::size_t i = v.rank; i-- > 0; n *= v.extents[i]) view.strides[i] = n;
        bytes.resize(static_cast<std::size_t>(n * size_of(v.element)) / 8 + 1);
        view.data = static_cast<decltype(view.data)>(static_cast<void*>(bytes.data()));
        if constexpr (std::is_same_v<View, dynamic_view>) view.writable = true;
    }
    plain_memory(const plain_memory&) = delete;
    plain_memory& operator=(const plain_memory&) = delete;
};

}  // namespace prefopt::inline PREFOPT_ABI::testing::detail
