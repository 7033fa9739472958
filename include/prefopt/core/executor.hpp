// SPDX-License-Identifier: Apache-2.0
//
// Who runs the work. Everything is serial unless a call is given an executor: anything that can be
// called as `executor(n, f)` and then calls f(begin, end) for ranges that cover [0, n) once each,
// on whatever threads it likes, and returns when all of them are done.
//
//     prefopt::thread_pool pool({.threads = 8});
//     auto scored = prefopt::sequence_log_probs(logits, labels, {.executor = pool});
//
// Ready-made ones: executors/thread_pool.hpp and executors/openmp.hpp. Another runtime is a line:
//
//     const auto tasks = [](auto n, auto f) { my::parallel_for(0, n, [f](auto i) { f(i, i + 1); });
//     };
//
// What an executor must do: cover [0, n) once, in any order and any pieces (empty ones do no harm),
// and return after all of them; what the pieces wrote must be visible to its caller by then, which
// joining, a barrier or a mutex sees to. Pieces may run at the same time: f(begin, end) writes only
// what belongs to [begin, end). What an executor throws reaches the caller of the library's
// function, whose outputs are then partly written.
//
// Results do not depend on the pieces: every reduction has a shape of its own, fixed by the size
// of the input. They do depend on rounding and flush-to-zero, which a thread has of its own.

#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>

#include <prefopt/core/config.hpp>

namespace prefopt::inline PREFOPT_ABI {

/// What an executor is asked to run: a reference to a function of a range. Never throws; as cheap
/// to copy as two pointers; valid until the executor returns.
// Addresses are taken by the compilers' own word for std::addressof, because <memory> would be a
// tenth of what including this library costs.
class range_task {
public:
    template <class F>
        requires(!std::same_as<F, range_task> &&
                 std::invocable<const F&, std::ptrdiff_t, std::ptrdiff_t>)
    constexpr range_task(const F& f) noexcept  // NOLINT: implicit by design
        : object_(__builtin_addressof(f)),
          call_([](const void* object, std::ptrdiff_t begin, std::ptrdiff_t end) noexcept {
              (*static_cast<const F*>(object))(begin, end);
          }) {}

    void operator()(std::ptrdiff_t begin, std::ptrdiff_t end) const noexcept {
        call_(object_, begin, end);
    }

private:
    const void* object_;
    void (*call_)(const void*, std::ptrdiff_t, std::ptrdiff_t) noexcept;
};

/// Callable as executor(n, f) with f(begin, end).
template <class E>
concept executes_ranges = std::invocable<E&, std::ptrdiff_t, const range_task&>;

/// An option: serial by default, or a reference to the user's executor, which must outlive the
/// call (a temporary in the call's own argument list does).
class executor {
public:
    constexpr executor() noexcept = default;

    template <class E>
        requires(!std::same_as<std::remove_cvref_t<E>, executor> &&
                 executes_ranges<std::remove_reference_t<E>>)
    constexpr executor(E&& e) noexcept {  // NOLINT: implicit by design
        using target = std::remove_reference_t<E>;
        if constexpr (std::is_function_v<std::remove_pointer_t<target>>) {
            what_.function = reinterpret_cast<void (*)()>(+e);
            call_ = [](target_of_call what, std::ptrdiff_t n, const range_task& f) {
                reinterpret_cast<std::decay_t<target>>(what.function)(n, f);
            };
        } else {
            what_.object = const_cast<void*>(static_cast<const void*>(__builtin_addressof(e)));
            call_ = [](target_of_call what, std::ptrdiff_t n, const range_task& f) {
                (*static_cast<target*>(what.object))(n, f);
            };
        }
    }

    /// Whether work stays on the calling thread.
    [[nodiscard]] constexpr bool serial() const noexcept { return call_ == nullptr; }

    /// Runs f over [0, n).
    void operator()(std::ptrdiff_t n, const range_task& f) const {
        if (serial())
            f(0, n);
        else
            call_(what_, n, f);
    }

private:
    union target_of_call {
        void* object = nullptr;
        void (*function)();
    };

    target_of_call what_{};
    void (*call_)(target_of_call, std::ptrdiff_t, const range_task&) = nullptr;
};

namespace detail {

/// Elements below which splitting costs more than it gains.
inline constexpr std::ptrdiff_t smallest_split = std::ptrdiff_t{1} << 15;

/// f(begin, end) over [0, n), by the executor where `elements`, the size of all the work, is worth
/// it. f must not throw. Split or not, it is the same compiled f: even -ffast-math gives the same
/// bits.
template <class F>
void for_range(const executor& e, std::ptrdiff_t n, std::ptrdiff_t elements, const F& f) {
    const range_task task(f);
    if (e.serial() || n < 2 || elements < smallest_split)
        task(0, n);
    else
        e(n, task);
}

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
