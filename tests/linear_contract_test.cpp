// SPDX-License-Identifier: Apache-2.0
//
// What linear_log_probs promises around its numbers: a workspace that does not grow with the
// vocabulary and is not left, no allocation, every fault found before a byte is written, empty
// operands, and any executor.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <prefopt/linear_log_probs.hpp>

#include "support/catch.hpp"
#include "support/guarded.hpp"
#include "support/linear.hpp"

namespace {
std::size_t allocations = 0;
}
// Weak: another file of the suite may count as well. Then this one's test says that it could not.
__attribute__((weak)) void* operator new(std::size_t n) {
    ++allocations;
    if (void* const p = std::malloc(n > 0 ? n : 1)) return p;
    throw std::bad_alloc();
}
__attribute__((weak)) void operator delete(void* p) noexcept { std::free(p); }
__attribute__((weak)) void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

using namespace test;

/// Leaves c as it is.
constexpr auto idle = [](const auto&) {};

/// All that a call takes, to be bent one piece at a time.
struct call {
    problem<float> p{12, 5, 90};
    view<float, 2> hidden{p.hidden.data(), {12, 5}};
    view<float, 2> weights{p.weights.data(), {90, 5}};
    view<const std::int64_t, 1> labels{p.labels.data(), {12}};
    std::vector<double> grad_sum{0.5};
    std::vector<row_partial> partials = std::vector<row_partial>(12);
    std::vector<std::byte> memory = std::vector<std::byte>(linear_workspace<float>(12, 5));
    std::vector<float> gh = std::vector<float>(60, 7.0F), gw = std::vector<float>(900, 7.0F),
                       gb = std::vector<float>(90, 7.0F);
    std::vector<double> sum{7};
    std::vector<std::int64_t> count{7};
    linear_options o{.workspace = memory};
    linear_backward_options b{.partials = partials, .workspace = memory};
    linear_outputs out{.sum = sum, .count = count};
    view<float, 2> to_hidden{gh.data(), {12, 5}}, to_weights{gw.data(), {90, 5}};
    linear_gradients to{.hidden = to_hidden, .weights = to_weights, .bias = gb};

    [[nodiscard]] bool untouched() const {
        const auto all = [](const auto& x) {
            return std::all_of(x.begin(), x.end(), [](auto v) { return v == decltype(v)(7); });
        };
        return all(gh) && all(gw) && all(gb) && all(sum) && all(count);
    }
    template <class G>
    [[nodiscard]] status forward(const G& gemm) const {
        const status found = linear_log_probs.check(gemm, hidden, weights, labels, o, out);
        try {
            linear_log_probs.into(gemm, hidden, weights, labels, out, o);
        } catch (const error& e) {
            CHECK((e.code() == found.code && e.status().message() == found.message()));
            CHECK(untouched());
            return e.status();
        }
        CHECK(found.ok());
        return {};
    }
    template <class G>
    [[nodiscard]] status backward(const G& gemm) const {
        const status found =
            linear_log_probs_backward.check(gemm, hidden, weights, labels, grad_sum, to, b);
        try {
            linear_log_probs_backward.into(gemm, hidden, weights, labels, grad_sum, to, b);
        } catch (const error& e) {
            if (!found.ok()) CHECK(e.status().message() == found.message());
            CHECK(untouched());
            return e.status();
        }
        CHECK(found.ok());
        return {};
    }
};

void is(const status& s, errc code, const std::string& argument, std::int64_t at = -1) {
    CAPTURE(s.message(), argument);
    CHECK(std::string(to_string(s.code)) == to_string(code));
    CHECK(s.argument == argument);
    CHECK(s.index == at);
}

struct narrow_gemm : plain_gemm {
    static constexpr std::ptrdiff_t largest_extent = 8;
};

}  // namespace

