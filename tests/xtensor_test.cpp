// SPDX-License-Identifier: Apache-2.0
//
// xtensor, from 0.24 to 0.27: tensors of both storage orders, constant shapes, run-time rank,
// adapted memory, slices; what comes back; and expressions, which are evaluated and never dangle.

#ifdef PREFOPT_TEST_XTENSOR

#include "support/backends/xtensor.hpp"
#include "support/backends/adapter_checks.hpp"
#include "support/backends/kernels.hpp"

#if __has_include(<xtensor/core/xmath.hpp>)
#include <xtensor/core/xmath.hpp>
#include <xtensor/misc/xmanipulation.hpp>
#include <xtensor/views/xbroadcast.hpp>
#else
#include <xtensor/xbroadcast.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#endif

using rows_sliced = test::xtensor_slices<test::any_xarray, xt::layout_type::row_major>;
using columns_sliced = test::xtensor_slices<test::any_xtensor, xt::layout_type::column_major>;

TEMPLATE_TEST_CASE("xtensor: as plain memory", "[adapters]", test::xtensor_rows, columns_sliced,
                   test::xarray_dynamic, test::xtensor_expressions) {
    test::expect_adapter<TestType>();
}

TEMPLATE_TEST_CASE("xtensor: other layouts", "[adapters]", test::xtensor_columns,
                   test::xtensor_dynamic, test::xtensor_constant_shapes, test::xtensor_adapted,
                   rows_sliced) {
    test::expect_layout<TestType>();
}

namespace {

using xt::layout_type;

template <class Expected, class T>
void expect_type(const T&) {
    STATIC_REQUIRE(std::is_same_v<T, Expected>);
}

}  // namespace

TEST_CASE("xtensor: what comes back", "[adapters]") {
    const xt::xtensor<float, 2> rows{{1, 2, 3}, {4, 5, 7}};
    const xt::xtensor<float, 2, layout_type::column_major> columns = rows;
    const xt::xarray<double, layout_type::column_major> array = rows;
    const xt::xtensor_fixed<float, xt::xshape<2, 3>> constant = rows;
    const prefopt::plackett_luce_dpo loss{};
    const prefopt::dpo pairs{};

    expect_type<xt::xtensor<float, 2>>(loss(rows, rows).grad);
    expect_type<xt::xtensor<float, 1>>(loss(rows, rows).losses);
    expect_type<xt::xtensor<float, 2, layout_type::column_major>>(loss(columns, rows).grad);
    expect_type<xt::xarray<double, layout_type::column_major>>(loss(array, rows).grad);
    expect_type<xt::xarray<double, layout_type::column_major>>(loss(array, rows).losses);
    CHECK(loss(array, rows).losses.dimension() == 1);
    expect_type<xt::xtensor_fixed<float, xt::xshape<2, 3>>>(loss(constant, rows).grad);
    expect_type<xt::xtensor<float, 1>>(loss(constant, rows).losses);
    // Of a slice, in the storage order of what it is a slice of.
    const auto slice = xt::view(columns, xt::range(0, 2), xt::range(1, 3));
    expect_type<xt::xtensor<float, 2, layout_type::column_major>>(loss(slice, slice).grad);
    const auto row = xt::row(rows, 1);
    expect_type<xt::xtensor<float, 1>>(pairs(row, row, row, row).losses);
    expect_type<xt::xtensor<float, 1>>(pairs(row + row, row, row, row).losses);
    // Where only the tensor knows its order, so does the result.
    xt::xtensor<float, 2, layout_type::dynamic> any(std::array<std::size_t, 2>{2, 3},
                                                    layout_type::column_major);
    any.fill(1.F);
    CHECK(loss(any, rows).grad.layout() == layout_type::column_major);
    any.resize(std::array<std::size_t, 2>{2, 3}, layout_type::row_major);
    any.fill(1.F);
    CHECK(loss(any, rows).grad.layout() == layout_type::row_major);
    const xt::xtensor<prefopt::bf16, 1> half(std::array<std::size_t, 1>{2}, prefopt::bf16(1.F));
    expect_type<xt::xtensor<float, 1>>(pairs(half, half, half, half).losses);
    const xt::xtensor<int, 2> tokens{{1, 2, 3}};
    expect_type<xt::xtensor<int, 2>>(prefopt::shift_labels(tokens));
    expect_type<xt::xtensor<double, 1>>(
        prefopt::sequence_log_probs(rows, xt::xtensor<int, 1>{0, 2}).sum);
}

