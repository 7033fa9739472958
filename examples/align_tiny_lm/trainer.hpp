// SPDX-License-Identifier: Apache-2.0
//
// The two phases of the program: supervised fine-tuning on the chosen answers, then alignment
// against the frozen result of it; and the examiner, which measures a policy on pairs that neither
// phase has seen. All measures are taken against the frozen start, also where the loss follows a
// moving reference, so that runs can be compared.

#pragma once

#include "data.hpp"
#include "objective.hpp"
#include "scoring.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tiny {

struct training_options {
    model_shape shape;
    std::uint64_t seed = 1;
    std::size_t batch = 16;  // pairs; fine-tuning takes as many answers
    std::size_t tuning_epochs = 12;
    double tuning_rate = 3e-3;
    std::size_t epochs = 3;
    double rate = 3e-4;
    double dropout = 0.5;
    double weight_decay = 0.05;
    std::size_t points = 4;  // examinations per epoch of alignment
    bool quiet = false;
    prefopt::executor threads{};  // serial without; the results are the same
};

// What the held-out pairs say about a policy.
struct measures {
    double loss = 0.0;             // of the objective, against the frozen start
    double reward_accuracy = 0.0;  // share of pairs with reward(chosen) > reward(rejected)
    double policy_accuracy = 0.0;  // share with log p(chosen) > log p(rejected)
    double margin = 0.0;           // mean reward(chosen) - reward(rejected)
    double kl = 0.0;               // nats per answer, on answers drawn from the policy
    double chosen_change = 0.0;    // mean log p(chosen) - frozen log p(chosen), nats
};

struct curve_point {
    std::size_t step = 0;
    double epoch = 0.0;
    double training_loss = 0.0;  // mean since the last point
    measures held_out;
};

struct tuned_model {
    language_model model;
    double bytes_per_second = 0.0;
    std::vector<double> held_out_nats;  // per byte of the chosen answers, after each epoch
};

struct aligned_model {
    objective_options objective;
    language_model model;
    std::vector<curve_point> curve;
    double bytes_per_second = 0.0;
    bool complete = false;  // false when a signal cut the run short
};

class examiner {
public:
    examiner(const language_model& frozen, const std::vector<preference>& held_out,
             std::uint64_t seed, prefopt::executor threads = {});

    measures examine(const language_model& policy, const objective& judge, double beta);

    std::size_t pairs() const { return pool_.pairs(); }
    std::size_t ties() const { return ties_; }  // pairs whose two answers are the same text

private:
    answer_pool pool_;
    std::vector<std::string> prompts_;
    const language_model* frozen_;
    std::vector<double> frozen_scores_;
    std::uint64_t seed_;
    prefopt::executor threads_;
    std::size_t ties_ = 0;
    scorer scorer_;
};

tuned_model fine_tune(const split& data, const training_options& options);

aligned_model align(const language_model& frozen, const split& data, examiner& held_out,
                    const objective_options& objective, const training_options& options);

}  // namespace tiny
