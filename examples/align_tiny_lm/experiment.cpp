// SPDX-License-Identifier: Apache-2.0
//
// Fine-tune once, freeze, then one alignment per beta, each from the same frozen start.

#include "experiment.hpp"

#include "interrupt.hpp"

#include <prefopt/executors/thread_pool.hpp>

#include <algorithm>
#include <utility>

namespace tiny {
namespace {

constexpr std::size_t shown_answers = 2;

void sample_answers(results& out, const language_model& start, const split& data,
                    const options& settings, prefopt::executor threads) {
    std::vector<std::string> prompts;
    for (const auto& pair : data.held_out) {
        if (prompts.size() < shown_answers) prompts.push_back(pair.prompt);
    }
    const sampling_options how{settings.temperature, 160, settings.training.seed, threads};
    const auto before = sample(start, prompts, how);
    std::vector<std::vector<sequence>> after;
    for (const auto& run : out.runs) after.push_back(sample(run.model, prompts, how));
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        for (std::size_t r = 0; r < out.runs.size(); ++r) {
            out.answers.push_back({prompts[i], answer_text(before[i]), answer_text(after[r][i]),
                                   out.runs.size() > 1 ? name_of(out.runs[r].objective) : ""});
        }
    }
}

}  // namespace

results run_experiment(const options& settings, std::vector<preference> pairs) {
    prefopt::thread_pool threads({.threads = settings.threads});
    auto training = settings.training;
    training.threads = threads;
    const split data = split_preferences(std::move(pairs), settings.held_out, training.seed);
    results out;
    out.training_pairs = data.training.size();
    out.held_out_pairs = data.held_out.size();

    tuned_model tuned = fine_tune(data, training);
    out.tuning_nats = tuned.held_out_nats;
    out.tuning_speed = tuned.bytes_per_second;
    examiner held_out(tuned.model, data.held_out, training.seed, training.threads);
    out.ties = held_out.ties();
    out.start =
        held_out.examine(tuned.model, *make_objective(settings.objective), settings.objective.beta);
    for (const double beta : settings.betas) {
        if (interrupted()) break;
        objective_options objective = settings.objective;
        objective.beta = beta;
        out.runs.push_back(align(tuned.model, data, held_out, objective, training));
    }
    sample_answers(out, tuned.model, data, settings, training.threads);
    return out;
}

}  // namespace tiny
