// SPDX-License-Identifier: Apache-2.0
//
// Everything but the adapters: `#include <prefopt/prefopt.hpp>`. A program that uses one loss
// includes that loss's header, and the adapter of its tensors.

#pragma once

#include <prefopt/bradley_terry.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/linear_log_probs.hpp>
#include <prefopt/log_probs.hpp>
#include <prefopt/metrics.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/rankings.hpp>
#include <prefopt/shift_labels.hpp>
#include <prefopt/trust_region.hpp>
#include <prefopt/version.hpp>
