// SPDX-License-Identifier: Apache-2.0
//
// A matrix in tiles of 8 x 8, as matrix units like it. No strides describe it, so that the library
// cannot see it where it lies; it can be read all the same: `materialise` copies it out for a call.

#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include <prefopt/core/adapter.hpp>

template <class S>
class tiled_matrix {
public:
    tiled_matrix(std::ptrdiff_t rows, std::ptrdiff_t columns)
        : rows_(rows),
          columns_(columns),
          elements_(static_cast<std::size_t>(tiles(rows) * tiles(columns) * 64)) {}

    S& operator()(std::ptrdiff_t i, std::ptrdiff_t j) { return elements_[place(i, j)]; }
    const S& operator()(std::ptrdiff_t i, std::ptrdiff_t j) const { return elements_[place(i, j)]; }
    [[nodiscard]] std::ptrdiff_t rows() const { return rows_; }
    [[nodiscard]] std::ptrdiff_t columns() const { return columns_; }

private:
    static std::ptrdiff_t tiles(std::ptrdiff_t n) { return (n + 7) / 8; }
    [[nodiscard]] std::size_t place(std::ptrdiff_t i, std::ptrdiff_t j) const {
        const std::ptrdiff_t tile = i / 8 * tiles(columns_) + j / 8;
        return static_cast<std::size_t>(tile * 64 + i % 8 * 8 + j % 8);
    }

    std::ptrdiff_t rows_;
    std::ptrdiff_t columns_;
    std::vector<S> elements_;
};

// adapter: begin
template <class S>
struct prefopt::adapter<tiled_matrix<S>> {
    static constexpr std::size_t rank = 2;
    static auto materialise(const tiled_matrix<S>& t) {
        prefopt::tensor<S, 2> flat({t.rows(), t.columns()});
        for (std::ptrdiff_t i = 0; i < t.rows(); ++i)
            for (std::ptrdiff_t j = 0; j < t.columns(); ++j) flat(i, j) = t(i, j);
        return flat;
    }
};
// adapter: end
