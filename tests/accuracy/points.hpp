// SPDX-License-Identifier: Apache-2.0
//
// Where the functions are measured, in chunks of magnitudes; every magnitude stands for two points,
// x and -x. The same points in every run.
//
// float: every `stride`-th bit pattern; with stride 1 there is no other float.
// double: every exponent, subnormals and NaN included, with random mantissas; many more where the
// functions bend; and the neighbours of every point where a formula changes branch.

#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace test::accuracy {

inline constexpr std::uint64_t chunk_size = 8192;

template <class T>
class point_set;

template <>
class point_set<float> {
public:
    /// 1 of `share` of all floats.
    explicit point_set(std::uint64_t share) : stride_(share), count_((limit + share - 1) / share) {}

    [[nodiscard]] std::uint64_t chunks() const { return (count_ + chunk_size - 1) / chunk_size; }

    void magnitudes(std::uint64_t chunk, std::vector<float>& to) const {
        to.clear();
        const std::uint64_t end = std::min(count_, (chunk + 1) * chunk_size);
        for (std::uint64_t i = chunk * chunk_size; i < end; ++i)
            to.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(i * stride_)));
    }

    /// Magnitudes with bit patterns in [first, last).
    [[nodiscard]] std::uint64_t between(std::uint64_t first, std::uint64_t last) const {
        return (last + stride_ - 1) / stride_ - (first + stride_ - 1) / stride_;
    }

private:
    static constexpr std::uint64_t limit = std::uint64_t{1} << 31;
    std::uint64_t stride_;
    std::uint64_t count_;
};

template <>
class point_set<double> {
public:
    /// 1 of `share` of the points of the full set.
    explicit point_set(std::uint64_t share)
        : size_(chunk_size / share > 8 ? chunk_size / share : 8) {
        for (std::uint64_t e = 0; e < 2048; ++e) {
            const int power = static_cast<int>(e) - 1023;
            const int weight = power >= -5 && power <= 9    ? 1024
                               : power >= -60 && power < -5 ? 8
                                                            : 1;
            for (int i = 0; i < weight; ++i) chunks_.push_back(e << 52);
        }
        random_ = chunks_.size();
        // exp rounds x / log 2 to an integer at odd multiples of log(2) / 2.
        const double half_log_2 = 0.34657359027997264;
        for (int i = 1; i < 3200; i += 2) neighbours_of(i * half_log_2);
        // log1p and log change branch; results become subnormal, 0, x itself, infinity.
        for (const double x : {0.41421356237309505,
                               0.88137358701954305,
                               0.69314718055994531,
                               0.7,
                               0.70710678118654752,
                               1.0,
                               1.4142135623730951,
                               0x1p-28,
                               19.4081210556,
                               36.04365338911715,
                               36.7368005696771,
                               37.42994775023705,
                               708.39641853226408,
                               709.78271289338397,
                               710.47586007394386,
                               744.44007192138122,
                               745.13321910194122,
                               1100.0,
                               0x1p-54,
                               0x1p-53,
                               0x1p-1022})
            neighbours_of(x);
    }

    [[nodiscard]] std::uint64_t chunks() const { return chunks_.size(); }

    void magnitudes(std::uint64_t chunk, std::vector<double>& to) const {
        to.clear();
        const std::uint64_t start = chunks_[chunk];
        for (std::uint64_t i = 0; i < size_; ++i) {
            if (chunk >= random_)
                to.push_back(std::bit_cast<double>(start - size_ / 2 + i));
            else
                to.push_back(std::bit_cast<double>(start | mantissa(chunk, i)));
        }
    }

    [[nodiscard]] std::uint64_t per_chunk() const { return size_; }

private:
    void neighbours_of(double x) { chunks_.push_back(std::bit_cast<std::uint64_t>(x)); }

    /// The ends of the binade first, then hashed counters.
    static std::uint64_t mantissa(std::uint64_t chunk, std::uint64_t i) {
        constexpr std::uint64_t all = (std::uint64_t{1} << 52) - 1;
        if (i < 4) return i < 2 ? i : all + 2 - i;
        std::uint64_t z = (chunk * chunk_size + i) * 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return (z ^ (z >> 31)) & all;
    }

    std::uint64_t size_;
    std::uint64_t random_ = 0;
    std::vector<std::uint64_t> chunks_;
};

}  // namespace test::accuracy
