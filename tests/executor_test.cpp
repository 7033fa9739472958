// SPDX-License-Identifier: Apache-2.0
//
// Whoever runs the rows - in reverse, one by one, in random pieces, on one to eight threads - the
// results have the bits of the serial call. Nothing is started unasked, small work is not split,
// what an executor throws arrives. The ready-made executors keep the contract of executor.hpp.

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <limits>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <prefopt/executors/openmp.hpp>
#include <prefopt/executors/thread_pool.hpp>
#include <prefopt/log_probs.hpp>

#include "support/catch.hpp"

namespace {

using namespace prefopt;
using ints = std::vector<std::int64_t>;
using number = std::ptrdiff_t;

struct named_executor {
    std::string name;
    std::function<void(number, const range_task&)> run;
};

/// Static ranges on threads of their own, all at once.
void on_threads(number count, number n, const range_task& f) {
    std::vector<std::thread> threads;
    for (number i = 0; i < count; ++i)
        threads.emplace_back([=, &f] { f(n * i / count, n * (i + 1) / count); });
    for (auto& t : threads) t.join();
}

std::vector<named_executor> executors() {
    std::vector<named_executor> all{
        {"in reverse",
         [](number n, const range_task& f) {
             for (number end = n; end > 0; end -= std::min<number>(end, 37))
                 f(std::max<number>(end - 37, 0), end);
         }},
        {"one by one",
         [](number n, const range_task& f) {
             for (number i = 0; i < n; ++i) f(i, i + 1);
         }},
        {"with empty ranges",
         [](number n, const range_task& f) {
             f(0, 0);
             f(n, n);
             f(n / 3, n);
             f(n / 2, n / 2);
             f(0, n / 3);
         }},
        {"in random pieces and order",
         [](number n, const range_task& f) {
             std::mt19937_64 engine(static_cast<std::uint64_t>(n));
             std::set<number> cuts{0, n};
             for (int i = 0; i < 40; ++i)
                 cuts.insert(static_cast<number>(engine() % std::size_t(n)));
             std::vector<std::pair<number, number>> pieces;
             for (auto cut = cuts.begin(); std::next(cut) != cuts.end(); ++cut)
                 pieces.emplace_back(*cut, *std::next(cut));
             std::shuffle(pieces.begin(), pieces.end(), engine);
             for (const auto& [begin, end] : pieces) f(begin, end);
         }},
        {"OpenMP", openmp_executor{}},
    };
    for (const number threads : {1, 2, 3, 5, 8}) {
        const std::string name = std::to_string(threads) + " threads";
        all.push_back({name, [=](number n, const range_task& f) { on_threads(threads, n, f); }});
        const auto pool =
            std::make_shared<thread_pool>(thread_pool_options{static_cast<int>(threads)});
        all.push_back({"a pool of " + name, [=](number n, const range_task& f) { (*pool)(n, f); }});
    }
    return all;
}

/// A batch with everything in it: masked rows, a masked vocabulary, rows that are not numbers.
template <class S>
struct batch {
    number sequences, length, vocab;
    ints offsets{};
    std::vector<S> logits{};
    ints labels{};

    batch(number b, number t, number v, ints o = {})
        : sequences(b), length(t), vocab(v), offsets(o) {
        const bool packed = !offsets.empty();
        const auto rows = static_cast<std::size_t>(packed ? offsets.back() : b * t);
        std::mt19937_64 engine(rows * 31 + static_cast<std::size_t>(vocab));
        std::normal_distribution<double> normal(0, 4);
        logits.resize(rows * static_cast<std::size_t>(vocab));
        for (S& x : logits) detail::store(&x, normal(engine));
        for (std::size_t row = 0; row < rows; ++row)
            labels.push_back(engine() % 5 == 0 ? -1 - static_cast<std::int64_t>(engine() % 100)
                                               : static_cast<std::int64_t>(engine()) &
                                                     std::numeric_limits<std::int64_t>::max() %
                                                         std::int64_t{vocab});
        constexpr double infinity = std::numeric_limits<double>::infinity();
        if (rows < 8) return;
        for (const double x : {infinity, -infinity, 1e30, std::nan("")})
            detail::store(&logits[engine() % logits.size()], x);
    }

