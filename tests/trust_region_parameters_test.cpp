// SPDX-License-Identifier: Apache-2.0
//
// Proves what the trust region takes as parameters, in any rank, layout and scalar; that it checks
// all before it touches the first; and that wrapping a loss changes no bit of the loss's result.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <prefopt/bradley_terry.hpp>
#include <prefopt/trust_region.hpp>

#include "support/catch.hpp"

#ifdef PREFOPT_TEST_EIGEN
#include <prefopt/adapters/eigen.hpp>
#endif

namespace {

using prefopt::bf16;
using prefopt::errc;
using prefopt::fp16;
using floats = std::vector<float>;

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}
/// Equal bit for bit. But -ffast-math lets a compiler reorder two instances of one template each in
/// its own way; even then nobody may compute anything else.
bool same_results(const double* a, const double* b, std::size_t n) {
#ifdef __FAST_MATH__
    for (std::size_t i = 0; i < n; ++i)
        if (!(std::fabs(a[i] - b[i]) <= 1e-14 * std::fabs(b[i]))) return false;
    return true;
#else
    return std::memcmp(a, b, n * sizeof(double)) == 0;
#endif
}

/// A range whose elements exist only while they are looked at.
struct spans_of {
    struct iterator {
        using difference_type = std::ptrdiff_t;
        using value_type = std::span<float>;
        floats* at = nullptr;
        std::span<float> operator*() const { return {*at}; }
        iterator& operator++() {
            ++at;
            return *this;
        }
        void operator++(int) { ++at; }
        bool operator==(const iterator&) const = default;
    };
    std::vector<floats>& tensors;
    [[nodiscard]] iterator begin() const { return {tensors.data()}; }
    [[nodiscard]] iterator end() const { return {tensors.data() + tensors.size()}; }
};

prefopt::tr_dpo halving() { return {.loss = {}, .update = {.alpha = 0.5, .every = 1}}; }

/// What a step refuses, checked three ways: thrown, returned, and not counted.
template <class Loss, class P, class R>
prefopt::status refusal(Loss& loss, P&& policy, R&& reference) {
    const prefopt::trust_region_state before = loss.state;
    const prefopt::status returned = loss.check_step(policy, reference);
    prefopt::status thrown;
    try {
        (void)loss.step(policy, reference);
    } catch (const prefopt::error& e) {
        thrown = e.status();
        CHECK(std::string(e.what()) == returned.message());
    }
    CHECK(thrown.code == returned.code);
    CHECK(thrown.index == returned.index);
    if (!thrown.ok()) {
        CHECK(loss.state.steps == before.steps);
        CHECK(loss.version() == before.version);
    }
    return returned;
}

}  // namespace

