// SPDX-License-Identifier: Apache-2.0
//
// An executor of standard threads, for programs that have no runtime of their own. The threads
// start when the pool is made, and sleep between calls.
//
//     prefopt::thread_pool pool({.threads = 8});
//     auto scored = prefopt::sequence_log_probs(logits, labels, {.executor = pool});
//
// Link with -pthread where the platform asks for it.

#pragma once

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <cstddef>
#include <thread>
#include <vector>

#include <prefopt/core/config.hpp>
#include <prefopt/core/error.hpp>
#include <prefopt/core/executor.hpp>

namespace prefopt::inline PREFOPT_ABI {

struct thread_pool_options {
    /// Threads that work on a call, the calling one among them; 0: as many as the machine runs at
    /// once. More threads than are free for this program make a call slower, not faster.
    int threads = 0;
};

/// A fixed number of threads that share each call's range in small pieces, handed out in turn, so
/// that uneven rows balance. The calling thread works too, and waits only for threads that have
/// begun: one that the machine is slow to wake is not missed. All of them round, and flush to zero,
/// as the calling thread does at the time of the call.
///
/// Any thread may call, at any time. A call that finds the pool busy - from inside a task, or from
/// another thread - does its work alone: nothing waits in line, and nothing can deadlock.
///
/// Errors: bad_parameter for a negative number of threads; std::system_error where one cannot be
/// started.
class thread_pool {
public:
    explicit thread_pool(thread_pool_options o = {}) : thread_pool(started_by_the_other{}) {
        if (o.threads < 0)
            detail::raise(detail::fault_value(errc::bad_parameter, "threads", "must be at least 0",
                                              o.threads));
        const int threads =
            o.threads > 0 ? o.threads : static_cast<int>(std::thread::hardware_concurrency());
        workers_.reserve(static_cast<std::size_t>(std::max(threads - 1, 0)));
        for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { serve(); });
    }

    thread_pool(const thread_pool&) = delete;
    thread_pool& operator=(const thread_pool&) = delete;

    /// No call may be running.
    ~thread_pool() {
        stop_.store(true, std::memory_order_relaxed);
        wake(threads());
        for (std::thread& t : workers_) t.join();
    }

    /// How many threads work on a call.
    [[nodiscard]] std::ptrdiff_t threads() const noexcept {
        return static_cast<std::ptrdiff_t>(workers_.size()) + 1;
    }

    /// Runs f over [0, n) on the pool's threads and this one; returns when all of it is done.
    void operator()(std::ptrdiff_t n, const range_task& f) {
        if (n < 2 || workers_.empty() || busy_.exchange(true, std::memory_order_acquire))
            return f(0, n);
        std::fegetenv(&environment_);
        task_ = &f;
        size_ = n;
        piece_ = std::max<std::ptrdiff_t>(n / (pieces_per_thread * threads()), 1);
        next_.store(0, std::memory_order_relaxed);
        inside_.store(0, std::memory_order_release);
        wake(n);
        work();
        inside_.fetch_add(closed, std::memory_order_relaxed);
        for (int now; (now = inside_.load(std::memory_order_acquire)) != closed;)
            inside_.wait(now, std::memory_order_relaxed);
        busy_.store(false, std::memory_order_release);
    }

private:
    /// The public constructor delegates, so that the destructor stops and joins the threads that
    /// have started should one of them not start.
    struct started_by_the_other {};
    explicit thread_pool(started_by_the_other) noexcept {}

    /// The last pieces end at about the same time, and none is so small that handing it out counts.
    static constexpr std::ptrdiff_t pieces_per_thread = 16;

    /// A worker's life: sleep, join the open call if there is one, leave it when nothing is left.
    void serve() noexcept {
        for (unsigned seen = 0;;) {
            call_.wait(seen, std::memory_order_relaxed);
            seen = call_.load(std::memory_order_acquire);
            if (stop_.load(std::memory_order_relaxed)) return;
            if (!enter()) continue;
            std::fesetenv(&environment_);
            work();
            if (inside_.fetch_sub(1, std::memory_order_release) == closed + 1) inside_.notify_one();
        }
    }

    /// Joins the open call; false where it is closed already, or not a call at all.
    bool enter() noexcept {
        int now = inside_.load(std::memory_order_relaxed);
        while (now < closed)
            if (inside_.compare_exchange_weak(now, now + 1, std::memory_order_acquire,
                                              std::memory_order_relaxed))
                return true;
        return false;
    }

    void work() noexcept {
        for (;;) {
            const std::ptrdiff_t begin = next_.fetch_add(piece_, std::memory_order_relaxed);
            if (begin >= size_) return;
            (*task_)(begin, std::min(begin + piece_, size_));
        }
    }

    /// Wakes no more threads than there are pieces beside the caller's own.
    void wake(std::ptrdiff_t pieces) noexcept {
        call_.fetch_add(1, std::memory_order_release);
        if (pieces >= threads()) return call_.notify_all();
        for (std::ptrdiff_t i = 1; i < pieces; ++i) call_.notify_one();
    }

    /// Added to `inside_` when no thread may join any more. When nothing but this is left of the
    /// number, the call is over, and the plain members may change.
    static constexpr int closed = 1 << 30;

    std::atomic<int> inside_{closed};  ///< how many workers are at work on the open call
    std::atomic<unsigned> call_{0};    ///< the calls so far: what a sleeping worker watches
    std::atomic<bool> busy_{false};
    std::atomic<bool> stop_{false};
    std::fenv_t environment_{};
    const range_task* task_ = nullptr;
    std::ptrdiff_t size_ = 0;
    std::ptrdiff_t piece_ = 1;
    alignas(64) std::atomic<std::ptrdiff_t> next_{0};  ///< contended, so on a cache line of its own
    alignas(64) std::vector<std::thread> workers_;
};

}  // namespace prefopt::inline PREFOPT_ABI
