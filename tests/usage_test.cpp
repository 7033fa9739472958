// SPDX-License-Identifier: Apache-2.0
//
// The code of the usage page, block by block, as a reader would paste it: it compiles, and what
// its comments promise is what comes back. (The backends of other libraries have tests of their
// own.) At the end, what the page says about faults: all parameters of a trust-region step are
// checked before the first is touched, and two faults in one call have a fixed order.

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <prefopt/core/adapter.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/log_probs.hpp>
#include <prefopt/metrics.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/trust_region.hpp>
#ifdef PREFOPT_TEST_EIGEN
#include <prefopt/adapters/eigen.hpp>
#endif

#include "support/backends/kernels.hpp"
#include "support/catch.hpp"

#if defined(PREFOPT_TEST_SINGLE_HEADER) && !defined(PREFOPT_SINGLE_HEADER)
#error "the suite of the single header includes the tree's"
#endif

namespace my {
/// Somebody's tensor: no more than a pointer and a length.
class tensor {
public:
    explicit tensor(std::vector<float> values) : values_(std::move(values)) {}
    float* data() { return values_.data(); }
    const float* data() const { return values_.data(); }
    std::size_t size() const { return values_.size(); }

private:
    std::vector<float> values_;
};

}  // namespace my

template <>
struct prefopt::adapter<my::tensor> {
    static constexpr std::size_t rank = 1;
    static auto view(auto& t) { return prefopt::view{t.data(), {t.size()}}; }
};

namespace {
bool near(double a, double b, double tolerance = 1e-6) { return std::abs(a - b) <= tolerance; }

template <class Vector>
bool all_near(const Vector& got, std::initializer_list<double> wanted) {
    std::size_t i = 0;
    bool same = static_cast<std::size_t>(std::size(got)) == wanted.size();
    for (const double w : wanted) same = same && near(static_cast<double>(std::data(got)[i++]), w);
    return same;
}

// Two pairs: margins of the log-ratios are 3 - 1 = 2 and -1 - 0 = -1 nats; with beta = 0.5 the
// losses are log(1 + exp(-1)) and log(1 + exp(0.5)).
const std::vector<float> policy_chosen{-7, -11};
const std::vector<float> policy_rejected{-8, -12};
const std::vector<float> reference_chosen{-10, -10};
const std::vector<float> reference_rejected{-9, -12};
const double loss_1 = std::log1p(std::exp(-1.0)), loss_2 = std::log1p(std::exp(0.5));
const double grad_1 = -0.5 / (1 + std::exp(1.0)), grad_2 = -0.5 / (1 + std::exp(-0.5));

template <class Result>
void check_dpo(const Result& result) {
    STATIC_REQUIRE(std::is_same_v<decltype(Result::loss), double>);
    CHECK(near(result.loss, (loss_1 + loss_2) / 2));
    CHECK(all_near(result.losses, {loss_1, loss_2}));
    CHECK(all_near(result.grad_chosen, {grad_1 / 2, grad_2 / 2}));
    CHECK(all_near(result.grad_rejected, {-grad_1 / 2, -grad_2 / 2}));
    CHECK(all_near(result.chosen_rewards, {0.5 * 3, 0.5 * -1}));
    CHECK(all_near(result.rejected_rewards, {0.5 * 1, 0.5 * 0}));
}

}  // namespace

TEST_CASE("usage 1: pairs, DPO and IPO", "[usage]") {
    prefopt::dpo loss{.beta = 0.5};
    auto result = loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected);
    STATIC_REQUIRE(std::is_same_v<decltype(result.losses), std::vector<float>>);
    check_dpo(result);

    const std::array pc{-7.0F, -11.0F};
    const float rejected[] = {-8, -12};
    auto mixed = loss(pc, rejected, std::span(reference_chosen), reference_rejected);
    STATIC_REQUIRE(std::is_same_v<decltype(mixed.losses), std::array<float, 2>>);
    check_dpo(mixed);