TEST_CASE("faults of both calls are found before a byte is written", "[linear]") {
    const auto both = [](errc code, const char* argument, std::int64_t at, const auto& bend) {
        call c;
        bend(c, c.o);
        is(c.forward(plain), code, argument, at);
        call d;
        bend(d, d.b);
        is(d.backward(plain), code, argument, at);
    };
    const ints bad_label{0, 1, 2, 3, 4, 90, 0, 0, 0, 0, 0, 0};
    const ints bad_offsets{0, 7, 5, 12}, short_offsets{0, 7};
    const std::vector<double> wide_bias(90);
    const std::vector<float> short_bias(89);
    both(errc::bad_parameter, "row_block", -1, [](call&, auto& o) { o.row_block = 0; });
    both(errc::bad_parameter, "vocab_block", -1, [](call&, auto& o) { o.vocab_block = -1; });
    both(errc::bad_tensor, "bias", -1, [&](call&, auto& o) { o.bias = wide_bias; });
    both(errc::null_pointer, "hidden", -1, [](call& c, auto&) { c.hidden.data = nullptr; });
    both(errc::null_pointer, "weights", -1, [](call& c, auto&) { c.weights.data = nullptr; });
    both(errc::shape_mismatch, "weights", -1, [](call& c, auto&) { c.weights.extents[1] = 4; });
    both(errc::shape_mismatch, "labels", -1, [](call& c, auto&) { c.labels.extents[0] = 11; });
    both(errc::shape_mismatch, "hidden", -1, [](call& c, auto&) { c.hidden.extents[0] = -1; });
    both(errc::shape_mismatch, "bias", -1, [&](call&, auto& o) { o.bias = short_bias; });
    both(errc::bad_offsets, "offsets", 2, [&](call& c, auto& o) {
        o.offsets = bad_offsets;
        c.out = {};
        c.out.partials = c.partials;
        c.grad_sum.assign(3, 1.0);
    });
    both(errc::bad_offsets, "offsets", 1, [&](call&, auto& o) { o.offsets = short_offsets; });
    both(errc::label_out_of_range, "labels", 5,
         [&](call& c, auto&) { c.labels.data = bad_label.data(); });
    both(errc::bad_stride, "hidden", -1, [](call& c, auto&) { c.hidden.strides = {10, 2}; });
    both(errc::bad_stride, "hidden", -1, [](call& c, auto&) { c.hidden.strides = {4, 1}; });
    both(errc::bad_stride, "hidden", -1, [](call& c, auto&) {
        c.hidden.data += 55;
        c.hidden.strides = {-5, 1};
    });
    both(errc::bad_stride, "weights", -1, [](call& c, auto&) { c.weights.strides = {0, 1}; });
    both(errc::workspace_too_small, "workspace", -1,
         [](call& c, auto& o) { o.workspace = std::span(c.memory).first(1000); });
    both(errc::aliasing, "workspace", -1, [](call& c, auto& o) {
        o.workspace = std::as_writable_bytes(std::span(c.p.weights.data(), 450));
    });
    both(errc::size_overflow, "hidden", -1, [](call& c, auto&) {
        c.hidden.extents = {std::ptrdiff_t{1} << 40, std::ptrdiff_t{1} << 40};
        c.labels.extents = {std::ptrdiff_t{1} << 40};
        c.weights.extents[1] = std::ptrdiff_t{1} << 40;
        c.out.partials = {};
        c.b.partials = {};
        c.to = {};
    });
}

