// SPDX-License-Identifier: Apache-2.0
//
// The whole experiment, without files or a terminal: what main prints and a test compares.

#pragma once

#include "options.hpp"
#include "report.hpp"

#include <vector>

namespace tiny {

results run_experiment(const options& settings, std::vector<preference> pairs);

}  // namespace tiny
