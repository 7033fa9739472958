// SPDX-License-Identifier: Apache-2.0
//
// Every kind of tensor gives the bits that plain memory gives, and what comes back is of the first
// argument's family: containers, spans, C arrays, strided views, types of the user's own, and
// Eigen in all its forms, expressions (evaluated once) included. Every loss, scalar and fault
// through them is the table's matter (table_test.cpp and the like).

#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include <prefopt/prefopt.hpp>
#ifdef PREFOPT_TEST_EIGEN
#include <prefopt/adapters/eigen.hpp>
#endif

#include "support/backends/kernels.hpp"
#include "support/catch.hpp"

namespace mine {

/// As little as an adapter needs; what comes back is a std::vector.
template <class S>
struct box {
    std::vector<S> values;
};
/// A vector and a column-major matrix that want results in their own family.
template <class S>
struct column : box<S> {};
template <class S>
struct grid {
    std::vector<S> values;
    std::ptrdiff_t rows, columns;
};

}  // namespace mine

template <class S>
struct prefopt::adapter<mine::box<S>> {
    static constexpr std::size_t rank = 1;
    static auto view(auto& t) { return prefopt::view{t.values.data(), {t.values.size()}}; }
};
template <class S>
struct prefopt::adapter<mine::column<S>> : prefopt::adapter<mine::box<S>> {
    template <class U>
    static auto make_like(const mine::column<S>&, std::array<std::ptrdiff_t, 1> n) {
        return mine::column<U>{{std::vector<U>(static_cast<std::size_t>(n[0]))}};
    }
};
template <class S>
struct prefopt::adapter<mine::grid<S>> {
    static constexpr std::size_t rank = 2;
    static auto view(auto& t) {
        return prefopt::view(t.values.data(), {t.rows, t.columns}, {std::ptrdiff_t{1}, t.rows});
    }
    template <class U, std::size_t R>
    static auto make_like(const mine::grid<S>&, std::array<std::ptrdiff_t, R> n) {
        if constexpr (R == 1)
            return mine::column<U>{{std::vector<U>(static_cast<std::size_t>(n[0]))}};
        else
            return mine::grid<U>{std::vector<U>(static_cast<std::size_t>(n[0] * n[1])), n[0], n[1]};
    }
};

namespace {

using namespace prefopt;
template <class T>
struct expect {};  ///< the family that should come back

constexpr std::size_t n = 5, rows = 3, columns = 4;

template <class S>
std::vector<S> random_values(std::uint64_t seed, std::size_t count) {
    std::mt19937_64 engine(seed);
    std::normal_distribution<double> normal(-2, 3);
    std::vector<S> x(count);
    for (S& v : x) detail::store(&v, normal(engine));
    return x;
}

/// The elements of any tensor, row by row.
template <class T>
auto flat(const T& t) {
    const auto v = adapter<T>::view(t);
    std::vector<std::remove_cv_t<typename std::remove_cv_t<decltype(v)>::element_type>> out;
    if constexpr (adapter<T>::rank == 1)
        for (std::ptrdiff_t i = 0; i < v.extents[0]; ++i) out.push_back(v(i));
    else
        for (std::ptrdiff_t i = 0; i < v.size(); ++i)
            out.push_back(v(i / v.extents[1], i % v.extents[1]));
    return out;
}

template <class A, class B>
bool same(const A& a, const B& b) {
    const auto x = flat(a);
    const auto y = flat(b);
    static_assert(sizeof x[0] == sizeof y[0]);
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof x[0]) == 0;
}
template <class A, class B>
bool same_pairs(const A& a, const B& b) {
    return a.loss == b.loss && same(a.losses, b.losses) && same(a.grad_chosen, b.grad_chosen) &&
           same(a.grad_rejected, b.grad_rejected) && same(a.chosen_rewards, b.chosen_rewards) &&
           same(a.rejected_rewards, b.rejected_rewards);
}
template <class A, class B>
bool same_answers(const A& a, const B& b) {
    return a.loss == b.loss && same(a.losses, b.losses) && same(a.grad, b.grad) &&
           same(a.rewards, b.rewards);
}

