// SPDX-License-Identifier: Apache-2.0
//
// Where the preference losses are called. Each class lays a batch out the way its
// prefopt call wants it, and hands the gradient back in the order of the plan.

#include "objective.hpp"

#include <prefopt/adapters/eigen.hpp>
#include <prefopt/dpo.hpp>
#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/plackett_luce.hpp>
#include <prefopt/trust_region.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <type_traits>
#include <utility>

namespace tiny {
namespace {

std::vector<double> part(const std::vector<double>& values, std::size_t begin, std::size_t count) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(begin);
    return {from, from + static_cast<std::ptrdiff_t>(count)};
}

template <class Loss>
prefopt::trust_region<Loss> with_reference(const Loss& loss, const objective_options& options) {
    if (options.reference == reference_kind::hard) {
        return {.loss = loss, .update = prefopt::hard_update({.every = options.every})};
    }
    return {.loss = loss,
            .update = prefopt::soft_update({.alpha = options.alpha, .every = options.every})};
}

// What the three shapes share: the loss, and a reference that stays or follows.
template <class Loss>
class following : public objective {
public:
    following(const Loss& loss, const objective_options& options)
        : loss_(with_reference(loss, options)),
          fixed_(options.reference == reference_kind::fixed) {}

    bool follow(Eigen::VectorXf& policy, Eigen::VectorXf& reference) override {
        if (fixed_) return false;
        std::vector<Eigen::Map<Eigen::VectorXf>> from, to;
        from.emplace_back(policy.data(), policy.size());
        to.emplace_back(reference.data(), reference.size());
        return loss_.step(from, to);
    }

protected:
    const prefopt::trust_region<Loss>& loss() const { return loss_; }

private:
    prefopt::trust_region<Loss> loss_;
    bool fixed_;
};

// Graded: all chosen answers of the batch, then all rejected ones.
template <class Loss>
class pairs : public following<Loss> {
public:
    using following<Loss>::following;

    std::size_t units(const answer_pool& pool) const override { return pool.pairs(); }

    batch_plan plan(const answer_pool& pool, std::span<const std::size_t> units) const override {
        batch_plan out;
        for (const std::size_t pair : units) out.graded.push_back(pool.chosen(pair));
        for (const std::size_t pair : units) out.graded.push_back(pool.rejected(pair));
        return out;
    }

    verdict judge(const batch_scores& policy, const batch_scores& reference, const batch_plan& plan,
                  const answer_pool&) const override {
        const std::size_t n = plan.graded.size() / 2;
        const auto result =
            this->loss()(part(policy.graded, 0, n), part(policy.graded, n, n),
                         part(reference.graded, 0, n), part(reference.graded, n, n));
        verdict out{.loss = result.loss, .gradient = {}};
        out.gradient.assign(result.grad_chosen.begin(), result.grad_chosen.end());
        out.gradient.insert(out.gradient.end(), result.grad_rejected.begin(),
                            result.grad_rejected.end());
        return out;
    }
};

// Graded: single answers, desirable when chosen. Compared: a mismatched answer to each prompt.
class single_answers : public following<prefopt::kto> {
public:
    using following<prefopt::kto>::following;

    std::size_t units(const answer_pool& pool) const override { return 2 * pool.pairs(); }
    std::size_t per_pair() const override { return 2; }

    batch_plan plan(const answer_pool& pool, std::span<const std::size_t> units) const override {
        batch_plan out;
        for (const std::size_t id : units) {
            out.graded.push_back(id);
            out.compared.push_back(pool.foreign(id % pool.pairs()));
        }
        return out;
    }

