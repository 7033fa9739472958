// SPDX-License-Identifier: Apache-2.0
//
// libtorch in the table of backends, and what calls on its tensors allocate.

#include "../support/backends/table.hpp"
#include "../support/backends/torch.hpp"
#include "../support/catch.hpp"
//
#include "../support/allocations.hpp"

TEST_CASE("table: libtorch", "[torch]") {
    test::expect_table<test::torch_tensors<false>>();
    test::expect_layout<test::torch_tensors<true>>();
    test::expect_repeated<test::torch_expanded>();
}

TEST_CASE("torch: no call allocates beyond its result", "[torch]") {
    using test::allocated_by;
    const c10::NoGradGuard off;
    const at::Tensor x = at::rand({17}).log(), grad = at::zeros({17});
    const at::Tensor lists = at::rand({5, 3}).log(), grad_lists = at::zeros({5, 3});
    const at::Tensor logits = at::randn({2, 3, 37}), labels = at::randint(37, {2, 3}, at::kInt);
    const at::Tensor k = at::ones({2}), to = at::zeros({2, 3, 37});
    const at::Tensor sum = at::zeros({2}, at::kDouble);
    const prefopt::dpo pairs{};
    const prefopt::plackett_luce_dpo rankings{};

    // into memory that is there: nothing
    CHECK(allocated_by([&] { pairs.into(x, x, x, x, {.grad_chosen = grad}); }) == 0);
    CHECK(allocated_by([&] { rankings.into(lists, lists, {.grad = grad_lists}); }) == 0);
    CHECK(allocated_by([&] {
              prefopt::sequence_log_probs.into(logits, labels, {.sum = sum});
              prefopt::sequence_log_probs_backward(logits, labels, k, to);
              prefopt::sequence_log_probs_in_place.into(to, labels, {.sum = sum});
          }) == 0);

    // results: five vectors and a number, of two matrices and a vector and a number
    const auto of = [](at::IntArrayRef shape, at::ScalarType type) {
        return allocated_by([&] { (void)at::empty(shape, type); });
    };
    const std::size_t vector = of({17}, at::kFloat);
    const std::size_t matrix = of({5, 3}, at::kFloat);
    const std::size_t number = of({}, at::kDouble);
    CHECK(vector > 0);
    (void)pairs(x, x, x, x);  // libtorch's own first time
    CHECK(allocated_by([&] { (void)pairs(x, x, x, x); }) == 5 * vector + number);
    CHECK(allocated_by([&] { (void)rankings(lists, lists); }) == vector + 2 * matrix + number);
}
