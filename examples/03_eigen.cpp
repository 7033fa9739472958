// SPDX-License-Identifier: Apache-2.0
//
// 3. Eigen: matrices in, matrices out.
//
// A reward model with a linear head: the score of an answer is its features times a vector. Four
// answers to each of three prompts were ranked. The Plackett-Luce loss takes the matrix of scores
// as it lies in memory, and its gradient is a matrix of the same kind, which goes on in Eigen.

#include <cstdio>

#include <Eigen/Dense>

#include <prefopt/adapters/eigen.hpp>
#include <prefopt/plackett_luce.hpp>

int main() {
    constexpr int prompts = 3;
    constexpr int answers = 4;
    constexpr int features = 2;
    // features of answer k to prompt b in row b * answers + k: (length, politeness)
    // clang-format off
    Eigen::Matrix<double, prompts * answers, features> x;
    x << 1, 4,  3, 3,  2, 2,  4, 1,
         2, 5,  1, 3,  3, 1,  2, 0,
         3, 4,  4, 3,  1, 1,  1, 0;
    // ranking(b, k): which answer to prompt b was placed k-th
    Eigen::Matrix<int, prompts, answers, Eigen::RowMajor> ranking;
    ranking << 0, 1, 2, 3,
               0, 1, 3, 2,
               1, 0, 2, 3;
    // clang-format on

    const prefopt::plackett_luce_dpo loss{.beta = 1.0};
    Eigen::VectorXd head = Eigen::VectorXd::Zero(features);
    const Eigen::MatrixXd reference = Eigen::MatrixXd::Zero(prompts, answers);

    for (int step = 0; step <= 60; ++step) {
        const Eigen::VectorXd flat = x * head;
        const Eigen::Map<const Eigen::Matrix<double, prompts, answers, Eigen::RowMajor>> scores(
            flat.data());
        const auto result = loss(scores, reference, ranking);  // result.grad: a matrix of that kind
        head -= 0.2 * x.transpose() * result.grad.transpose().reshaped();
        if (step % 20 == 0)
            std::printf("step %2d: loss %.3f, weight of length %+.2f, of politeness %+.2f\n", step,
                        result.loss, head(0), head(1));
    }
}

// Output:
// step  0: loss 3.178, weight of length -0.06, of politeness +0.72
// step 20: loss 1.420, weight of length -0.33, of politeness +1.27
// step 40: loss 1.420, weight of length -0.34, of politeness +1.28
// step 60: loss 1.420, weight of length -0.34, of politeness +1.28
