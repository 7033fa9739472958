// SPDX-License-Identifier: Apache-2.0
//
// The instruction sets themselves: which there are, what is taken when one is asked for, and every
// operation of each, bit for bit: against the C++ that it stands for, with special values in every
// lane, and against hashes that are the same on every machine, x86-64 and AArch64.

#define PREFOPT_GENERIC_SIMD  // before the first header: every set that can be compiled

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <prefopt/dpo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/log_probs.hpp>
#include <prefopt/simd/elementwise.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"
#include "support/sets.hpp"

// Whoever includes this after one of our headers gets all of it.
#if defined(__x86_64__)
#include <immintrin.h>
static_assert(sizeof(_mm_sha256msg1_epu32(__m128i{}, __m128i{})) == 16);
static_assert(sizeof(_mm512_abs_epi8(__m512i{})) == 64);
#endif

namespace test {
enum class operation {
    add,
    sub,
    mul,
    div,
    fma,
    max,
    nearest,
    fraction,
    magnitude,
    opposite,
    scale,
    scale_exactly,
    less,
    equal,
    not_less,
    between,
    select,
    bits,
    add_where,
    finite,
    count_where,
    thirds,
    split,
    split_exponent,
};
}

#define PREFOPT_KERNELS "support/every_op.inc"
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

namespace {

using prefopt::instruction_set;
using test::operation;

constexpr instruction_set every_set[] = {instruction_set::scalar, instruction_set::generic,
                                         instruction_set::avx2, instruction_set::avx512};

/// The vector sets that can be forced here.
std::vector<instruction_set> vector_sets() {
    auto sets = test::instruction_sets();
    sets.erase(sets.begin());
    return sets;
}

/// Random bits without a library (splitmix64), so that they are the same everywhere.
struct random_bits {
    std::uint64_t state = 0;

    std::uint64_t operator()() {
        std::uint64_t z = state += 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }
    /// In [low, low + 2^24 step), exact in float where low and step are dyadic.
    double number(double low, double step) {
        return low + step * static_cast<double>((*this)() >> 40);
    }
};

template <class T>
auto bits(T x) {
    std::conditional_t<sizeof(T) == 8, std::uint64_t,
                       std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint16_t>>
        b = 0;
    static_assert(sizeof b == sizeof x);
    std::memcpy(&b, &x, sizeof b);
    return b;
}

/// FNV-1a over the bits of numbers.
struct hash {
    std::uint64_t value = 0xcbf29ce484222325U;

    template <class T>
    void add(T x) {
        auto b = static_cast<std::uint64_t>(bits(x));
        for (std::size_t i = 0; i < sizeof(T); ++i, b >>= 8)
            value = (value ^ (b & 0xffU)) * 0x100000001b3U;
    }
};

template <class T>
std::vector<T> applied(instruction_set set, operation op, const std::vector<T>& a,
                       const std::vector<T>& b, const std::vector<T>& c) {
    std::vector<T> to(a.size());
    prefopt::detail::with_set(
        set,
        [&](auto level) {
            apply(level, op, a.data(), b.data(), c.data(), to.data(),
                  static_cast<std::ptrdiff_t>(a.size()));
        },
        [] { FAIL("no vectors"); });
    return to;
}

/// Same bits, or NaN both; under -ffast-math any zero, since C++ itself loses the sign there.
template <class T>
bool same(T a, T b) {
#ifdef __FAST_MATH__
    if (prefopt::is_zero(a) && prefopt::is_zero(b)) return true;
#endif
    return bits(a) == bits(b) || (prefopt::is_nan(a) && prefopt::is_nan(b));
}

template <class T>
bool subnormal(T x) {
    return !prefopt::is_zero(x) &&
           prefopt::detail::magnitude_bits(x) <
               prefopt::detail::magnitude_bits(std::numeric_limits<T>::min());
}

/// False for what -ffast-math flushes to zero, in some operations and on some machines.
template <class T>
bool kept([[maybe_unused]] T x) {
#ifdef __FAST_MATH__
    return !subnormal(x);
#else
    return true;
#endif
}

// Comparisons as -ffast-math leaves them be.
template <class T>
bool less(T x, T y) {
    return !prefopt::is_nan(x) && !prefopt::is_nan(y) && x < y;
}
template <class T>
bool equal(T x, T y) {
    return !prefopt::is_nan(x) && !prefopt::is_nan(y) && x == y;
}

/// Counts the results of `op` that differ from `reference(a, b, c)`.
template <class T, class Reference>
void check_op(operation op, const std::vector<T>& a, const std::vector<T>& b,
              const std::vector<T>& c, const Reference& reference) {
    for (const auto set : vector_sets()) {
        const auto got = applied(set, op, a, b, c);
        std::size_t wrong = 0;
        std::size_t first = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
            if (!kept(a[i]) || !kept(b[i]) || !kept(c[i])) continue;
            const T expected = reference(a[i], b[i], c[i]);
            if (!kept(expected) || same(got[i], expected)) continue;
            if (wrong++ == 0) first = i;
        }
        CAPTURE(prefopt::to_string(set), static_cast<int>(op), first, a[first], b[first], c[first],
                got[first], reference(a[first], b[first], c[first]));
        CHECK(wrong == 0);
    }
}

