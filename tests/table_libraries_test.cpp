// SPDX-License-Identifier: Apache-2.0
//
// The table of backends: mdspan, DLPack, ggml and Eigen's tensors.

#include "support/backends/dlpack.hpp"
#include "support/backends/ggml.hpp"
#include "support/backends/mdspan.hpp"
#include "support/backends/table.hpp"
#include "support/catch.hpp"

using test::memory_order;

TEMPLATE_TEST_CASE("table: mdspan, DLPack, ggml", "[backends]", test::mdspans<memory_order::rows>,
                   test::dlpack_tensors<memory_order::rows>,
                   test::ggml_tensors<memory_order::rows>) {
    test::expect_table<TestType>();
}

TEMPLATE_TEST_CASE("table: layouts of mdspan, DLPack, ggml", "[backends]",
                   test::mdspans<memory_order::columns>, test::mdspans<memory_order::padded>,
                   test::mdspans_of_static_extents, test::dlpack_tensors<memory_order::padded>,
                   test::ggml_tensors<memory_order::padded>) {
    test::expect_layout<TestType>();
}

TEMPLATE_TEST_CASE("table: strides of 0 of mdspan, DLPack, ggml", "[backends]",
                   test::mdspans<memory_order::repeated>,
                   test::dlpack_tensors<memory_order::repeated>,
                   test::ggml_tensors<memory_order::repeated>) {
    test::expect_repeated<TestType>();
}

#ifdef PREFOPT_TEST_EIGEN
#include "support/backends/eigen_tensor.hpp"

TEMPLATE_TEST_CASE("table: Eigen's tensors", "[backends]", test::eigen_tensors<Eigen::ColMajor>) {
    test::expect_table<TestType>();
}

TEMPLATE_TEST_CASE("table: layouts of Eigen's tensors", "[backends]",
                   test::eigen_tensors<Eigen::RowMajor>, test::eigen_tensor_maps<Eigen::ColMajor>,
                   test::eigen_tensor_expressions<Eigen::ColMajor>) {
    test::expect_layout<TestType>();
}
#endif
