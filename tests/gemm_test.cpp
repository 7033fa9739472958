// SPDX-License-Identifier: Apache-2.0
//
// The gemms that come with the library: each does what core/gemm.hpp asks for, for every order of
// its operands, and gives linear_log_probs the numbers of plain loops. Eigen's own matrices, too.

#include <cmath>
#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

#include <prefopt/linear_log_probs.hpp>
#ifdef PREFOPT_TEST_EIGEN
#include <prefopt/adapters/eigen.hpp>
#include <prefopt/adapters/eigen_gemm.hpp>
#endif
#ifdef PREFOPT_TEST_CBLAS
#include <prefopt/adapters/cblas.hpp>
#endif

#include "support/catch.hpp"
#include "support/linear.hpp"

namespace {

using namespace test;

template <class T, class Gemm>
void same_products(const Gemm& gemm) {
    std::mt19937_64 engine(9);
    int tasks = 0;
    for (const idx m : {1, 2, 17})
        for (const idx n : {1, 5, 33})
            for (const idx k : {1, 3, 40})
                for (int bits = 0; bits < 8; ++bits) {
                    const bool ta = (bits & 1) != 0, tb = (bits & 2) != 0;
                    const idx pad = 3, as = (ta ? m : k) + pad, bs = (tb ? k : n) + pad;
                    const auto a = random_matrix<T>(engine, ta ? k : m, as, 1);
                    const auto b = random_matrix<T>(engine, tb ? n : k, bs, 1);
                    auto c = random_matrix<T>(engine, m, n + pad, 1);
                    const bool accumulate = (bits & 4) != 0;
                    for (idx i = 0; !accumulate && i < m; ++i)
                        std::fill_n(&c(i, 0), n, static_cast<T>(not_a_number));
                    auto wanted = c;
                    gemm_task<T> task{m,
                                      n,
                                      k,
                                      {a.data(), as, ta},
                                      {b.data(), bs, tb},
                                      wanted.data(),
                                      n + pad,
                                      accumulate};
                    plain(task);
                    task.c = c.data();
                    gemm(task);
                    CAPTURE(m, n, k, ta, tb, accumulate);
                    bool close = true;
                    for (std::size_t i = 0; i < c.size(); ++i)
                        close = close && std::abs(c.data()[i] - wanted.data()[i]) <=
                                             64 * std::numeric_limits<T>::epsilon();
                    CHECK(close);
                    ++tasks;
                }
    CHECK(tasks == 216);
}

template <class T, class Gemm>
void same_log_probs(const Gemm& gemm) {
    const problem<T> p(300, 24, 2100);
    const auto ours = linear_log_probs(gemm, p.hidden, p.weights, p.labels);
    const auto plainly = linear_log_probs(plain, p.hidden, p.weights, p.labels);
    CHECK(std::abs(ours.sum[0] - plainly.sum[0]) < 1e-6 * std::abs(plainly.sum[0]));
    CHECK(std::abs(sequence_log_probs(p.logits(), p.labels).sum[0] - ours.sum[0]) <
          1e-6 * std::abs(ours.sum[0]));
}

}  // namespace

TEMPLATE_TEST_CASE("a gemm whose slices an executor computes is the same gemm", "[linear]", float,
                   double) {
    int slices = 0;
    const auto backwards = [&](std::ptrdiff_t n, const auto& f) {
        for (; n > 0; --n, ++slices) f(n - 1, n);
    };
    const split_gemm gemm{plain, backwards};
    STATIC_REQUIRE(gemm_for<split_gemm<plain_gemm>, TestType>);
    same_products<TestType>(gemm);
    CHECK(slices == 0);  // too small to split
    std::mt19937_64 engine(10);
    for (const auto& [m, n] : {std::pair<idx, idx>{70, 700}, {700, 70}, {256, 256}})
        for (int bits = 0; bits < 4; ++bits) {
            const bool ta = (bits & 1) != 0, tb = (bits & 2) != 0;
            const auto a = random_matrix<TestType>(engine, ta ? 3 : m, ta ? m : 3, 1);
            const auto b = random_matrix<TestType>(engine, tb ? n : 3, tb ? 3 : n, 1);
            tensor<TestType, 2> c({m, n}), wanted({m, n});
            gemm_task<TestType> task{
                m, n, 3, {a.data(), ta ? m : 3, ta}, {b.data(), tb ? 3 : n, tb}, wanted.data(), n};
            plain(task);
            task.c = c.data();
            gemm(task);
            CHECK(same_bits(c, wanted));
        }
    CHECK(slices == 4 * (11 + 11 + 4));
    same_log_probs<TestType>(gemm);
}