/// Random numbers of any kind, each special value in each of 64 lanes among them.
template <class T>
std::vector<T> grid(std::uint64_t seed, bool infinities) {
    using limits = std::numeric_limits<T>;
    std::vector<T> specials{T(0),
                            -T(0),
                            T(0.5),
                            T(-0.5),
                            T(1.5),
                            T(2.5),
                            T(-2.5),
                            limits::max(),
                            limits::lowest(),
                            limits::min(),
                            limits::denorm_min(),
                            limits::quiet_NaN()};
    if (infinities) {
        specials.push_back(limits::infinity());
        specials.push_back(-limits::infinity());
    }
    random_bits random{seed};
    std::vector<T> x;
    for (const T special : specials)
        for (std::size_t lane = 0; lane < 64; ++lane)
            for (std::size_t i = 0; i < 64; ++i)
                x.push_back(i == lane ? special : static_cast<T>(random.number(-64, 0x1p-17)));
    return x;
}

/// The same numbers, in another order: specials meet specials.
template <class T>
std::vector<T> rotated(std::vector<T> x, std::size_t by) {
    std::vector<T> y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[(i + by) % x.size()];
    return y;
}

}  // namespace

TEST_CASE("the sets: names, order, what is taken when one is asked for", "[simd][levels]") {
    CHECK(prefopt::has_instruction_set(instruction_set::scalar));
    CHECK(prefopt::has_instruction_set(prefopt::widest_instruction_set()));
    CHECK_FALSE(prefopt::has_instruction_set(static_cast<instruction_set>(77)));
    std::string names;
    auto nearest = instruction_set::scalar;
    for (const auto set : every_set) {
        names += std::string(prefopt::to_string(set)) + " ";
        if (prefopt::has_instruction_set(set)) nearest = set;
        CHECK(prefopt::use_instruction_set(set) == nearest);
        CHECK(prefopt::active_instruction_set() == nearest);
    }
    CHECK(names == "scalar generic avx2 avx512 ");
    CHECK(prefopt::use_instruction_set(static_cast<instruction_set>(77)) == nearest);
    const auto widest = prefopt::widest_instruction_set();
    CHECK(prefopt::use_instruction_set(widest) == widest);
#if defined(__aarch64__)
    CHECK(widest == instruction_set::generic);
#elif defined(__x86_64__)
    CHECK(widest != instruction_set::generic);
#endif
}

