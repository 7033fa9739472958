// SPDX-License-Identifier: Apache-2.0
//
// Both loops have the same four lines: score the batch with the policy, ask for the coefficient of
// each answer's log-prob, run the model backward with it, step the optimizer. Fine-tuning's
// coefficient is -1 / bytes; alignment's comes from prefopt.

#include "trainer.hpp"

#include "interrupt.hpp"
#include "optimizer.hpp"
#include "progress.hpp"

#include <prefopt/dpo.hpp>
#include <prefopt/metrics.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

namespace tiny {
namespace {

using pointers = std::vector<const sequence*>;
using clock_type = std::chrono::steady_clock;

constexpr std::size_t examined_samples = 64;  // answers drawn for one KL estimate

pointers look_up(const answer_pool& pool, const std::vector<std::size_t>& ids) {
    pointers out;
    for (const std::size_t id : ids) out.push_back(&pool[id]);
    return out;
}

std::vector<double> pick(const std::vector<double>& values, const std::vector<std::size_t>& ids) {
    std::vector<double> out;
    for (const std::size_t id : ids) out.push_back(values[id]);
    return out;
}

std::vector<std::size_t> count_to(std::size_t n) {
    std::vector<std::size_t> out(n);
    std::iota(out.begin(), out.end(), std::size_t{0});
    return out;
}

std::size_t batches(std::size_t items, std::size_t size) { return (items + size - 1) / size; }

double seconds_since(clock_type::time_point start) {
    return std::chrono::duration<double>(clock_type::now() - start).count();
}

std::string note(const char* what, double value) {
    char text[64];
    std::snprintf(text, sizeof text, "%s %.4f", what, value);
    return text;
}

double mean(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) /
           static_cast<double>(std::max<std::size_t>(values.size(), 1));
}

}  // namespace

examiner::examiner(const language_model& frozen, const std::vector<preference>& held_out,
                   std::uint64_t seed, prefopt::executor threads)
    : pool_(held_out), frozen_(&frozen), seed_(seed), threads_(threads), scorer_(threads) {
    for (const auto& pair : held_out) {
        if (prompts_.size() < examined_samples) prompts_.push_back(pair.prompt);
        if (pair.chosen == pair.rejected) ++ties_;
    }
    frozen_scores_ = scorer_.log_probs(frozen, pool_.sequences());
}

measures examiner::examine(const language_model& policy, const objective& judge, double beta) {
    const auto scores = scorer_.log_probs(policy, pool_.sequences());
    const std::size_t n = pool_.pairs();
    const auto of = [n](const std::vector<double>& values, std::size_t group) {
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(group * n);
        return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(n));
    };
    const auto chosen = of(scores, 0), rejected = of(scores, 1);
    const auto frozen_chosen = of(frozen_scores_, 0), frozen_rejected = of(frozen_scores_, 1);
    const std::vector<double> none(n, 0.0);

    // Every loss here has the same implicit reward, beta times the log-ratio: DPO's result has it.
    const prefopt::dpo rewards{.beta = beta};
    prefopt::preference_metrics against_frozen, without_reference;
    against_frozen.add(rewards(chosen, rejected, frozen_chosen, frozen_rejected));
    without_reference.add(rewards(chosen, rejected, none, none));

    measures out;
    const batch_plan plan = judge.plan(pool_, count_to(judge.units(pool_)));
    out.loss = judge
                   .judge({pick(scores, plan.graded), pick(scores, plan.compared)},
                          {pick(frozen_scores_, plan.graded), pick(frozen_scores_, plan.compared)},
                          plan, pool_)
                   .loss;
    out.reward_accuracy = against_frozen.accuracy();
    out.policy_accuracy = without_reference.accuracy();
    out.margin = against_frozen.margin();
    out.chosen_change = mean(chosen) - mean(frozen_chosen);
    const auto drawn = sample(policy, prompts_, {1.0, 160, seed_, threads_});
    prefopt::preference_metrics samples;
    samples.add_samples(scorer_.log_probs(policy, drawn), scorer_.log_probs(*frozen_, drawn));
    out.kl = samples.kl();
    return out;
}

