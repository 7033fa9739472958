// SPDX-License-Identifier: Apache-2.0
//
// The backends of the standard library and our own, for the table: containers, spans, arrays, views
// of every layout, a tensor type of a user's, and one that knows its type and rank at run time.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "backend.hpp"

namespace mine {

/// As little as an adapter needs; what comes back is a std::vector or prefopt::tensor.
template <class S, std::size_t R>
struct box {
    std::vector<S> values;
    std::array<std::ptrdiff_t, R> extents;
};

/// A handle to shared bytes, as libraries have it whose tensors know their type at run time.
struct any_tensor {
    prefopt::element_kind kind;
    std::vector<std::ptrdiff_t> shape;
    std::shared_ptr<std::vector<std::uint64_t>> bytes;

    any_tensor(prefopt::element_kind k, std::vector<std::ptrdiff_t> s)
        : kind(k), shape(std::move(s)) {
        std::ptrdiff_t n = 1;
        for (const std::ptrdiff_t e : shape) n *= e;
        bytes = std::make_shared<std::vector<std::uint64_t>>(static_cast<std::size_t>(n));
    }
};

}  // namespace mine

template <class S, std::size_t R>
struct prefopt::adapter<mine::box<S, R>> {
    static constexpr std::size_t rank = R;
    static auto view(auto& t) {
        prefopt::view v(t.values.data(), t.extents, {});
        for (std::size_t i = R, step = 1; i-- > 0; step *= static_cast<std::size_t>(t.extents[i]))
            v.strides[i] = static_cast<std::ptrdiff_t>(step);
        return v;
    }
};

template <>
struct prefopt::adapter<mine::any_tensor> {
    static constexpr std::size_t rank = dynamic_rank;
    static constexpr bool borrowed = true;
    static dynamic_view view(const mine::any_tensor& t) {
        std::vector<std::ptrdiff_t> strides(t.shape.size());
        std::ptrdiff_t n = 1;
        for (std::size_t i = strides.size(); i-- > 0; n *= t.shape[i]) strides[i] = n;
        return {static_cast<void*>(t.bytes->data()), t.kind, t.shape, strides};
    }
    static mine::any_tensor make_like(const mine::any_tensor&, element_kind kind,
                                      std::span<const std::ptrdiff_t> extents) {
        return {kind, {extents.begin(), extents.end()}};
    }
};

namespace test {

struct std_span {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = sizeof...(N) == 1;
    template <class S, std::size_t N>
    struct tensor : plain::tensor<S, N> {
        using plain::tensor<S, N>::tensor;
        std::span<S> get() { return this->value; }
    };
};

struct std_array {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = sizeof...(N) == 1;
    template <class S, std::size_t N>
    struct tensor {
        std::array<S, N> value;
        explicit tensor(const S* x) { std::copy(x, x + N, value.begin()); }
        auto& get() { return value; }
    };
};

struct c_array {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;

    template <class S, std::size_t First, std::size_t... Rest>
    struct nested {
        using type = typename nested<S, Rest...>::type[First];
    };
    template <class S, std::size_t N>
    struct nested<S, N> {
        using type = S[N];
    };
    template <class S, std::size_t... N>
    struct tensor {
        typename nested<S, N...>::type value;
        explicit tensor(const S* x) { std::copy(x, x + (N * ...), reinterpret_cast<S*>(&value)); }
        auto& get() { return value; }
    };
};

/// Our views, in five layouts.
enum class layout { column_major, padded, reversed, every_third, repeated };

template <layout L>
struct views {
    static constexpr bool writable = L != layout::repeated;
    template <class S, std::size_t... N>
    static constexpr bool has = writable || one_element::has<S, N...>;

    template <class S, std::size_t... N>
    struct tensor {
        static constexpr std::size_t R = sizeof...(N);
        std::vector<S> memory;
        std::ptrdiff_t first = 0;
        std::array<std::ptrdiff_t, R> extents{static_cast<std::ptrdiff_t>(N)...}, strides{};

        explicit tensor(const S* x) {
            std::ptrdiff_t step = L == layout::every_third ? 3 : 1;
            for (std::size_t i = 0; i < R; ++i) {
                const std::size_t axis = L == layout::column_major ? i : R - 1 - i;
                strides[axis] = step;
                step *= extents[axis];
                if (L == layout::padded) step += 5;  // after every row, as of a padded vocabulary
            }
            memory.resize(static_cast<std::size_t>(step));
            if (L == layout::reversed)
                for (std::size_t i = 0; i < R; ++i) {
                    first += strides[i] * (extents[i] - 1);
                    strides[i] = -strides[i];
                }
            if (L == layout::repeated) {
                strides = {};
                memory = {*x};
                return;
            }
            for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>((N * ...)); ++i) {
                std::ptrdiff_t at = first;
                std::ptrdiff_t rest = i;
                for (std::size_t axis = R; axis-- > 0; rest /= extents[axis])
                    at += rest % extents[axis] * strides[axis];
                memory[static_cast<std::size_t>(at)] = x[i];
            }
        }
        auto get() { return prefopt::view<S, R>(memory.data() + first, extents, strides); }
    };
};

struct users_box {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor {
        mine::box<S, sizeof...(N)> value;
        explicit tensor(const S* x)
            : value{std::vector<S>(x, x + (N * ...)), {static_cast<std::ptrdiff_t>(N)...}} {}
        auto& get() { return value; }
    };
};

struct users_any_tensor {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor {
        mine::any_tensor value{prefopt::element_kind_of<S>(), {static_cast<std::ptrdiff_t>(N)...}};
        explicit tensor(const S* x) {
            std::copy(x, x + (N * ...), reinterpret_cast<S*>(value.bytes->data()));
        }
        auto& get() { return value; }
    };
};

/// Views that know their type at run time, and make no results of their own.
struct dynamic_views {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor : plain::tensor<S, N...> {
        using plain::tensor<S, N...>::tensor;
        prefopt::dynamic_view get() {
            return prefopt::adapter<decltype(this->value)>::view(this->value);
        }
    };
};

}  // namespace test
