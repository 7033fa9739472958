// SPDX-License-Identifier: Apache-2.0
//
// DLPack: types, strides and offsets that are known only at run time, handles by reference and by
// pointer, and everything that is refused by name before its memory is looked at.

#include "support/backends/dlpack.hpp"
#include "support/backends/kernels.hpp"

#include <string>
#include <vector>

#include "support/backends/adapter_checks.hpp"

#if __has_include(<dlpack/dlpack.h>)
#include <dlpack/dlpack.h>
#endif

using test::memory_order;

using managed_padded = test::dlpack_tensors<memory_order::padded, stand_in::managed_tensor>;
using versioned_columns =
    test::dlpack_tensors<memory_order::columns, stand_in::managed_tensor_versioned>;

TEMPLATE_TEST_CASE("DLPack: as plain memory", "[adapters]", managed_padded) {
    test::expect_adapter<TestType>();
}

TEMPLATE_TEST_CASE("DLPack: other layouts", "[adapters]", test::dlpack_tensors<memory_order::rows>,
                   versioned_columns) {
    test::expect_layout<TestType>();
}

namespace {

using prefopt::errc;

struct six_floats {
    std::vector<float> x{-1, -2, -3, -4, -5, -7};
    std::int64_t shape[5] = {6, 1, 1, 1, 1};
    stand_in::dl_tensor t{
        x.data(), {stand_in::cpu, 0}, 1, {stand_in::of_float, 32, 1}, shape, nullptr, 0};
};

/// What is wrong with a tensor that is a policy's log-probs.
template <class T>
std::string complaint(const T& t) {
    const six_floats six;
    return prefopt::check(prefopt::dpo{}, t, six.t, six.t, six.t).message();
}

}  // namespace

TEST_CASE("DLPack: what is refused", "[adapters]") {
    six_floats six;
    CHECK(complaint(six.t) == "ok");
    const auto says = [&](const auto& change, const std::string& text) {
        stand_in::dl_tensor t = six.t;
        change(t);
        CHECK(complaint(t) == "prefopt: policy_chosen " + text);
    };
    const std::string to_host = "; copy it to the host first [bad_tensor]";
    // Nothing of such a tensor may be looked at: its memory is not there.
    const auto on = [&](stand_in::where d) {
        return [&, d](auto& t) {
            t.device.device_type = d;
            t.data = reinterpret_cast<void*>(8);
        };
    };
    says(on(stand_in::cuda), "is on a CUDA device" + to_host);
    says(on(stand_in::rocm), "is on a ROCm device" + to_host);
    says(on(stand_in::trainium), "is on a Trainium device" + to_host);
    says(on(static_cast<stand_in::where>(12)), "is on a device that is not the host" + to_host);
    for (const auto host : {stand_in::cuda_host, stand_in::cuda_managed}) {
        six.t.device.device_type = host;
        CHECK(complaint(six.t) == "ok");
    }
    six.t.device.device_type = stand_in::cpu;

    const auto of = [](int code, int bits, int lanes = 1) {
        return [=](auto& t) {
            t.dtype = {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits),
                       static_cast<std::uint16_t>(lanes)};
        };
    };
    says(of(stand_in::of_complex, 64), "has complex numbers [bad_tensor]");
    says(of(stand_in::of_float8, 8), "has 8-bit floats [bad_tensor]");
    says(of(stand_in::of_float, 8), "has 8-bit floats [bad_tensor]");
    says(of(stand_in::of_float, 32, 4), "has vectors for elements [bad_tensor]");
    says(of(stand_in::of_float, 128),
         "has elements that are not 8, 16, 32 or 64 bits wide [bad_tensor]");
    says(of(stand_in::of_int, 4),
         "has elements that are not 8, 16, 32 or 64 bits wide [bad_tensor]");
    says(of(stand_in::of_handle, 64),
         "has elements of a type that prefopt does not know [bad_tensor]");
    says(of(17, 4), "has elements of a type that prefopt does not know [bad_tensor]");
    says(of(stand_in::of_int, 32), "must hold float, double, bf16 or fp16 [bad_tensor]");

    says([](auto& t) { t.ndim = 5; }, "has more than 4 dimensions [bad_tensor]");
    says([](auto& t) { t.ndim = -1; }, "has more than 4 dimensions [bad_tensor]");
    says([](auto& t) { t.ndim = 2; }, "must have rank 1, got 2 [shape_mismatch]");
    says([](auto& t) { t.shape = nullptr; }, "has no shape [null_pointer]");
    says([](auto& t) { t.data = nullptr; },
         "is a null pointer although its extents are not zero, got (6) [null_pointer]");
    says([](auto& t) { t.byte_offset = 2; }, "is not aligned to its own element type [misaligned]");
    std::int64_t minus[] = {-6}, huge[] = {std::int64_t{1} << 62};
    says([&](auto& t) { t.shape = minus; },
         "must not have a negative extent, got (-6) [shape_mismatch]");
    six.t.shape = huge;
    CHECK(prefopt::check(prefopt::dpo{}, six.t, six.t, six.t, six.t).code == errc::size_overflow);
    std::int64_t none[] = {0};
    six.t.shape = none;
    six.t.data = nullptr;
    six.t.byte_offset = 64;
    CHECK(prefopt::check(prefopt::dpo{}, six.t, six.t, six.t, six.t).code == errc::empty_batch);
}

