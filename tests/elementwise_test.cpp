// SPDX-License-Identifier: Apache-2.0
//
// log_sigmoid, its derivative and sigmoid of arrays, on every instruction set that can be forced:
// a stratified part of what prefopt_accuracy sweeps, with the classes it visited counted; the value
// in each lane in turn among NaN and infinities; every length to four vectors and three, flush
// against memory that must not be touched; in place; lengths that disagree; flushed subnormals.

#define PREFOPT_GENERIC_SIMD  // before the first header: every set that can be compiled

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "accuracy/report.hpp"
#include "accuracy/sweep.hpp"
#include "support/catch.hpp"
#include "support/guarded.hpp"

namespace {

using namespace test::accuracy;
using prefopt::instruction_set;

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();

/// The three results of one instruction set on an array.
template <class T>
struct answers {
    std::vector<T> value, derivative, sigmoid;
};

template <class T>
answers<T> compute(instruction_set set, const std::vector<T>& x) {
    const forced here(set);
    answers<T> a{std::vector<T>(x.size()), std::vector<T>(x.size()), std::vector<T>(x.size())};
    prefopt::log_sigmoid_and_derivative<T>(x, a.value, a.derivative);
    prefopt::sigmoid<T>(x, a.sigmoid);
    return a;
}

/// Points of every class and every branch, few enough to try each in each lane.
template <class T>
std::vector<T> few_points() {
    using limits = std::numeric_limits<T>;
    std::vector<T> points{T(0), not_a_number<T>, infinity<T>, limits::max()};
    for (const double a : {1e-30, 0.3, 0.6931471805599453, 1.0, 5.5, 20.0, 40.0, 88.75, 103.9,
                           104.1, 708.5, 745.0, 746.0, 1e5})
        points.push_back(static_cast<T>(a));
    if (test::precise) points.push_back(limits::denorm_min());
    const std::size_t n = points.size();
    for (std::size_t i = 0; i < n; ++i) points.push_back(-points[i]);
    return points;
}

template <class T>
bool same(T a, T b) {
    return test::same_bits(a, b) || (prefopt::is_nan(a) && prefopt::is_nan(b));
}

/// The sets whose arithmetic no compiler flag changes.
std::vector<instruction_set> exact_sets() {
    auto sets = instruction_sets();
    if (!test::precise) sets.erase(sets.begin());  // scalar: math_test has its looser bounds
    return sets;
}

}  // namespace

TEMPLATE_TEST_CASE("elementwise: a stratified sweep, within bounds, classes counted",
                   "[elementwise]", float, double) {
    using T = TestType;
    const point_set<T> points(8192);
    const auto sets = exact_sets();
    CHECK(reference_error(points, 2000) < margin<T>);
    workspace<T> room;
    tally found{};
    for (std::uint64_t i = 0; i < points.chunks(); ++i)
        sweep_chunk(points, scattered(i, points.chunks()), sets, room, found);
    CHECK(found.arguments.points >= 200000);
    CHECK(found.arguments.subnormal >= 10);
    CHECK(found.arguments.quiet + found.arguments.signalling >= 10);
    CHECK(complete(points, found, sets));
    CHECK(within_bounds<T>(found, sets));
    for (std::size_t i = 0; i < sets.size(); ++i) {
        CAPTURE(prefopt::to_string(sets[i]));
        for (std::size_t f = 0; f < index(function::softplus); ++f) {
            const classes& got = found.of[i][f].results;
            CAPTURE(function_names[f]);
            if (test::precise) CHECK(got.subnormal > 100);
            CHECK(got.zero > 1000);  // saturated
            CHECK(got.normal > 1000);
        }
        if (sets[i] != instruction_set::avx512) continue;
        for (std::size_t j = 0; j < i; ++j)
            for (std::size_t f = 0; f < function_count; ++f)
                if (sets[j] == instruction_set::avx2) CHECK(found.differs[i][j][f] == 0);
    }
}