#ifdef PREFOPT_TEST_CBLAS
TEMPLATE_TEST_CASE("CBLAS is a gemm", "[linear]", float, double) {
    same_products<TestType>(cblas_gemm);
    same_log_probs<TestType>(cblas_gemm);
}
#endif
#ifdef PREFOPT_TEST_EIGEN
TEMPLATE_TEST_CASE("Eigen is a gemm", "[linear]", float, double) {
    same_products<TestType>(eigen_gemm);
    same_log_probs<TestType>(eigen_gemm);
}

TEST_CASE("Eigen's matrices of either order, and what comes back", "[linear]") {
    using column_major = Eigen::MatrixXf;
    const problem<float> p(20, 4, 150);
    column_major hidden(20, 4), weights(150, 4), gh(20, 4);
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> gw(150, 4);
    for (idx i = 0; i < 20; ++i)
        for (idx k = 0; k < 4; ++k) hidden(i, k) = p.hidden(i, k);
    for (idx j = 0; j < 150; ++j)
        for (idx k = 0; k < 4; ++k) weights(j, k) = p.weights(j, k);
    const auto r = linear_log_probs(eigen_gemm, hidden, weights, p.labels);
    STATIC_REQUIRE(std::is_same_v<std::remove_cvref_t<decltype(r.sum)>, Eigen::VectorXd>);
    const auto plainly = linear_log_probs(plain, p.hidden, p.weights, p.labels);
    CHECK(std::abs(r.sum(0) - plainly.sum[0]) < 1e-6 * std::abs(plainly.sum[0]));
    linear_log_probs_backward(eigen_gemm, hidden, weights, p.labels, std::vector{1.0},
                              {.hidden = gh, .weights = gw}, {.partials = r.partials});
    tensor<float, 2> gh2({20, 4}), gw2({150, 4});
    linear_log_probs_backward(plain, p.hidden, p.weights, p.labels, std::vector{1.0},
                              {.hidden = gh2, .weights = gw2});
    bool close = true;
    for (idx k = 0; k < 4; ++k) {
        for (idx i = 0; i < 20; ++i) close = close && std::abs(gh(i, k) - gh2(i, k)) < 1e-5F;
        for (idx j = 0; j < 150; ++j) close = close && std::abs(gw(j, k) - gw2(j, k)) < 1e-5F;
    }
    CHECK(close);
}

TEST_CASE("a training step without logits", "[linear]") {
    const problem<float> p(12, 5, 90);
    const tensor<float, 2>&hidden = p.hidden, &weights = p.weights;
    const ints &labels = p.labels, offsets{0, 6, 12};
    const std::vector<double> grad_sum{0.5, -0.5};
    tensor<float, 2> grad_hidden({12, 5}), grad_weights({90, 5});

    auto scored = prefopt::linear_log_probs(prefopt::eigen_gemm, hidden, weights, labels,
                                            {.offsets = offsets});
    prefopt::linear_log_probs_backward(prefopt::eigen_gemm, hidden, weights, labels, grad_sum,
                                       {.hidden = grad_hidden, .weights = grad_weights},
                                       {.offsets = offsets, .partials = scored.partials});

    const auto logits = p.logits();
    const auto whole = sequence_log_probs(logits, labels, {.offsets = offsets});
    tensor<float, 2> direction({12, 90}), expected({12, 5});
    sequence_log_probs_backward(logits, labels, grad_sum, direction, {.offsets = offsets});
    plain(gemm_task<float>{
        12, 5, 90, {direction.data(), 90, false}, {weights.data(), 5, false}, expected.data(), 5});
    for (std::size_t b = 0; b < 2; ++b)
        CHECK(std::abs(scored.sum[b] - whole.sum[b]) < 1e-6 * std::abs(whole.sum[b]));
    for (std::size_t i = 0; i < expected.size(); ++i)
        CHECK(std::abs(grad_hidden.data()[i] - expected.data()[i]) < 1e-5F);
}
#endif
