// SPDX-License-Identifier: Apache-2.0
//
// What each adapter costs, see support/abstraction.hpp; libtorch's is in torch/torch_bench.cpp.

#include <Eigen/Core>
#include <array>
#include <prefopt/adapters/dlpack.hpp>
#include <prefopt/adapters/eigen.hpp>
#include <prefopt/adapters/eigen_tensor.hpp>
#include <prefopt/adapters/ggml.hpp>
#include <prefopt/adapters/mdspan.hpp>
#include <prefopt/adapters/xtensor.hpp>
#include <unsupported/Eigen/CXX11/Tensor>
#include <xtensor/xadapt.hpp>

#include "../tests/support/backends/dlpack.hpp"
#include "../tests/support/backends/ggml.hpp"
#include "../tests/support/mdspan.hpp"
#include "support/abstraction.hpp"

namespace prefopt_bench {
namespace {

struct eigen_maps : vectors {
    using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    static auto matrix(float* x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        return Eigen::Map<row_major>(x, rows, columns);
    }
    static auto vector(float* x, std::ptrdiff_t n) { return Eigen::Map<Eigen::VectorXf>(x, n); }
};

struct eigen_tensors : vectors {
    static auto matrix(float* x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        return Eigen::TensorMap<Eigen::Tensor<float, 2, Eigen::RowMajor>>(x, rows, columns);
    }
    static auto vector(float* x, std::ptrdiff_t n) {
        return Eigen::TensorMap<Eigen::Tensor<float, 1, Eigen::RowMajor>>(x, n);
    }
};

struct xtensors : vectors {
    template <class T, std::size_t R>
    static auto adapt(T* x, const std::array<std::size_t, R>& shape) {
        std::size_t size = 1;
        for (const std::size_t n : shape) size *= n;
        return xt::adapt(x, size, xt::no_ownership(), shape);
    }
    static auto matrix(float* x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        return adapt(x,
                     std::array{static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)});
    }
    static auto vector(float* x, std::ptrdiff_t n) {
        return adapt(x, std::array{static_cast<std::size_t>(n)});
    }
};

struct mdspans : vectors {
    template <std::size_t... E>
    using of = mini::mdspan<float, mini::extents<std::ptrdiff_t, E...>>;
    static auto matrix(float* x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        using extents = mini::extents<std::ptrdiff_t, mini::dynamic_extent, mini::dynamic_extent>;
        return of<mini::dynamic_extent, mini::dynamic_extent>(x, extents(rows, columns));
    }
    static auto vector(float* x, std::ptrdiff_t n) {
        using extents = mini::extents<std::ptrdiff_t, mini::dynamic_extent>;
        return of<mini::dynamic_extent>(x, extents(n));
    }
};

/// Labels too: everything of this backend is known only when the call is made.
struct dlpack_tensors {
    template <class T>
    static stand_in::dl_tensor wrap(T* x, std::int32_t rank, std::ptrdiff_t n, std::ptrdiff_t m) {
        auto& shape = shared<std::array<std::int64_t, 2>>("shape", n, m, [&] {
            return std::array{n, m};
        });
        return {x, {stand_in::cpu, 0}, rank, stand_in::type_of<T>(), shape.data(), nullptr, 0};
    }
    static auto labels(std::vector<std::int64_t>& y) {
        return wrap(y.data(), 1, static_cast<std::ptrdiff_t>(y.size()), 1);
    }
    static auto matrix(float* x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        return wrap(x, 2, rows, columns);
    }
    static auto vector(float* x, std::ptrdiff_t n) { return wrap(x, 1, n, 1); }
};

struct ggml_tensors {
    template <class T>
    static test::ggml_struct wrap(T* x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        test::ggml_struct t{};
        t.type = static_cast<decltype(t.type)>(test::ggml_type_of<T>());
        t.data = x;
        const std::ptrdiff_t extents[] = {columns, rows, 1, 1};
        std::size_t stride = sizeof(T);
        for (std::size_t i = 0; i < 4; ++i) {
            t.ne[i] = extents[i];
            t.nb[i] = stride;
            stride *= static_cast<std::size_t>(extents[i]);
        }
        return t;
    }
    static auto labels(std::vector<std::int64_t>& y) {
        return wrap(y.data(), 1, static_cast<std::ptrdiff_t>(y.size()));
    }
    static auto matrix(float* x, std::ptrdiff_t rows, std::ptrdiff_t columns) {
        return wrap(x, rows, columns);
    }
    static auto vector(float* x, std::ptrdiff_t n) { return wrap(x, 1, n); }
};

/// Eigen's, into a result that the call allocates.
void add_allocating() {
    for (const auto [rows, vocab] : abstraction_sizes)
        add(row_name<float>("abstraction", 1, rows, vocab) + "allocating",
            row_work<float>(rows, vocab, 1, 1), [rows = rows, vocab = vocab] {
                auto& memory = const_cast<array<float>&>(logits<float>(rows, vocab));
                const auto x = eigen_maps::matrix(memory.data(), rows, vocab);
                const auto& y = labels(rows, vocab);
                return
                    [=, &y] { benchmark::DoNotOptimize(prefopt::sequence_log_probs(x, y).sum[0]); };
            });
}

[[maybe_unused]] const bool registered = [] {
    add_raw_sides();
    add_abstraction("eigen", eigen_maps{});
    add_abstraction("eigen_tensor", eigen_tensors{});
    add_abstraction("xtensor", xtensors{});
    add_abstraction("mdspan", mdspans{});
    add_abstraction("dlpack", dlpack_tensors{});
    add_abstraction("ggml", ggml_tensors{});
    add_allocating();
    return true;
}();

}  // namespace
}  // namespace prefopt_bench