TEMPLATE_TEST_CASE("elementwise: a value means the same in every lane, whatever the others hold",
                   "[elementwise]", float, double) {
    using T = TestType;
    constexpr std::size_t lanes = 64;
    const std::vector<std::vector<T>> surroundings{
        {not_a_number<T>},
        {infinity<T>},
        {-infinity<T>},
        {not_a_number<T>, infinity<T>, -infinity<T>, std::numeric_limits<T>::max()}};
    for (const auto set : exact_sets()) {
        std::int64_t wrong = 0, checked = 0;
        for (const T value : few_points<T>()) {
            const auto alone = compute<T>(set, {value});
            const auto wanted = special_value(function::log_sigmoid, value);
            if (wanted && !agrees(alone.value[0], *wanted)) ++wrong;
            for (const auto& others : surroundings)
                for (std::size_t lane = 0; lane < lanes; ++lane) {
                    std::vector<T> x(lanes);
                    for (std::size_t i = 0; i < lanes; ++i) x[i] = others[i % others.size()];
                    x[lane] = value;
                    const auto got = compute(set, x);
                    for (std::size_t i = 0; i < lanes; ++i) {
                        ++checked;
                        if (i == lane)
                            wrong += !same(got.value[i], alone.value[0]) ||
                                     !same(got.derivative[i], alone.derivative[0]) ||
                                     !same(got.sigmoid[i], alone.sigmoid[0]);
                        else if (const auto s = special_value(function::log_sigmoid, x[i]))
                            wrong +=
                                !agrees(got.value[i], *s) ||
                                !agrees(got.derivative[i],
                                        *special_value(function::derivative, x[i])) ||
                                !agrees(got.sigmoid[i], *special_value(function::sigmoid, x[i]));
                    }
                }
        }
        CAPTURE(prefopt::to_string(set));
        CHECK(wrong == 0);
        CHECK(checked > 400000);
    }
}

