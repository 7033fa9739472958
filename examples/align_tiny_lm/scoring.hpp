// SPDX-License-Identifier: Apache-2.0
//
// Answers in, log-probs out, gradients back: the seam between the model and prefopt. A batch is
// dealt to a fixed number of shards, each packed into (N, V) rows with offsets. An executor of
// prefopt runs the shards' matrix products, and the rows of their log-probs. The number of shards,
// and the order in which their gradients are added, do not depend on the machine or on the threads,
// and the bits of log-probs never do, so neither does the result of a run.

#pragma once

#include "data.hpp"
#include "model.hpp"

#include <Eigen/Core>
#include <prefopt/core/executor.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tiny {

using language_model = byte_model<float>;

inline constexpr std::size_t shards = 4;

// Calls work(0), ..., work(shards - 1) on the executor's threads, and passes on the first
// exception.
void on_every_shard(const prefopt::executor& threads, const std::function<void(std::size_t)>& work);

// Rows for the scored bytes of some sequences: what the model and prefopt read.
struct packed {
    std::vector<std::uint8_t> slots;    // (N, S) what the model reads, see model.hpp
    std::vector<std::int32_t> labels;   // (N) the byte to predict
    std::vector<std::int64_t> offsets;  // (B + 1) the rows of sequence b: offsets[b] to [b + 1]
};

packed pack(std::span<const sequence* const> sequences, Eigen::Index window);

class scorer {
public:
    // The threads must outlive the scorer; serial without.
    explicit scorer(prefopt::executor threads = {}) : threads_(threads) {}

    struct dropout_plan {
        double probability = 0.0;
        std::uint64_t seed = 0;
        std::uint64_t step = 0;
    };

    // (B) log p(answer | prompt) of each sequence, summed over the bytes of the answer.
    std::vector<double> log_probs(const language_model& model,
                                  std::span<const sequence* const> batch);
    std::vector<double> log_probs(const language_model& model,
                                  const std::vector<sequence>& sequences);

    // The same, and the logits are left holding the direction of each log-prob for backward().
    std::vector<double> forward(const language_model& model, std::span<const sequence* const> batch,
                                const dropout_plan& dropout);

    // Adds the gradient to `total`, given coefficients (B) = d loss / d log_prob for the batch
    // last passed to forward().
    void backward(const language_model& model, std::span<const double> coefficients,
                  Eigen::VectorXf& total);

    // Bytes that went through forward() and backward() so far.
    std::size_t trained_bytes() const { return trained_bytes_; }

private:
    struct shard {
        packed rows;
        language_model::workspace work;
        Eigen::VectorXf gradient;
    };

    prefopt::executor threads_;
    std::array<shard, shards> shards_;
    std::size_t trained_bytes_ = 0;
};

struct sampling_options {
    double temperature = 1.0;
    std::size_t longest = 160;  // bytes
    std::uint64_t seed = 1;
    prefopt::executor threads{};
};

// One answer per prompt drawn from the model, as sequences ready to be scored. A draw that has not
// ended after `longest` bytes is cut there, without the end mark.
std::vector<sequence> sample(const language_model& model, std::span<const std::string> prompts,
                             const sampling_options& options);

// The answer of a sequence as printable text: what is not a printable character becomes '?'.
std::string answer_text(const sequence& sampled);

}  // namespace tiny