    [[nodiscard]] number rows() const { return static_cast<number>(labels.size()); }
    [[nodiscard]] number sums() const {
        return offsets.empty() ? sequences : static_cast<number>(offsets.size()) - 1;
    }
    /// call(logits, labels, gradients): the views of the batch, and the options without executor.
    template <class F>
    void view_of(std::vector<S>& values, const F& call) const {
        if (offsets.empty())
            call(view(values.data(), {sequences, length, vocab}),
                 view(labels.data(), {sequences, length}), sequence_options{});
        else
            call(view(values.data(), {rows(), vocab}), view(labels.data(), {rows()}),
                 sequence_options{.offsets = offsets});
    }
};

/// Everything the three calls return, as bytes.
template <class S>
std::vector<std::byte> results(const batch<S>& b, const executor& e) {
    std::vector<std::byte> bytes;
    const auto append = [&](const auto& values) {
        const auto* p = reinterpret_cast<const std::byte*>(values.data());
        bytes.insert(bytes.end(), p, p + values.size() * sizeof(values[0]));
    };
    const auto append_scores = [&](const auto& scored) {
        append(scored.sum);
        append(scored.count);
        const auto& r = scored.report;
        append(ints{r.rows, r.scored, r.nonfinite, r.empty});
    };
    std::vector<double> coefficients;
    for (number i = 0; i < b.sums(); ++i)
        coefficients.push_back(i % 4 == 3 ? 0.0 : 0.25 * static_cast<double>(i % 7) - 0.6);
    std::vector<S> values = b.logits;
    std::vector<S> gradients(values.size());
    b.view_of(values, [&](const auto& logits, const auto& labels, sequence_options o) {
        o.executor = e;
        append_scores(sequence_log_probs(logits, labels, o));
        b.view_of(gradients, [&](const auto& grad, const auto&, const auto&) {
            sequence_log_probs_backward(logits, labels, coefficients, grad, o);
        });
        append(gradients);
        append_scores(sequence_log_probs_in_place(logits, labels, o));
        append(values);
    });
    return bytes;
}

/// Counts the calls and lets f run.
struct counting_executor {
    int calls = 0;
    number rows = 0;
    void operator()(number n, const range_task& f) {
        ++calls;
        rows += n;
        f(0, n);
    }
};

struct broken_executor {
    void operator()(number, const range_task&) const {
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    }
};

std::size_t running_threads() {
    const std::filesystem::path tasks = "/proc/self/task";
    if (!std::filesystem::exists(tasks)) return 0;
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(tasks), {}));
}

void plain_function(number n, const range_task& f) {
    f(n / 2, n);
    f(0, n / 2);
}

}  // namespace

TEMPLATE_TEST_CASE("no executor changes a bit of the row functions", "[executor]", float, bf16,
                   double) {
    using S = TestType;
    const std::vector<batch<S>> batches{
        {0, 0, 3},
        {3, 0, 5},
        {5, 40, 1000},
        {1, 300, 257},
        {9100, 1, 9},   // three waves of short rows
        {3, 4096, 8},   // a wave is a sequence
        {7, 1999, 16},  // and where it is not
        {0, 0, 600, {0}},
        {0, 0, 600, {0, 100}},
        {0, 0, 700, {0, 0, 3, 3, 3, 90, 140, 140}},
        {0, 0, 8, {0, 4095, 4096, 4096, 4097, 8192, 8192, 12289}},
    };
    const auto all = executors();
    for (const batch<S>& b : batches) {
        const auto serial = results(b, {});
        REQUIRE(serial == results(b, {}));
        for (const named_executor& e : all) {
            CAPTURE(b.sequences, b.length, b.vocab, b.rows(), e.name);
            CHECK((results(b, e.run) == serial));
        }
    }
}

