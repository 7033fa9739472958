// SPDX-License-Identifier: Apache-2.0
//
// The data all sides share: each array is made once per process, so that a ratio never depends on
// where two copies of it happened to lie.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <new>
#include <prefopt/core/scalar.hpp>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace prefopt_bench {

/// Memory on a cache line's boundary, where every tensor library puts it. On a machine with vectors
/// as wide as a line each load would otherwise touch two.
template <class T>
struct on_cache_lines {
    using value_type = T;
    on_cache_lines() = default;
    template <class U>
    on_cache_lines(const on_cache_lines<U>&) noexcept {}
    T* allocate(std::size_t n) {
        return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64}));
    }
    void deallocate(T* p, std::size_t) noexcept { ::operator delete (p, std::align_val_t{64}); }
    friend bool operator==(on_cache_lines, on_cache_lines) noexcept { return true; }
};

template <class T>
using array = std::vector<T, on_cache_lines<T>>;

template <class S>
constexpr const char* type_name() {
    if constexpr (std::is_same_v<S, float>) return "f32";
    if constexpr (std::is_same_v<S, double>) return "f64";
    if constexpr (std::is_same_v<S, prefopt::bf16>) return "bf16";
    if constexpr (std::is_same_v<S, prefopt::fp16>) return "f16";
}

/// n draws from a table of 2^16 normal deviates, in no order that a cache could know. Fast, because
/// the largest batch has 65 million.
template <class S>
array<S> normal_values(std::ptrdiff_t n, double mean, double deviation, unsigned seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal(mean, deviation);
    std::vector<S> table(std::size_t{1} << 16);
    for (S& x : table) prefopt::detail::store(&x, normal(random));
    array<S> values(static_cast<std::size_t>(n));
    std::uint64_t state = random();
    for (S& x : values) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        x = table[state >> 48];
    }
    return values;
}

/// The value made by the first call with this key in this process. `which` tells apart arrays of
/// the same type and size.
template <class T, class Make>
T& shared(const std::string& which, std::ptrdiff_t rows, std::ptrdiff_t columns, const Make& make) {
    static std::map<std::tuple<std::string, std::ptrdiff_t, std::ptrdiff_t>, T> values;
    const auto key = std::tuple(which, rows, columns);
    const auto found = values.find(key);
    return found != values.end() ? found->second : values.emplace(key, make()).first->second;
}

/// Logits ~ N(0, 3), (rows, vocab).
template <class S>
const array<S>& logits(std::ptrdiff_t rows, std::ptrdiff_t vocab,
                       const std::string& which = "logits") {
    const auto seed = static_cast<unsigned>(which.size());
    return shared<array<S>>(which, rows, vocab,
                            [&] { return normal_values<S>(rows * vocab, 0, 3, seed); });
}

/// A label per row.
inline const std::vector<std::int64_t>& labels(std::ptrdiff_t rows, std::ptrdiff_t vocab) {
    return shared<std::vector<std::int64_t>>("labels", rows, vocab, [&] {
        std::mt19937_64 random(7);
        std::uniform_int_distribution<std::int64_t> any(0, vocab - 1);
        std::vector<std::int64_t> y(static_cast<std::size_t>(rows));
        for (auto& label : y) label = any(random);
        return y;
    });
}

/// Memory to write to, (rows, columns).
template <class S>
array<S>& scratch(std::ptrdiff_t rows, std::ptrdiff_t columns,
                  const std::string& which = "scratch") {
    return shared<array<S>>(which, rows, columns,
                            [&] { return array<S>(static_cast<std::size_t>(rows * columns)); });
}

/// Logits that a call may overwrite: fresh ones. What is overwritten again and again stays
/// ordinary: a direction of softmax is fed to the next one, and no number in it comes near the
/// subnormals.
template <class S>
array<S>& fresh_logits(std::ptrdiff_t rows, std::ptrdiff_t vocab,
                       const std::string& which = "logits") {
    const array<S>& from = logits<S>(rows, vocab, which);
    array<S>& to = scratch<S>(rows, vocab, "in place of " + which);
    std::memcpy(to.data(), from.data(), from.size() * sizeof(S));
    return to;
}

/// Four arrays of summed log-probs, as a pairwise loss takes them.
template <class S>
struct pairs {
    array<S> policy_chosen, policy_rejected, reference_chosen, reference_rejected;
    array<S> losses, grad_chosen, grad_rejected;
};

template <class S>
pairs<S>& shared_pairs(std::ptrdiff_t n) {
    return shared<pairs<S>>("pairs", n, 1, [&] {
        const auto size = static_cast<std::size_t>(n);
        return pairs<S>{normal_values<S>(n, -100, 10, 1),
                        normal_values<S>(n, -100, 10, 2),
                        normal_values<S>(n, -100, 10, 3),
                        normal_values<S>(n, -100, 10, 4),
                        array<S>(size),
                        array<S>(size),
                        array<S>(size)};
    });
}

}  // namespace prefopt_bench
