// SPDX-License-Identifier: Apache-2.0
//
// Eigen's unsupported tensors for the tests, of both storage orders: owning, of fixed size, maps of
// other memory, and expressions.

#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

#include <prefopt/adapters/eigen_tensor.hpp>

namespace test {

/// Eigen's own 16-bit types for ours.
template <class S>
using eigen_stored =
    std::conditional_t<std::is_same_v<S, prefopt::fp16>, Eigen::half,
                       std::conditional_t<std::is_same_v<S, prefopt::bf16>, Eigen::bfloat16, S>>;

/// Writes row-major values by Eigen's own indices.
template <std::size_t... N, class T, class S>
void fill_eigen(T& t, const S* x) {
    for (std::size_t i = 0; i < (N * ...); ++i) {
        constexpr std::size_t n[] = {N...};
        Eigen::array<Eigen::Index, sizeof...(N)> at;
        std::size_t rest = i;
        for (std::size_t axis = sizeof...(N); axis-- > 0; rest /= n[axis])
            at[axis] = static_cast<Eigen::Index>(rest % n[axis]);
        std::memcpy(static_cast<void*>(&t(at)), x + i, sizeof(S));
    }
}

template <int Order>
struct eigen_tensors {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor {
        using type = Eigen::Tensor<eigen_stored<S>, sizeof...(N), Order>;
        type value{static_cast<Eigen::Index>(N)...};
        explicit tensor(const S* x) { fill_eigen<N...>(value, x); }
        auto& get() { return value; }
    };
};

template <int Order>
struct eigen_tensor_maps {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor : eigen_tensors<Order>::template tensor<S, N...> {
        using base = typename eigen_tensors<Order>::template tensor<S, N...>;
        using base::base;
        auto get() {
            return Eigen::TensorMap<typename base::type>(this->value.data(),
                                                         static_cast<Eigen::Index>(N)...);
        }
    };
};

template <int Order>
struct eigen_tensors_of_fixed_size {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor {
        Eigen::TensorFixedSize<eigen_stored<S>, Eigen::Sizes<static_cast<std::ptrdiff_t>(N)...>,
                               Order>
            value;
        explicit tensor(const S* x) { fill_eigen<N...>(value, x); }
        auto& get() { return value; }
    };
};

/// Slices, which Eigen has as expressions.
template <int Order>
struct eigen_tensor_expressions {
    static constexpr bool writable = false;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor : eigen_tensors<Order>::template tensor<S, N...> {
        using base = typename eigen_tensors<Order>::template tensor<S, N...>;
        using base::base;
        auto get() {
            const Eigen::array<Eigen::Index, sizeof...(N)> none{};
            return this->value.slice(none, this->value.dimensions());
        }
    };
};

}  // namespace test
