// SPDX-License-Identifier: Apache-2.0
//
// The checks that the library offers to others: they pass what is right, and complain of adapters
// and formulas that are wrong in the usual ways.

#include <array>
#include <cstddef>
#include <prefopt/prefopt.hpp>
#include <prefopt/testing/conformance.hpp>
#include <prefopt/testing/gradient.hpp>
#include <string>
#include <vector>

#include "support/catch.hpp"

#ifdef PREFOPT_TEST_EIGEN
#include <Eigen/Core>
#include <prefopt/adapters/eigen.hpp>
#endif

namespace {

struct honest {
    std::vector<float> storage = std::vector<float>(6);
};
struct forgetful {  // hands out a copy when it is const
    std::vector<float> storage = std::vector<float>(6);
    std::vector<float> copy = std::vector<float>(6);
};
struct shifted {  // forgets its own offset when it is const
    std::vector<float> storage = std::vector<float>(8);
};

/// A pairwise loss with the sign of one derivative wrong.
struct wrong_sign : prefopt::dpo {
    template <class T>
    prefopt::pair_term<T> term(const T& chosen, const T& rejected) const {
        auto t = prefopt::dpo::term(chosen, rejected);
        t.d_rejected = -t.d_rejected;
        return t;
    }
};

}  // namespace

template <>
struct prefopt::adapter<honest> {
    static constexpr std::size_t rank = 1;
    static auto view(auto& t) { return prefopt::view{t.storage.data(), {t.storage.size()}}; }
};
template <>
struct prefopt::adapter<forgetful> {
    static constexpr std::size_t rank = 1;
    static auto view(forgetful& t) { return prefopt::view{t.storage.data(), {6}}; }
    static auto view(const forgetful& t) { return prefopt::view{t.copy.data(), {6}}; }
};
template <>
struct prefopt::adapter<shifted> {
    static constexpr std::size_t rank = 1;
    static auto view(shifted& t) { return prefopt::view{t.storage.data() + 1, {6}}; }
    static auto view(const shifted& t) { return prefopt::view{t.storage.data(), {7}}; }
};

TEST_CASE("conformance passes honest adapters and leaves the sample as it was") {
    honest sample;
    for (std::size_t i = 0; i < sample.storage.size(); ++i)
        sample.storage[i] = static_cast<float>(i);
    const std::vector<float> before = sample.storage;
    CHECK(prefopt::testing::conformance(sample).empty());
    CHECK(sample.storage == before);

    std::vector<double> plain(5, 1.0);
    CHECK(prefopt::testing::conformance(plain).empty());
    std::array<prefopt::bf16, 4> half{};
    CHECK(prefopt::testing::conformance(half).empty());
    float rows[3][2] = {};
    CHECK(prefopt::testing::conformance(rows).empty());
    prefopt::tensor<float, 2> owned({2, 3});
    CHECK(prefopt::testing::conformance(owned).empty());
    std::vector<float> memory(24);
    prefopt::view<float, 2> strided{memory.data(), {3, 4}, {1, 5}};
    CHECK(prefopt::testing::conformance(strided).empty());
}

#ifdef PREFOPT_TEST_EIGEN
TEST_CASE("conformance passes Eigen") {
    Eigen::VectorXf v = Eigen::VectorXf::Ones(7);
    CHECK(prefopt::testing::conformance(v).empty());
    Eigen::MatrixXd m = Eigen::MatrixXd::Ones(3, 4);
    CHECK(prefopt::testing::conformance(m).empty());
    auto block = m.block(0, 1, 2, 2);
    CHECK(prefopt::testing::conformance(block).empty());
    Eigen::Array<Eigen::half, Eigen::Dynamic, 1> h(5);
    h.setZero();
    CHECK(prefopt::testing::conformance(h).empty());
}
#endif

TEST_CASE("conformance complains of a const view that sees something else") {
    forgetful copying;
    const auto complaints = prefopt::testing::conformance(copying);
    REQUIRE_FALSE(complaints.empty());
    CHECK(complaints[0].find("const") != std::string::npos);
    shifted offset;
    CHECK(prefopt::testing::conformance(offset).size() >= 2);
}

TEST_CASE("conformance complains of a sample that shows nothing") {
    std::vector<float> one(1);
    CHECK(prefopt::testing::conformance(one).size() == 1);
}

TEST_CASE("gradient_error passes every loss and catches a wrong sign") {
    using prefopt::testing::gradient_error;
    for (const long double c : {-3.0L, -0.2L, 0.0L, 1.7L})
        for (const long double r : {-1.1L, 0.4L}) {
            CHECK(gradient_error(prefopt::dpo{.beta = 0.5, .label_smoothing = 0.1}, c, r) < 1e-10);
            CHECK(gradient_error(prefopt::ipo{.beta = 0.5}, c, r) < 1e-10);
            CHECK(gradient_error(prefopt::bradley_terry{.margin = 0.3, .centering = 0.1}, c, r) <
                  1e-10);
            CHECK(gradient_error(prefopt::kto{.beta = 0.5}, c, true, 0.3L) < 1e-10);
            CHECK(gradient_error(prefopt::kto{.beta = 0.5}, c, false, 0.3L) < 1e-10);
            CHECK(gradient_error(wrong_sign{}, c, r) > 1e-3);
        }
    const std::vector<long double> list{0.3L, -1.0L, 2.0L, 0.1L};
    for (const std::size_t placed : {1U, 2U, 3U, 4U})
        CHECK(gradient_error(prefopt::plackett_luce_dpo{.beta = 0.5}, list, placed) < 1e-10);
}