TEMPLATE_TEST_CASE("every operation is the C++ that it stands for, in every lane", "[simd][levels]",
                   float, double) {
    using T = TestType;
    const auto a = grid<T>(1, true);
    for (const std::size_t shift : {0U, 1U, 64U, 4097U, 8192U, 12289U}) {
        const auto b = rotated(a, shift);
        const auto c = rotated(a, 3 * shift + 1);
        CAPTURE(shift);
        check_op<T>(operation::add, a, b, c, [](T x, T y, T) { return x + y; });
        check_op<T>(operation::mul, a, b, c, [](T x, T y, T) { return x * y; });
        check_op<T>(operation::sub, a, b, c, [](T x, T y, T) { return x - y; });
        check_op<T>(operation::div, a, b, c, [](T x, T y, T) { return x / y; });
        check_op<T>(operation::max, a, b, c, [](T x, T y, T) { return less(y, x) ? x : y; });
        check_op<T>(operation::less, a, b, c, [](T x, T y, T) { return T(less(x, y)); });
        check_op<T>(operation::equal, a, b, c, [](T x, T y, T) { return T(equal(x, y)); });
        check_op<T>(operation::not_less, a, b, c, [](T x, T y, T) { return T(!less(x, y)); });
        check_op<T>(operation::between, a, b, c,
                    [](T x, T y, T z) { return T(less(x, y) && less(y, z)); });
        check_op<T>(operation::select, a, b, c, [](T x, T y, T z) { return less(x, y) ? y : z; });
        check_op<T>(operation::bits, a, b, c, [](T x, T y, T) { return T(less(x, y)); });
        if constexpr (std::is_same_v<T, double>) {
            check_op<T>(operation::add_where, a, b, c,
                        [](T x, T y, T z) { return (less(x, y) ? y + z : y) + 0; });
        } else {
            check_op<T>(operation::finite, a, b, c,
                        [](T x, T, T) { return T(prefopt::is_finite(x)); });
            check_op<T>(operation::count_where, a, b, c,
                        [](T x, T y, T) { return T(less(x, y) ? 42 : 41); });
            check_op<T>(operation::thirds, a, b, c, [](T x, T, T) {
                return static_cast<T>(static_cast<double>(x) * (1.0 / 3.0));
            });
        }
#ifndef __FAST_MATH__  // where std::fma itself is not exact
        check_op<T>(operation::fma, a, b, c, [](T x, T y, T z) { return std::fma(x, y, z); });
#endif
    }
    check_op<T>(operation::nearest, a, a, a, [](T x, T, T) { return std::nearbyint(x); });
    const auto finite = grid<T>(2, false);
    check_op<T>(operation::fraction, finite, finite, finite,
                [](T x, T, T) { return x - std::nearbyint(x); });
    check_op<T>(operation::magnitude, a, a, a, [](T x, T, T) { return std::fabs(x); });
    check_op<T>(operation::opposite, a, a, a, [](T x, T, T) { return -x; });
}

TEMPLATE_TEST_CASE("scaling by powers of two", "[simd][levels]", float, double) {
    using T = TestType;
    using limits = std::numeric_limits<T>;
    constexpr int reach = limits::max_exponent - 2;
    std::vector<T> m;
    std::vector<T> n;
    random_bits random{3};
    for (int k = -reach; k <= reach; ++k)
        for (std::size_t i = 0; i < 64; ++i) {
            m.push_back(static_cast<T>(random.number(1, 0x1p-24)));
            n.push_back(static_cast<T>(k));
        }
    const auto ldexp = [](T x, T k, T) { return std::ldexp(x, static_cast<int>(k)); };
    check_op<T>(operation::scale, m, n, n, ldexp);
    check_op<T>(operation::scale_exactly, m, n, n, ldexp);
    // Past the ends: what the sum of exponentials relies on.
    for (const auto set : vector_sets()) {
        CAPTURE(prefopt::to_string(set));
        const std::vector<T> one(64, T(1));
        const auto at = [&](T t) {
            return applied(set, operation::scale, one, std::vector<T>(64, t), one)[63];
        };
        CHECK(prefopt::is_zero(at(-limits::infinity())));
        CHECK(prefopt::is_infinite(at(limits::infinity())));
        CHECK(prefopt::is_infinite(at(T(limits::max_exponent))));
        const std::vector<T> nan(64, limits::quiet_NaN());
        CHECK(prefopt::is_nan(applied(set, operation::scale, nan, nan, nan)[0]));
    }
    // Into the subnormal numbers, rounded once, and over the top.
    m.clear();
    n.clear();
    const int deepest = std::is_same_v<T, float> ? -250 : -1100;
    for (int k = deepest; k <= reach + 8; ++k)
        for (std::size_t i = 0; i < 64; ++i) {
            m.push_back(static_cast<T>(random.number(0.5, 0x1p-24)));
            n.push_back(static_cast<T>(k));
        }
    check_op<T>(operation::scale_exactly, m, n, n, ldexp);
}

