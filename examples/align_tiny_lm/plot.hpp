// SPDX-License-Identifier: Apache-2.0
//
// The plots: a gnuplot script that reads curves.csv and summary.csv, left next to them so that
// anybody can change and rerun it, and the call of gnuplot.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace tiny {

struct plotted_run {
    std::string name;
    double beta = 0.0;
};

std::string plot_script(const std::vector<plotted_run>& runs);

// Runs gnuplot in `directory`. Returns one sentence where there are no plots, otherwise nothing.
std::string run_gnuplot(const std::filesystem::path& directory, bool sweep);

}  // namespace tiny
