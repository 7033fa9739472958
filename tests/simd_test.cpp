// SPDX-License-Identifier: Apache-2.0
//
// The vector kernels, every instruction set that this machine has: against __float128 and against
// each other bit for bit, at every length of a row up to four groups and three, on special values
// in every lane, flush against memory that must not be touched.

#define PREFOPT_GENERIC_SIMD  // before the first header: every set that can be compiled

#include <cmath>
#include <cstring>
#include <limits>
#include <prefopt/log_probs.hpp>
#include <random>
#include <vector>

#include "support/catch.hpp"
#include "support/guarded.hpp"
#include "support/quad.hpp"
#include "support/sets.hpp"

namespace {

using prefopt::instruction_set;
using test::forced;
using test::instruction_sets;
using test::quad;

template <class S>
double widened(const S& x) {
    return static_cast<double>(prefopt::detail::load(&x));
}

template <class S>
struct scored {
    double log_prob;
    std::vector<S> direction;

    friend bool operator==(const scored& a, const scored& b) {
        return std::memcmp(&a.log_prob, &b.log_prob, sizeof(double)) == 0 &&
               a.direction.size() == b.direction.size() &&
               std::memcmp(a.direction.data(), b.direction.data(),
                           a.direction.size() * sizeof(S)) == 0;
    }
};

/// Equal; under -ffast-math, which may regroup the few sums per row that are outside the kernels,
/// to the last place.
template <class S>
bool alike(const scored<S>& a, const scored<S>& b) {
#ifdef __FAST_MATH__
    using T = prefopt::detail::compute_t<S>;
    bool near = a.log_prob == b.log_prob || !prefopt::is_finite(a.log_prob) ||
                std::fabs(a.log_prob - b.log_prob) <= 1e-15 * std::fabs(a.log_prob);
    for (std::size_t i = 0; near && i < a.direction.size(); ++i) {
        const double x = widened(a.direction[i]), y = widened(b.direction[i]);
        const double last = 2 * static_cast<double>(std::numeric_limits<T>::epsilon());
        near = !prefopt::is_finite(x) || std::fabs(x - y) <= last * std::fabs(x);
    }
    return near;
#else
    return a == b;
#endif
}

template <class S>
scored<S> score(instruction_set set, const S* row, std::size_t vocab, std::ptrdiff_t label,
                double coefficient = 1.0) {
    const forced here(set);
    const auto n = static_cast<std::ptrdiff_t>(vocab);
    const auto r = prefopt::detail::row_log_prob<S>(row, n, 1, label);
    scored<S> out{r.log_prob, std::vector<S>(vocab)};
    prefopt::detail::row_direction(row, 1, out.direction.data(), 1, n, label, r, coefficient);
    return out;
}

#ifdef __FAST_MATH__
// Subnormal intermediate results are flushed, and what compensates a rounding is optimised away.
template <class T>
constexpr T smallest = std::numeric_limits<T>::min() * 256;
constexpr double allowance = 16;
#else
template <class T>
constexpr T smallest = std::numeric_limits<T>::min();
constexpr double allowance = 1;
#endif

/// log p(label) and onehot - softmax in quad.
template <class S>
void check_against_quad(const scored<S>& got, const std::vector<S>& row, std::ptrdiff_t label,
                        double budget) {
    const auto y = static_cast<std::size_t>(label);
    quad top = static_cast<quad>(widened(row[0]));
    for (const S& x : row)
        if (static_cast<quad>(widened(x)) > top) top = static_cast<quad>(widened(x));
    quad others = 0;
    for (std::size_t i = 0; i < row.size(); ++i)
        if (i != y) others += expq(static_cast<quad>(widened(row[i])) - top);
    const quad own = expq(static_cast<quad>(widened(row[y])) - top);
    const quad sum = own + others;
    const quad exact = others < own ? -log1pq(others / own) : logq(own / sum);
    using T = prefopt::detail::compute_t<S>;
    CHECK(test::ulps(static_cast<T>(got.log_prob), exact) <= budget * allowance);
    CHECK_FALSE(got.log_prob > 0);
    if constexpr (std::is_same_v<S, T>) {
        double worst = 0;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const quad p = expq(static_cast<quad>(widened(row[i])) - top) / sum;
            const quad g = i == y ? others / sum : -p;
            if (fabsq(g) < static_cast<quad>(smallest<T>)) continue;
            worst = std::fmax(worst, test::ulps(got.direction[i], g));
        }
        CHECK(worst <= budget * allowance);
    }
}

template <class S>
std::vector<S> random_row(std::mt19937_64& random, std::size_t vocab, double deviation,
                          double offset) {
    std::normal_distribution<double> normal(offset, deviation);
    std::vector<S> row(vocab);
    for (S& x : row) prefopt::detail::store(&x, normal(random));
    return row;
}

}  // namespace

