// SPDX-License-Identifier: Apache-2.0
//
// xtensor's tensors for the tests, in every form that the adapter tells apart: owning ones of both
// storage orders and of run-time rank, constant shapes, adapted memory, slices, and expressions.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

#include <prefopt/adapters/xtensor.hpp>

#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>
#else
#include <xtensor/xadapt.hpp>
#endif

#include "backend.hpp"

namespace test {

/// Fills any xtensor expression from row-major values.
template <class T, class S>
void fill_rows(T&& t, const S* x) {
    std::copy(x, x + t.size(), t.template begin<xt::layout_type::row_major>());
}

template <class S, std::size_t R, xt::layout_type L>
using any_xtensor = xt::xtensor<S, R, L>;
template <class S, std::size_t, xt::layout_type L>
using any_xarray = xt::xarray<S, L>;

template <template <class, std::size_t, xt::layout_type> class Family, xt::layout_type L>
struct xtensors {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor {
        using type = Family<S, sizeof...(N), L>;
        type value = type::from_shape({N...});
        explicit tensor(const S* x) {
            if (L == xt::layout_type::dynamic)
                value.resize(value.shape(), xt::layout_type::column_major);
            fill_rows(value, x);
        }
        auto& get() { return value; }
    };
};
using xtensor_rows = xtensors<any_xtensor, xt::layout_type::row_major>;
using xtensor_columns = xtensors<any_xtensor, xt::layout_type::column_major>;
using xtensor_dynamic = xtensors<any_xtensor, xt::layout_type::dynamic>;
using xarray_rows = xtensors<any_xarray, xt::layout_type::row_major>;
using xarray_columns = xtensors<any_xarray, xt::layout_type::column_major>;
using xarray_dynamic = xtensors<any_xarray, xt::layout_type::dynamic>;

struct xtensor_constant_shapes {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor {
        xt::xtensor_fixed<S, xt::xshape<N...>> value;
        explicit tensor(const S* x) { fill_rows(value, x); }
        auto& get() { return value; }
    };
};

/// Slices of larger tensors, turned around: steps of -2 in the last dimension, an offset in all.
template <template <class, std::size_t, xt::layout_type> class Family, xt::layout_type L>
struct xtensor_slices {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = sizeof...(N) <= 3;
    template <class S, std::size_t... N>
    struct tensor {
        using type = Family<S, sizeof...(N), L>;
        type value = type::from_shape({(2 * N + 3)...});
        explicit tensor(const S* x) {
            value.fill(S{});
            fill_rows(get(), x);
        }
        auto get() {
            const auto slice = [&](auto... n) {
                return xt::view(value, xt::range(2 * n, 0, -2)...);
            };
            return slice(static_cast<std::ptrdiff_t>(N)...);
        }
    };
};

/// A std::vector that xtensor sees, as a vector would be adapted: with padded strides.
struct xtensor_adapted {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor {
        std::array<std::size_t, sizeof...(N)> shape{N...}, strides{};
        std::unique_ptr<S[]> memory;  // not a std::vector: of bool, it has no memory
        explicit tensor(const S* x) {
            std::size_t step = 2;
            for (std::size_t i = sizeof...(N); i-- > 0; step = step * shape[i] + 3)
                strides[i] = step;
            memory = std::make_unique<S[]>(step);
            fill_rows(get(), x);
        }
        auto get() {
            return xt::adapt(memory.get(), (N * ...), xt::no_ownership(), shape, strides);
        }
    };
};

/// One element as a whole tensor.
struct xtensor_repeated {
    static constexpr bool writable = false;
    template <class S, std::size_t... N>
    static constexpr bool has = one_element::has<S, N...>;
    template <class S, std::size_t... N>
    struct tensor {
        std::array<std::size_t, sizeof...(N)> shape{N...}, strides{};
        S value;
        explicit tensor(const S* x) : value(*x) {}
        auto get() { return xt::adapt(&value, (N * ...), xt::no_ownership(), shape, strides); }
    };
};

/// Expressions, which have no memory: the values picked out one by one.
struct xtensor_expressions {
    static constexpr bool writable = false;
    template <class S, std::size_t... N>
    static constexpr bool has = sizeof...(N) <= 3;
    template <class S, std::size_t... N>
    struct tensor : xtensor_rows::tensor<S, N...> {
        using xtensor_rows::tensor<S, N...>::tensor;
        auto get() {
            xt::xtensor<std::size_t, 1> all = xt::arange<std::size_t>(this->value.shape()[0]);
            return xt::view(this->value, xt::keep(all));
        }
    };
};

}  // namespace test
