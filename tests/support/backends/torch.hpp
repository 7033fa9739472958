// SPDX-License-Identifier: Apache-2.0
//
// libtorch's tensors for the table: compact ones, and slices of larger ones in another order.

#pragma once

#include <torch/torch.h>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <prefopt/adapters/torch.hpp>

#include "backend.hpp"

namespace test {

template <bool Strided>
struct torch_tensors {
    static constexpr bool writable = true;
    template <class S, std::size_t... N>
    static constexpr bool has = true;
    template <class S, std::size_t... N>
    struct tensor {
        at::Tensor value;
        explicit tensor(const S* x) {
            const auto type = prefopt::detail::torch_type(prefopt::element_kind_of<S>());
            value = at::empty({static_cast<std::int64_t>(N)...}, type);
            std::memcpy(value.data_ptr(), x, (N * ...) * sizeof(S));
            if (!Strided) return;
            std::vector<std::int64_t> extents{static_cast<std::int64_t>(2 * N + 1)...};
            std::reverse(extents.begin(), extents.end());
            at::Tensor large = at::zeros(extents, type).permute(reversed());
            for (std::int64_t i = 0; i < value.dim(); ++i)
                large = large.slice(i, 1, 2 * value.size(i) + 1, 2);
            large.copy_(value);
            value = large;
        }
        at::Tensor& get() { return value; }

        /// The axes, last first.
        static std::vector<std::int64_t> reversed() {
            std::vector<std::int64_t> axes(sizeof...(N));
            for (std::size_t i = 0; i < axes.size(); ++i)
                axes[i] = static_cast<std::int64_t>(axes.size() - 1 - i);
            return axes;
        }
    };
};

/// One element, expanded.
struct torch_expanded {
    static constexpr bool writable = false;
    template <class S, std::size_t... N>
    static constexpr bool has = one_element::has<S, N...>;
    template <class S, std::size_t... N>
    struct tensor {
        at::Tensor value;
        explicit tensor(const S* x)
            : value(torch_tensors<false>::tensor<S, 1>(x).value.expand(
                  {static_cast<std::int64_t>(N)...})) {}
        at::Tensor& get() { return value; }
    };
};

}  // namespace test
