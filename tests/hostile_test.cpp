// SPDX-License-Identifier: Apache-2.0
//
// What a careful reader of the code tried once: each case found a fault, or nearly did.

#include <cstdint>
#include <limits>
#include <prefopt/prefopt.hpp>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace {
__extension__ typedef __int128 wide;
}

TEST_CASE("labels have at most 64 bits") {
    STATIC_REQUIRE(prefopt::label<std::uint64_t>);
    STATIC_REQUIRE_FALSE(prefopt::label<bool>);
    STATIC_REQUIRE_FALSE(prefopt::label<wide>);
}

TEST_CASE("an absurd extent beside an empty one is refused, not allocated") {
    constexpr std::ptrdiff_t absurd = std::ptrdiff_t{1} << 62;
    const prefopt::view<double, 2> lists(nullptr, {std::ptrdiff_t{0}, absurd});
    const prefopt::view<std::int64_t, 2> ranking(nullptr, {std::ptrdiff_t{0}, absurd});
    const prefopt::plackett_luce_dpo loss{};
    const prefopt::listwise_options sum{.reduction = prefopt::reduction::sum};
    CHECK(loss.check(lists, lists, sum).code == prefopt::errc::size_overflow);
    CHECK_THROWS_AS(loss(lists, lists, sum), prefopt::error);
    CHECK(prefopt::ranked_pairs.check(ranking).code == prefopt::errc::size_overflow);
    // Long, but not absurd: nothing is allocated for lists that are not there.
    const prefopt::view<double, 2> long_lists(nullptr, {std::ptrdiff_t{0}, absurd >> 10});
    CHECK(loss(long_lists, long_lists, sum).loss == 0);
}

TEST_CASE("a NaN coefficient reaches every row but the unscored ones") {
    constexpr float masked = -std::numeric_limits<float>::infinity();
    std::vector<float> logits{masked, masked, 1.0F, 2.0F, 1.0F, 2.0F};
    std::vector<float> gradient(6);
    const std::vector<int> labels{0, 1, -1};
    const std::vector<double> nan{std::numeric_limits<double>::quiet_NaN()};
    prefopt::sequence_log_probs_backward(prefopt::view{logits.data(), {3, 2}}, labels, nan,
                                         prefopt::view{gradient.data(), {3, 2}});
    for (std::size_t i = 0; i < 4; ++i) CHECK(prefopt::is_nan(gradient[i]));
    CHECK(gradient[4] == 0);
    CHECK(gradient[5] == 0);
}

TEST_CASE("a non-finite row is not a second non-finite example") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    float logits[1][2] = {{nan, 0}};
    const int labels[1] = {0};
    const auto scored = prefopt::sequence_log_probs(logits, labels);
    CHECK(scored.report.nonfinite == 1);
    prefopt::preference_metrics metrics;
    metrics.add(prefopt::dpo{}(scored.sum, scored.sum, scored.sum, scored.sum));
    metrics.add_report(scored.report);
    CHECK(metrics.nonfinite() == 1);
    CHECK(metrics.examples() == 1);
}

TEST_CASE("an integer in a message is written as one") {
    float logits[1][2] = {};
    const int labels[1] = {100000};
    const auto s = prefopt::check(prefopt::sequence_log_probs, logits, labels);
    CHECK(s.message().find("got 100000") != std::string::npos);
    CHECK(prefopt::dpo{.beta = -0.1}.check_parameters().message().find("got -0.1") !=
          std::string::npos);
}

TEST_CASE("memory for counts that is too small is refused, also when it is empty") {
    float logits[2][2] = {};
    const int labels[2] = {0, 1};
    std::vector<double> sum(1);
    std::vector<std::int64_t> none;
    const auto s =
        prefopt::sequence_log_probs.check(logits, labels, {}, {.sum = sum, .count = none});
    CHECK(s.code == prefopt::errc::shape_mismatch);
    CHECK(std::string(s.argument) == "count");
    std::vector<std::int64_t> one(1);
    prefopt::sequence_log_probs.into(logits, labels, {.sum = sum, .count = one});
    CHECK(one[0] == 2);
}

TEST_CASE("check and call say the same of an empty KL estimate") {
    const std::vector<float> none;
    const auto found = prefopt::check(prefopt::kl_estimate, none, none);
    try {
        (void)prefopt::kl_estimate(none, none);
        CHECK(false);
    } catch (const prefopt::error& e) {
        CHECK(e.what() == found.message());
    }
}
