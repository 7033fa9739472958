// SPDX-License-Identifier: Apache-2.0
//
// ggml: dimensions counted from the fastest, strides in bytes, types by number; ranks that only the
// caller can know; and what is refused: quantized types, buffers that are elsewhere, odd strides.

#include "support/backends/ggml.hpp"
#include "support/backends/kernels.hpp"

#include <string>
#include <vector>

#include "support/backends/adapter_checks.hpp"

using test::memory_order;

using padded = test::ggml_tensors<memory_order::padded>;

TEMPLATE_TEST_CASE("ggml: as plain memory", "[adapters]", padded) {
    test::expect_adapter<TestType>();
}

TEMPLATE_TEST_CASE("ggml: other layouts", "[adapters]", test::ggml_tensors<memory_order::rows>,
                   test::ggml_tensors<memory_order::columns>) {
    test::expect_layout<TestType>();
}

namespace {

using prefopt::errc;

/// Six floats, as ggml would have them in a context of its own.
struct six_floats {
    std::vector<float> x{-1, -2, -3, -4, -5, -7};
    stand_in::ggml_tensor t{stand_in::f32, nullptr, {6, 1, 1, 1}, {4, 24, 24, 24},
                            nullptr,       0,       x.data(),     {}};
};

}  // namespace

TEST_CASE("ggml: the rank is what ggml_n_dims says, or what the caller says", "[adapters]") {
    six_floats six;
    const auto rank = [](const auto& t) {
        return prefopt::adapter<std::remove_cvref_t<decltype(t)>>::view(t).rank;
    };
    CHECK(rank(six.t) == 1);
    CHECK(rank(prefopt::ggml_rank<3>(&six.t)) == 3);
    six.t.ne[0] = 1;
    six.t.ne[1] = 6;
    six.t.nb[1] = 4;
    CHECK(rank(six.t) == 2);  // (6, 1)
    six.t.ne[1] = 1;
    CHECK(rank(six.t) == 1);  // one number
    CHECK(rank(prefopt::ggml_rank<2>(&six.t)) == 2);

    // (1, T, V): a batch of one is not told from a matrix.
    six.t.ne[0] = 3;
    six.t.ne[1] = 2;
    six.t.nb[1] = 12;
    six.t.nb[2] = six.t.nb[3] = 24;
    const auto batch = prefopt::ggml_rank<3>(&six.t);
    const int labels[1][2] = {{2, 0}};
    const auto got = prefopt::sequence_log_probs(batch, labels);
    const auto want = prefopt::sequence_log_probs(prefopt::view(six.x.data(), {1, 2, 3}), labels);
    STATIC_REQUIRE(std::is_same_v<decltype(got.sum), std::vector<double>>);
    CHECK(got.sum == want.sum);
    CHECK(prefopt::check(prefopt::sequence_log_probs, six.t, labels).code == errc::shape_mismatch);
    CHECK(prefopt::check(prefopt::sequence_log_probs, prefopt::ggml_rank<1>(&six.t), labels)
              .message() ==
          "prefopt: logits has more dimensions than ggml_rank<> gives it [bad_tensor]");
    prefopt::sequence_log_probs_in_place(batch, labels);
    CHECK(six.x[0] < 0);
    CHECK(six.x[2] > 0);  // 1 - softmax of the label
}