#ifdef PREFOPT_TEST_EIGEN
template <class S>
struct eigen_scalar {
    using type = S;
};
template <>
struct eigen_scalar<fp16> {
    using type = Eigen::half;
};
template <>
struct eigen_scalar<bf16> {
    using type = Eigen::bfloat16;
};

template <class M, class S>
M eigen(const std::vector<S>& x, Eigen::Index r, Eigen::Index c) {
    M m(r, c);
    for (Eigen::Index i = 0; i < r * c; ++i)
        m(i / c, i % c) =
            static_cast<typename M::Scalar>(detail::load(&x[static_cast<std::size_t>(i)]));
    return m;
}
#endif

/// Calls f(tensor, expect<family>) with x in every family of vectors.
template <class S, class F>
void for_each_vector(const std::vector<S>& x, const F& f) {
    using R = result_scalar_t<S>;
    using plain = std::vector<R>;
    std::array<S, n> array;
    S c_array[n];
    tensor<S, 1> owned({n});
    std::vector<S> spread(64);
    for (std::size_t i = 0; i < n; ++i)
        array[i] = c_array[i] = owned(i) = spread[3 * i] = spread[63 - 2 * i] = x[i];
    f(x, expect<plain>{});
    f(std::span<const S>(x), expect<plain>{});
    f(array, expect<std::array<R, n>>{});
    f(c_array, expect<std::array<R, n>>{});
    f(owned, expect<plain>{});
    f(view(spread.data(), {n}, {3}), expect<plain>{});
    f(view(spread.data() + 63, {n}, {-2}), expect<plain>{});
    f(mine::box<S>{x}, expect<plain>{});
    f(mine::column<S>{{x}}, expect<mine::column<R>>{});
#ifdef PREFOPT_TEST_EIGEN
    using E = typename eigen_scalar<S>::type;
    using V = Eigen::Matrix<E, Eigen::Dynamic, 1>;
    using VR = Eigen::Matrix<R, Eigen::Dynamic, 1>;
    using RowR = Eigen::Matrix<R, 1, Eigen::Dynamic>;
    const V v = eigen<V>(x, n, 1);
    f(v, expect<VR>{});
    f(Eigen::Ref<const V>(v), expect<VR>{});
    f(v.transpose(), expect<RowR>{});
    f(v.array(), expect<Eigen::Array<R, Eigen::Dynamic, 1>>{});
    f(v + V::Zero(n), expect<VR>{});
    f((v * E(2)) / E(2), expect<VR>{});
    f(eigen<Eigen::Array<E, Eigen::Dynamic, 1>>(x, n, 1),
      expect<Eigen::Array<R, Eigen::Dynamic, 1>>{});
    f(eigen<Eigen::Matrix<E, 1, Eigen::Dynamic>>(x, 1, n), expect<RowR>{});
    f(eigen<Eigen::Matrix<E, 5, 1>>(x, n, 1), expect<Eigen::Matrix<R, 5, 1>>{});
    const V far = eigen<V>(spread, 64, 1);
    f(Eigen::Map<const V, 0, Eigen::InnerStride<>>(far.data(), n, Eigen::InnerStride<>(3)),
      expect<VR>{});
    using C = Eigen::Matrix<E, Eigen::Dynamic, Eigen::Dynamic>;
    using W = Eigen::Matrix<E, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    C tall = C::Zero(n, 3);
    tall.col(1) = v;
    const W wide = tall.transpose(), tall_rows = tall;
    f(tall.col(1), expect<VR>{});
    f(tall_rows.col(1), expect<VR>{});
    f(wide.row(1), expect<RowR>{});
    f(C(wide).row(1), expect<RowR>{});
    f(tall.block(0, 1, n, 1).col(0), expect<VR>{});
#endif
}

