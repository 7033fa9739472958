// SPDX-License-Identifier: Apache-2.0
//
// tensor<T, R>: the owning row-major array that comes back where plain memory of rank 2 or more
// went in. (Rank 1 comes back as std::vector.)

#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <vector>

#include <prefopt/core/config.hpp>
#include <prefopt/core/view.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// An owning, row-major, value-initialised array: `tensor<float, 2> t({rows, columns}); t(i, j)`.
template <class T, std::size_t R>
class tensor {
public:
    using value_type = T;
    static constexpr std::size_t rank = R;

    tensor() = default;
    explicit tensor(std::array<std::ptrdiff_t, R> extents) : extents_(extents) {
        std::size_t n = 1;
        for (const std::ptrdiff_t e : extents) n *= static_cast<std::size_t>(e);
        storage_.resize(n);
    }

    [[nodiscard]] std::ptrdiff_t extent(std::size_t i) const noexcept { return extents_[i]; }
    [[nodiscard]] std::size_t size() const noexcept { return storage_.size(); }
    [[nodiscard]] T* data() noexcept { return storage_.data(); }
    [[nodiscard]] const T* data() const noexcept { return storage_.data(); }
    [[nodiscard]] auto view() noexcept { return shaped(storage_.data()); }
    [[nodiscard]] auto view() const noexcept { return shaped(storage_.data()); }

    template <std::integral... I>
        requires(sizeof...(I) == R)
    T& operator()(I... index) noexcept { return view()(index...); }
    template <std::integral... I>
        requires(sizeof...(I) == R)
    const T& operator()(I... index) const noexcept { return view()(index...); }

private:
    template <class P>
    auto shaped(P* data) const noexcept {
        std::ptrdiff_t shape[R] = {};
        for (std::size_t i = 0; i < R; ++i) shape[i] = extents_[i];
        return prefopt::view<P, R>(data, shape);
    }

    std::vector<T> storage_;
    std::array<std::ptrdiff_t, R> extents_{};
};

}  // namespace prefopt::inline PREFOPT_ABI