TEMPLATE_TEST_CASE("16-bit numbers, all of them, and the ties between them", "[simd][levels]",
                   prefopt::bf16, prefopt::fp16) {
    using S = TestType;
    std::vector<S> all(65536);
    for (std::size_t i = 0; i < all.size(); ++i) all[i].bits = static_cast<std::uint16_t>(i);
    std::vector<float> between;
    for (const S s : all) {
        const auto low = bits(static_cast<float>(s));
        const std::uint32_t half = std::is_same_v<S, prefopt::bf16> ? 0x8000U : 0x1000U;
        for (const std::uint32_t b : {low, low + half - 1, low + half, low + half + 1}) {
            float x = 0;
            std::memcpy(&x, &b, sizeof x);
            between.push_back(x);
        }
    }
    for (const auto set : vector_sets()) {
        CAPTURE(prefopt::to_string(set));
        std::vector<float> wide(all.size());
        std::vector<S> narrowed(between.size());
        prefopt::detail::with_set(
            set,
            [&](auto level) {
                widen(level, all.data(), wide.data(), static_cast<std::ptrdiff_t>(all.size()));
                narrow(level, between.data(), narrowed.data(),
                       static_cast<std::ptrdiff_t>(between.size()));
            },
            [] { FAIL("no vectors"); });
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < all.size(); ++i)
            if (!same(wide[i], static_cast<float>(all[i]))) ++wrong;
        CHECK(wrong == 0);
        for (std::size_t i = 0; i < between.size(); ++i) {
            const S expected(between[i]);
            const bool both_nan = prefopt::is_nan(static_cast<float>(expected)) &&
                                  prefopt::is_nan(static_cast<float>(narrowed[i]));
            if (narrowed[i].bits != expected.bits && !both_nan) ++wrong;
        }
        CHECK(wrong == 0);
    }
}

TEST_CASE("doubles: apart into mantissa and exponent, from and to float", "[simd][levels]") {
    random_bits random{5};
    std::vector<double> x{1.0, 2.0, 0.5, 0.75, std::nextafter(0.75, 0.0), 1.5};
    while (x.size() < 6400)
        x.push_back(
            std::ldexp(random.number(1, 0x1p-24), static_cast<int>(random() % 2045) - 1022));
    const auto mantissa = [](double y) {
        int k = 0;
        const double m = std::frexp(y, &k);
        return m < 0.75 ? 2 * m : m;
    };
    check_op<double>(operation::split, x, x, x,
                     [&](double y, double, double) { return mantissa(y); });
    check_op<double>(operation::split_exponent, x, x, x, [&](double y, double, double) {
        return static_cast<double>(std::lrint(std::log2(y / mantissa(y))));
    });
    const auto a = grid<double>(6, true);
    for (const auto set : vector_sets()) {
        std::vector<float> narrowed(a.size());
        std::vector<double> widened(a.size());
        prefopt::detail::with_set(
            set,
            [&](auto level) {
                const auto n = static_cast<std::ptrdiff_t>(a.size());
                narrow(level, a.data(), narrowed.data(), n);
                widen(level, narrowed.data(), widened.data(), n);
            },
            [] { FAIL("no vectors"); });
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < a.size(); ++i) {
            const auto once = static_cast<float>(a[i]);
            if (!same(narrowed[i], once) || !same(widened[i], static_cast<double>(once))) ++wrong;
        }
        CHECK(wrong == 0);
    }
}