TEST_CASE("faults of outputs and gradients are found before a byte is written", "[linear]") {
    std::vector<double> wide(60), three(3);
    std::vector<std::int64_t> counts(3);
    std::vector<row_partial> parts(11), none;
    const auto forward = [](errc code, const char* argument, const auto& bend) {
        call c;
        bend(c);
        is(c.forward(plain), code, argument);
    };
    forward(errc::shape_mismatch, "sum", [&](call& c) { c.out.sum = three; });
    forward(errc::shape_mismatch, "count", [&](call& c) { c.out.count = counts; });
    forward(errc::shape_mismatch, "partials", [&](call& c) { c.out.partials = parts; });
    forward(errc::aliasing, "sum", [](call& c) {
        c.out.count = {};
        c.out.partials = c.partials;
        c.out.sum = view<double, 1>(&c.partials[0].sum, {1});
    });
    const auto backward = [](errc code, const char* argument, const auto& bend) {
        call c;
        bend(c);
        is(c.backward(plain), code, argument);
    };
    backward(errc::shape_mismatch, "grad_sum", [](call& c) { c.grad_sum.resize(2); });
    backward(errc::shape_mismatch, "partials", [&](call& c) { c.b.partials = parts; });
    backward(errc::shape_mismatch, "partials", [&](call& c) { c.b.partials = none; });
    backward(errc::shape_mismatch, "grad_hidden", [](call& c) {
        c.to_hidden.extents[0] = 11;
        c.to.hidden = c.to_hidden;
    });
    backward(errc::shape_mismatch, "grad_weights", [](call& c) { c.to.weights = c.to_hidden; });
    backward(errc::bad_tensor, "grad_hidden", [&](call& c) {
        const view<double, 2> w(wide.data(), {12, 5});
        c.to.hidden = w;
    });
    backward(errc::bad_stride, "grad_weights", [](call& c) {
        c.to_weights.strides = {10, 2};
        c.to.weights = c.to_weights;
    });
    backward(errc::bad_stride, "grad_bias", [](call& c) {
        c.to.bias = view<float, 1>(c.gw.data(), {90}, {2});
        c.to.weights = {};
    });
    // Inputs are read to the end: not even element for element may an output be one.
    backward(errc::aliasing, "grad_hidden", [](call& c) { c.to.hidden = c.hidden; });
    backward(errc::aliasing, "grad_weights", [](call& c) { c.to.weights = c.weights; });
    backward(errc::aliasing, "grad_bias", [](call& c) {
        c.b.bias = c.gb;
        c.to.bias = c.gb;
    });
    backward(errc::aliasing, "grad_hidden", [](call& c) {
        c.to_hidden.data = c.gw.data() + 3;
        c.to.hidden = c.to_hidden;
    });
    call c;
    is(linear_log_probs.check(narrow_gemm{}, c.hidden, c.weights, c.labels), errc::ok, "");
    const view<float, 2> far(c.p.hidden.data(), {6, 5}, {9, 1});
    is(linear_log_probs.check(narrow_gemm{}, far, c.weights, ints(6)), errc::size_overflow,
       "hidden");
    const view<float, 3> three_d(c.p.hidden.data(), {3, 4, 5});
    const view<const std::int64_t, 2> labels(c.p.labels.data(), {3, 4});
    const ints offsets{0, 12};
    is(linear_log_probs.check(plain, three_d, c.weights, labels, {.offsets = offsets}),
       errc::bad_parameter, "offsets");
    const view<float, 3> apart(c.p.hidden.data(), {2, 2, 5}, {30, 5, 1});
    is(linear_log_probs.check(plain, apart, c.weights, labels), errc::shape_mismatch, "labels");
    const view<const std::int64_t, 2> few(c.p.labels.data(), {2, 2});
    is(linear_log_probs.check(plain, apart, c.weights, few), errc::bad_stride, "hidden");
}

TEST_CASE("the workspace does not grow with V, is enough, and is not left", "[linear]") {
    STATIC_REQUIRE(linear_workspace<float>(512, 768) * 30 < 512 * 32000 * sizeof(float));
    STATIC_REQUIRE(linear_workspace<float>(4096, 4096) * 300 < std::size_t{4096} * 128256 * 4);
    CHECK(linear_workspace<double>(512, 768) > linear_workspace<float>(512, 768));
    CHECK(linear_workspace<float>(512, 768, linear_options{.row_block = 64}) <
          linear_workspace<float>(512, 768) / 3);
    for (const idx v : {5, 500, 5000}) {
        const problem<float> p(30, 7, v);
        const linear_options sizes{.row_block = 8, .vocab_block = 100};
        const std::size_t enough = linear_workspace<float>(30, 7, sizes);
        const test::guarded_memory memory(enough);
        const auto exactly = [&](std::size_t n) {
            linear_options o = sizes;
            o.workspace = {memory.at_end<std::byte>(n), n};
            return o;
        };
        const linear_outputs nothing;
        CHECK_NOTHROW(
            linear_log_probs.into(plain, p.hidden, p.weights, p.labels, nothing, exactly(enough)));
        std::size_t least = 0;
        try {
            linear_log_probs.into(plain, p.hidden, p.weights, p.labels, nothing, exactly(1));
        } catch (const error& e) {
            REQUIRE(e.code() == errc::workspace_too_small);
            least = static_cast<std::size_t>(e.status().wanted.extents[0]);
        }
        CHECK((least > 1 && least <= enough));
        std::vector<double> sum(1);
        const linear_outputs out{.sum = sum};
        linear_log_probs.into(plain, p.hidden, p.weights, p.labels, out, exactly(least));
        CHECK(sum[0] == linear_log_probs(plain, p.hidden, p.weights, p.labels, sizes).sum[0]);
        CHECK_THROWS_AS(linear_log_probs.into(plain, p.hidden, p.weights, p.labels, nothing,
                                              exactly(least - 1)),
                        error);
        // Nothing is gathered where all rows are scored.
        std::mt19937_64 engine(1);
        const auto solid = random_matrix<float>(engine, 30, 7, 1);
        CHECK_NOTHROW(linear_log_probs.into(plain, solid, p.weights, ints(30, 1), nothing,
                                            exactly(enough - 8 * 7 * 4)));
    }
}