#ifdef PREFOPT_TEST_EIGEN
    const Eigen::VectorXf vector = Eigen::Map<const Eigen::VectorXf>(pc.data(), 2);
    auto eigen = loss(vector, policy_rejected, reference_chosen, reference_rejected);
    STATIC_REQUIRE(std::is_same_v<decltype(eigen.losses), Eigen::VectorXf>);
    check_dpo(eigen);
#endif

    auto ipo = prefopt::ipo{.beta = 0.5}(policy_chosen, policy_rejected, reference_chosen,
                                         reference_rejected);  // target 1 / (2 beta) = 1
    CHECK((all_near(ipo.losses, {1, 4}) && all_near(ipo.grad_chosen, {1, -2})));
}

TEST_CASE("usage 1: one term, reductions, weights and memory of the caller", "[usage]") {
    prefopt::dpo loss{.beta = 0.5};
    auto [value, d_chosen, d_rejected] = loss.term(3.0, 1.0);
    CHECK((near(value, loss_1) && near(d_chosen, grad_1) && near(d_rejected, -grad_1)));
    CHECK(near(static_cast<double>(loss.term(3.0F, 1.0F).value), loss_1));

    const auto &pc = policy_chosen, &pr = policy_rejected;
    const auto &rc = reference_chosen, &rr = reference_rejected;
    const std::vector<double> w{3, 0.5};
    auto sum = loss(pc, pr, rc, rr, {.reduction = prefopt::reduction::sum, .weights = w});
    CHECK(near(sum.loss, 3 * loss_1 + 0.5 * loss_2));
    CHECK(all_near(sum.losses, {loss_1, loss_2}));
    CHECK(all_near(sum.grad_rejected, {-3 * grad_1, -0.5 * grad_2}));

    float gc[2], gr[2];
    prefopt::pairwise_outputs outputs{.grad_chosen = gc, .grad_rejected = gr};
    CHECK(near(loss.into(pc, pr, rc, rr, outputs).loss, (loss_1 + loss_2) / 2));
    CHECK(all_near(gc, {grad_1 / 2, grad_2 / 2}));
    CHECK(all_near(gr, {-grad_1 / 2, -grad_2 / 2}));
}

TEST_CASE("usage 2: unpaired answers, KTO", "[usage]") {
    const std::vector<float> policy_unrelated{1, 2, 3}, reference_unrelated{0, 1.5, 1.75};
    prefopt::kto loss{.beta = 0.1, .desirable_weight = 1.0, .undesirable_weight = 1.0};
    double kl = prefopt::kl_estimate(policy_unrelated, reference_unrelated);
    CHECK(kl == (1 + 0.5 + 1.25) / 3);
    CHECK(prefopt::kl_estimate(reference_unrelated, policy_unrelated) == 0);  // max(0, ...)
    const std::vector<float> policy{-1, -2, -3}, reference{-2, -2, -2};
    const std::vector<bool> desirable{true, false, true};
    auto result = loss(policy, reference, desirable, kl);
    const auto s = [](double x) { return 1 / (1 + std::exp(-x)); };
    const double a = 0.1 * (1 - kl), b = -0.1 * (0 - kl), c = 0.1 * (-1 - kl);
    CHECK(near(result.loss, (s(-a) + s(-b) + s(-c)) / 3));
    CHECK(all_near(result.losses, {s(-a), s(-b), s(-c)}));
    CHECK(all_near(result.grad,
                   {-0.1 * s(a) * s(-a) / 3, 0.1 * s(b) * s(-b) / 3, -0.1 * s(c) * s(-c) / 3}));
    CHECK(all_near(result.rewards, {0.1, 0, -0.1}));
    const std::array<std::uint8_t, 3> bytes{1, 0, 7};
    CHECK(loss(policy, reference, bytes, kl).losses == result.losses);
}

