// SPDX-License-Identifier: Apache-2.0
//
// The command line. Everything a user can get wrong in it is found here, before any file is read
// or written, and thrown as `usage_error`: one sentence that names the option, what was given and
// what was expected.

#pragma once

#include "objective.hpp"
#include "trainer.hpp"

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace tiny {

class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct options {
    std::filesystem::path data;
    std::filesystem::path out = "alignment";
    std::vector<double> betas;
    objective_options objective;
    training_options training;
    double held_out = 0.15;
    double temperature = 0.5;
    int threads = 0;  // 0: as many as the machine runs at once
    bool plots = true;
    std::string help;  // not empty: print it and do nothing else
};

options parse_options(int count, char** arguments);

}  // namespace tiny
