// SPDX-License-Identifier: Apache-2.0
//
// xtensor with xsimd, row by row.

#define XTENSOR_USE_XSIMD
#include <array>
#include <cmath>
#include <xtensor/xadapt.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xtensor_config.hpp>

#include "peers.hpp"

namespace prefopt_bench::xtensor {
namespace {

template <class T>
auto adapt(T* data, std::size_t n) {
    return xt::adapt(data, n, xt::no_ownership(), std::array<std::size_t, 1>{n});
}

template <class T>
void log_sigmoid_of(std::span<const T> x, std::span<T> value) {
    const auto from = adapt(x.data(), x.size());
    auto to = adapt(value.data(), value.size());
    xt::noalias(to) = xt::minimum(from, T(0)) - xt::log1p(xt::exp(-xt::abs(from)));
}

}  // namespace

const char* version() {
    return PREFOPT_BENCH_VERSION(XTENSOR_VERSION_MAJOR, XTENSOR_VERSION_MINOR,
                                 XTENSOR_VERSION_PATCH);
}

double forward(rows_of<float> b) {
    double sum = 0;
    for (std::ptrdiff_t r = 0; r < b.rows; ++r) {
        const auto row = adapt(b.logits + r * b.vocab, static_cast<std::size_t>(b.vocab));
        const float top = xt::amax(row, xt::evaluation_strategy::immediate)();
        const float total = xt::sum(xt::exp(row - top), xt::evaluation_strategy::immediate)();
        sum +=
            static_cast<double>(row(static_cast<std::size_t>(b.labels[r])) - top - std::log(total));
    }
    return sum;
}

void log_sigmoid(std::span<const float> x, std::span<float> value) { log_sigmoid_of(x, value); }
void log_sigmoid(std::span<const double> x, std::span<double> value) { log_sigmoid_of(x, value); }

}  // namespace prefopt_bench::xtensor
