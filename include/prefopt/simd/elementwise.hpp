// SPDX-License-Identifier: Apache-2.0
//
// log_sigmoid and sigmoid of arrays, float and double, with the widest vectors of the machine.
//
// Value and derivative come from one exponential in one call. Over the whole range, subnormal
// results included: log_sigmoid within 1.8 ULP in float and 1.6 in double, its derivative and
// sigmoid within 2.5; NaN in, NaN out (docs/accuracy.md). An element's bits do not depend on its
// position, on the length, on whether AVX2 or AVX-512 is used, or on who runs it: each call takes
// an executor as its last argument.

#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

#include <prefopt/core/config.hpp>
#include <prefopt/core/error.hpp>
#include <prefopt/core/executor.hpp>
#include <prefopt/math/log_sigmoid.hpp>
#include <prefopt/simd/pack.hpp>

namespace prefopt::inline PREFOPT_ABI {

namespace detail {

/// float and double, which have vectors.
template <class T>
concept vector_scalar = std::same_as<T, float> || std::same_as<T, double>;

inline void require_same_length(const char* name, std::size_t found, std::size_t wanted) {
    if (found == wanted) return;
    require(fault_shape(errc::shape_mismatch, name,
                        "must be as long as x:", length(static_cast<std::ptrdiff_t>(found)),
                        length(static_cast<std::ptrdiff_t>(wanted))));
}

template <class T>
void run_log_sigmoid(std::span<const T> x, T* value, T* derivative, const executor& e) {
    const auto range = [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        T* d = derivative == nullptr ? nullptr : derivative + begin;
        with_set(
            active_instruction_set(),
            [&](auto level) {
                log_sigmoid_array(level, x.data() + begin, end - begin, value + begin, d);
            },
            [&] {
                for (std::ptrdiff_t i = begin; i < end; ++i) {
                    const auto r = prefopt::log_sigmoid_and_derivative(x.data()[i]);
                    value[i] = r.value;
                    if (derivative != nullptr) derivative[i] = r.derivative;
                }
            });
    };
    const auto n = static_cast<std::ptrdiff_t>(x.size());
    for_range(e, n, n, range);
}

}  // namespace detail

/// value[i] = log sigmoid(x[i]) = min(x, 0) - log1p(exp(-|x|)). `value` may be x itself.
/// Errors: shape_mismatch.
///
///     prefopt::log_sigmoid<float>(margins, losses);
template <detail::vector_scalar T>
void log_sigmoid(std::type_identity_t<std::span<const T>> x,
                 std::type_identity_t<std::span<T>> value, const executor& e = {}) {
    detail::require_same_length("value", value.size(), x.size());
    detail::run_log_sigmoid<T>(x, value.data(), nullptr, e);
}

/// The same with derivative[i] = sigmoid(-x[i]), sharing the exponential.
template <detail::vector_scalar T>
void log_sigmoid_and_derivative(std::type_identity_t<std::span<const T>> x,
                                std::type_identity_t<std::span<T>> value,
                                std::type_identity_t<std::span<T>> derivative,
                                const executor& e = {}) {
    detail::require_same_length("value", value.size(), x.size());
    detail::require_same_length("derivative", derivative.size(), x.size());
    detail::run_log_sigmoid<T>(x, value.data(), derivative.data(), e);
}

/// value[i] = sigmoid(x[i]) = 1 / (1 + exp(-x)). `value` may be x itself. Errors: shape_mismatch.
template <detail::vector_scalar T>
void sigmoid(std::type_identity_t<std::span<const T>> x, std::type_identity_t<std::span<T>> value,
             const executor& e = {}) {
    detail::require_same_length("value", value.size(), x.size());
    const auto range = [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        detail::with_set(
            active_instruction_set(),
            [&](auto level) {
                sigmoid_array(level, x.data() + begin, end - begin, value.data() + begin);
            },
            [&] {
                for (std::ptrdiff_t i = begin; i < end; ++i) value.data()[i] = sigmoid(x.data()[i]);
            });
    };
    const auto n = static_cast<std::ptrdiff_t>(x.size());
    detail::for_range(e, n, n, range);
}

}  // namespace prefopt::inline PREFOPT_ABI