TEMPLATE_TEST_CASE("rows of every length, every set, against quad and each other", "[simd]", float,
                   double, prefopt::bf16, prefopt::fp16) {
    std::mt19937_64 random(11);
    const auto sets = instruction_sets();
    for (std::size_t vocab = 1; vocab <= 4 * 64 + 3; ++vocab) {
        const auto row = random_row<TestType>(random, vocab, 3, vocab % 2 == 0 ? 0 : 20);
        const auto label = static_cast<std::ptrdiff_t>(random() % vocab);
        CAPTURE(vocab, label);
        std::vector<scored<TestType>> results;
        for (const auto set : sets) {
            results.push_back(score(set, row.data(), vocab, label));
            check_against_quad(results.back(), row, label, 8);
        }
        for (std::size_t i = 2; i < results.size(); ++i) CHECK(results[i] == results[1]);
    }
}

TEMPLATE_TEST_CASE("long rows, wide spreads, far offsets", "[simd]", float, double) {
    std::mt19937_64 random(12);
    for (const auto set : instruction_sets())
        for (const double deviation : {0.1, 3.0, 20.0})
            for (const double offset : {0.0, 1000.0, -3000.0})
                for (const std::size_t vocab : {2047U, 2048U, 2049U, 9001U}) {
                    auto row = random_row<TestType>(random, vocab, deviation, offset);
                    row[vocab / 2] +=
                        static_cast<TestType>(60);  // a later block far above the first
                    CAPTURE(prefopt::to_string(set), deviation, offset, vocab);
                    const auto label = static_cast<std::ptrdiff_t>(random() % vocab);
                    check_against_quad(score(set, row.data(), vocab, label), row, label, 8);
                }
}

TEST_CASE("confident tokens keep their digits in every set") {
    std::vector<float> row(1000);
    row[0] = 20;
    for (const auto set : instruction_sets())
        CHECK(std::fabs(score(set, row.data(), row.size(), 0).log_prob + 2.05909035e-6) < 1e-14);
}

TEST_CASE("the scalar kernel sums in double: equal logits are exact to its last place") {
    for (const float v : {0.0F, 1.0F, 88.8F, 1e4F, 1e30F, 3e38F, -1.0F, -3e38F}) {
        const std::vector<float> two{v, v};
        const std::vector<float> seventy(70, v);
        CAPTURE(v);
        CHECK(std::fabs(score(instruction_set::scalar, two.data(), 2, 0).log_prob +
                        0.6931471805599453) < 2e-16);
        CHECK(std::fabs(score(instruction_set::scalar, seventy.data(), 70, 3).log_prob +
                        4.248495242049359) < 1e-14);
    }
}

TEMPLATE_TEST_CASE("equal logits of any size are equal tokens", "[simd]", float, double) {
    for (const auto set : instruction_sets())
        for (const double v : {1e6, 8e6, 9.99e6, 1.1e7, 1.3e7, 3e7, 9.9e7, 1e12, -9.9e7, -3e30}) {
            const std::vector<TestType> row(100, static_cast<TestType>(v));
            CAPTURE(v, prefopt::to_string(set));
            const auto got = score(set, row.data(), row.size(), 3);
            CHECK(std::fabs(got.log_prob + 4.605170185988092) < 1e-6);
            for (std::size_t i = 0; i < row.size(); ++i)
                CHECK(std::fabs(static_cast<double>(got.direction[i]) - (i == 3 ? 0.99 : -0.01)) <
                      1e-7);
        }
}

TEST_CASE("special values in every lane mean the same in every set") {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const auto sets = instruction_sets();
    for (std::size_t lane = 0; lane < 67; ++lane) {
        for (const float special : {-infinity, infinity, std::numeric_limits<float>::quiet_NaN(),
                                    -3.4e38F, 3.4e38F, 1e9F, -1e9F}) {
            std::vector<float> row(67, 0.5F);
            row[lane] = special;
            const auto label = static_cast<std::ptrdiff_t>((lane + 5) % 67);
            const auto scalar = score(sets[0], row.data(), row.size(), label);
            for (const auto set : sets) {
                CAPTURE(lane, special, prefopt::to_string(set));
                const auto got = score(set, row.data(), row.size(), label);
                CHECK(prefopt::is_nan(got.log_prob) == prefopt::is_nan(scalar.log_prob));
                CHECK(prefopt::is_infinite(got.log_prob) == prefopt::is_infinite(scalar.log_prob));
                if (prefopt::is_finite(scalar.log_prob)) {
                    CHECK(std::fabs(got.log_prob - scalar.log_prob) <=
                          1e-6 * std::fabs(scalar.log_prob));
                }
                if (!prefopt::is_nan(special) && special < -1e8F) CHECK(got.direction[lane] == 0);
            }
        }
    }
}

