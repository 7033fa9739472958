// SPDX-License-Identifier: Apache-2.0
//
// The preference losses as the trainer meets them: which answers a batch needs, and what one batch
// of log-probs says about each of them. Behind the interface there is one class per shape of data -
// pairs, single answers, rankings - and the loss in it is prefopt's, wrapped in its trust region.

#pragma once

#include "data.hpp"

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tiny {

enum class loss_kind { dpo, ipo, kto, plackett_luce };
enum class reference_kind { fixed, soft, hard };

struct objective_options {
    loss_kind loss = loss_kind::dpo;
    double beta = 0.1;
    reference_kind reference = reference_kind::fixed;
    double alpha = 0.6;
    std::int64_t every = 16;  // steps
};

// Three answers to every prompt: the chosen one, the rejected one, and the chosen answer to another
// prompt - the worst one of a ranking, and for KTO the mismatched answer its KL estimate needs.
class answer_pool {
public:
    explicit answer_pool(const std::vector<preference>& pairs);

    std::size_t pairs() const { return sequences_.size() / 3; }
    std::size_t chosen(std::size_t pair) const { return pair; }
    std::size_t rejected(std::size_t pair) const { return pairs() + pair; }
    std::size_t foreign(std::size_t pair) const { return 2 * pairs() + pair; }

    const std::vector<sequence>& sequences() const { return sequences_; }
    const sequence& operator[](std::size_t id) const { return sequences_[id]; }

private:
    std::vector<sequence> sequences_;
};

// The answers of a batch by their number in the pool. Only `graded` ones receive a gradient.
struct batch_plan {
    std::vector<std::size_t> graded;
    std::vector<std::size_t> compared;
};

struct batch_scores {
    std::vector<double> graded;
    std::vector<double> compared;
};

struct verdict {
    double loss = 0.0;
    std::vector<double> gradient;  // d loss / d log-prob, one per graded answer
};

class objective {
public:
    virtual ~objective() = default;

    // What is shuffled and cut into batches: pairs, or for KTO single answers. `per_pair` of them
    // make as many gradient rows as one pair does.
    virtual std::size_t units(const answer_pool& pool) const = 0;
    virtual std::size_t per_pair() const { return 1; }
    virtual batch_plan plan(const answer_pool& pool, std::span<const std::size_t> units) const = 0;
    virtual verdict judge(const batch_scores& policy, const batch_scores& reference,
                          const batch_plan& plan, const answer_pool& pool) const = 0;

    // After an optimizer step: true when the reference moved.
    virtual bool follow(Eigen::VectorXf& policy, Eigen::VectorXf& reference) = 0;
};

std::unique_ptr<objective> make_objective(const objective_options& options);

std::string name_of(loss_kind kind);
std::string name_of(const objective_options& options);

}  // namespace tiny