TEST_CASE("parameters are a tensor, a range of tensors or a tuple of tensors", "[trust_region]") {
    auto loss = halving();

    SECTION("a single tensor") {
        const floats policy{2, 4, 6};
        floats reference{0, 0, 0};
        CHECK(loss.step(policy, reference));
        CHECK(reference == floats{1, 2, 3});
        float c_array[2][2] = {{0, 0}, {0, 0}};
        const float target[2][2] = {{2, 4}, {6, 8}};
        CHECK(loss.step(target, c_array));
        CHECK(c_array[1][0] == 3.0F);
    }
    SECTION("a vector of vectors of unequal lengths, one of them empty") {
        const std::vector<floats> policy{{2}, {}, {4, 6}};
        std::vector<floats> reference{{0}, {}, {0, 2}};
        CHECK(loss.step(policy, reference));
        CHECK(reference == std::vector<floats>{{1}, {}, {2, 4}});
    }
    SECTION("an array of spans, and a span of views") {
        floats a{2, 4};
        floats b{0, 0};
        const std::array<std::span<const float>, 1> policy{a};
        const std::array<std::span<float>, 1> reference{b};  // the array is const, its memory not
        CHECK(loss.step(policy, reference));
        CHECK(b == floats{1, 2});
        std::vector<prefopt::view<float, 1>> p{prefopt::view{a.data(), {2}}};
        std::vector<prefopt::view<float, 1>> r{prefopt::view{b.data(), {2}}};
        CHECK(loss.step(std::span(p), std::span(r)));
        CHECK(b == floats{1.5, 3});
    }
    SECTION("a range that makes its views on the fly") {
        std::vector<floats> a{{2, 4}, {6}};
        std::vector<floats> b{{0, 0}, {0}};
        CHECK(loss.step(spans_of{a}, spans_of{b}));
        CHECK(b == std::vector<floats>{{1, 2}, {3}});
    }
    SECTION("a tuple of different types and ranks, and one made by std::tie") {
        std::tuple policy{floats{2, 4}, prefopt::tensor<double, 2>({2, 2}),
                          std::array<bf16, 1>{bf16(8.0F)}};
        std::get<1>(policy)(1, 0) = 10;
        std::tuple reference{std::vector<double>{0, 0}, prefopt::tensor<float, 2>({2, 2}),
                             std::array<fp16, 1>{fp16(0.0F)}};
        CHECK(loss.step(policy, reference));
        CHECK(std::get<0>(reference) == std::vector<double>{1, 2});
        CHECK(std::get<1>(reference)(1, 0) == 5.0F);
        CHECK(std::get<1>(reference)(0, 1) == 0.0F);
        CHECK(static_cast<float>(std::get<2>(reference)[0]) == 4.0F);
        CHECK(loss.step(std::tie(std::get<0>(policy)), std::tie(std::get<0>(reference))));
        CHECK(std::get<0>(reference) == std::vector<double>{1.5, 3});
    }
    SECTION("nothing at all is a step too") {
        const std::vector<floats> none;
        std::vector<floats> nothing;
        CHECK(loss.step(none, nothing));
        CHECK(loss.version() == 1);
    }
}

TEST_CASE("tensors of rank 1 to 4 move element by element in any layout", "[trust_region]") {
    // The policy is stored backwards, the reference with gaps that must stay as they are.
    const auto run = [](const auto& extents) {
        constexpr std::size_t rank = std::tuple_size_v<std::remove_cvref_t<decltype(extents)>>;
        std::ptrdiff_t n = 1;
        for (const std::ptrdiff_t e : extents) n *= e;
        const auto size = static_cast<std::size_t>(n);
        floats policy(size);
        for (std::size_t i = 0; i < size; ++i) policy[i] = static_cast<float>(size - i);
        std::vector<double> memory(3 * size, -7.0);
        std::array<std::ptrdiff_t, rank> backwards{};
        std::array<std::ptrdiff_t, rank> gaps{};
        std::ptrdiff_t step = 1;
        for (std::size_t i = rank; i-- > 0; step *= extents[i]) {
            backwards[i] = -step;
            gaps[i] = 3 * step;
        }
        const prefopt::view<const float, rank> p(policy.data() + n - 1, extents, backwards);
        const prefopt::view<double, rank> r(memory.data(), extents, gaps);
        auto loss = halving();
        REQUIRE(loss.step(p, r));
        bool right = true;
        for (std::size_t i = 0; i < memory.size(); ++i) {
            const double moved = (static_cast<double>(i / 3) + 1.0 - 7.0) / 2;
            right = right && memory[i] == (i % 3 == 0 ? moved : -7.0);
        }
        CHECK(right);
    };
    using extent = std::ptrdiff_t;
    run(std::array<extent, 1>{7});
    run(std::array<extent, 2>{3, 5});
    run(std::array<extent, 3>{2, 3, 4});
    run(std::array<extent, 4>{2, 1, 3, 5});
}

