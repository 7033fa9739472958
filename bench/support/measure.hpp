// SPDX-License-Identifier: Apache-2.0
//
// One measured thing has a name "<what>/<type>/<size>/<side>": everything before the last slash
// says what is computed on which data, the side says by whom (prefopt, eigen, read, ...). The sides
// of one thing run in one process, on the same memory, in random order; bench/table.py divides
// them.

#pragma once

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace prefopt_bench {

/// What one call does: the bytes that must cross the memory bus at least, the elements, and the
/// threads it uses.
struct work {
    double bytes = 0;
    double items = 0;
    int threads = 1;
};

/// Registers a side. `prepare()` is called before each timed loop; it sets up, checks that this
/// side computes what the others do (throws otherwise), and returns what is to be timed.
template <class Prepare>
void add(const std::string& name, work per_call, Prepare prepare) {
    const auto body = [=](benchmark::State& state) {
        try {
            auto call = prepare();
            call();
            for (auto _ : state) {
                call();
                benchmark::ClobberMemory();
            }
        } catch (const std::exception& e) {
            state.SkipWithError(e.what());
            return;
        }
        const auto calls = static_cast<double>(state.iterations());
        using benchmark::Counter;
        state.counters["bytes_per_second"] = Counter(calls * per_call.bytes, Counter::kIsRate);
        state.counters["items_per_second"] = Counter(calls * per_call.items, Counter::kIsRate);
    };
    // One thread is timed by what the whole process computes, so that neither other work on the
    // machine nor a peer's secret helper counts for somebody; two by the clock on the wall.
    auto* registered = benchmark::RegisterBenchmark(name.c_str(), body);
    if (per_call.threads == 1)
        registered->MeasureProcessCPUTime();
    else
        registered->UseRealTime();
}

/// Throws unless two sides agree.
inline void expect_close(double got, double want, double tolerance, const std::string& what) {
    if (std::fabs(got - want) <= tolerance * (1 + std::fabs(want))) return;
    throw std::runtime_error(what + ": " + std::to_string(got) + " where prefopt has " +
                             std::to_string(want));
}

/// Rows and columns as they stand in a name: "64x32000".
inline std::string size_name(std::ptrdiff_t rows, std::ptrdiff_t columns) {
    return std::to_string(rows) + "x" + std::to_string(columns);
}

}  // namespace prefopt_bench