TEST_CASE("DLPack: handles, read-only flags, results", "[adapters]") {
    six_floats six, out;
    const prefopt::dpo loss{};
    const auto plain = [](const std::vector<float>& x) { return test::view_of(x); };
    const auto want = loss(six.x, six.x, six.x, six.x);
    stand_in::managed_tensor managed{out.t, nullptr, nullptr};
    stand_in::managed_tensor_versioned versioned{{1, 3}, nullptr, nullptr, 0, out.t};
    stand_in::managed_tensor* pointer = &managed;
    const auto result = loss(&six.t, pointer, versioned, six.x);
    STATIC_REQUIRE(std::is_same_v<decltype(result.grad_chosen), std::vector<double>>);
    CHECK(result.loss == loss(plain(six.x), out.x, out.x, six.x).loss);

    loss.into(six.t, six.t, six.t, six.t, {.grad_chosen = pointer});
    CHECK(out.x == want.grad_chosen);
    loss.into(six.t, six.t, six.t, six.t, {.grad_rejected = &versioned});
    CHECK(out.x == want.grad_rejected);
    versioned.flags = 1;
    const auto read_only = [&](auto&& to) {
        try {
            loss.into(six.t, six.t, six.t, six.t, {.losses = to});
        } catch (const prefopt::error& e) {
            return std::string(e.what());
        }
        return std::string();
    };
    const std::string sentence =
        "prefopt: losses is read-only and would be written to [bad_tensor]";
    CHECK(read_only(versioned) == sentence);
    CHECK(read_only(&versioned) == sentence);
    versioned.flags = 2;  // a copy may be written to
    CHECK(read_only(versioned).empty());
    CHECK(loss(six.t, versioned, versioned, six.t).loss ==
          loss(plain(six.x), out.x, out.x, six.x).loss);
    pointer = nullptr;
    CHECK(complaint(pointer) == "prefopt: policy_chosen is a null pointer [null_pointer]");

    // One number, and rows that go backwards.
    six.t.ndim = 0;
    CHECK(loss(six.t, six.t, six.t, six.t).losses.size() == 1);
    six.t.ndim = 1;
    std::int64_t back[] = {-1};
    six.t.strides = back;
    six.t.byte_offset = 5 * sizeof(float);
    const std::vector<float> backwards(six.x.rbegin(), six.x.rend()), zero(6);
    CHECK(loss(six.t, zero, zero, zero).grad_chosen[0] ==
          loss(std::vector<double>(backwards.begin(), backwards.end()), zero, zero, zero)
              .grad_chosen[0]);
}

#if __has_include(<dlpack/dlpack.h>)
TEST_CASE("DLPack: its own header", "[adapters]") {
    six_floats six;
    DLManagedTensor managed{};
    managed.dl_tensor.data = six.x.data();
    managed.dl_tensor.device = {kDLCPU, 0};
    managed.dl_tensor.ndim = 1;
    managed.dl_tensor.dtype = {kDLFloat, 32, 1};
    managed.dl_tensor.shape = six.shape;
    CHECK(prefopt::testing::conformance(managed).empty());
    CHECK(prefopt::testing::conformance(managed.dl_tensor).empty());
    managed.dl_tensor.device.device_type = kDLCUDA;
    CHECK(complaint(&managed) ==
          "prefopt: policy_chosen is on a CUDA device; copy it to the host first [bad_tensor]");
#if defined(DLPACK_MAJOR_VERSION)
    DLManagedTensorVersioned versioned{};
    versioned.dl_tensor = managed.dl_tensor;
    versioned.dl_tensor.device.device_type = kDLCPU;
    CHECK(prefopt::testing::conformance(versioned).empty());
    versioned.flags = DLPACK_FLAG_BITMASK_READ_ONLY;
    CHECK_FALSE(prefopt::adapter<DLManagedTensorVersioned>::view(versioned).writable);
#endif
}
#endif