TEST_CASE("xtensor: expressions are evaluated, and refer to nothing that is gone", "[adapters]") {
    const std::vector<float> plain{1, 2, 3, -4, 5, -7};
    const xt::xtensor<float, 1> a{1, 2, 3, -4, 5, -7}, zero = xt::zeros<float>({6});
    const xt::xarray<float> any = a;
    const xt::xtensor<float, 2> m{{1, 2, 3}, {-4, 5, -7}};
    const prefopt::dpo loss{};
    const double want = loss(plain, zero, zero, zero).loss;
    const auto same = [&](const auto& t) { return loss(t, zero, zero, zero).loss == want; };
    CHECK(same(a + zero));
    CHECK(same(a * 1.F));
    CHECK(same(any + zero));  // of an array and a tensor: the rank is known at run time
    CHECK(same(any + any - any));
    CHECK(same(xt::xtensor<float, 1>(a) + xt::xtensor<float, 1>(zero)));
    CHECK(same(xt::sum(xt::view(a, xt::newaxis(), xt::all()), {0})));
    CHECK(same(xt::reshape_view(m, {6})));
    CHECK(same(xt::view(xt::broadcast(a, {2, 6}), 1)));
    CHECK(same(xt::view(xt::xtensor<float, 1>(a), xt::all())));  // owns what it is a view of
    CHECK(same(xt::row(xt::xtensor<float, 2>{{0}, {1}} * 0.F + a, 1)));  // a view of an expression
    CHECK(same(xt::adapt(plain)));
    CHECK(same(xt::adapt(std::vector<float>(plain))));
    CHECK(same(xt::flip(xt::xtensor<float, 1>{-7, 5, -4, 3, 2, 1}, 0)));
    CHECK_FALSE(same(a + 1.F));
    int evaluations = 0;
    const auto counted = xt::make_lambda_xfunction(
        [&](float x) {
            ++evaluations;
            return x;
        },
        a);
    CHECK(same(counted));
    CHECK(evaluations == 6);
    // In an array's slices the compiler does not know the rank either.
    const xt::xarray<float> cube = xt::reshape_view(xt::concatenate(xt::xtuple(a, a)), {2, 6});
    CHECK(same(xt::view(cube, 1)));
    CHECK(same(xt::strided_view(cube, {1, xt::ellipsis()})));
}

TEST_CASE("xtensor: extents of one, of none, and one number", "[adapters]") {
    // A dimension of extent 1 has stride 0, whatever its neighbours have.
    xt::xtensor<float, 3> thin = xt::ones<float>({1, 1, 4});
    CHECK(thin.strides()[0] == 0);
    const xt::xtensor<int, 2> label{{2}};
    const auto scored = prefopt::sequence_log_probs(thin, label);
    CHECK(scored.sum(0) ==
          prefopt::sequence_log_probs(xt::xtensor<float, 2>{{1, 1, 1, 1}}, xt::xtensor<int, 1>{2})
              .sum(0));
    prefopt::sequence_log_probs_in_place(thin, label);
    CHECK(thin(0, 0, 2) == 0.75F);
    xt::xtensor<float, 2> one{{1}}, to{{7}};
    prefopt::plackett_luce_dpo{}.into(one, one, {.grad = to});
    CHECK(to(0, 0) == 0);

    const xt::xtensor<float, 1> empty = xt::xtensor<float, 1>::from_shape({0});
    CHECK(prefopt::check(prefopt::dpo{}, empty, empty, empty, empty).code ==
          prefopt::errc::empty_batch);
    const xt::xarray<float> number = 3.F;
    CHECK(prefopt::dpo{}(number, number, number, number).losses.size() == 1);
    const xt::xarray<float> five = xt::ones<float>({1, 1, 1, 1, 2});
    CHECK(prefopt::check(prefopt::dpo{}, five, five, five, five).message() ==
          "prefopt: policy_chosen has more than 4 dimensions [bad_tensor]");
}

TEST_CASE("xtensor: outputs", "[adapters]") {
    const xt::xtensor<float, 1> a{1, 2, 3}, zero{0, 0, 0};
    const prefopt::dpo loss{};
    const auto want = loss(a, zero, zero, zero).losses;
    xt::xtensor<double, 2> all = xt::zeros<double>({3, 3});
    loss.into(a, zero, zero, zero, {.losses = xt::col(all, 1)});  // a view may be a temporary
    xt::xtensor<double, 1> exact = xt::zeros<double>({3});
    loss.into(a, zero, zero, zero, {.losses = exact});
    CHECK((xt::col(all, 1) == exact));
    CHECK(xt::sum(xt::col(all, 0))() == 0);
    std::vector<float> memory(3);
    loss.into(a, zero, zero, zero, {.losses = xt::adapt(memory)});
    CHECK((xt::adapt(memory) == want));
    xt::xarray<float> array = xt::zeros<float>({3});
    loss.into(a, zero, zero, zero, {.losses = array});
    CHECK((array == want));
    const xt::xarray<float> constant = array;
    CHECK_THROWS_AS(loss.into(a, zero, zero, zero, {.losses = xt::view(constant, xt::all())}),
                    prefopt::error);
    CHECK_FALSE(prefopt::detail::borrowed<decltype(xt::view(xt::xtensor<float, 2>(), 0))>);
    CHECK_FALSE(prefopt::detail::borrowed<decltype(xt::adapt(std::vector<float>()))>);
}

#endif
