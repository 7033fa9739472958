// SPDX-License-Identifier: Apache-2.0
//
// The table of backends: xtensor.

#ifdef PREFOPT_TEST_XTENSOR

#include "support/backends/table.hpp"
#include "support/backends/xtensor.hpp"
#include "support/catch.hpp"

using slices = test::xtensor_slices<test::any_xtensor, xt::layout_type::row_major>;

TEMPLATE_TEST_CASE("table: xtensor", "[backends]", test::xtensor_rows, test::xarray_rows) {
    test::expect_table<TestType>();
}

TEMPLATE_TEST_CASE("table: layouts of xtensor", "[backends]", test::xtensor_columns, slices,
                   test::xtensor_adapted, test::xtensor_expressions) {
    test::expect_layout<TestType>();
}

TEST_CASE("table: strides of 0 of xtensor", "[backends]") {
    test::expect_repeated<test::xtensor_repeated>();
}

#endif
