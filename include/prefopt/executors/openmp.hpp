// SPDX-License-Identifier: Apache-2.0
//
// An executor for programs that use OpenMP: the threads are those of its runtime, as many as it
// would use (OMP_NUM_THREADS, omp_set_num_threads, the limits of an enclosing region).
//
//     auto scored = prefopt::sequence_log_probs(logits, labels,
//                                               {.executor = prefopt::openmp_executor{}});
//
// Without -fopenmp (or the compiler's own switch) this header asks for nothing and the executor is
// serial: the same results, one thread.

#pragma once

#include <algorithm>
#include <cstddef>

#include <prefopt/core/config.hpp>
#include <prefopt/core/executor.hpp>

// The switch changes the code, so it is in the name: files with and without it link.
#if defined(_OPENMP)
namespace prefopt::inline PREFOPT_ABI::inline with_openmp {
#else
namespace prefopt::inline PREFOPT_ABI::inline without_openmp {
#endif

/// Hands small pieces of a range to a parallel region's threads in turn, so that uneven rows
/// balance. Inside a region of the caller's it does what OpenMP does with a nested one: by default
/// the calling thread works alone.
struct openmp_executor {
    void operator()(std::ptrdiff_t n, const range_task& f) const {
#if defined(_OPENMP)
        const std::ptrdiff_t piece = std::max<std::ptrdiff_t>(n / most_pieces, 1);
#pragma omp parallel for schedule(dynamic)
        for (std::ptrdiff_t begin = 0; begin < n; begin += piece)
            f(begin, std::min(begin + piece, n));
#else
        f(0, n);
#endif
    }

private:
    /// Enough for some pieces on each of many threads, few enough to cost nothing.
    static constexpr std::ptrdiff_t most_pieces = 256;
};

}  // namespace prefopt::inline PREFOPT_ABI