TEMPLATE_TEST_CASE("elementwise: every length, either end against forbidden memory, in place",
                   "[elementwise]", float, double) {
    using T = TestType;
    constexpr std::size_t longest = 4 * 16 + 3;
    const auto points = few_points<T>();
    for (const auto set : exact_sets()) {
        CAPTURE(prefopt::to_string(set));
        std::int64_t wrong = 0;
        const auto alone = compute(set, points);
        for (std::size_t n = 0; n <= longest; ++n) {
            const test::guarded_memory from(longest * sizeof(T)), to(longest * sizeof(T)),
                beside(longest * sizeof(T));
            for (const bool at_end : {true, false}) {
                const auto place = [&](const test::guarded_memory& m) {
                    return at_end ? m.at_end<T>(n) : m.at_begin<T>();
                };
                T* const x = place(from);
                T* const y = place(to);
                T* const d = place(beside);
                const forced here(set);
                const auto fill = [&] {
                    for (std::size_t i = 0; i < n; ++i) x[i] = points[(i + n) % points.size()];
                };
                const auto compare = [&](const T* got, const std::vector<T>& wanted) {
                    for (std::size_t i = 0; i < n; ++i)
                        wrong += !same(got[i], wanted[(i + n) % points.size()]);
                };
                const std::span<const T> in(x, n);
                fill();
                prefopt::log_sigmoid_and_derivative<T>(in, {y, n}, {d, n});
                compare(y, alone.value);
                compare(d, alone.derivative);
                prefopt::log_sigmoid<T>(in, {y, n});
                compare(y, alone.value);
                prefopt::sigmoid<T>(in, {y, n});
                compare(y, alone.sigmoid);
                prefopt::log_sigmoid<T>(in, {x, n});
                compare(x, alone.value);
                fill();
                prefopt::sigmoid<T>(in, {x, n});
                compare(x, alone.sigmoid);
                fill();
                prefopt::log_sigmoid_and_derivative<T>(in, {x, n}, {d, n});
                compare(x, alone.value);
                compare(d, alone.derivative);
                fill();
                prefopt::log_sigmoid_and_derivative<T>(in, {y, n}, {x, n});
                compare(y, alone.value);
                compare(x, alone.derivative);
            }
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("elementwise: packs give the bits of arrays", "[elementwise]") {
    std::vector<double> x;
    for (int i = -4000; i < 4000; ++i) x.push_back(i * 0.19);
    const auto n = static_cast<std::ptrdiff_t>(x.size());
    std::vector<double> value(x.size()), slope(x.size()), minus(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) minus[i] = -x[i];
    int sets = 0;
    for (const auto set : instruction_sets()) {
        if (set == instruction_set::scalar) continue;  // one lane after the other, of math/
        CAPTURE(prefopt::to_string(set));
        const auto up = compute(set, x), down = compute(set, minus);
        const auto on_packs = [&](const auto& kernel) {
            prefopt::detail::with_set(set, kernel, [] {});
            ++sets;
        };
        on_packs([&](auto level) {
            log_sigmoid_of_packs(level, x.data(), n, value.data(), slope.data());
        });
        CHECK(std::memcmp(value.data(), up.value.data(), x.size() * sizeof(double)) == 0);
        CHECK(std::memcmp(slope.data(), up.derivative.data(), x.size() * sizeof(double)) == 0);
        on_packs(
            [&](auto level) { softplus_of_packs(level, x.data(), n, value.data(), slope.data()); });
        CHECK(std::memcmp(slope.data(), up.sigmoid.data(), x.size() * sizeof(double)) == 0);
        for (double& v : value) v = -v;
        CHECK(std::memcmp(value.data(), down.value.data(), x.size() * sizeof(double)) == 0);
        on_packs([&](auto level) { sigmoid_of_packs(level, x.data(), n, value.data()); });
        CHECK(std::memcmp(value.data(), up.sigmoid.data(), x.size() * sizeof(double)) == 0);
    }
    CHECK(sets == 3 * (static_cast<int>(instruction_sets().size()) - 1));
}

TEMPLATE_TEST_CASE("elementwise: lengths that disagree are refused, and nothing is written",
                   "[elementwise]", float, double) {
    using T = TestType;
    const std::vector<T> x(9, T(1));
    std::vector<T> nine(9, T(7)), eight(8, T(7)), ten(10, T(7));
    const auto refused = [](const char* argument, const auto& call) {
        try {
            call();
            FAIL("accepted");
        } catch (const prefopt::error& e) {
            CHECK(e.code() == prefopt::errc::shape_mismatch);
            CHECK(std::string(e.argument()) == argument);
            CHECK(std::string(e.what()).find("(9)") != std::string::npos);
        }
    };
    for (auto* wrong : {&eight, &ten}) {
        refused("value", [&] { prefopt::log_sigmoid<T>(x, *wrong); });
        refused("value", [&] { prefopt::sigmoid<T>(x, *wrong); });
        refused("value", [&] { prefopt::log_sigmoid_and_derivative<T>(x, *wrong, nine); });
        refused("derivative", [&] { prefopt::log_sigmoid_and_derivative<T>(x, nine, *wrong); });
    }
    for (const auto* untouched : {&nine, &eight, &ten})
        for (const T y : *untouched) CHECK(y == T(7));
}

#if defined(__SSE2__) && !defined(__FAST_MATH__)
TEMPLATE_TEST_CASE("elementwise: with subnormals flushed, only they change", "[elementwise]", float,
                   double) {
    using T = TestType;
    const auto magnitude = [](T x) { return prefopt::detail::magnitude_bits(x); };
    const auto least = magnitude(std::numeric_limits<T>::min());
    std::vector<T> x;
    for (int i = -8000; i < 8000; ++i) x.push_back(static_cast<T>(i) * T(0.1));
    for (const auto set : instruction_sets()) {
        CAPTURE(prefopt::to_string(set));
        const auto usual = compute(set, x);
        const unsigned before = __builtin_ia32_stmxcsr();
        __builtin_ia32_ldmxcsr(before | 0x8040U);  // results and operands to zero
        const auto flushed = compute(set, x);
        __builtin_ia32_ldmxcsr(before);
        int changed = 0, wrong = 0;
        const auto compare = [&](const std::vector<T>& a, const std::vector<T>& b) {
            for (std::size_t i = 0; i < a.size(); ++i) {
                if (test::same_bits(a[i], b[i])) continue;
                ++changed;
                wrong += magnitude(a[i]) > least || magnitude(b[i]) > least;
            }
        };
        compare(usual.value, flushed.value);
        compare(usual.derivative, flushed.derivative);
        compare(usual.sigmoid, flushed.sigmoid);
        CHECK(changed > 100);
        CHECK(wrong == 0);
    }
}
#endif