TEST_CASE("ggml: what is refused", "[adapters]") {
    six_floats six;
    const auto says = [&](const auto& change, const std::string& text) {
        stand_in::ggml_tensor t = six.t;
        change(t);
        const auto s = prefopt::check(prefopt::dpo{}, six.x, six.x, t, six.x);
        CHECK(s.message() == "prefopt: reference_chosen " + text);
    };
    const auto type = [](int number) {
        return [=](auto& t) { t.type = static_cast<stand_in::ggml_type>(number); };
    };
    says(type(2), "is quantized (Q4_0); dequantize it first [bad_tensor]");
    says(type(12), "is quantized (Q4_K); dequantize it first [bad_tensor]");
    says(type(29), "is quantized (IQ1_M); dequantize it first [bad_tensor]");
    says(type(39), "is quantized (MXFP4); dequantize it first [bad_tensor]");
    says(type(31), "has elements of a ggml type that prefopt does not know [bad_tensor]");
    says(type(99), "has elements of a ggml type that prefopt does not know [bad_tensor]");
    says(type(26), "must hold float, double, bf16 or fp16 [bad_tensor]");

    stand_in::ggml_backend_buffer device{false}, host{true};
    says([&](auto& t) { t.buffer = &device; },
         "is in a buffer that is not on the host; ggml_backend_tensor_get copies it [bad_tensor]");
    six.t.buffer = &host;
    CHECK(prefopt::check(prefopt::dpo{}, six.t, six.t, six.t, six.t).ok());
    says([](auto& t) { t.nb[0] = 6; },
         "has a stride that is no multiple of its element size [bad_stride]");
    says([](auto& t) { t.data = nullptr; },  // not allocated yet
         "is a null pointer although its extents are not zero, got (6) [null_pointer]");
    says([](auto& t) { t.ne[1] = 2; }, "must have rank 1, got 2 [shape_mismatch]");
    const stand_in::ggml_tensor* none = nullptr;
    CHECK(prefopt::check(prefopt::dpo{}, none, six.t, six.t, six.t).message() ==
          "prefopt: policy_chosen is a null pointer [null_pointer]");

    // fp16 is stored as its bits: what looks like a label is none.
    std::vector<std::uint16_t> halves(6, 0x3c00);
    stand_in::ggml_tensor h = six.t;
    h.type = stand_in::f16;
    h.nb[0] = 2;
    h.data = halves.data();
    const auto scored = [&](const auto& labels) {
        return prefopt::check(prefopt::sequence_log_probs, prefopt::tensor<float, 2>({6, 20000}),
                              labels);
    };
    CHECK(scored(halves).ok());
    CHECK(scored(h).message() == "prefopt: labels must hold integers (not bool) [bad_tensor]");

    const stand_in::ggml_tensor* constant = &six.t;
    CHECK(prefopt::dpo{}(constant, constant, constant, constant).losses.size() == 6);
    CHECK(test::code_of([&] {
              prefopt::dpo{}.into(six.t, six.t, six.t, six.t, {.losses = constant});
          }) == errc::bad_tensor);
}

#if __has_include(<ggml-backend.h>)
TEST_CASE("ggml: its own header", "[adapters]") {
    STATIC_REQUIRE(prefopt::detail::ggml_like<::ggml_tensor>);
    STATIC_REQUIRE(GGML_MAX_DIMS == 4);
    STATIC_REQUIRE((GGML_TYPE_F32 == 0 && GGML_TYPE_F16 == 1 && GGML_TYPE_BF16 == 30));
    STATIC_REQUIRE((GGML_TYPE_I8 == 24 && GGML_TYPE_I16 == 25 && GGML_TYPE_I32 == 26));
    STATIC_REQUIRE((GGML_TYPE_I64 == 27 && GGML_TYPE_F64 == 28 && GGML_TYPE_Q4_K == 12));
    STATIC_REQUIRE((GGML_TYPE_IQ1_M == 29 && GGML_TYPE_TQ1_0 == 34));
    ggml_context* const context = ggml_init({std::size_t{1} << 20, nullptr, false});
    ggml_tensor* const logits = ggml_new_tensor_2d(context, GGML_TYPE_F32, 5, 3);
    ggml_tensor* const labels = ggml_new_tensor_1d(context, GGML_TYPE_I32, 3);
    const auto x = test::some_values<float>(15, 0.7);
    std::copy(x.begin(), x.end(), static_cast<float*>(logits->data));
    const std::vector<std::int32_t> y{1, 4, -1};
    std::copy(y.begin(), y.end(), static_cast<std::int32_t*>(labels->data));
    CHECK(prefopt::sequence_log_probs(logits, labels).sum ==
          prefopt::sequence_log_probs(prefopt::view(x.data(), {3, 5}), y).sum);
    ggml_tensor* const transposed = ggml_transpose(context, logits);
    CHECK(test::floats(transposed)[1] == x[5]);
    CHECK(prefopt::testing::conformance(*transposed).empty());
    ggml_tensor* const part = ggml_view_2d(context, logits, 2, 3, logits->nb[1], 4);
    CHECK(test::floats(part)[2] == x[6]);
    ggml_free(context);
}
#endif
