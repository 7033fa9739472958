// SPDX-License-Identifier: Apache-2.0
//
// log_sigmoid over an array, alone and with its derivative, beside Eigen and xtensor.

#include "peers/peers.hpp"
#include "support/ours.hpp"
#include "support/sizes.hpp"

namespace prefopt_bench {
namespace {

template <class T>
using array_function = void (*)(std::span<const T>, std::span<T>);

template <class T>
void add_peer(const char* side, std::ptrdiff_t n, array_function<T> function) {
    const double items = static_cast<double>(n);
    add(vector_name<T>("log_sigmoid", n) + side,
        {2 * items * static_cast<double>(sizeof(T)), items}, [=] {
            const std::span<const T> x(margins<T>(n));
            const std::span<T> value(scratch<T>(n, 1, "values"));
            function(x, value);
            expect_log_sigmoid<T>(x, value);
            return [=] { function(x, value); };
        });
}

/// The value and the derivative, each in a sweep of its own.
template <class T>
void add_two_calls(std::ptrdiff_t n) {
    const double items = static_cast<double>(n);
    add(vector_name<T>("log_sigmoid_and_derivative", n) + "two_calls",
        {3 * items * static_cast<double>(sizeof(T)), items}, [=] {
            const std::span<const T> x(margins<T>(n));
            const std::span<T> value(scratch<T>(n, 1, "values"));
            const std::span<T> derivative(scratch<T>(n, 1, "derivatives"));
            return [=] {
                prefopt::log_sigmoid<T>(x, value);
                prefopt::sigmoid<T>(x, derivative);
            };
        });
}

template <class T>
void add_all(std::ptrdiff_t n) {
    add_log_sigmoid<T>(n);
    add_two_calls<T>(n);
    add_peer<T>("eigen", n, eigen::log_sigmoid);
    add_peer<T>("xtensor", n, xtensor::log_sigmoid);
}

[[maybe_unused]] const bool registered = [] {
    for (const std::ptrdiff_t n : vector_sizes) {
        add_all<float>(n);
        add_all<double>(n);
    }
    return true;
}();

}  // namespace
}  // namespace prefopt_bench
