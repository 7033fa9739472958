// SPDX-License-Identifier: Apache-2.0
//
// Options are named, and a misspelt name is an error.

#include <prefopt/dpo.hpp>

#ifdef PREFOPT_MUST_FAIL
prefopt::dpo use{.bta = 0.1};
#else
prefopt::dpo use{.beta = 0.1};
#endif