TEST_CASE("usage 3: rankings, Plackett-Luce DPO", "[usage]") {
    prefopt::plackett_luce_dpo loss{.beta = 0.1};
    const prefopt::tensor<float, 2> reference({2, 3});
    const float policy[2][3] = {{10, 0, -10}, {0, 10, -10}};
    const int ranking[2][3] = {{0, 1, 2}, {1, 0, 2}};
    const double e = std::exp(1.0);
    const double first = std::log((e + 1 + 1 / e) / e), second = std::log1p(1 / e);
    const double wrong = std::log(e + 1 + 1 / e), third = std::log((e + 1 / e) / e);
    {
        auto result = loss(policy, reference);  // best first: list 1 has its first two swapped
        CHECK(all_near(result.losses, {first + second, wrong + third}));
        CHECK(near(result.loss, (first + second + wrong + third) / 2));
    }
    auto result = loss(policy, reference, ranking);
    CHECK(all_near(result.losses, {first + second, first + second}));
    STATIC_REQUIRE(std::is_same_v<decltype(result.grad), prefopt::tensor<float, 2>>);
    const double all = e + 1 + 1 / e, rest = 1 + 1 / e;
    const double g[] = {e / all - 1, 1 / all + 1 / rest - 1, 1 / e / all + 1 / e / rest};
    for (int k = 0; k < 3; ++k) {
        CHECK(near(static_cast<double>(result.grad(0, k)), 0.05 * g[k]));
        CHECK(near(static_cast<double>(result.grad(1, ranking[1][k])), 0.05 * g[k]));
        CHECK(near(static_cast<double>(result.rewards(0, k)), 1.0 - k));
    }
    CHECK(all_near(loss(policy, reference, {.placed = 1}).losses, {first, wrong}));
    const std::vector<int> ragged{3, 2};
    const auto ragged_result = loss(policy, reference, ranking, {.counts = ragged});
    CHECK(all_near(ragged_result.losses, {first + second, std::log1p(1 / e)}));
    CHECK(ragged_result.grad(1, 2) == 0);
}

TEST_CASE("usage 4: from logits to sequence log-probs and back", "[usage]") {
    float logits[2][2][2] = {{{0, 1}, {5, 5}}, {{-3, 7}, {2, 0}}};
    const int labels[2][2] = {{1, 0}, {-100, 0}};
    auto scored = prefopt::sequence_log_probs(logits, labels);
    STATIC_REQUIRE(std::is_same_v<decltype(scored.sum), std::vector<double>>);
    const double p = 1 / (1 + std::exp(-1.0)), q = 1 / (1 + std::exp(-2.0));
    CHECK(all_near(scored.sum, {std::log(p) + std::log(0.5), std::log(q)}));
    CHECK(scored.count == std::vector<std::int64_t>{2, 1});
    const prefopt::view rows(&logits[0][0][0], {4, 2});
    const std::vector<long> row_labels{1, 0, -100, 0};
    CHECK(prefopt::sequence_log_probs(rows, row_labels).count == std::vector<std::int64_t>{3});
    const std::vector<unsigned char> offsets{0, 2, 4};
    CHECK(prefopt::sequence_log_probs(rows, row_labels, {.offsets = offsets}).sum == scored.sum);

    const std::vector<double> grad_sum{2, -1};
    float grad_logits[2][2][2];
    prefopt::sequence_log_probs_backward(logits, labels, grad_sum, grad_logits);
    CHECK(all_near(std::span(&grad_logits[0][0][0], 8),
                   {2 * (p - 1), 2 * (1 - p), 1, -1, 0, 0, q - 1, 1 - q}));
    {
        auto scored_too = prefopt::sequence_log_probs_in_place(logits, labels);
        CHECK(scored_too.sum == scored.sum);
        CHECK(all_near(std::span(&logits[0][0][0], 8),
                       {p - 1, 1 - p, 0.5, -0.5, 0, 0, 1 - q, q - 1}));
    }
}

