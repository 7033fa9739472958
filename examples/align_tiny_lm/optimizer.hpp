// SPDX-License-Identifier: Apache-2.0
//
// AdamW (Loshchilov and Hutter, arXiv 1711.05101) on one flat parameter vector, with the gradient
// clipped to a norm and the learning rate warmed up over the first twentieth of the steps and then
// brought down along a cosine. One vector, because a tiny model has no parameter worth a group.

#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace tiny {

struct adamw_options {
    double learning_rate = 1e-3;
    double weight_decay = 0.01;
    double largest_norm = 1.0;
    double beta1 = 0.9;
    double beta2 = 0.99;
    double epsilon = 1e-8;
};

class adamw {
public:
    adamw(adamw_options options, Eigen::Index parameters, std::size_t steps)
        : options_(options),
          steps_(std::max<std::size_t>(steps, 1)),
          mean_(Eigen::VectorXf::Zero(parameters)),
          square_(Eigen::VectorXf::Zero(parameters)) {}

    void step(Eigen::VectorXf& parameters, const Eigen::VectorXf& gradient) {
        const double rate = rate_of(++step_);
        const double norm = static_cast<double>(gradient.norm());
        const double clip = norm > options_.largest_norm ? options_.largest_norm / norm : 1.0;
        const auto b1 = static_cast<float>(options_.beta1);
        const auto b2 = static_cast<float>(options_.beta2);
        const auto t = static_cast<double>(step_);
        const auto scale = static_cast<float>(rate / (1.0 - std::pow(options_.beta1, t)));
        const auto unbias = static_cast<float>(1.0 / (1.0 - std::pow(options_.beta2, t)));
        const auto decay = static_cast<float>(1.0 - rate * options_.weight_decay);
        const auto epsilon = static_cast<float>(options_.epsilon);
        const auto c = static_cast<float>(clip);
        const auto g = gradient.array() * c;
        mean_.array() = mean_.array() * b1 + g * (1.0F - b1);
        square_.array() = square_.array() * b2 + g.square() * (1.0F - b2);
        parameters.array() = parameters.array() * decay -
                             scale * mean_.array() / ((square_.array() * unbias).sqrt() + epsilon);
    }

private:
    double rate_of(std::size_t step) const {
        const std::size_t warm_up = std::max<std::size_t>(steps_ / 20, 1);
        if (step <= warm_up) {
            return options_.learning_rate * static_cast<double>(step) /
                   static_cast<double>(warm_up);
        }
        const double done = static_cast<double>(step - warm_up) /
                            static_cast<double>(std::max<std::size_t>(steps_ - warm_up, 1));
        return options_.learning_rate * 0.5 *
               (1.0 + std::cos(std::numbers::pi * std::min(done, 1.0)));
    }

    adamw_options options_;
    std::size_t steps_;
    std::size_t step_ = 0;
    Eigen::VectorXf mean_;
    Eigen::VectorXf square_;
};

}  // namespace tiny
