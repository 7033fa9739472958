// SPDX-License-Identifier: Apache-2.0
//
// Seeded random numbers that are the same on every platform: the generator is splitmix64, and the
// shuffles and distributions are written out because those of the standard library differ between
// implementations. Every use has a stream of its own, so that sampling two more answers does not
// change the order in which training sees the data.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <utility>

namespace tiny {

enum class stream : std::uint64_t { split = 1, weights, order, dropout, sampling };

class random_source {
public:
    explicit random_source(std::uint64_t seed, stream use = stream::split, std::uint64_t part = 0)
        : state_(mix(mix(mix(seed) + static_cast<std::uint64_t>(use)) + part)) {}

    std::uint64_t bits() {
        state_ += 0x9E3779B97F4A7C15U;
        return mix(state_);
    }

    // In the open interval (0, 1): both log(u) and log(-log(u)) are finite.
    double uniform() { return (static_cast<double>(bits() >> 12U) + 0.5) * 0x1p-52; }

    std::size_t below(std::size_t n) {
        return static_cast<std::size_t>(uniform() * static_cast<double>(n));
    }

    double normal() {
        return std::sqrt(-2.0 * std::log(uniform())) * std::cos(2.0 * std::numbers::pi * uniform());
    }

    double gumbel() { return -std::log(-std::log(uniform())); }

private:
    static std::uint64_t mix(std::uint64_t x) {
        x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
        x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
        return x ^ (x >> 31U);
    }

    std::uint64_t state_;
};

template <class Items>
void shuffle(Items& items, random_source random) {
    for (std::size_t i = items.size(); i > 1; --i) {
        std::swap(items[i - 1], items[random.below(i)]);
    }
}

}  // namespace tiny