TEST_CASE("usage 5 and 6: a reference that follows the policy, and metrics", "[usage]") {
    prefopt::tr_dpo loss{.loss = {.beta = 0.5},
                         .update = prefopt::soft_update({.alpha = 0.75, .every = 1})};
    auto result = loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected);
    check_dpo(result);
    std::vector<std::vector<float>> policy_parameters{{1, 2}, {3}};
    std::vector<std::vector<float>> reference_parameters{{0, 0}, {7}};
    CHECK(loss.step(policy_parameters, reference_parameters));
    CHECK(reference_parameters == std::vector<std::vector<float>>{{0.75F, 1.5F}, {4}});
    prefopt::tr_ipo hard{.update = prefopt::hard_update({.every = 512})};
    for (int i = 1; i <= 512; ++i)
        if (hard.step(policy_parameters, reference_parameters) != (i == 512)) CHECK(i == 512);
    CHECK(reference_parameters == policy_parameters);
    STATIC_REQUIRE(std::is_same_v<prefopt::tr_kto, prefopt::trust_region<prefopt::kto>>);
    STATIC_REQUIRE(
        std::is_same_v<decltype(prefopt::tr_plackett_luce_dpo::loss), prefopt::plackett_luce_dpo>);
    prefopt::preference_metrics metrics;
    metrics.add(result);
    CHECK((metrics.accuracy() == 0.5 && near(metrics.margin(), (1.0 - 0.5) / 2)));
    CHECK((near(metrics.chosen_reward(), 0.5) && near(metrics.rejected_reward(), 0.25)));
}

TEST_CASE("usage 7 and 8: a tensor type of one's own, inside another trainer", "[usage]") {
    const my::tensor pc(policy_chosen), pr(policy_rejected);
    const my::tensor rc(reference_chosen), rr(reference_rejected);
    prefopt::dpo loss{.beta = 0.5};
    auto result = loss(pc, pr, rc, rr);
    check_dpo(result);
    my::tensor grad({0, 0});
    loss.into(pc, pr, rc, rr, {.grad_chosen = grad});
    CHECK(all_near(grad, {grad_1 / 2, grad_2 / 2}));

    // sum(stop_gradient(grad) * log_prob): its slope along any direction is that of the loss.
    const double h = 1e-3;
    const auto moved = [&](double step) {
        return loss(std::vector{-7 + step, -11 + 2 * step}, policy_rejected, reference_chosen,
                    reference_rejected)
            .loss;
    };
    const double slope = (moved(h) - moved(-h)) / (2 * h);
    CHECK(near(static_cast<double>(result.grad_chosen[0] + 2 * result.grad_chosen[1]), slope));
}

TEST_CASE("usage 4: shift_labels moves by one and hides what is not an answer", "[usage]") {
    using prefopt::shift_labels;
    using ints = std::vector<std::int64_t>;
    constexpr int no = prefopt::ignored_label;
    const int tokens[2][4] = {{5, 6, 7, 8}, {9, -3, 11, 12}};
    const auto rows = [](const auto& t) { return std::vector(t.data(), t.data() + t.size()); };
    CHECK(rows(shift_labels(tokens)) == std::vector{6, 7, 8, no, no, 11, 12, no});
    CHECK(rows(shift_labels(tokens, {.prompt_lengths = std::vector{2, 0}})) ==
          std::vector{no, 7, 8, no, no, 11, 12, no});
    CHECK(rows(shift_labels(tokens, {.prompt_lengths = std::vector{4, 1},
                                     .lengths = std::vector<std::uint8_t>{4, 3}})) ==
          std::vector{no, no, no, no, no, 11, no, no});
    CHECK(rows(shift_labels(tokens, {.lengths = ints{0, 1}})) == std::vector(8, no));
    const std::vector<std::int16_t> flat{1, 2, 3, 4, 5};
    CHECK(shift_labels(flat) == std::vector<std::int16_t>{2, 3, 4, 5, no});
    CHECK(shift_labels(flat, {.prompt_lengths = ints{0, 0, 2}, .offsets = ints{0, 2, 2, 5}}) ==
          std::vector<std::int16_t>{2, no, no, 5, no});
    const std::vector<std::uint16_t> unsigned_ids{65535, 65534, 0};
    CHECK(shift_labels(unsigned_ids) == ints{65534, 0, no});
    CHECK(shift_labels(prefopt::view(flat.data() + 4, {5}, {-1})) ==
          std::vector<std::int16_t>{4, 3, 2, 1, no});
}

