// SPDX-License-Identifier: Apache-2.0
//
// The checks that the library offers to others: they pass what is right, and complain of adapters
// and formulas that are wrong in the usual ways.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <prefopt/prefopt.hpp>
#include <prefopt/testing/conformance.hpp>
#include <prefopt/testing/gradient.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/backends/kernels.hpp"
#include "support/catch.hpp"

#ifdef PREFOPT_TEST_EIGEN
#include <Eigen/Core>
#include <prefopt/adapters/eigen.hpp>
#endif

namespace {

/// A matrix, row-major, that can say where its elements are; and what its adapter gets wrong.
enum class wrong {
    nothing,
    const_copies,  // const tensors show a copy
    const_shape,   // and of another shape
    strides_in_bytes,
    swapped_extents,
    forgotten_offset,   // of a slice
    made_nothing,       // make_like gives no memory
    made_short,         // has other extents
    made_double,        // has another scalar
    made_from_sample,   // hands out the sample's memory
    made_from_one_pool  // hands out the same memory twice
};
template <wrong What, class S = float>
struct matrix {
    std::shared_ptr<std::vector<S>> values;
    std::shared_ptr<std::vector<S>> copies;
    std::ptrdiff_t row_count = 0, column_count = 0;
    bool no_memory = false;

    matrix(std::ptrdiff_t r, std::ptrdiff_t c, S fill = S(0))
        : values(std::make_shared<std::vector<S>>(static_cast<std::size_t>(r * c + 1), fill)),
          copies(std::make_shared<std::vector<S>>(*values)),
          row_count(r),
          column_count(c) {}
    S& operator()(std::ptrdiff_t i, std::ptrdiff_t j) {
        return (*values)[static_cast<std::size_t>(1 + i * column_count + j)];
    }
    [[nodiscard]] std::ptrdiff_t rows() const { return row_count; }
    [[nodiscard]] std::ptrdiff_t cols() const { return column_count; }
};

/// Rank 3, and integers: nothing says where the elements are but the test.
template <class S, std::size_t R>
struct silent {
    std::vector<S> values = std::vector<S>(60);
    bool swapped = false;
};

/// Lazy expressions.
enum class lazy { honest, refers, restless };
template <lazy>
struct lazy_vector {
    mutable std::vector<float> value = {1, 2, 3};
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

template <wrong What, class S>
struct prefopt::adapter<matrix<What, S>> {
    static constexpr std::size_t rank = 2;
    template <class T>
    static auto view(T& t) {
        constexpr bool is_const = std::is_const_v<T>;
        S* p = (What == wrong::const_copies && is_const ? *t.copies : *t.values).data() + 1;
        const std::ptrdiff_t unit = What == wrong::strides_in_bytes ? sizeof(S) : 1;
        std::ptrdiff_t r = t.row_count;
        std::ptrdiff_t c = t.column_count;
        if (What == wrong::swapped_extents) std::swap(r, c);
        if (What == wrong::const_shape && is_const) --r;
        if (What == wrong::forgotten_offset) --p;
        if (t.no_memory) p = nullptr;
        return prefopt::view<std::conditional_t<is_const, const S, S>, 2>(
            p, std::array{r, c}, std::array{t.column_count * unit, unit});
    }
    template <class U, std::size_t R>
    static auto make_like(const matrix<What, S>& t, std::array<std::ptrdiff_t, R> n) {
        if constexpr (R == 1) {
            return std::vector<U>(static_cast<std::size_t>(n[0]));
        } else if constexpr (What == wrong::made_double) {
            return matrix<What, double>(n[0], n[1]);
        } else {
            using made = matrix<What, U>;
            if constexpr (What == wrong::made_short) return made(n[0], n[1] - 1);
            if constexpr (What == wrong::nothing) return made(n[0], n[1], U(3));  // need not clear
            if constexpr (What == wrong::made_nothing) {
                made m(n[0], n[1]);
                m.no_memory = true;
                return m;
            }
            if constexpr (What == wrong::made_from_sample && std::is_same_v<U, S>) return t;
            if constexpr (What == wrong::made_from_one_pool) {
                static made pool(n[0], n[1]);
                std::fill(pool.values->begin(), pool.values->end(), U(0));
                return pool;
            }
            return made(n[0], n[1]);
        }
    }
};
template <class S, std::size_t R>
struct prefopt::adapter<silent<S, R>> {
    static constexpr std::size_t rank = R;
    static auto view(auto& t) {
        prefopt::view<std::remove_pointer_t<decltype(t.values.data())>, R> v;
        v.data = t.values.data();
        for (std::size_t i = R, step = 1; i-- > 0; step *= i + 3) {
            v.extents[i] = static_cast<std::ptrdiff_t>(i + 3);
            v.strides[i] = static_cast<std::ptrdiff_t>(step);
        }
        if (t.swapped) std::swap(v.strides[0], v.strides[R - 1]);
        return v;
    }
};
template <lazy What>
struct prefopt::adapter<lazy_vector<What>> {
    static constexpr std::size_t rank = 1;
    static auto materialise(const lazy_vector<What>& e) {
        if constexpr (What == lazy::refers) return std::span<const float>(e.value);
        if constexpr (What == lazy::restless) ++e.value[0];
        if constexpr (What != lazy::refers) return e.value;
    }
};

namespace {

/// The first complaint, and whether it is about what it should be.
template <wrong What>
void complains_of(const char* about) {
    matrix<What> sample(2, 3);
    const auto complaints = prefopt::testing::conformance(sample);
    CAPTURE(about, complaints);
    REQUIRE_FALSE(complaints.empty());
    CHECK(complaints[0].find(about) != std::string::npos);
}

}  // namespace

TEST_CASE("conformance passes honest adapters and leaves the sample as it was") {
    matrix<wrong::nothing> sample(2, 3);
    for (int i = 0; i < 6; ++i) sample(i / 3, i % 3) = static_cast<float>(i);
    const std::vector<float> before = *sample.values;
    CHECK(prefopt::testing::conformance(sample).empty());
    CHECK(*sample.values == before);

    silent<prefopt::fp16, 3> cube;
    CHECK(prefopt::testing::conformance(cube).empty());
    silent<std::int32_t, 2> labels;
    CHECK(prefopt::testing::conformance(labels).empty());
    std::vector<std::uint16_t> tokens(7, 300);
    CHECK(prefopt::testing::conformance(tokens).empty());
    CHECK(tokens == std::vector<std::uint16_t>(7, 300));
    CHECK(prefopt::testing::conformance(lazy_vector<lazy::honest>()).empty());
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
    CHECK(prefopt::testing::conformance(v + v).empty());
    Eigen::Matrix<std::int64_t, Eigen::Dynamic, Eigen::Dynamic> labels(2, 3);
    labels.setZero();
    CHECK(prefopt::testing::conformance(labels).empty());
}
#endif

TEST_CASE("conformance complains of what adapters get wrong") {
    complains_of<wrong::const_copies>("const tensor sees other memory");
    complains_of<wrong::const_shape>("const tensor has another shape");
    complains_of<wrong::strides_in_bytes>("is not where the tensor has it");
    complains_of<wrong::forgotten_offset>("is not where the tensor has it");
    complains_of<wrong::swapped_extents>("other extents than the tensor says");
    complains_of<wrong::made_nothing>("has no memory");
    complains_of<wrong::made_short>("extents it was asked for");
    complains_of<wrong::made_double>("scalar it was asked for");
    complains_of<wrong::made_from_sample>("somebody else's");
    complains_of<wrong::made_from_one_pool>("somebody else's");
}

TEST_CASE("conformance is told where elements are by those whose tensor does not say") {
    silent<float, 3> cube;
    cube.swapped = true;
    const auto at = [](auto& t, auto i, auto j, auto k) -> auto& {
        return t.values[static_cast<std::size_t>((i * 4 + j) * 5 + k)];
    };
    CHECK(prefopt::testing::conformance(cube, at).size() == 1);
    cube.swapped = false;
    CHECK(prefopt::testing::conformance(cube, at).empty());
    silent<std::int64_t, 2> labels;
    labels.swapped = true;
    const auto label_at = [](auto& t, auto i, auto j) -> const void* {
        return &t.values[static_cast<std::size_t>(i * 4 + j)];
    };
    CHECK(prefopt::testing::conformance(labels, label_at).size() == 1);
}

TEST_CASE("conformance complains of expressions whose value is not one, or does not stay") {
    using prefopt::testing::conformance;
    const auto about = [](const auto& complaints, const char* text) {
        return complaints.size() == 1 && complaints[0].find(text) != std::string::npos;
    };
    CHECK(about(conformance(lazy_vector<lazy::refers>()), "memory of others"));
    CHECK(about(conformance(lazy_vector<lazy::restless>()), "the second time"));
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