TEST_CASE("a bad tensor is named by number, and nothing has moved", "[trust_region]") {
    auto loss = halving();
    loss.state = {.steps = 6, .version = 2};
    const std::vector<floats> policy{{2, 4}, {6, 8}, {1, 3}};
    std::vector<floats> reference{{0, 0}, {0, 0}, {0, 0}};
    const std::vector<floats> before = reference;

    SECTION("the last of them has the wrong shape") {
        reference[2].push_back(0);
        const auto s = refusal(loss, policy, reference);
        CHECK(s.code == errc::shape_mismatch);
        CHECK(s.index == 2);
        CHECK(std::string(s.argument) == "reference_parameters");
        reference[2].pop_back();
    }
    SECTION("of another rank") {
        prefopt::tensor<float, 2> square({1, 2});
        auto tied = std::tie(reference[0], reference[1], square);
        const auto s = refusal(loss, policy, tied);
        CHECK(s.code == errc::shape_mismatch);
        CHECK(s.index == 2);
    }
    SECTION("there is one too few, or one too many") {
        std::vector<floats> two{{0, 0}, {0, 0}};
        CHECK(refusal(loss, policy, two).code == errc::shape_mismatch);
        CHECK(two == std::vector<floats>{{0, 0}, {0, 0}});
        std::vector<floats> four(4, floats{0, 0});
        CHECK(refusal(loss, policy, four).code == errc::shape_mismatch);
    }
    SECTION("the last of them is a null pointer, misaligned, overlaps itself or is too large") {
        const auto with_last = [&](prefopt::view<const float, 1> p, prefopt::view<float, 1> r) {
            const std::vector<prefopt::view<const float, 1>> ps{
                prefopt::view{policy[0].data(), {2}}, p};
            const std::vector<prefopt::view<float, 1>> rs{prefopt::view{reference[0].data(), {2}},
                                                          r};
            const auto s = refusal(loss, ps, rs);
            CHECK(s.index == 1);
            return s.code;
        };
        float* null = nullptr;
        const prefopt::view<const float, 1> p{policy[2].data(), {2}};
        const prefopt::view<float, 1> r{reference[2].data(), {2}};
        CHECK(with_last(p, {null, {2}}) == errc::null_pointer);
        CHECK(with_last({null, {2}}, r) == errc::null_pointer);
        CHECK(with_last(p, {reference[2].data(), {2}, {0}}) == errc::bad_stride);
        alignas(float) char bytes[16] = {};
        CHECK(with_last(p, {reinterpret_cast<float*>(bytes + 1), {2}}) == errc::misaligned);
        constexpr std::ptrdiff_t huge = std::numeric_limits<std::ptrdiff_t>::max() / 2;
        CHECK(with_last({policy[2].data(), {huge}}, {reference[2].data(), {huge}}) ==
              errc::size_overflow);
        CHECK(with_last({policy[2].data(), {-1}}, {reference[2].data(), {-1}}) ==
              errc::shape_mismatch);
    }
    SECTION("the weight or the interval is out of range, which is reported first") {
        std::vector<floats> wrong{{0}};
        constexpr double nan = std::numeric_limits<double>::quiet_NaN();
        for (const double alpha : {-0.1, 1.0000001, nan, std::numeric_limits<double>::infinity()}) {
            loss.update.alpha = alpha;
            const auto s = refusal(loss, policy, wrong);
            CHECK(s.code == errc::bad_parameter);
            CHECK(std::string(s.argument) == "alpha");
            CHECK(loss.check_parameters().code == errc::bad_parameter);
        }
        loss.update = {.alpha = 0.5, .every = 0};
        CHECK(std::string(refusal(loss, policy, wrong).argument) == "every");
    }
    CHECK(reference == before);
    CHECK(loss.state.steps == 6);
    loss.update = {.alpha = 0.5, .every = 1};
    CHECK(loss.step(policy, reference));  // and it goes on once all is well
    CHECK(reference == std::vector<floats>{{1, 2}, {3, 4}, {0.5, 1.5}});
    CHECK(loss.state.steps == 7);
}