TEST_CASE("a sequence has the same bits wherever it lies", "[executor]") {
    const batch<float> b(6, 1500, 50);
    thread_pool pool({.threads = 3});
    std::vector<float> values = b.logits;
    b.view_of(values, [&](const auto& logits, const auto& labels, sequence_options o) {
        o.executor = pool;
        const auto together = sequence_log_probs(logits, labels, o);
        for (std::size_t i = 0; i < 6; ++i) {
            const auto alone =
                sequence_log_probs(view(&values[i * 1500 * 50], {1500, 50}),
                                   view(&b.labels[i * 1500], {1500}), {.executor = pool});
            CHECK(std::memcmp(&alone.sum[0], &together.sum[i], sizeof(double)) == 0);
            CHECK(alone.count[0] == together.count[i]);
        }
    });
}

TEST_CASE("small work is not split, large work is, and no thread starts unasked", "[executor]") {
    const batch<float> small(4, 1, 1000);
    const batch<float> large(64, 1, 1000);
    const batch<float> one_row(1, 1, 100000);
    const std::size_t threads = running_threads();
    counting_executor count;
    (void)results(small, count);
    (void)results(one_row, count);
    CHECK(count.calls == 0);
    (void)results(large, count);
    CHECK(count.calls == 3);
    CHECK(count.rows == 3 * 64);
    CHECK(running_threads() == threads);

    const view logits(large.logits.data(), {64, 1000});
    const sequence_options o{.executor = count};
    const ints good(64, 999);
    const ints wrong(64, 1000);
    CHECK(prefopt::check(sequence_log_probs, logits, good, o).ok());
    CHECK(prefopt::check(sequence_log_probs, logits, wrong, o).code == errc::label_out_of_range);
    CHECK_THROWS_AS(sequence_log_probs(logits, wrong, o), error);
    CHECK(count.calls == 3);
}

TEST_CASE("what an executor throws reaches the caller", "[executor]") {
    const batch<float> b(64, 1, 1000);
    std::vector<float> values = b.logits;
    b.view_of(values, [&](const auto& logits, const auto& labels, sequence_options o) {
        const broken_executor broken;
        o.executor = broken;
        std::vector<double> sum(64);
        CHECK_THROWS_AS(sequence_log_probs(logits, labels, o), std::system_error);
        CHECK_THROWS_AS(sequence_log_probs.into(logits, labels, {.sum = sum}, o),
                        std::system_error);
        CHECK_THROWS_AS(sequence_log_probs_backward(logits, labels, sum, logits, o),
                        std::system_error);
        CHECK_THROWS_AS(sequence_log_probs_in_place(logits, labels, o), std::system_error);
    });
}

TEST_CASE("anything that can be called is an executor", "[executor]") {
    const batch<float> b(64, 1, 1000);
    const auto serial = results(b, {});
    CHECK(executor{}.serial());
    CHECK((results(b, plain_function) == serial));
    CHECK((results(b, &plain_function) == serial));
    const auto by_value = [](auto n, auto f) { f(0, n); };
    CHECK((results(b, by_value) == serial));
    const auto as_function = [](number n, const std::function<void(number, number)>& f) {
        f(0, n);
    };
    CHECK((results(b, as_function) == serial));
    CHECK((results(b, [](number n, const range_task& f) { f(0, n); }) == serial));
    counting_executor count;
    const executor option = count;
    CHECK_FALSE(option.serial());
    CHECK((results(b, option) == serial));
    CHECK((results(b, executor(option)) == serial));
    CHECK(count.calls == 6);
    STATIC_REQUIRE(executes_ranges<thread_pool>);
    STATIC_REQUIRE(executes_ranges<const openmp_executor>);
    STATIC_REQUIRE_FALSE(std::is_convertible_v<int, executor>);
    STATIC_REQUIRE_FALSE(std::is_convertible_v<const thread_pool&, executor>);
    int sum = 0;
    executor{}(5, [&](number begin, number end) { sum += static_cast<int>(10 * begin + end); });
    CHECK(sum == 5);
}

