// SPDX-License-Identifier: Apache-2.0
//
// The one file of the suite that is compiled with OpenMP's switch where the compiler has it: the
// executor uses several threads then, nests, and gives the bits of the serial call. The other
// files use the serial one, in the same program.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include <prefopt/executors/openmp.hpp>
#include <prefopt/log_probs.hpp>

#include "support/catch.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif

TEST_CASE("OpenMP's threads run the rows", "[executor]") {
    constexpr std::ptrdiff_t rows = 600, vocab = 300;
    std::vector<float> memory(static_cast<std::size_t>(rows * vocab));
    std::uint32_t noise = 1;
    for (float& x : memory) x = static_cast<float>((noise = noise * 1664525 + 1013904223) >> 20U);
    std::vector<std::int32_t> labels(static_cast<std::size_t>(rows));
    for (std::size_t i = 0; i < labels.size(); ++i)
        labels[i] = static_cast<std::int32_t>(i % 301) - 1;
    const prefopt::view logits(memory.data(), {rows, vocab});
    const auto serial = prefopt::sequence_log_probs(logits, labels);

    const prefopt::openmp_executor threads;
    for (int i = 0; i < 20; ++i) {
        const auto scored = prefopt::sequence_log_probs(logits, labels, {.executor = threads});
        CHECK(scored.sum == serial.sum);
        CHECK(scored.report.scored == serial.report.scored);
    }

    for (const std::ptrdiff_t n : {0, 1, 2, 255, 256, 257, 1000}) {
        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
        threads(n, [&](std::ptrdiff_t first, std::ptrdiff_t end) {
            threads(end - first, [&](std::ptrdiff_t from, std::ptrdiff_t to) {
                for (std::ptrdiff_t k = from; k < to; ++k)
                    ++visits[static_cast<std::size_t>(first + k)];
            });
        });
        bool once = true;
        for (const auto& v : visits) once = once && v == 1;
        CAPTURE(n);
        CHECK(once);
    }

#if defined(_OPENMP)
    if (omp_get_max_threads() < 2) return;
    std::atomic<int> begun{0};  // each of two pieces waits for the other, for a while
    std::atomic<int> met{0};
    threads(2, [&](std::ptrdiff_t, std::ptrdiff_t) {
        ++begun;
        const double start = omp_get_wtime();
        while (begun < 2 && omp_get_wtime() < start + 20) std::this_thread::yield();
        met += begun == 2;
    });
    CHECK(met == 2);
#endif
}
