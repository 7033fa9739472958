// SPDX-License-Identifier: Apache-2.0
//
// What the tests of linear_log_probs share: a gemm without blocks, that checks what it is asked
// for, and batches of hidden rows, some of which may not be read.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <prefopt/linear_log_probs.hpp>

#include "support/catch.hpp"

namespace test {

using namespace prefopt;
using idx = std::ptrdiff_t;
using ints = std::vector<std::int64_t>;

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A dot product per element, so that no blocking changes a bit of it; and a check of the task.
struct plain_gemm {
    template <class T>
    void operator()(const gemm_task<T>& t) const {
        REQUIRE((t.m > 0 && t.n > 0 && t.k > 0 && t.c_stride >= t.n));
        REQUIRE(t.a.stride >= (t.a.transposed ? t.m : t.k));
        REQUIRE(t.b.stride >= (t.b.transposed ? t.k : t.n));
        const auto at = [](const gemm_factor<T>& f, idx i, idx j) {
            return f.transposed ? f.data[j * f.stride + i] : f.data[i * f.stride + j];
        };
        for (idx i = 0; i < t.m; ++i)
            for (idx j = 0; j < t.n; ++j) {
                double sum = 0;
                for (idx k = 0; k < t.k; ++k)
                    sum += static_cast<double>(at(t.a, i, k)) * static_cast<double>(at(t.b, k, j));
                T& c = t.c[i * t.c_stride + j];
                c = static_cast<T>(t.accumulate ? static_cast<double>(c) + sum : sum);
            }
    }
};
inline constexpr plain_gemm plain{};

template <class T>
tensor<T, 2> random_matrix(std::mt19937_64& engine, idx rows, idx columns, double deviation) {
    std::normal_distribution<double> normal(0, deviation);
    tensor<T, 2> m({rows, columns});
    for (idx i = 0; i < rows * columns; ++i) m.data()[i] = static_cast<T>(normal(engine));
    return m;
}

/// N rows, D wide, V tokens; every fourth row is not scored and holds NaN.
template <class T>
struct problem {
    tensor<T, 2> hidden, weights;
    std::vector<T> bias;
    ints labels;

    problem(idx n, idx d, idx v, std::uint64_t seed = 3, double deviation = 1) {
        std::mt19937_64 engine(seed);
        hidden = random_matrix<T>(engine, n, d, deviation);
        weights = random_matrix<T>(engine, v, d, 1);
        for (idx j = 0; j < v; ++j)
            bias.push_back(static_cast<T>(static_cast<double>(engine() % 1000) / 500 - 1));
        for (idx i = 0; i < n; ++i) {
            labels.push_back(static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(v)));
            if (i % 4 != 2) continue;
            labels.back() = -1 - i;
            for (idx k = 0; k < d; ++k) hidden(i, k) = static_cast<T>(not_a_number);
        }
    }
    [[nodiscard]] bool scored(idx i) const { return labels[static_cast<std::size_t>(i)] >= 0; }

    /// The logits that the blocks are cut from.
    [[nodiscard]] tensor<T, 2> logits(bool biased = false) const {
        const idx n = hidden.extent(0), v = weights.extent(0), d = hidden.extent(1);
        tensor<T, 2> x({n, v});
        for (idx i = 0; biased && i < n; ++i) std::copy(bias.begin(), bias.end(), &x(i, 0));
        plain(gemm_task<T>{
            n, v, d, {hidden.data(), d, false}, {weights.data(), d, true}, x.data(), v, biased});
        return x;
    }
};

template <class T>
bool same_bits(const T& a, const T& b) {
#ifdef __FAST_MATH__  // every loop may be compiled in its own way
    return std::abs(a - b) <= static_cast<T>(1e-4) * std::abs(b) + static_cast<T>(1e-30);
#else
    return std::memcmp(&a, &b, sizeof a) == 0;
#endif
}
template <class T, std::size_t R>
bool same_bits(const tensor<T, R>& a, const tensor<T, R>& b) {
    return std::equal(a.data(), a.data() + a.size(), b.data(), b.data() + b.size(),
                      [](const T& x, const T& y) { return same_bits(x, y); });
}
}  // namespace test