TEST_CASE("the forms into the caller's memory do not allocate", "[linear]") {
    const std::size_t before = allocations;
    static_cast<void>(std::make_unique<int>(1));
    if (allocations == before) {
        WARN("allocations are counted by another file of the suite");
        return;
    }
    call c;
    c.out.partials = c.partials;
    for (const auto row_block : {5, 256}) {
        c.o.row_block = c.b.row_block = row_block;
        const std::size_t start = allocations;
        linear_log_probs.into(idle, c.hidden, c.weights, c.labels, c.out, c.o);
        linear_log_probs_backward.into(idle, c.hidden, c.weights, c.labels, c.grad_sum, c.to, c.b);
        const std::size_t end = allocations;
        CHECK(end == start);
    }
}

TEST_CASE("empty operands: rows, width, vocabulary, scored rows", "[linear]") {
    const std::vector<double> g{2.0};
    const ints none{}, unscored(4, -1), zeros(4, 1);
    tensor<float, 2> no_rows({0, 3}), weights({6, 3}), no_width({4, 0}), empty({6, 0});
    tensor<float, 2> no_vocab({0, 3}), hidden({4, 3}), gh({4, 3}), gw({6, 3});
    const auto r = linear_log_probs(plain, no_rows, weights, none);
    CHECK((r.sum == std::vector{0.0} && r.count == ints{0} && r.partials.empty()));
    CHECK(r.report.empty == 1);
    for (const bool accumulate : {false, true}) {
        std::fill_n(gw.data(), gw.size(), 5.0F);
        std::fill_n(gh.data(), gh.size(), 5.0F);
        std::vector<float> gb(6, 5.0F);
        linear_log_probs_backward(plain, hidden, weights, unscored, g,
                                  {.hidden = gh, .weights = gw, .bias = gb},
                                  {.accumulate = accumulate});
        CHECK((gh(0, 0) == 0 && gh(3, 2) == 0));
        CHECK((gw(0, 0) == (accumulate ? 5 : 0) && gw(5, 2) == gw(0, 0) && gb[5] == gw(0, 0)));
    }
    const auto flat = linear_log_probs(plain, no_width, empty, zeros);  // six equal logits, of 0
    CHECK(std::abs(flat.sum[0] + 4 * 1.791759469228055) < 1e-6);
    linear_log_probs_backward(plain, no_width, empty, zeros, g, {.hidden = no_width});
    const auto blind = linear_log_probs(plain, hidden, no_vocab, unscored);
    CHECK((blind.count == ints{0} && blind.report.rows == 4));
    linear_log_probs_backward(plain, hidden, no_vocab, unscored, g, {.hidden = gh});
    is(linear_log_probs.check(plain, hidden, no_vocab, zeros), errc::label_out_of_range, "labels",
       0);
}

TEST_CASE("an executor changes no bit; the gemm stays on its thread, and may throw", "[linear]") {
    const problem<float> p(40, 6, 3000);
    tensor<float, 2> gh({40, 6}), gw({3000, 6}), gh_split({40, 6}), gw_split({3000, 6});
    int ranges = 0;
    const auto backwards = [&](std::ptrdiff_t n, const auto& f) {
        for (std::ptrdiff_t end = n; end > 0; end -= std::min<std::ptrdiff_t>(end, 3), ++ranges)
            f(std::max<std::ptrdiff_t>(end - 3, 0), end);
    };
    const auto one = linear_log_probs(plain, p.hidden, p.weights, p.labels);
    const auto other = linear_log_probs(plain, p.hidden, p.weights, p.labels,
                                        {.executor = backwards, .vocab_block = 2000});
    const auto split =
        linear_log_probs(plain, p.hidden, p.weights, p.labels, {.executor = backwards});
    CHECK(ranges > 0);
    CHECK(same_bits(split.sum[0], one.sum[0]));
    CHECK(std::abs(other.sum[0] - one.sum[0]) < 1e-6 * std::abs(one.sum[0]));
    const std::vector<double> g{1.5};
    linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, g,
                              {.hidden = gh, .weights = gw});
    linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, g,
                              {.hidden = gh_split, .weights = gw_split}, {.executor = backwards});
    CHECK((same_bits(gh, gh_split) && same_bits(gw, gw_split)));
    const auto failing = [](const auto&) { throw std::runtime_error("no device"); };
    CHECK_THROWS_AS(linear_log_probs(failing, p.hidden, p.weights, p.labels), std::runtime_error);
}
