// SPDX-License-Identifier: Apache-2.0
//
// A second unit of a program that has the library as one file: it may be included again, with more
// macros, and each of its sections then appears once.

#include <prefopt.hpp>

#define PREFOPT_WITH_THREAD_POOL
#define PREFOPT_WITH_GRADIENT
#define PREFOPT_WITH_CONFORMANCE
#include <prefopt.hpp>

#if !defined(PREFOPT_HAS_THREAD_POOL) || !defined(PREFOPT_HAS_CONFORMANCE)
#error "a section that was asked for is missing"
#endif
#if defined(PREFOPT_HAS_EIGEN)
#error "a section that nobody asked for is there"
#endif

namespace {

// Before main, which is the example's: answers that the policy likes as well as the reference does.
[[maybe_unused]] const bool works = [] {
    prefopt::thread_pool pool({.threads = 2});
    const std::vector<double> two{1, 2};
    const double loss = prefopt::dpo{.beta = 0.1}(two, two, two, two, {.executor = pool}).loss;
    if (!(loss > 0.693147 && loss < 0.693148)) std::abort();
    return true;
}();

}  // namespace