// The inputs are made of integers and the kernels use no mathematical function of the C library but
// exact ones, so the bits are the same on every machine that has vectors. Who changes a kernel or
// its constants writes here what the failing test shows.
TEST_CASE("the bits of the row kernels are the same on every machine", "[simd][levels]") {
    struct golden {
        std::uint64_t f32, f64, b16, f16;
    };
    constexpr golden expected{0x09b733b35535034aU, 0x9056e8dfff2e6e04U, 0xdfe1e7a69ad87a6cU,
                              0x5e820dd382b92cc7U};
    const auto hash_of = [](instruction_set set, auto zero) {
        using S = decltype(zero);
        hash h;
        random_bits random{4};
        for (const std::ptrdiff_t vocab : {1, 63, 64, 65, 127, 1000, 2048, 2049, 5003}) {
            std::vector<S> row(static_cast<std::size_t>(vocab));
            // Up to 2^-2: the reference is 2^0, and no result is subnormal.
            for (S& x : row) prefopt::detail::store(&x, random.number(-15.75, 0x1p-20));
            const auto label = static_cast<std::ptrdiff_t>(random() % 1000) % vocab;
            prefopt::detail::base2_sum others;
            CHECK(prefopt::detail::sum_of_exponentials(
                set, prefopt::detail::logits_row<S>{row.data(), 1, vocab, label}, others));
            std::vector<S> direction(row.size());
            prefopt::detail::with_set(
                set,
                [&](auto level) {
                    scaled_exponentials(level, row.data(), 1, direction.data(), 1, vocab, 3.0,
                                        -0.625, false);
                },
                [] { FAIL("no vectors"); });
            h.add(others.sum);
            h.add(others.exponent);
            for (const S x : direction) h.add(x);
        }
        return h.value;
    };
    for (const auto set : vector_sets()) {
        CAPTURE(prefopt::to_string(set));
        CHECK(hash_of(set, float()) == expected.f32);
        CHECK(hash_of(set, double()) == expected.f64);
        CHECK(hash_of(set, prefopt::bf16()) == expected.b16);
        CHECK(hash_of(set, prefopt::fp16()) == expected.f16);
    }
}

// The factor's power of two goes into the last scaling: what that makes subnormal is rounded once,
// and what it makes nothing is +0, whatever the sign of the factor.
TEMPLATE_TEST_CASE("directions are exact and alike on every set, for every ordinary factor",
                   "[simd][levels]", float, double) {
    using T = TestType;
    using limits = std::numeric_limits<T>;
    constexpr std::ptrdiff_t n = 64;
    constexpr std::uint64_t powers = 2 * limits::max_exponent - 4;
    const auto sets = vector_sets();
    random_bits random{8};
    std::int64_t normal = 0, subnormal = 0, zeros = 0, minus_zeros = 0, apart = 0;
    long double worst = 0;
    for (int trial = 0; trial < 4000; ++trial) {
        const int power = static_cast<int>(random() % powers) + 2 - limits::max_exponent;
        const double factor = std::ldexp(random.number(trial % 2 == 0 ? -2 : 1, 0x1p-24), power);
        const double k = static_cast<double>(random() % 41) - 20;
        std::vector<T> row(n);
        for (T& x : row)
            x = static_cast<T>(0.69 * k - random.number(0, 0x1.6p-24) * limits::max_exponent);
        row[0] = -prefopt::detail::infinity_of<T>;
        row[1] = T(-1e30);
        std::vector<std::vector<T>> got;
        for (const auto set : sets) {
            got.emplace_back(row.size());
            prefopt::detail::with_set(
                set,
                [&](auto level) {
                    scaled_exponentials(level, row.data(), 1, got.back().data(), 1, n, k, factor,
                                        false);
                },
                [] { FAIL("no vectors"); });
        }
        for (std::size_t i = 0; i < row.size() && !got.empty(); ++i) {
            const T y = got[0][i];
            for (const auto& other : got)
                if (bits(other[i]) != bits(y)) ++apart;
            if (prefopt::is_zero(y) && prefopt::detail::is_negative(y)) ++minus_zeros;
            constexpr long double log2_e = 1.442695040888963407359924681001892137L;
            const auto x = static_cast<long double>(row[i]);
            const long double want = i < 2 ? 0
                                           : std::exp2(x * log2_e - static_cast<long double>(k)) *
                                                 static_cast<long double>(factor);
            int exponent = 0;
            std::frexp(want, &exponent);
            const int least = limits::min_exponent - limits::digits;
            const long double unit = std::ldexp(1.0L, std::max(exponent - limits::digits, least));
            const bool ordinary = exponent >= limits::min_exponent;
            ++(ordinary ? normal : prefopt::is_zero(y) ? zeros : subnormal);
#ifdef __FAST_MATH__  // flushes subnormal numbers
            if (!ordinary) continue;
#endif
            if (exponent < limits::max_exponent)
                worst = std::max(worst, std::fabs(static_cast<long double>(y) - want) / unit);
        }
    }
    CHECK(apart == 0);
    CHECK(minus_zeros == 0);
    CHECK(static_cast<double>(worst) < 1.5);
    if (sets.empty()) return;
    CHECK((normal > 50000 && zeros > 50000));
#ifndef __FAST_MATH__
    CHECK(subnormal > 1000);
#endif
}

