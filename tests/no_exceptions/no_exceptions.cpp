// SPDX-License-Identifier: Apache-2.0
//
// Proves that the library works where exceptions and RTTI are off: every kind of call runs, every
// fault comes back from prefopt::check as a status, and a call that fails all the same ends the
// program with that text. With an argument, this program makes the failing call it names.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <prefopt/prefopt.hpp>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this program proves nothing unless exceptions and RTTI are off"
#endif

namespace {

using floats = std::vector<float>;

int failures = 0;

void expect(bool condition, const char* what) {
    if (condition) return;
    std::printf("failed: %s\n", what);
    ++failures;
}

void expect(const prefopt::status& s, prefopt::errc code, const char* argument) {
    if (s.code == code && std::strcmp(s.argument, argument) == 0) return;
    std::printf("failed: expected %s of %s, got: %s\n", prefopt::to_string(code), argument,
                s.message().c_str());
    ++failures;
}

bool close(double a, double b) {
    const double off = a - b;
    return off < 1e-6 && off > -1e-6;
}

constexpr double log_2 = 0.69314718055994531;

void pairs() {
    const floats a{-1, -2, -3};
    const prefopt::dpo dpo{.beta = 0.1};
    expect(close(dpo(a, a, a, a).loss, log_2), "dpo at the reference");
    expect(close(prefopt::ipo{.beta = 0.5}(a, a, a, a).loss, 1), "ipo at the reference");
    const std::vector<int> tokens{3, 3, 3};
    const prefopt::pairwise_options counted{.chosen_counts = tokens, .rejected_counts = tokens};
    expect(close(prefopt::ipo_averaged{.beta = 0.5}(a, a, a, a, counted).loss, 1), "ipo_averaged");
    expect(close(prefopt::bradley_terry{}(a, a).loss, log_2), "bradley_terry");
    floats grad(3);
    dpo.into(a, a, a, a, {.grad_chosen = grad});
    expect(close(static_cast<double>(grad[2]), -0.05 / 3), "dpo.into");

    const floats two{-1, -2};
    using enum prefopt::errc;
    expect(prefopt::check(dpo, a, a, a, a), ok, "");
    expect(prefopt::check(dpo, a, a, two, a), shape_mismatch, "reference_chosen");
    expect(prefopt::check(prefopt::dpo{.beta = -1}, a, a, a, a), bad_parameter, "beta");
    expect(prefopt::check(prefopt::ipo_averaged{}, a, a, a, a), bad_parameter, "chosen_counts");
    expect(prefopt::check(prefopt::bradley_terry{}, a, two), shape_mismatch, "rejected_scores");
}

void single_answers() {
    const floats a{-1, -2, -3};
    const std::vector<bool> desirable{true, false, true};
    const prefopt::kto kto{};
    expect(close(kto(a, a, desirable, prefopt::kl_estimate(a, a)).loss, 0.5), "kto");
    const floats none;
    using enum prefopt::errc;
    expect(prefopt::check(kto, a, a, desirable, 0.0), ok, "");
    expect(prefopt::check(kto, a, a, desirable, -1.0), bad_parameter, "kl");
    expect(prefopt::check(prefopt::kl_estimate, none, none), empty_batch, "policy");
}

void lists() {
    const prefopt::tensor<float, 2> policy({2, 3});
    const int ranking[2][3] = {{2, 0, 1}, {0, 1, 2}};
    const int repeated[2][3] = {{2, 0, 1}, {0, 1, 1}};
    const prefopt::plackett_luce_dpo loss{};
    expect(close(loss(policy, policy).loss, 1.791759469228055), "log 3!");
    expect(close(loss(policy, policy, ranking).loss, 1.791759469228055), "log 3!, ranked");
    expect(prefopt::ranked_pairs(ranking).size() == 6, "ranked_pairs");
    using enum prefopt::errc;
    expect(prefopt::check(loss, policy, policy), ok, "");
    expect(prefopt::check(loss, policy, policy, repeated), not_permutation, "ranking");
    expect(prefopt::check(prefopt::ranked_pairs, repeated), not_permutation, "ranking");
}

void tokens() {
    const std::array<std::int64_t, 3> ids{1, 0, 1};
    const auto labels = prefopt::shift_labels(ids);
    prefopt::tensor<float, 2> logits({3, 2});
    const auto scored = prefopt::sequence_log_probs(logits, labels);
    expect(close(scored.sum[0], -2 * log_2) && scored.count[0] == 2, "sequence_log_probs");
    prefopt::tensor<float, 2> grad({3, 2});
    const std::vector<double> one{1};
    prefopt::sequence_log_probs_backward(logits, labels, one, grad);
    expect(close(static_cast<double>(grad(0, 0)), 0.5), "sequence_log_probs_backward");
    const auto again = prefopt::sequence_log_probs_in_place(logits, labels);
    expect(close(again.sum[0], scored.sum[0]), "sequence_log_probs_in_place");
    expect(close(static_cast<double>(logits(0, 0)), 0.5), "the direction in place");
    const std::vector<int> outside{0, 1, 2};
    expect(prefopt::check(prefopt::sequence_log_probs, logits, outside),
           prefopt::errc::label_out_of_range, "labels");
    const std::vector<int> too_long{4};
    expect(prefopt::check(prefopt::shift_labels, ids,
                          prefopt::shift_labels_options{.lengths = too_long}),
           prefopt::errc::bad_parameter, "lengths");
}

void trust_region_and_metrics() {
    const floats a{-1, -2, -3};
    prefopt::tr_dpo loss{.update = prefopt::soft_update({.alpha = 0.5})};
    const floats policy{2, 4};
    floats reference{0, 0};
    expect(loss.step(policy, reference) && reference == floats{1, 2}, "trust_region::step");
    prefopt::preference_metrics metrics;
    metrics.add(loss(a, a, a, a));
    metrics.add_samples(a, a);
    expect(close(metrics.ties(), 1) && close(metrics.kl_k3(), 0), "preference_metrics");
    using enum prefopt::errc;
    expect(prefopt::check(loss, a, a, a, a, prefopt::pairwise_options{.reference_versions = 0}),
           stale_reference, "reference_versions");
    floats longer{0, 0, 0};
    expect(loss.check_step(policy, longer), shape_mismatch, "reference_parameters");
}

int failing_call(const std::string& name) {
    const floats a{-1, -2, -3};
    const floats two{-1, -2};
    floats out(3);
    if (name == "shape") (void)prefopt::dpo{}(a, a, two, a);
    if (name == "parameter") (void)prefopt::kto{.beta = 0}(a, a, std::vector<bool>(3), 0.0);
    if (name == "empty") (void)prefopt::kl_statistics{}.estimate();
    if (name == "step") (void)prefopt::tr_dpo{}.step(two, out);
    std::printf("survived a failing call: %s\n", name.c_str());
    return 0;
}

}  // namespace

int main(int count, char** arguments) {
    if (count > 1) return failing_call(arguments[1]);
    pairs();
    single_answers();
    lists();
    tokens();
    trust_region_and_metrics();
    std::printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