/// Calls f(tensor, expect<matrix family>, expect<vector family>) with x in every family.
template <class S, class F>
void for_each_matrix(const std::vector<S>& x, const F& f) {
    using R = result_scalar_t<S>;
    const expect<tensor<R, 2>> matrix;
    const expect<std::vector<R>> vector;
    S c_array[rows][columns];
    tensor<S, 2> owned({rows, columns});
    mine::grid<S> grid{std::vector<S>(rows * columns), rows, columns};
    std::vector<S> padded(128);
    const view backwards(padded.data() + 127, {rows, columns}, {-20, -3});
    for (std::size_t i = 0; i < rows * columns; ++i) {
        const std::size_t r = i / columns, c = i % columns;
        c_array[r][c] = owned(r, c) = grid.values[c * rows + r] = backwards(r, c) = x[i];
    }
    f(c_array, matrix, vector);
    f(owned, matrix, vector);
    f(view(x.data(), {rows, columns}), matrix, vector);
    f(view(grid.values.data(), {rows, columns}, {std::size_t{1}, rows}), matrix, vector);
    f(backwards, matrix, vector);
    f(grid, expect<mine::grid<R>>{}, expect<mine::column<R>>{});
#ifdef PREFOPT_TEST_EIGEN
    using E = typename eigen_scalar<S>::type;
    constexpr auto D = Eigen::Dynamic;
    using C = Eigen::Matrix<E, D, D>;
    using W = Eigen::Matrix<E, D, D, Eigen::RowMajor>;
    const expect<Eigen::Matrix<R, D, D>> column_major;
    const expect<Eigen::Matrix<R, D, D, Eigen::RowMajor>> row_major;
    const expect<Eigen::Matrix<R, D, 1>> v;
    const C m = eigen<C>(x, rows, columns);
    const W w = m;
    C large = C::Zero(8, 8);
    large.block(2, 3, rows, columns) = m;
    const W large_rows = large;
    f(m, column_major, v);
    f(w, row_major, v);
    const Eigen::Ref<const C, 0, Eigen::OuterStride<>> part = large.block(2, 3, rows, columns);
    f(part, column_major, v);
    f(large.block(2, 3, rows, columns), column_major, v);
    f(large_rows.block(2, 3, rows, columns), row_major, v);
    f(C(m.transpose()).transpose(), row_major, v);
    f(m + C::Zero(rows, columns), column_major, v);
    f((w * E(2)) / E(2), row_major, v);
    f(m.array(), expect<Eigen::Array<R, D, D>>{}, expect<Eigen::Array<R, D, 1>>{});
    f(eigen<Eigen::Matrix<E, 3, 4>>(x, rows, columns), expect<Eigen::Matrix<R, 3, 4>>{}, v);
    using any_stride = Eigen::Stride<D, D>;
    f(Eigen::Map<const W, 0, any_stride>(large_rows.data() + 19, rows, columns, any_stride(8, 1)),
      row_major, v);
#endif
}

}  // namespace

TEMPLATE_TEST_CASE("pairs and single answers: the same bits from every vector", "[backends]", float,
                   bf16) {
    using S = TestType;
    const auto a = random_values<S>(1, n), b = random_values<S>(2, n), c = random_values<S>(3, n),
               d = random_values<S>(4, n);
    const std::vector<std::int32_t> counts{1, 2, 3, 4, 5}, flags{1, 0, 0, 1, 1};
    const dpo loss{.beta = 0.3, .label_smoothing = 0.1};
    const pairwise_options averages{.chosen_counts = counts, .rejected_counts = flags};
    const auto pairs = loss(a, b, c, d);
    const auto scores = bradley_terry{}(a, b);
    const auto answers = kto{}(a, b, flags, 0.25);
    CHECK_FALSE(same(pairs.losses, loss(b, a, c, d).losses));  // the comparison can fail
    int families = 0;
    for_each_vector(a, [&]<class R>(const auto& t, expect<R>) {
        const auto r = loss(t, b, c, d);
        STATIC_REQUIRE(std::is_same_v<std::remove_cv_t<decltype(r.losses)>, R>);
        STATIC_REQUIRE(std::is_same_v<decltype(kto{}(t, b, flags, 0.25).grad), R>);
        CAPTURE(++families);
        CHECK(same_pairs(r, pairs));
        CHECK(same_pairs(bradley_terry{}(t, b), scores));
        CHECK(same_answers(kto{}(t, b, flags, 0.25), answers));
        CHECK(kl_estimate(t, b) == kl_estimate(a, b));
    });
    for_each_vector(d, [&](const auto& t, auto) {
        CHECK(same_pairs(loss(a, b, c, t), pairs));
        const auto s = prefopt::check(ipo_averaged{}, a, b, c, t, averages);  // a count of 0
        CHECK((s.code == errc::empty_sequence && s.index == 1));
        const auto wrong = prefopt::check(loss, a, b, std::vector<S>(4), t);
        CHECK(wrong.message() == prefopt::check(loss, a, b, std::vector<S>(4), d).message());
    });
    CHECK(families >= 10);
}