TEST_CASE("masked vocabularies: the first block, all but one, all") {
    constexpr float masked = -std::numeric_limits<float>::infinity();
    for (const auto set : instruction_sets()) {
        CAPTURE(prefopt::to_string(set));
        std::vector<float> row(5000, masked);
        row[4000] = 1;
        row[4999] = 2;
        const auto two = score(set, row.data(), row.size(), 4000);
        CHECK(std::fabs(two.log_prob + std::log1p(std::exp(1.0))) < 1e-7);
        CHECK(two.direction[0] == 0);
        row[4999] = masked;
        CHECK(score(set, row.data(), row.size(), 4000).log_prob == 0);
        row[4000] = masked;
        const auto none = score(set, row.data(), row.size(), 4000);
        CHECK(none.log_prob == -std::numeric_limits<double>::infinity());
        for (const float g : none.direction) CHECK(g == 0);
    }
}

TEST_CASE("no byte outside the row is touched, at any length and alignment") {
    for (const auto set : instruction_sets())
        for (std::size_t vocab = 1; vocab <= 4 * 64 + 3; ++vocab) {
            const test::guarded_memory row_memory(vocab * sizeof(float));
            const test::guarded_memory to_memory(vocab * sizeof(float));
            for (const bool at_end : {true, false}) {
                float* row =
                    at_end ? row_memory.at_end<float>(vocab) : row_memory.at_begin<float>();
                float* to = at_end ? to_memory.at_end<float>(vocab) : to_memory.at_begin<float>();
                for (std::size_t i = 0; i < vocab; ++i) row[i] = static_cast<float>(i % 5);
                const forced here(set);
                const auto n = static_cast<std::ptrdiff_t>(vocab);
                const auto r = prefopt::detail::row_log_prob<float>(row, n, 1, n - 1);
                prefopt::detail::row_direction(row, 1, to, 1, n, n - 1, r, 2.0);
                CHECK(prefopt::is_finite(r.log_prob));
            }
        }
}

TEMPLATE_TEST_CASE("rows side by side have the bits of rows alone", "[simd]", float, double,
                   prefopt::bf16, prefopt::fp16) {
    using S = TestType;
    using T = prefopt::detail::compute_t<S>;
    constexpr double infinity = std::numeric_limits<double>::infinity();
    std::mt19937_64 random(14);
    for (const auto set : instruction_sets()) {
        if (set == instruction_set::scalar) continue;
        const forced here(set);
        for (const std::ptrdiff_t count : {1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 64})
            for (const std::ptrdiff_t vocab : {1, 2, 63, 65, 2048, 2049, 4500}) {
                if (count % 16 > 1 && vocab > 2048) continue;
                CAPTURE(prefopt::to_string(set), count, vocab);
                // row by row, and the same tokens side by side with a gap after the last row
                const std::ptrdiff_t gap = count + vocab / 2 % 2;
                std::vector<S> apart(static_cast<std::size_t>(count * vocab));
                const test::guarded_memory side_memory(
                    static_cast<std::size_t>(((vocab - 1) * gap + count)) * sizeof(S));
                S* const side =
                    side_memory.at_end<S>(static_cast<std::size_t>((vocab - 1) * gap + count));
                std::vector<std::ptrdiff_t> labels;
                for (std::ptrdiff_t r = 0; r < count; ++r) {
                    auto row = random_row<S>(random, static_cast<std::size_t>(vocab), 3,
                                             static_cast<double>(r % 5));
                    if (r % 7 == 3 && vocab > 2048) prefopt::detail::store(&row.back(), 90.0);
                    if (r % 7 == 5 && count == 17) prefopt::detail::store(&row[0], infinity);
                    const auto y = random() % static_cast<std::size_t>(vocab);
                    labels.push_back(r % 7 == 6 ? -1 : static_cast<std::ptrdiff_t>(y));
                    for (std::size_t i = 0; r % 7 == 4 && i < row.size() / 2; ++i)
                        if (i != y) prefopt::detail::store(&row[i], -infinity);
                    if (r % 7 == 6 && count > 17)
                        prefopt::detail::store(&row[0], std::numeric_limits<double>::quiet_NaN());
                    for (std::ptrdiff_t i = 0; i < vocab; ++i)
                        apart[static_cast<std::size_t>(r * vocab + i)] = side[i * gap + r] =
                            row[static_cast<std::size_t>(i)];
                }
                const prefopt::detail::row_range<const S> rows{side, 1, gap, count, vocab};
                std::vector<prefopt::detail::row_statistics<T>> got(64);
                std::vector<prefopt::row_partial> partials(64);
                prefopt::detail::row_partials(rows, labels.data(), set, partials.data());
                prefopt::detail::finish_rows(partials.data(), labels.data(), count, set,
                                             got.data());
                const test::guarded_memory aside(static_cast<std::size_t>(gap * vocab + 1) *
                                                 sizeof(S));
                const prefopt::detail::row_range<S> to{aside.at_begin<S>() + vocab / 2 % 3 % 2, 1,
                                                       gap, count, vocab};
                prefopt::detail::row_directions(rows, to, labels.data(), got.data(), 0.5,
                                                vocab % 2 == 0);  // streamed
                const prefopt::detail::row_range<S> in_place{side, 1, gap, count, vocab};
                prefopt::detail::row_directions(rows, in_place, labels.data(), got.data(), 0.5,
                                                false);
                bool same = true;
                for (std::ptrdiff_t r = 0; r < count; ++r) {
                    const auto n = static_cast<std::size_t>(vocab);
                    const std::ptrdiff_t y = labels[static_cast<std::size_t>(r)];
                    scored<S> wanted{0, std::vector<S>(n)};
                    if (y >= 0) wanted = score(set, apart.data() + r * vocab, n, y, 0.5);
                    prefopt::use_instruction_set(set);
                    scored<S> tiled{y < 0 ? 0 : got[static_cast<std::size_t>(r)].log_prob, {}};
                    scored<S> written = tiled;
                    for (std::ptrdiff_t i = 0; i < vocab; ++i) {
                        tiled.direction.push_back(to.data[i * gap + r]);
                        written.direction.push_back(side[i * gap + r]);
                    }
                    same = same && alike(wanted, tiled) && alike(wanted, written);
                }
                CHECK(same);
                bool clean = true;  // between the rows' ends
                for (std::ptrdiff_t i = 0; i < vocab; ++i)
                    for (std::ptrdiff_t r = count; r < gap; ++r)
                        clean = clean && widened(to.data[i * gap + r]) == 0;
                CHECK(clean);
            }
    }
}

