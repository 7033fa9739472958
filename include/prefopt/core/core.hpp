// SPDX-License-Identifier: Apache-2.0
//
// All of core/: what a tensor is to the library, and how it reports faults.

#pragma once

#include <prefopt/core/adapter.hpp>
#include <prefopt/core/buffer.hpp>
#include <prefopt/core/checks.hpp>
#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/dynamic_view.hpp>
#include <prefopt/core/error.hpp>
#include <prefopt/core/executor.hpp>
#include <prefopt/core/gemm.hpp>
#include <prefopt/core/operand.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/core/tensor.hpp>
#include <prefopt/core/view.hpp>
