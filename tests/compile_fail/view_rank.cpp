// SPDX-License-Identifier: Apache-2.0
//
// A view has rank 1 to 4.

#include <prefopt/core/view.hpp>

#ifdef PREFOPT_MUST_FAIL
prefopt::view<float, 5> use;
#else
prefopt::view<float, 4> use;
#endif