TEMPLATE_TEST_CASE("rankings and logits: the same bits from every matrix", "[backends]", float,
                   bf16) {
    using S = TestType;
    const auto x = random_values<S>(7, rows * columns), y = random_values<S>(8, rows * columns);
    const view plain(x.data(), {rows, columns}), reference(y.data(), {rows, columns});
    const int order[rows][columns] = {{3, 0, 1, 2}, {0, 1, 2, 3}, {2, 3, 0, 1}};
    const int broken[rows][columns] = {{3, 0, 1, 2}, {0, 1, 1, 3}, {2, 3, 0, 1}};
    const std::vector<std::uint8_t> labels{3, 0, 2}, offsets{0, 1, 3};
    const plackett_luce_dpo loss{.beta = 0.7};
    const auto ranked = loss(plain, reference, order);
    const auto scored = sequence_log_probs(plain, labels, {.offsets = offsets});
    std::vector<S> grad(rows * columns), in_place = x;
    const std::vector<float> k{0.5F, -2};
    sequence_log_probs_backward(plain, labels, k, view(grad.data(), {rows, columns}),
                                {.offsets = offsets});
    sequence_log_probs_in_place(view(in_place.data(), {rows, columns}), labels);
    int families = 0;
    for_each_matrix(x, [&]<class M, class V>(const auto& t, expect<M>, expect<V>) {
        CAPTURE(++families);
        const auto r = loss(t, reference, order);
        STATIC_REQUIRE(std::is_same_v<std::remove_cv_t<decltype(r.grad)>, M>);
        STATIC_REQUIRE(std::is_same_v<std::remove_cv_t<decltype(r.losses)>, V>);
        CHECK(same_answers(r, ranked));
        const auto bad = prefopt::check(loss, t, reference, broken);
        CHECK((bad.code == errc::not_permutation && bad.index == 6));

        const auto s = sequence_log_probs(t, labels, {.offsets = offsets});
        CHECK((same(s.sum, scored.sum) && same(s.count, scored.count)));
        std::vector<S> g(rows * columns);
        sequence_log_probs_backward(t, labels, k, view(g.data(), {rows, columns}),
                                    {.offsets = offsets});
        CHECK(same(g, grad));
        const auto range = prefopt::check(sequence_log_probs, t, std::array{0, 4, 7});
        CHECK((range.code == errc::label_out_of_range && range.index == 1));
        if constexpr (requires { sequence_log_probs_in_place(std::declval<M&>(), labels); } &&
                      sizeof(S) >= 4) {       // results are wider than 16 bits: another rounding
            M own = loss(t, reference).grad;  // of the right shape and storage order
            const auto to = adapter<M>::view(own);
            for (std::size_t i = 0; i < rows * columns; ++i) to(i / columns, i % columns) = x[i];
            sequence_log_probs_in_place(own, labels);
            CHECK(same(own, view(in_place.data(), {rows, columns})));
        }
    });
    CHECK(families >= 6);
    const tensor<S, 3> deep({2, 3, 4});
    const S nested[2][3][4]{};
    const int next[2][3] = {{0, 1, 2}, {3, -1, -1}};
    CHECK(same(sequence_log_probs(deep, next).sum, sequence_log_probs(nested, next).sum));
    CHECK(sequence_log_probs(nested, next).count == std::vector<std::int64_t>{3, 1});
}

