// SPDX-License-Identifier: Apache-2.0
//
// What a run leaves behind: one aligned table, CSV files with every digit, sampled answers, and
// plots drawn by gnuplot from those CSV files. Each file is written under a temporary name and
// renamed when it is whole, so that whoever interrupts the program never finds half a file.

#pragma once

#include "trainer.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace tiny {

struct sampled_answer {
    std::string prompt;
    std::string before;
    std::string after;
    std::string model;
};

struct results {
    std::size_t training_pairs = 0;
    std::size_t held_out_pairs = 0;
    std::size_t ties = 0;
    measures start;  // of the merely fine-tuned model
    std::vector<double> tuning_nats;
    double tuning_speed = 0.0;
    std::vector<aligned_model> runs;
    std::vector<sampled_answer> answers;
};

// `speed`: with the column that differs from run to run.
std::string table(const results& all, bool speed);
std::string answers_text(const results& all);

void write_file(const std::filesystem::path& file, const std::string& content);
void write_csv(const results& all, const std::filesystem::path& directory);

// Draws the plots; returns a sentence where there is something to say, such as no gnuplot.
std::string draw_plots(const results& all, const std::filesystem::path& directory);

}  // namespace tiny