TEST_CASE("memory that would move twice, or move the policy, is refused", "[trust_region]") {
    auto loss = halving();
    floats a{2, 4, 6, 8};
    floats b{0, 0, 0, 0};
    floats c{1, 1, 1, 1};
    using view = prefopt::view<float, 1>;
    const auto part = [](floats& v, int first, int count, int step = 1) {
        return view{v.data() + first, {count}, {step}};
    };

    SECTION("the policy is the reference") {
        const auto s = refusal(loss, a, a);
        CHECK(s.code == errc::aliasing);
        CHECK(s.index == 0);
        std::vector<view> policy{part(c, 0, 4), part(a, 0, 4)};
        std::vector<view> reference{part(a, 0, 4), part(b, 0, 4)};  // crosswise
        CHECK(refusal(loss, policy, reference).code == errc::aliasing);
    }
    SECTION("a reference tensor listed twice") {
        std::vector<view> policy{part(a, 0, 4), part(c, 0, 4), part(a, 0, 4)};
        std::vector<view> reference{part(b, 0, 4), part(c, 0, 0), part(b, 0, 4)};
        policy[1] = part(c, 0, 0);
        const auto s = refusal(loss, policy, reference);
        CHECK(s.code == errc::aliasing);
        CHECK(s.index == 2);
        CHECK(s.message().find("tied") != std::string::npos);
    }
    SECTION("references that overlap by one element") {
        std::vector<view> policy{part(a, 0, 2), part(a, 2, 2)};
        std::vector<view> reference{part(b, 0, 2), part(b, 1, 2)};
        CHECK(refusal(loss, policy, reference).code == errc::aliasing);
    }
    SECTION("a policy tensor listed twice is read twice: no harm") {
        std::vector<view> policy{part(a, 0, 2), part(a, 0, 2)};
        std::vector<view> reference{part(b, 0, 2), part(b, 2, 2)};
        CHECK(refusal(loss, policy, reference).ok());
        CHECK(b == floats{1, 2, 1, 2});
        return;
    }
    SECTION("columns of one matrix interleave and share nothing") {
        floats matrix{2, 0, 4, 0, 6, 0};
        CHECK(refusal(loss, part(matrix, 0, 3, 2), part(matrix, 1, 3, 2)).ok());
        CHECK(matrix == floats{2, 1, 4, 2, 6, 3});
    }
    CHECK(a == floats{2, 4, 6, 8});
    CHECK(b == floats{0, 0, 0, 0});
}

#ifdef PREFOPT_TEST_EIGEN
TEST_CASE("Eigen matrices, maps and blocks are parameters", "[trust_region][eigen]") {
    auto loss = halving();
    using map = Eigen::Map<Eigen::MatrixXf>;
    floats memory{0, 0, 0, 0, 0, 0, 9};
    std::vector<map> reference{map(memory.data(), 2, 3)};
    std::vector<Eigen::MatrixXf> policy{Eigen::MatrixXf(2, 3)};
    policy[0] << 2, 4, 6, 8, 10, 12;
    CHECK(loss.step(policy, reference));
    CHECK(memory == floats{1, 4, 2, 5, 3, 6, 9});  // column-major, and no further

    Eigen::MatrixXf big = Eigen::MatrixXf::Constant(5, 6, -1);
    std::vector<Eigen::Block<Eigen::MatrixXf>> blocks{big.block(0, 0, 2, 3), big.block(2, 1, 2, 3)};
    const Eigen::Matrix<double, 2, 3, Eigen::RowMajor> target = policy[0].cast<double>();
    const std::vector<Eigen::Matrix<double, 2, 3, Eigen::RowMajor>> targets{target, 2 * target};
    CHECK(loss.step(targets, blocks));
    Eigen::MatrixXf expected = Eigen::MatrixXf::Constant(5, 6, -1);
    expected.block(0, 0, 2, 3) = ((target.array() - 1) / 2).cast<float>();
    expected.block(2, 1, 2, 3) = ((2 * target.array() - 1) / 2).cast<float>();
    CHECK(big == expected);

    std::vector<Eigen::Block<Eigen::MatrixXf>> crossing{big.block(0, 0, 2, 3),
                                                        big.block(1, 1, 2, 3)};
    CHECK(refusal(loss, targets, crossing).code == errc::aliasing);

    Eigen::VectorXf bias = Eigen::VectorXf::Zero(3);
    Eigen::MatrixXf weight = Eigen::MatrixXf::Zero(2, 3);
    CHECK(loss.step(std::tuple(Eigen::VectorXf(Eigen::VectorXf::Constant(3, 2)), policy[0]),
                    std::tie(bias, weight)));
    CHECK(bias == Eigen::VectorXf::Constant(3, 1));
    CHECK(weight == policy[0] / 2);
}
#endif