TEMPLATE_TEST_CASE("streamed directions have the same bits, at every length and alignment",
                   "[simd]", float, double, prefopt::bf16) {
    using S = TestType;
    std::mt19937_64 random(15);
    for (const auto set : instruction_sets())
        for (std::size_t vocab = 1; vocab <= 4 * 64 + 3; vocab += vocab < 70 ? 1 : 13) {
            const auto row = random_row<S>(random, vocab, 3, 0);
            const auto wanted = score(set, row.data(), vocab, 0, 0.5);
            const forced here(set);
            const auto n = static_cast<std::ptrdiff_t>(vocab);
            const auto r = prefopt::detail::row_log_prob<S>(row.data(), n, 1, 0);
            for (std::size_t shift = 0; shift < 64; shift += alignof(S)) {
                const test::guarded_memory memory(vocab * sizeof(S) + 64);
                auto* const begin = memory.at_end<std::byte>(vocab * sizeof(S) + shift);
                S* const to = reinterpret_cast<S*>(begin);
                prefopt::detail::row_direction(row.data(), 1, to, 1, n, 0, r, 0.5, true);
                CAPTURE(prefopt::to_string(set), vocab, shift);
                CHECK(std::memcmp(to, wanted.direction.data(), vocab * sizeof(S)) == 0);
                for (std::size_t i = 0; i < shift; ++i)
                    CHECK(begin[vocab * sizeof(S) + i] == std::byte{0});
            }
        }
}

TEST_CASE("in place and aside, aligned and not, give the same bits") {
    std::mt19937_64 random(13);
    const std::size_t vocab = 333;
    const auto row = random_row<float>(random, vocab, 3, 0);
    for (const auto set : instruction_sets()) {
#ifdef __FAST_MATH__  // the compiler may order the scalar code's sums by how it inlined them
        if (set == instruction_set::scalar) continue;
#endif
        const auto apart = score(set, row.data(), vocab, 7, -0.25);
        for (std::size_t shift = 0; shift < 16; ++shift) {
            std::vector<float> memory(vocab + 16);
            float* here = memory.data() + shift;
            std::copy(row.begin(), row.end(), here);
            const forced level(set);
            const auto n = static_cast<std::ptrdiff_t>(vocab);
            const auto r = prefopt::detail::row_log_prob<float>(here, n, 1, 7);
            prefopt::detail::row_direction(here, 1, here, 1, n, 7, r, -0.25);
            CHECK(r.log_prob == apart.log_prob);
            CHECK(std::memcmp(here, apart.direction.data(), vocab * sizeof(float)) == 0);
        }
    }
}

TEST_CASE("an instruction set that the machine lacks is not taken") {
    const auto widest = prefopt::widest_instruction_set();
    CHECK(prefopt::use_instruction_set(instruction_set::avx512) <= widest);
    CHECK(prefopt::use_instruction_set(instruction_set::scalar) == instruction_set::scalar);
    CHECK(prefopt::active_instruction_set() == instruction_set::scalar);
    CHECK(prefopt::use_instruction_set(widest) == widest);
}