    verdict judge(const batch_scores& policy, const batch_scores& reference, const batch_plan& plan,
                  const answer_pool& pool) const override {
        std::vector<std::uint8_t> desirable;
        for (const std::size_t id : plan.graded) desirable.push_back(id < pool.pairs() ? 1 : 0);
        const double kl = prefopt::kl_estimate(policy.compared, reference.compared);
        const auto result = loss()(policy.graded, reference.graded, desirable, kl);
        return {.loss = result.loss, .gradient = {result.grad.begin(), result.grad.end()}};
    }
};

// Graded: chosen, rejected, foreign of each pair in turn, best first - the rows of a (B, 3) matrix.
class rankings : public following<prefopt::plackett_luce_dpo> {
public:
    using following<prefopt::plackett_luce_dpo>::following;

    std::size_t units(const answer_pool& pool) const override { return pool.pairs(); }

    batch_plan plan(const answer_pool& pool, std::span<const std::size_t> units) const override {
        batch_plan out;
        for (const std::size_t pair : units) {
            out.graded.insert(out.graded.end(),
                              {pool.chosen(pair), pool.rejected(pair), pool.foreign(pair)});
        }
        return out;
    }

    verdict judge(const batch_scores& policy, const batch_scores& reference, const batch_plan& plan,
                  const answer_pool&) const override {
        using ranked = Eigen::Matrix<double, Eigen::Dynamic, 3, Eigen::RowMajor>;
        const auto rows = static_cast<Eigen::Index>(plan.graded.size() / 3);
        const ranked ours = Eigen::Map<const ranked>(policy.graded.data(), rows, 3);
        const ranked theirs = Eigen::Map<const ranked>(reference.graded.data(), rows, 3);
        const auto result = loss()(ours, theirs);
        verdict out{.loss = result.loss, .gradient = std::vector<double>(plan.graded.size())};
        for (Eigen::Index row = 0; row < rows; ++row) {
            for (Eigen::Index k = 0; k < 3; ++k) {
                out.gradient[static_cast<std::size_t>(3 * row + k)] = result.grad(row, k);
            }
        }
        return out;
    }
};

}  // namespace

answer_pool::answer_pool(const std::vector<preference>& all) {
    for (const auto& pair : all) sequences_.push_back(make_sequence(pair.prompt, pair.chosen));
    for (const auto& pair : all) sequences_.push_back(make_sequence(pair.prompt, pair.rejected));
    // The pairs come shuffled, so the next one's answer is as good as a random one.
    for (std::size_t i = 0; i < all.size(); ++i) {
        sequences_.push_back(make_sequence(all[i].prompt, all[(i + 1) % all.size()].chosen));
    }
}

std::unique_ptr<objective> make_objective(const objective_options& options) {
    switch (options.loss) {
        case loss_kind::ipo:
            return std::make_unique<pairs<prefopt::ipo>>(prefopt::ipo{.beta = options.beta},
                                                         options);
        case loss_kind::kto:
            return std::make_unique<single_answers>(prefopt::kto{.beta = options.beta}, options);
        case loss_kind::plackett_luce:
            return std::make_unique<rankings>(prefopt::plackett_luce_dpo{.beta = options.beta},
                                              options);
        case loss_kind::dpo: break;
    }
    return std::make_unique<pairs<prefopt::dpo>>(prefopt::dpo{.beta = options.beta}, options);
}

std::string name_of(loss_kind kind) {
    switch (kind) {
        case loss_kind::ipo: return "ipo";
        case loss_kind::kto: return "kto";
        case loss_kind::plackett_luce: return "plackett-luce";
        case loss_kind::dpo: break;
    }
    return "dpo";
}

std::string name_of(const objective_options& options) {
    std::string beta(32, ' ');
    beta.resize(
        static_cast<std::size_t>(std::snprintf(beta.data(), beta.size(), "%.6g", options.beta)));
    if (beta.find_first_of(".e") == std::string::npos) beta += ".0";
    const std::string tail = options.reference == reference_kind::soft   ? ", soft ref"
                             : options.reference == reference_kind::hard ? ", hard ref"
                                                                         : "";
    return name_of(options.loss) + " beta " + beta + tail;
}

}  // namespace tiny
