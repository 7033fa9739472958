// SPDX-License-Identifier: Apache-2.0
//
// The table of backends: Eigen.

#ifdef PREFOPT_TEST_EIGEN

#include "support/backends/eigen.hpp"
#include "support/backends/table.hpp"
#include "support/catch.hpp"

using test::eigen;
using test::eigens;

TEMPLATE_TEST_CASE("table: Eigen", "[backends]", eigens<eigen::matrix>, eigens<eigen::array>,
                   eigens<eigen::map>, eigens<eigen::sum>) {
    test::expect_table<TestType>();
}

TEMPLATE_TEST_CASE("table: layouts of Eigen", "[backends]", eigens<eigen::row_major>,
                   eigens<eigen::fixed>, eigens<eigen::ref>, eigens<eigen::block>,
                   eigens<eigen::row_of_columns>, eigens<eigen::product>) {
    test::expect_layout<TestType>();
}

#endif
