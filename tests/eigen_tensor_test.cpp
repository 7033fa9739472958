// SPDX-License-Identifier: Apache-2.0
//
// Eigen's unsupported tensors: both storage orders, fixed sizes, maps, expressions and references,
// ranks 1 to 4, beside Eigen's matrices; and what comes back.

#ifdef PREFOPT_TEST_EIGEN

#include "support/backends/eigen_tensor.hpp"
#include "support/backends/kernels.hpp"

#include <algorithm>
#include <array>
#include <type_traits>
#include <vector>

#include "support/backends/adapter_checks.hpp"

using Eigen::ColMajor;
using Eigen::RowMajor;

TEMPLATE_TEST_CASE("Eigen tensors: as plain memory", "[adapters]", test::eigen_tensors<ColMajor>,
                   test::eigen_tensor_expressions<RowMajor>) {
    test::expect_adapter<TestType>();
}

TEMPLATE_TEST_CASE("Eigen tensors: other layouts", "[adapters]", test::eigen_tensors<RowMajor>,
                   test::eigen_tensor_maps<ColMajor>, test::eigen_tensors_of_fixed_size<RowMajor>) {
    test::expect_layout<TestType>();
}

TEST_CASE("Eigen tensors: what comes back", "[adapters]") {
    using vector = Eigen::Tensor<float, 1>;
    using matrix = Eigen::Tensor<float, 2, RowMajor, int>;
    matrix m(2, 3);
    const std::vector<float> plain{1, 2, 3, 4, 5, 7};
    std::copy(plain.begin(), plain.end(), m.data());
    const prefopt::plackett_luce_dpo loss{};
    const auto result = loss(m, m);
    STATIC_REQUIRE(std::is_same_v<decltype(result.grad), matrix>);
    STATIC_REQUIRE(std::is_same_v<decltype(result.losses), Eigen::Tensor<float, 1, RowMajor, int>>);
    CHECK(result.loss ==
          loss(prefopt::view(plain.data(), {2, 3}), prefopt::view(plain.data(), {2, 3})).loss);
    CHECK(loss(m + m, m).loss == loss(matrix(m + m), m).loss);
    CHECK(loss(Eigen::TensorMap<const matrix>(m.data(), 2, 3), m).loss == result.loss);
    const Eigen::TensorRef<matrix> reference(m);
    CHECK(loss(reference, m).loss == result.loss);

    vector a(6), zero(6);
    a.setValues({1, 2, 3, -4, 5, -7});
    zero.setZero();
    int evaluations = 0;
    const auto counting = [&](float x) {
        ++evaluations;
        return x;
    };
    const prefopt::dpo pairs{};
    const double want = pairs(a, zero, zero, zero).loss;
    CHECK(pairs(a.unaryExpr(counting), zero, zero, zero).loss == want);
    CHECK(evaluations == 6);
    CHECK(pairs(a + vector(zero), zero * 1.F, zero, zero).loss == want);  // of a temporary
    CHECK(pairs(m.chip(1, 0),
                zero.slice(Eigen::array<Eigen::Index, 1>{0}, Eigen::array<Eigen::Index, 1>{3}),
                std::vector<float>(3), std::vector<float>(3))
              .loss == pairs(std::vector{4.F, 5.F, 7.F}, std::vector<float>(3),
                             std::vector<float>(3), std::vector<float>(3))
                           .loss);

    // Beside a matrix of Eigen's, and written to by a temporary map.
    const Eigen::VectorXf dense = Eigen::Map<Eigen::VectorXf>(a.data(), 6);
    CHECK(pairs(dense, zero, zero, zero).loss == want);
    std::vector<float> grad(6);
    pairs.into(a, zero, zero, zero, {.grad_chosen = Eigen::TensorMap<vector>(grad.data(), 6)});
    CHECK(grad[0] == pairs(a, zero, zero, zero).grad_chosen(0));
    Eigen::Tensor<int, 2> tokens(1, 3);
    tokens.setValues({{1, 2, 3}});
    CHECK(prefopt::shift_labels(tokens)(0, 1) == 3);
}

#endif
