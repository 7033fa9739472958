// SPDX-License-Identifier: Apache-2.0
//
// Memory in a row that is no tensor of reals: counts, partials, a workspace.

#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// The caller's memory: elements of T in a row, if given. Made implicitly from whatever makes a
/// std::span<T>: `{.count = counts}`. An empty one has been given too, as 0 elements.
///
/// An optional span, in other words; but each of those takes as long to compile as a loss.
template <class T>
struct buffer {
    T* data = nullptr;
    std::ptrdiff_t size = 0;
    bool has_value = false;

    constexpr buffer() = default;
    constexpr buffer(T* first, std::integral auto n) noexcept
        : data(first), size(static_cast<std::ptrdiff_t>(n)), has_value(true) {}
    template <class R>
        requires(!std::same_as<std::remove_cvref_t<R>, buffer> &&
                 std::constructible_from<std::span<T>, R>)
    constexpr buffer(R&& elements) {  // NOLINT: implicit by design
        const std::span<T> given(static_cast<R&&>(elements));
        *this = {given.data(), given.size()};
    }

    [[nodiscard]] constexpr T& operator[](std::ptrdiff_t i) const noexcept { return data[i]; }
    [[nodiscard]] constexpr T* begin() const noexcept { return data; }
    [[nodiscard]] constexpr T* end() const noexcept { return data + size; }
};

namespace detail {

/// The caller's memory where it is enough, else some of our own.
template <class T>
class enough {
public:
    enough(const buffer<T>& given, std::ptrdiff_t need) : memory_(given) {
        if (given.size >= need) return;
        own_.resize(static_cast<std::size_t>(need));
        memory_ = {own_.data(), need};
    }
    enough(const enough&) = delete;
    enough& operator=(const enough&) = delete;

    [[nodiscard]] const buffer<T>& memory() const noexcept { return memory_; }

private:
    std::vector<T> own_{};
    buffer<T> memory_;
};

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