TEST_CASE("the bits of float pairs and answers are the same on every machine", "[simd][levels]") {
    const std::size_t n = 1000;
    random_bits random{6};
    std::vector<float> pc(n), pr(n), rc(n), rr(n);
    std::vector<bool> desirable(n);
    for (std::size_t i = 0; i < n; ++i) {
        const auto log_prob = [&] { return static_cast<float>(random.number(-200, 0x1p-17)); };
        pc[i] = log_prob();
        pr[i] = log_prob();
        rc[i] = log_prob();
        rr[i] = log_prob();
        desirable[i] = random() % 2 == 0;
    }
    pc[3] = std::numeric_limits<float>::max();  // beyond a float on the way
    rc[3] = -pc[3];
    for (const auto set : vector_sets()) {
        CAPTURE(prefopt::to_string(set));
        prefopt::use_instruction_set(set);
        hash h;
        const auto add = [&](const std::vector<float>& x) {
            for (const float y : x) h.add(y);
        };
        const auto pairs = prefopt::dpo{.beta = 0.1}(pc, pr, rc, rr);
        add(pairs.losses);
        add(pairs.grad_chosen);
        add(pairs.chosen_rewards);
        h.add(pairs.loss);
        h.add(pairs.summary.chosen_log_ratio);
        const auto answers = prefopt::kto{.beta = 0.2}(pc, rc, desirable, 0.5);
        add(answers.losses);
        add(answers.grad);
        h.add(answers.loss);
        CHECK(h.value == 0x7653368a5670fe14U);
    }
    prefopt::use_instruction_set(prefopt::widest_instruction_set());
}

TEST_CASE("the bits of the elementwise functions are the same on every machine", "[simd][levels]") {
    const auto hash_of = [](instruction_set set, auto zero, double least, double step) {
        using T = decltype(zero);
        random_bits random{7};
        std::vector<T> x(10007);
        for (T& y : x) y = static_cast<T>(random.number(least, step));
        std::vector<T> value(x.size());
        std::vector<T> derivative(x.size());
        std::vector<T> sigmoid(x.size());
        const auto n = static_cast<std::ptrdiff_t>(x.size());
        prefopt::detail::with_set(
            set,
            [&](auto level) {
                log_sigmoid_array(level, x.data(), n, value.data(), derivative.data());
                sigmoid_array(level, x.data(), n, sigmoid.data());
            },
            [] { FAIL("no vectors"); });
        hash h;
        for (std::size_t i = 0; i < x.size(); ++i) {
            h.add(value[i]);
            h.add(derivative[i]);
            h.add(sigmoid[i]);
        }
        return h.value;
    };
    for (const auto set : vector_sets()) {
        CAPTURE(prefopt::to_string(set));
        CHECK(hash_of(set, float(), -64, 0x1p-17) == 0x900a82d2fbe078bdU);
        CHECK(hash_of(set, double(), -512, 0x1p-14) == 0xd817b1ed291cf5ccU);
    }
}