tuned_model fine_tune(const split& data, const training_options& options) {
    tuned_model out{language_model(options.shape, options.seed), 0.0, {}};
    std::vector<sequence> answers, unseen;
    const auto add = [](std::vector<sequence>& to, const std::vector<preference>& pairs) {
        for (const auto& pair : pairs) to.push_back(make_sequence(pair.prompt, pair.chosen));
    };
    add(answers, data.training);
    add(unseen, data.held_out);
    std::size_t unseen_bytes = 0;
    for (const auto& answer : unseen) unseen_bytes += answer.scored();

    const std::size_t steps = options.tuning_epochs * batches(answers.size(), options.batch);
    adamw optimizer({.learning_rate = options.tuning_rate, .weight_decay = options.weight_decay},
                    out.model.parameters().size(), steps);
    progress_bar bar("fine-tuning", steps, options.quiet);
    scorer work(options.threads);
    Eigen::VectorXf gradient;
    const auto start = clock_type::now();
    double spent = 0.0;
    std::size_t step = 0;
    for (std::size_t epoch = 0; epoch < options.tuning_epochs && !interrupted(); ++epoch) {
        auto order = count_to(answers.size());
        shuffle(order, random_source(options.seed, stream::order, epoch));
        for (std::size_t at = 0; at < order.size() && !interrupted(); at += options.batch) {
            pointers batch;
            double bytes = 0.0;
            for (std::size_t i = at; i < std::min(at + options.batch, order.size()); ++i) {
                batch.push_back(&answers[order[i]]);
                bytes += static_cast<double>(batch.back()->scored());
            }
            const auto scores =
                work.forward(out.model, batch, {options.dropout, options.seed, step++});
            const std::vector<double> coefficients(batch.size(), -1.0 / bytes);
            gradient.setZero(out.model.parameters().size());
            work.backward(out.model, coefficients, gradient);
            optimizer.step(out.model.parameters(), gradient);
            bar.advance(
                note("nats/byte", -std::accumulate(scores.begin(), scores.end(), 0.0) / bytes));
        }
        spent = seconds_since(start);
        const auto scores = scorer(options.threads).log_probs(out.model, unseen);
        out.held_out_nats.push_back(-std::accumulate(scores.begin(), scores.end(), 0.0) /
                                    static_cast<double>(unseen_bytes));
    }
    out.bytes_per_second = static_cast<double>(work.trained_bytes()) / std::max(spent, 1e-9);
    return out;
}

aligned_model align(const language_model& frozen, const split& data, examiner& held_out,
                    const objective_options& objective_of, const training_options& options) {
    aligned_model out{objective_of, frozen, {}, 0.0, false};
    language_model reference = frozen;
    const answer_pool pool(data.training);
    const auto judge = make_objective(objective_of);
    scorer work(options.threads), reading(options.threads);

    // Log-probs under a fixed reference are computed once; under one that moves they would be those
    // of another model after the first step, so they are computed with every batch.
    const bool fixed = objective_of.reference == reference_kind::fixed;
    std::vector<double> stored;
    if (fixed) stored = reading.log_probs(reference, pool.sequences());
    const auto reference_scores = [&](const std::vector<std::size_t>& ids) {
        return fixed ? pick(stored, ids) : reading.log_probs(reference, look_up(pool, ids));
    };

    const std::size_t units = judge->units(pool);
    const std::size_t batch_size = options.batch * judge->per_pair();
    const std::size_t per_epoch = batches(units, batch_size);
    const std::size_t steps = options.epochs * per_epoch;
    const std::size_t stride = std::max<std::size_t>(per_epoch / options.points, 1);
    adamw optimizer({.learning_rate = options.rate, .weight_decay = options.weight_decay},
                    out.model.parameters().size(), steps);
    progress_bar bar(name_of(objective_of), steps, options.quiet);

    std::size_t step = 0;
    double loss_sum = 0.0, loss_count = 0.0, spent = 0.0;
    const auto examine = [&] {
        const auto seen = held_out.examine(out.model, *judge, objective_of.beta);
        const double training_loss = loss_count > 0.0 ? loss_sum / loss_count : seen.loss;
        out.curve.push_back({step, static_cast<double>(step) / static_cast<double>(per_epoch),
                             training_loss, seen});
        loss_sum = loss_count = 0.0;
    };
    examine();

    Eigen::VectorXf gradient;
    for (std::size_t epoch = 0; epoch < options.epochs && !interrupted(); ++epoch) {
        auto order = count_to(units);
        shuffle(order, random_source(options.seed, stream::order, 1000 + epoch));
        for (std::size_t at = 0; at < units && !interrupted(); at += batch_size) {
            const auto start = clock_type::now();
            const std::span<const std::size_t> chosen_units(order.data() + at,
                                                            std::min(batch_size, units - at));
            const batch_plan plan = judge->plan(pool, chosen_units);
            const batch_scores theirs{reference_scores(plan.graded),
                                      reference_scores(plan.compared)};
            const batch_scores ours{
                work.forward(out.model, look_up(pool, plan.graded),
                             {options.dropout, options.seed, (1U << 20U) + step}),
                reading.log_probs(out.model, look_up(pool, plan.compared))};
            const verdict result = judge->judge(ours, theirs, plan, pool);
            gradient.setZero(out.model.parameters().size());
            work.backward(out.model, result.gradient, gradient);
            optimizer.step(out.model.parameters(), gradient);
            judge->follow(out.model.parameters(), reference.parameters());
            spent += seconds_since(start);

            ++step;
            loss_sum += result.loss;
            loss_count += 1.0;
            bar.advance(note("loss", result.loss));
            const std::size_t in_epoch = step - epoch * per_epoch;
            const bool last = in_epoch == per_epoch;
            if (last || (in_epoch % stride == 0 && per_epoch - in_epoch >= stride)) examine();
        }
    }
    if (out.curve.back().step != step) examine();
    out.bytes_per_second = static_cast<double>(work.trained_bytes()) / std::max(spent, 1e-9);
    out.complete = step == steps;
    return out;
}

}  // namespace tiny
