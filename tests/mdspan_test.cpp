// SPDX-License-Identifier: Apache-2.0
//
// mdspan: every layout with strides, static and dynamic extents, of any index type; const elements,
// padded layouts, and what comes back. The adapter includes no mdspan; the tests take the standard
// library's, Kokkos', or a small one of their own.

#include "support/backends/mdspan.hpp"
#include "support/backends/kernels.hpp"

#include <type_traits>
#include <vector>

#include "support/backends/adapter_checks.hpp"

using test::memory_order;

using padded_mdspans = test::mdspans<memory_order::padded, std::size_t>;

TEMPLATE_TEST_CASE("mdspan: as plain memory", "[adapters]", padded_mdspans) {
    test::expect_adapter<TestType>();
}

TEMPLATE_TEST_CASE("mdspan: other layouts", "[adapters]", test::mdspans<memory_order::rows>,
                   test::mdspans<memory_order::columns>, test::mdspans_of_static_extents) {
    test::expect_layout<TestType>();
}

TEST_CASE("mdspan: const elements, small index types, results", "[adapters]") {
    using test::md::dynamic_extent, test::md::extents, test::md::mdspan;
    const std::vector<float> x{1, 2, 3, 4, 5, 7};
    using small = extents<std::int8_t, dynamic_extent, 3>;
    const mdspan<const float, small> rows(x.data(), small(2, 3));
    const prefopt::plackett_luce_dpo loss{};
    const auto result = loss(rows, rows);
    STATIC_REQUIRE(std::is_same_v<decltype(result.losses), std::vector<float>>);
    STATIC_REQUIRE(std::is_same_v<decltype(result.grad), prefopt::tensor<float, 2>>);
    const prefopt::view plain(x.data(), {2, 3});
    CHECK(result.loss == loss(plain, plain).loss);

    // As a vector of the same elements would be too long, so is this one, by name.
    using line = extents<std::int64_t, dynamic_extent>;
    const mdspan<const float, line> six(x.data(), line(6)), five(x.data(), line(5));
    CHECK(prefopt::check(prefopt::dpo{}, six, six, five, six).message() ==
          "prefopt: reference_chosen must have the same shape as policy_chosen (6), got (5) "
          "[shape_mismatch]");
    const mdspan<const float, line> null(nullptr, line(6)), empty(nullptr, line(0));
    CHECK(prefopt::check(prefopt::dpo{}, null, null, null, null).code ==
          prefopt::errc::null_pointer);
    CHECK(prefopt::check(prefopt::dpo{}, empty, empty, empty, empty).code ==
          prefopt::errc::empty_batch);

    // A temporary mdspan is an output like any other: it refers to memory of others.
    std::vector<float> grad(6);
    loss.into(rows, rows, {.grad = mdspan<float, small>(grad.data(), small(2, 3))});
    CHECK(grad == std::vector<float>(result.grad.data(), result.grad.data() + 6));
    // Outputs that share memory with themselves.
    using square = extents<std::int32_t, 2, 3>;
    using strided = test::md::layout_stride;
    const mdspan<float, square, strided> folded(
        grad.data(), strided::mapping<square>(square(2, 3), std::array{0, 1}));
    CHECK(test::code_of([&] { loss.into(rows, rows, {.grad = folded}); }) ==
          prefopt::errc::bad_stride);
    CHECK(prefopt::check(loss, folded, folded).ok());  // which inputs may
}
