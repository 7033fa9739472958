// SPDX-License-Identifier: Apache-2.0
//
// Two threads for everybody: the library's pool where it is there, and one helper that sleeps
// between calls where it is not. A helper that spins would take the second core from a peer.

#pragma once

#include <cstddef>
#include <prefopt/core/executor.hpp>

#if __has_include(<prefopt/executors/thread_pool.hpp>)
#include <prefopt/executors/thread_pool.hpp>
#else
#include <atomic>
#include <thread>
#endif

namespace prefopt_bench {

#if __has_include(<prefopt/executors/thread_pool.hpp>)
using two_thread_executor = prefopt::thread_pool;
inline two_thread_executor& two_threads() {
    static two_thread_executor pool({.threads = 2});
    return pool;
}
#else
class two_thread_executor {
public:
    void operator()(std::ptrdiff_t n, const prefopt::range_task& f) {
        task_ = &f;
        begin_ = n / 2;
        end_ = n;
        turn_.store(1, std::memory_order_release);
        turn_.notify_one();
        f(0, n / 2);
        for (int spin = 0; turn_.load(std::memory_order_acquire) == 1; ++spin)
            if (spin > 1000) turn_.wait(1, std::memory_order_acquire);
    }
    ~two_thread_executor() {
        turn_.store(2, std::memory_order_release);
        turn_.notify_one();
    }

private:
    void help() {
        for (;;) {
            turn_.wait(0, std::memory_order_acquire);
            if (turn_.load(std::memory_order_acquire) == 2) return;
            (*task_)(begin_, end_);
            turn_.store(0, std::memory_order_release);
            turn_.notify_one();
        }
    }

    std::atomic<int> turn_{0};  // 0 idle, 1 the helper's, 2 the end
    const prefopt::range_task* task_ = nullptr;
    std::ptrdiff_t begin_ = 0;
    std::ptrdiff_t end_ = 0;
    std::jthread helper_{[this] { help(); }};
};
inline two_thread_executor& two_threads() {
    static two_thread_executor executor;
    return executor;
}
#endif

/// f(begin, end, options) once with the executor among the options; or, for a call that has no such
/// option, once per thread over a part of [0, n).
template <class Options, class F>
void with_threads(int threads, std::ptrdiff_t n, Options options, const F& f) {
    if (threads == 1) return f(std::ptrdiff_t{0}, n, options);
    if constexpr (requires { options.executor = two_threads(); }) {
        options.executor = two_threads();
        f(std::ptrdiff_t{0}, n, options);
    } else {
        const auto part = [&](std::ptrdiff_t begin, std::ptrdiff_t end) { f(begin, end, options); };
        two_threads()(n, prefopt::range_task(part));
    }
}

/// f(begin, end) over [0, n) by that many threads.
template <class F>
void split(int threads, std::ptrdiff_t n, const F& f) {
    if (threads == 1)
        f(std::ptrdiff_t{0}, n);
    else
        two_threads()(n, prefopt::range_task(f));
}

/// What follows the kind of work in a name: "" or "_2t".
inline const char* thread_suffix(int threads) { return threads == 1 ? "" : "_2t"; }

}  // namespace prefopt_bench