TEST_CASE("usage 9: what is wrong is thrown, or returned by check; NaN is neither", "[usage]") {
    prefopt::dpo loss{.beta = 0.5};
    const auto &pc = policy_chosen, &rc = reference_chosen;
    const std::vector<float> pr{1, 2, 3};
    CHECK_THROWS_AS(loss(pc, pr, rc, rc), prefopt::error);
    STATIC_REQUIRE(std::is_base_of_v<std::invalid_argument, prefopt::error>);
    CHECK_FALSE(prefopt::check(loss, pc, pr, rc, rc).ok());
    if (auto s = prefopt::check(loss, pc, pr, rc, rc); !s.ok())
        CHECK(s.message() ==
              "prefopt: policy_rejected must have the same shape as policy_chosen "
              "(2), got (3) [shape_mismatch]");
    STATIC_REQUIRE(std::is_trivially_copyable_v<prefopt::status>);
    const std::vector<float> broken{std::numeric_limits<float>::quiet_NaN(), -11};
    const auto result = loss(broken, policy_rejected, rc, reference_rejected);
    CHECK((prefopt::is_nan(result.losses[0]) && prefopt::is_nan(result.loss)));
    CHECK(near(static_cast<double>(result.losses[1]), loss_2));
    CHECK(result.summary.nonfinite == 1);
}

TEST_CASE("usage 9: two faults in one call give the first of the documented order", "[usage]") {
    using prefopt::errc, prefopt::view;
    constexpr std::ptrdiff_t two = 2, three = 3, huge = std::ptrdiff_t{1} << 62;
    static float memory[64];
    const auto one_byte_off = [](float* p, bool off) {
        return reinterpret_cast<float*>(reinterpret_cast<std::byte*>(p) + (off ? 1 : 0));
    };
    const auto in_order = [](const std::vector<errc>& order, const auto& call) {
        CHECK(call(0U) == errc::ok);
        for (unsigned i = 0; i < order.size(); ++i)
            for (unsigned j = i; j < order.size(); ++j) {
                CAPTURE(to_string(order[i]), to_string(order[j]));
                CHECK(std::string(to_string(call(1U << i | 1U << j))) == to_string(order[i]));
            }
    };
    in_order({errc::bad_parameter, errc::null_pointer, errc::shape_mismatch, errc::size_overflow,
              errc::bad_stride, errc::misaligned, errc::aliasing, errc::not_permutation,
              errc::empty_sequence},
             [&](unsigned faults) {
                 const auto has = [&](int i) { return (faults >> i & 1U) != 0; };
                 const int places[2][3] = {{0, has(7) ? 3 : 1, 2}, {2, 1, 0}};
                 const std::array<int, 2> counts{3, has(8) ? 0 : 3};
                 const view weights(has(1) ? nullptr : memory, {2});
                 return prefopt::plackett_luce_dpo{.beta = has(0) ? -1.0 : 1.0}
                     .check(view(memory + 2, {2, 3}),
                            view(one_byte_off(memory + 8, has(5)), {2, 3}),
                            view(&places[0][0], {two, three}, {has(3) ? huge : three, two / two}),
                            {.weights = weights, .counts = counts},
                            {.losses = view(memory + 20, {has(2) ? 3 : 2}),
                             .grad = view(memory + 24, {2, 3}, {has(4) ? 0 : 3, 1}),
                             .rewards = view(memory + (has(6) ? 3 : 32), {2, 3})})
                     .code;
             });
    in_order({errc::null_pointer, errc::shape_mismatch, errc::size_overflow, errc::bad_stride,
              errc::misaligned, errc::aliasing, errc::bad_offsets, errc::label_out_of_range},
             [&](unsigned faults) {
                 const auto has = [&](int i) { return (faults >> i & 1U) != 0; };
                 const std::array<int, 2> labels{0, has(7) ? 3 : 2}, offsets{has(6) ? 1 : 0, 2};
                 return prefopt::sequence_log_probs_backward
                     .check(view(one_byte_off(memory, has(4)), {two, three},
                                 {has(2) ? huge : three, two / two}),
                            view(has(0) ? nullptr : labels.data(), {2}),
                            view(memory + 48, {has(1) ? 2 : 1}),
                            view(memory + (has(5) ? 4 : 16), {2, 3}, {has(3) ? 0 : 3, 1}),
                            {.offsets = offsets})
                     .code;
             });
    std::array<std::int64_t, 3> count{};
    CHECK(prefopt::sequence_log_probs
              .check(view(memory, {2, 3}), std::array{0, 9}, {}, {.count = count})
              .code == errc::shape_mismatch);
    const std::vector<std::uint64_t> versions{1};
    CHECK(prefopt::ipo_averaged{}
              .check(policy_chosen, policy_chosen, policy_chosen, policy_chosen,
                     {.reference_versions = versions,
                      .chosen_counts = std::array{1, 0},
                      .rejected_counts = std::array{1, 1}})
              .code == errc::shape_mismatch);
}