TEMPLATE_TEST_CASE("a wrapped loss gives the same bits", "[trust_region]", prefopt::dpo,
                   prefopt::ipo, prefopt::ipo_averaged, prefopt::kto, prefopt::plackett_luce_dpo) {
    std::mt19937_64 random(5);
    std::normal_distribution<double> normal(0, 40);
    constexpr std::size_t n = 132;
    std::array<std::vector<double>, 4> x;
    for (auto& v : x)
        for (std::size_t i = 0; i < n; ++i) v.push_back(normal(random));
    const std::vector<int> tokens(n, 7);
    const TestType plain{.beta = 0.3};
    const prefopt::trust_region<TestType> wrapped{.loss = plain};
    prefopt::batch_summary a;
    prefopt::batch_summary b;
    const auto same = [&](const auto& l, const auto& r, auto... member) {
        CHECK(same_results(&l.loss, &r.loss, 1));
        CHECK(prefopt::is_finite(l.loss));
        a = l.summary;
        b = r.summary;
        CHECK((same_results((l.*member).data(), (r.*member).data(), (r.*member).size()) && ...));
    };
    if constexpr (TestType::kind == prefopt::loss_kind::pairwise) {
        prefopt::pairwise_options o;
        if constexpr (std::is_same_v<TestType, prefopt::ipo_averaged>) {
            o.chosen_counts = tokens;
            o.rejected_counts = tokens;
        }
        using result = prefopt::pairwise_result<std::vector<double>>;
        same(plain(x[0], x[1], x[2], x[3], o), wrapped(x[0], x[1], x[2], x[3], o), &result::losses,
             &result::grad_chosen, &result::grad_rejected, &result::chosen_rewards,
             &result::rejected_rewards);
    } else if constexpr (TestType::kind == prefopt::loss_kind::unpaired) {
        std::vector<bool> desirable(n);
        for (std::size_t i = 0; i < n; i += 3) desirable[i] = true;
        using result = prefopt::unpaired_result<std::vector<double>>;
        same(plain(x[0], x[1], desirable, 2.5), wrapped(x[0], x[1], desirable, 2.5),
             &result::losses, &result::grad, &result::rewards);
    } else {
        const prefopt::view p(x[0].data(), {n / 4, std::size_t{4}});
        const prefopt::view r(x[1].data(), {n / 4, std::size_t{4}});
        const auto l = plain(p, r, {.placed = 2});
        const auto w = wrapped(p, r, {.placed = 2});
        same(l, w, &std::remove_cvref_t<decltype(l)>::losses);
        CHECK(same_results(l.grad.data(), w.grad.data(), n));
        CHECK(same_results(l.rewards.data(), w.rewards.data(), n));
    }
    CHECK(same_results(&a.loss, &b.loss, 1));
    CHECK(same_results(&a.margin, &b.margin, 1));
    CHECK(same_results(&a.chosen_reward, &b.chosen_reward, 1));
    CHECK(a.examples == b.examples);
    CHECK(a.wins == b.wins);
    CHECK(wrapped.check_parameters().ok());
    CHECK(prefopt::trust_region<TestType>{.loss = {.beta = -1}}.check_parameters().code ==
          errc::bad_parameter);
    STATIC_REQUIRE(prefopt::trust_region<TestType>::kind == TestType::kind);
    STATIC_REQUIRE(prefopt::has_reference<TestType>);
    STATIC_REQUIRE(!prefopt::has_reference<prefopt::bradley_terry>);
}
