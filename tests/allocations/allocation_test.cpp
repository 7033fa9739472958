// SPDX-License-Identifier: Apache-2.0
//
// What calls allocate, through the tensors of every backend: `into` and its kin nothing at all, a
// call that returns something exactly its results, and an expression its value beside them.

#include <cstddef>
#include <cstdlib>
#include <type_traits>
#include <utility>

#include "../support/backends/dlpack.hpp"
#include "../support/backends/ggml.hpp"
#include "../support/backends/mdspan.hpp"
#include "../support/backends/plain.hpp"
#include "../support/backends/table.hpp"
#include "../support/catch.hpp"
#ifdef PREFOPT_TEST_EIGEN
#include "../support/backends/eigen.hpp"
#include "../support/backends/eigen_tensor.hpp"
#endif
#ifdef PREFOPT_TEST_XTENSOR
#include "../support/backends/xtensor.hpp"
#endif
//
#include "../support/allocations.hpp"

namespace {

using namespace test;

/// What it takes to make one result of S like a tensor; and the value of an expression.
template <class S, std::size_t R, class T>
std::size_t of_result(const T& t, std::array<std::ptrdiff_t, R> extents) {
    const auto& held = prefopt::detail::hold(t);
    return allocated_by([&] { (void)prefopt::detail::make_like<S>(held, extents); });
}
template <class T>
std::size_t of_value(const T& t) {
    return allocated_by([&] { (void)prefopt::detail::hold(t); });
}

template <class B>
class calls_of {
    using S = float;

public:
    void expect_results_only() {
        if constexpr (B::template has<S, many>) vectors();
        if constexpr (B::template has<S, lists, places>) matrices();
        if constexpr (B::template has<S, batch, tokens, vocab>) cubes();
    }

private:
    template <std::size_t... N>
    static auto tensor() {
        return make<B, S, N...>(numbers<S>((N * ...), 0.7));
    }

    static void vectors() {
        auto a = tensor<many>();
        auto&& t = a.get();
        const std::vector<std::uint8_t> flags = answer_flags();
        const std::array<std::ptrdiff_t, 1> n{many};
        // Families without a result of float have doubles: as many allocations.
        const std::size_t result = of_result<S>(t, n);
        const std::size_t value = of_value(t);
        const prefopt::dpo pairs{};
        const prefopt::kto answers{};
        CHECK(allocated_by([&] { (void)pairs(t, t, t, t); }) == 5 * result + 4 * value);
        CHECK(allocated_by([&] { (void)answers(t, t, flags, 0.0); }) == 3 * result + 2 * value);
        if constexpr (B::writable) {
            auto b = tensor<many>();
            auto&& to = b.get();
            CHECK(allocated_by([&] { pairs.into(t, t, t, t, {.grad_chosen = to}); }) == 0);
            CHECK(allocated_by([&] { answers.into(t, t, flags, 0.0, {.grad = to}); }) == 0);
            CHECK(allocated_by([&] { (void)pairs.check(t, t, t, t, {}, {.losses = to}); }) == 0);
        }
    }
    static void matrices() {
        auto a = tensor<lists, places>();
        auto&& t = a.get();
        const std::size_t vector = of_result<S>(t, std::array<std::ptrdiff_t, 1>{lists});
        const std::size_t matrix = of_result<S>(t, std::array<std::ptrdiff_t, 2>{lists, places});
        const prefopt::plackett_luce_dpo loss{};
        CHECK(allocated_by([&] { (void)loss(t, t); }) == vector + 2 * matrix + 2 * of_value(t));
        if constexpr (B::writable) {
            auto b = tensor<lists, places>();
            auto&& to = b.get();
            CHECK(allocated_by([&] { loss.into(t, t, {.grad = to}); }) == 0);
        }
    }
    static void cubes() {
        auto a = tensor<batch, tokens, vocab>();
        auto&& t = a.get();
        const prefopt::view labels(token_labels.data(), {batch, tokens});
        const std::array<std::ptrdiff_t, 1> b{batch};
        const std::size_t results = of_result<double>(t, b) + of_result<std::int64_t>(t, b);
        CHECK(allocated_by([&] { (void)prefopt::sequence_log_probs(t, labels); }) ==
              results + of_value(t));
        if constexpr (B::writable) {
            const double k[2] = {1, 2};
            double sum[2];
            CHECK(allocated_by([&] {
                      prefopt::sequence_log_probs.into(t, labels, {.sum = sum});
                      prefopt::sequence_log_probs_backward(t, labels, k, t);
                      prefopt::sequence_log_probs_in_place.into(t, labels, {.sum = sum});
                  }) == 0);
        }
    }
};

}  // namespace

TEST_CASE("allocations are counted", "[allocations]") {
    CHECK(allocated_by([] { delete new int; }) == 1);
    CHECK(allocated_by([] { std::free(std::malloc(100)); }) == 1);
    CHECK(of_result<double>(std::vector<float>(3), std::array<std::ptrdiff_t, 1>{3}) == 1);
}

TEMPLATE_TEST_CASE("no adapter allocates beyond its result", "[allocations]", plain, std_span,
                   std_array, c_array, views<layout::padded>, users_box, dynamic_views,
                   mdspans<memory_order::padded>, dlpack_tensors<memory_order::padded>,
                   ggml_tensors<memory_order::padded>) {
    calls_of<TestType>().expect_results_only();
}

#ifdef PREFOPT_TEST_EIGEN
TEMPLATE_TEST_CASE("no adapter of Eigen's allocates beyond its result", "[allocations]",
                   eigens<eigen::matrix>, eigens<eigen::array>, eigens<eigen::fixed>,
                   eigens<eigen::map>, eigens<eigen::ref>, eigens<eigen::block>,
                   eigens<eigen::row_of_columns>, eigens<eigen::sum>,
                   eigen_tensors<Eigen::ColMajor>, eigen_tensor_maps<Eigen::RowMajor>,
                   eigen_tensor_expressions<Eigen::ColMajor>) {
    calls_of<TestType>().expect_results_only();
}
#endif

#ifdef PREFOPT_TEST_XTENSOR
TEMPLATE_TEST_CASE("no adapter of xtensor's allocates beyond its result", "[allocations]",
                   xtensor_rows, xarray_rows, xtensor_adapted, xtensor_expressions) {
    calls_of<TestType>().expect_results_only();
}
#endif