TEST_CASE("an executor covers its range once", "[executor]") {
    for (const named_executor& e : executors())
        for (const number n : {1, 2, 3, 31, 32, 33, 257, 1000, 4096}) {
            std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
            const auto visit = [&](number begin, number end) {
                for (number i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
            };
            e.run(n, visit);
            CAPTURE(e.name, n);
            CHECK(std::all_of(visits.begin(), visits.end(), [](const auto& v) { return v == 1; }));
        }
    thread_pool pool({.threads = 2});
    pool(0, [](number begin, number end) { CHECK(begin == end); });
}

TEST_CASE("a pool has the threads it was asked for, all at work at once", "[executor]") {
    const std::size_t before = running_threads();
    for (const int threads : {1, 2, 4, 8}) {
        thread_pool pool({.threads = threads});
        CHECK(pool.threads() == threads);
        if (before > 0) CHECK(running_threads() == before + static_cast<std::size_t>(threads) - 1);
        // Every piece waits for all others to have begun, in the caller's rounding mode.
        for (const int rounding : {FE_UPWARD, FE_TONEAREST})
            for (const number pieces : {threads, threads - 1, 2}) {
                if (pieces > threads) continue;
                std::this_thread::sleep_for(std::chrono::milliseconds(5));  // until all sleep
                std::atomic<number> begun{0};
                std::atomic<number> same_rounding{0};
                std::fesetround(rounding);
                pool(pieces, [&](number begin, number end) {
                    begun += end - begin;
                    while (begun < pieces) std::this_thread::yield();
                    if (std::fegetround() == rounding) same_rounding += end - begin;
                });
                std::fesetround(FE_TONEAREST);
                CHECK(same_rounding == pieces);
            }
    }
    if (before > 0) CHECK(running_threads() == before);
    CHECK(thread_pool().threads() >= 1);
    CHECK_THROWS_AS(thread_pool({.threads = -1}), error);
}

TEST_CASE("a call from inside a task, or beside one, is served", "[executor]") {
    thread_pool pool({.threads = 3});
    const batch<float> b(64, 1, 1000);
    const auto serial = results(b, {});
    std::atomic<int> equal{0};
    pool(9, [&](number begin, number end) {
        for (number i = begin; i < end; ++i) equal += results(b, pool) == serial;
    });
    CHECK(equal == 9);

    thread_pool other({.threads = 2});
    pool(9, [&](number begin, number end) {
        for (number i = begin; i < end; ++i)
            other(4, [&](number first, number last) {
                pool(4, [&](number from, number to) { equal += static_cast<int>(to - from); });
                equal += static_cast<int>(last - first);
            });
    });
    CHECK(equal >= 9 + 9 * (4 + 4));

    equal = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i)
        callers.emplace_back([&] {
            for (int k = 0; k < 50; ++k) equal += results(b, pool) == serial;
        });
    for (auto& t : callers) t.join();
    CHECK(equal == 200);
}

TEST_CASE("a pool survives many short calls, and sleeps between them", "[executor]") {
    thread_pool pool({.threads = 4});
    std::atomic<number> sum{0};
    for (number n = 0; n < 20000; ++n)
        pool(n % 7, [&](number begin, number end) { sum += end - begin; });
    number expected = 0;
    for (number n = 0; n < 20000; ++n) expected += n % 7;
    CHECK(sum == expected);
    for (int i = 0; i < 200; ++i) thread_pool({.threads = 3})(2, [](number, number) {});

    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::clock_t before = std::clock();  // of the whole process
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    CHECK(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC < 0.1);
}

TEST_CASE("the README's threads", "[executor]") {
    const std::vector<float> memory(64 * 1000, 0.5F);
    const ints labels(64, 7);
    const view logits(memory.data(), {64, 1000});
    prefopt::thread_pool pool({.threads = 2});  // yours, for as long as you like; 0: every core
    auto scored = prefopt::sequence_log_probs(logits, labels, {.executor = pool});
    CHECK(scored.sum == sequence_log_probs(logits, labels).sum);
}