TEST_CASE("weights, counts and flags may be of any type and family", "[backends]") {
    const auto a = random_values<float>(1, n), b = random_values<float>(2, n);
    const std::vector<double> w{0.5, 0, 2, 1, 4};
    const auto weighted = [&](const auto& t) {
        return same_pairs(dpo{}(a, b, b, a, {.weights = t}), dpo{}(a, b, b, a, {.weights = w}));
    };
    CHECK(weighted(std::array{0.5F, 0.0F, 2.0F, 1.0F, 4.0F}));
    const float list[] = {0.5F, 9, 0, 9, 2, 9, 1, 9, 4};
    CHECK(weighted(view(list, {5}, {2})));
    const std::vector<bf16> small{bf16(0.5F), bf16(0), bf16(2), bf16(1), bf16(4)};
    CHECK(weighted(std::span(small)));
    CHECK_FALSE(weighted(std::array{0.5, 0.5, 2.0, 1.0, 4.0}));

    const auto flagged = [&](const auto& t) {
        const std::vector<int> f{1, 0, 0, 1, 1};
        return same_answers(kto{}(a, b, t, 0.1), kto{}(a, b, f, 0.1));
    };
    const bool raw[] = {true, false, false, true, true};
    CHECK(flagged(raw));
    CHECK(flagged(std::span(raw)));
    CHECK(flagged(std::vector<bool>{true, false, false, true, true}));
    const std::uint8_t bits[] = {1, 0, 0, 2, 255};
    CHECK(flagged(std::as_bytes(std::span(bits))));
    CHECK(flagged(std::vector<std::uint64_t>{1, 0, 0, 1ULL << 40, ~0ULL}));
    CHECK(flagged(std::vector<short>{-1, 0, 0, 256, 1}));
    CHECK_FALSE(flagged(std::vector<bool>{true, false, true, true, true}));
    bool odd[5];  // what a mask of another library may hold: any byte but 0 means true
    const unsigned char bytes[] = {190, 0, 0, 2, 128};
    std::memcpy(odd, bytes, sizeof odd);
    CHECK(flagged(odd));
#ifdef PREFOPT_TEST_EIGEN
    const Eigen::VectorXf ew = Eigen::Map<const Eigen::VectorXd>(w.data(), n).cast<float>();
    CHECK(weighted(ew));
    CHECK(weighted(ew.transpose()));
    Eigen::Array<bool, Eigen::Dynamic, 1> eb(n);
    eb << true, false, false, true, true;
    CHECK(flagged(eb));
    const Eigen::VectorXi next = Eigen::VectorXi::LinSpaced(n, 1, 5);
    CHECK(same(shift_labels(next), shift_labels(std::vector<int>{1, 2, 3, 4, 5})));
    STATIC_REQUIRE(std::is_same_v<decltype(shift_labels(next)), Eigen::VectorXi>);
#endif
}

#ifdef PREFOPT_TEST_EIGEN
TEST_CASE("an Eigen expression is evaluated once, and its value outlives the call", "[backends]") {
    int evaluations = 0;
    const auto counting = [&](float x) {
        ++evaluations;
        return x;
    };
    const Eigen::VectorXf a = Eigen::VectorXf::LinSpaced(5, -3, 1), zero = Eigen::VectorXf::Zero(5);
    const auto plain = dpo{}(a, zero, zero, zero);
    CHECK(same_pairs(dpo{}(a.unaryExpr(counting), zero, zero, zero), plain));
    CHECK(evaluations == 5);
    CHECK(same_pairs(dpo{}(Eigen::VectorXf(2 * a) - Eigen::VectorXf(a), zero, zero * 1, zero),
                     plain));  // of temporaries
    const auto m = eigen<Eigen::MatrixXf>(random_values<float>(9, 24), 4, 6);
    evaluations = 0;
    const auto scored = sequence_log_probs(m.unaryExpr(counting), Eigen::VectorXi::Zero(4));
    CHECK(evaluations == 24);
    CHECK(same(scored.sum, sequence_log_probs(m, std::vector{0, 0, 0, 0}).sum));
    Eigen::MatrixXf g(4, 6);
    sequence_log_probs_backward(m * 1, Eigen::VectorXi::Zero(4), Eigen::VectorXf::Ones(1), g);
    CHECK(std::abs(g.sum()) < 1e-6F);
    evaluations = 0;
    plackett_luce_dpo{}(m.unaryExpr(counting), m * 1);
    CHECK(evaluations == 24);
}
#endif