TEST_CASE("usage 9: a refused step has moved no parameter and is not counted", "[usage]") {
    using prefopt::errc;
    using parameters = std::vector<prefopt::view<float, 1>>;
    float memory[16];
    for (int i = 0; i < 16; ++i) memory[i] = static_cast<float>(i);
    prefopt::tr_dpo loss{.update = {.alpha = 0.5, .every = 1}};
    const auto at = [&](int first, std::ptrdiff_t n, std::ptrdiff_t stride = 1) {
        return prefopt::view<float, 1>(memory + first, {n}, {stride});
    };
    const parameters policy{at(0, 2), at(2, 3), at(5, 1)}, good{at(8, 2), at(10, 3), at(13, 1)};
    const auto refused = [&](errc code, std::string_view argument, std::int64_t index,
                             std::string_view text, const parameters& p, parameters r) {
        const prefopt::status s = loss.check_step(p, r);
        CAPTURE(s.message());
        CHECK((s.code == code && s.argument == argument && s.index == index));
        CHECK(s.message().find(text) != std::string::npos);
        std::string thrown;
        try {
            loss.step(p, r);
        } catch (const prefopt::error& e) {
            thrown = e.what();
        }
        CHECK(thrown == s.message());
        for (int i = 0; i < 16; ++i) CHECK(memory[i] == static_cast<float>(i));
        CHECK(loss.state.steps == 0);
    };
    constexpr auto ref = "reference_parameters";
    const prefopt::view<float, 1> null(nullptr, {3}), huge(memory, {std::int64_t{1} << 62});
    const prefopt::view off(reinterpret_cast<float*>(reinterpret_cast<char*>(memory) + 41), {3});
    refused(errc::shape_mismatch, ref, -1, "(3), got (2)", policy, {good[0], good[1]});
    refused(errc::shape_mismatch, ref, 2, "(1), got (2)", policy, {good[0], good[1], at(13, 2)});
    refused(errc::null_pointer, "policy_parameters", 1, "null", {policy[0], null, policy[2]}, good);
    refused(errc::size_overflow, "policy_parameters", 0, "", {huge}, {huge});
    refused(errc::bad_stride, ref, 1, "", policy, {good[0], at(10, 3, 0), good[2]});
    refused(errc::misaligned, ref, 1, "", policy, {good[0], off, good[2]});
    refused(errc::aliasing, ref, 2, "tied", policy, {good[0], good[1], at(9, 1)});
    refused(errc::aliasing, ref, 1, "policy", policy, {good[0], policy[1], good[2]});
    refused(errc::aliasing, ref, 2, "policy", policy, {good[0], good[1], at(0, 1)});
    for (const double alpha : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
        loss.update.alpha = alpha;
        refused(errc::bad_parameter, "alpha", -1, "[0, 1]", policy, good);
    }
    loss.update = {.alpha = 0.5, .every = 0};
    refused(errc::bad_parameter, "every", -1, "got 0", policy, good);
    loss.update.every = 1;
    CHECK(loss.step(policy, good));
    CHECK((memory[8] == 4 && memory[12] == 8 && memory[13] == 9 && memory[7] == 7));
}
