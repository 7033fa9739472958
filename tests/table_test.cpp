// SPDX-License-Identifier: Apache-2.0
//
// The table of backends: the standard library's containers, our own views in every layout, and
// tensor types of a user's. Every loss, scalar and bad input, bit for bit as from plain memory.

#include "support/backends/table.hpp"
#include "support/backends/plain.hpp"
#include "support/catch.hpp"

TEMPLATE_TEST_CASE("table: containers, views, and types of a user's", "[backends]", test::plain,
                   test::std_span, test::std_array, test::c_array,
                   test::views<test::layout::every_third>, test::users_box, test::users_any_tensor,
                   test::dynamic_views) {
    test::expect_table<TestType>();
}

TEMPLATE_TEST_CASE("table: layouts of views", "[backends]", test::views<test::layout::column_major>,
                   test::views<test::layout::padded>, test::views<test::layout::reversed>) {
    test::expect_layout<TestType>();
}

TEST_CASE("table: strides of 0", "[backends]") {
    test::expect_repeated<test::views<test::layout::repeated>>();
}

TEST_CASE("table: what plain memory is refused is refused", "[backends]") {
    test::plain_refusals().expect_refusals();
}
