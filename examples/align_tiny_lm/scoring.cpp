// SPDX-License-Identifier: Apache-2.0
//
// Everything here that is about preferences is three calls of prefopt: sequence_log_probs to score,
// sequence_log_probs_in_place to score and keep the direction, and the sum of direction times
// coefficient that the model's backward pass takes from there.

#include "scoring.hpp"

#include <prefopt/adapters/eigen.hpp>
#include <prefopt/log_probs.hpp>

#include <algorithm>
#include <exception>

namespace tiny {
namespace {

constexpr std::size_t scoring_batch = 64;  // sequences at once where no gradient is wanted

std::vector<const sequence*> deal(std::span<const sequence* const> batch, std::size_t s) {
    std::vector<const sequence*> dealt;
    for (std::size_t i = s; i < batch.size(); i += shards) dealt.push_back(batch[i]);
    return dealt;
}

// The opposite: one shard's results to their places in the batch.
void gather(const Eigen::VectorXd& sums, std::size_t s, double* batch) {
    for (Eigen::Index i = 0; i < sums.size(); ++i) {
        batch[s + static_cast<std::size_t>(i) * shards] = sums[i];
    }
}

// The byte of the prompt that follows the last place where it holds the `length` bytes before
// `end`, or 0. Of the prompt alone: a model that looks for its own words repeats itself for ever.
std::uint8_t recall(const sequence& s, std::size_t end, std::size_t length) {
    const std::string_view prompt(s.bytes.data(), s.answer - 1);
    if (end < length || prompt.size() < length + 1) return 0;
    const std::string_view latest = std::string_view(s.bytes).substr(end - length, length);
    const std::size_t found = prompt.substr(0, prompt.size() - 1).rfind(latest);
    return found == std::string_view::npos ? std::uint8_t{0}
                                           : static_cast<std::uint8_t>(prompt[found + length]);
}

// What the byte at `end` is predicted from: the last W bytes, zeros where there are fewer, and what
// followed the latest few bytes the last time they occurred.
void append_slots(const sequence& s, std::size_t end, Eigen::Index window,
                  std::vector<std::uint8_t>& out) {
    const auto wanted = static_cast<std::size_t>(window);
    const std::size_t have = std::min(wanted, end);
    out.insert(out.end(), wanted - have, 0);
    for (std::size_t i = end - have; i < end; ++i) {
        out.push_back(static_cast<std::uint8_t>(s.bytes[i]));
    }
    for (const std::size_t length : recall_lengths) out.push_back(recall(s, end, length));
}

}  // namespace

void on_every_shard(const prefopt::executor& threads,
                    const std::function<void(std::size_t)>& work) {
    std::array<std::exception_ptr, shards> failures{};
    threads(std::ptrdiff_t{shards}, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
        for (auto s = static_cast<std::size_t>(begin); s < static_cast<std::size_t>(end); ++s) {
            try {
                work(s);
            } catch (...) {
                failures[s] = std::current_exception();
            }
        }
    });
    for (const auto& failure : failures) {
        if (failure) std::rethrow_exception(failure);
    }
}

packed pack(std::span<const sequence* const> sequences, Eigen::Index window) {
    packed out;
    out.offsets.push_back(0);
    for (const sequence* s : sequences) {
        for (std::size_t t = s->answer; t < s->bytes.size(); ++t) {
            append_slots(*s, t, window, out.slots);
            out.labels.push_back(static_cast<unsigned char>(s->bytes[t]));
        }
        out.offsets.push_back(static_cast<std::int64_t>(out.labels.size()));
    }
    return out;
}

std::vector<double> scorer::log_probs(const language_model& model,
                                      std::span<const sequence* const> batch) {
    std::vector<double> out(batch.size());
    for (std::size_t begin = 0; begin < batch.size(); begin += scoring_batch) {
        const auto part = batch.subspan(begin, std::min(scoring_batch, batch.size() - begin));
        on_every_shard(threads_, [&](std::size_t s) {
            auto& [rows, work, gradient] = shards_[s];
            rows = pack(deal(part, s), model.shape().window);
            work.slots.swap(rows.slots);
            if (s < part.size()) model.forward(work);
        });
        for (std::size_t s = 0; s < std::min(shards, part.size()); ++s) {
            const auto& [rows, work, gradient] = shards_[s];
            const auto scored = prefopt::sequence_log_probs(
                work.logits, rows.labels, {.offsets = rows.offsets, .executor = threads_});
            gather(scored.sum, s, out.data() + begin);
        }
    }
    return out;
}

std::vector<double> scorer::log_probs(const language_model& model,
                                      const std::vector<sequence>& sequences) {
    std::vector<const sequence*> pointers;
    pointers.reserve(sequences.size());
    for (const auto& s : sequences) pointers.push_back(&s);
    return log_probs(model, pointers);
}

std::vector<double> scorer::forward(const language_model& model,
                                    std::span<const sequence* const> batch,
                                    const dropout_plan& dropout) {
    std::vector<double> out(batch.size());
    on_every_shard(threads_, [&](std::size_t s) {
        auto& [rows, work, gradient] = shards_[s];
        rows = pack(deal(batch, s), model.shape().window);
        work.slots.swap(rows.slots);
        random_source random(dropout.seed, stream::dropout, dropout.step * shards + s);
        if (s < batch.size()) model.forward(work, dropout.probability, &random);
    });
    for (std::size_t s = 0; s < std::min(shards, batch.size()); ++s) {
        auto& [rows, work, gradient] = shards_[s];
        const auto scored = prefopt::sequence_log_probs_in_place(
            work.logits, rows.labels, {.offsets = rows.offsets, .executor = threads_});
        gather(scored.sum, s, out.data());
    }
    for (const sequence* s : batch) trained_bytes_ += s->scored();
    return out;
}

void scorer::backward(const language_model& model, std::span<const double> coefficients,
                      Eigen::VectorXf& total) {
    on_every_shard(threads_, [&](std::size_t s) {
        auto& [rows, work, gradient] = shards_[s];
        gradient.setZero(model.parameters().size());
        if (work.slots.empty()) return;
        Eigen::VectorXf scale(static_cast<Eigen::Index>(rows.labels.size()));
        for (std::size_t i = 0; i + 1 < rows.offsets.size(); ++i) {
            scale.segment(rows.offsets[i], rows.offsets[i + 1] - rows.offsets[i])
                .setConstant(static_cast<float>(coefficients[s + i * shards]));
        }
        model.backward(work, scale, gradient);
    });
    for (const auto& part : shards_) total += part.gradient;
}

std::vector<sequence> sample(const language_model& model, std::span<const std::string> prompts,
                             const sampling_options& options) {
    std::vector<sequence> out(prompts.size());
    on_every_shard(options.threads, [&](std::size_t s) {
        std::vector<std::size_t> open;
        std::vector<random_source> random;
        for (std::size_t i = s; i < prompts.size(); i += shards) {
            out[i] = make_sequence(prompts[i], "");
            out[i].bytes.pop_back();  // the end mark is the model's to write
            open.push_back(i);
        }
        for (std::size_t i = 0; i < prompts.size(); ++i) {
            random.emplace_back(options.seed, stream::sampling, i);
        }
        language_model::workspace work;
        for (std::size_t length = 0; length < options.longest && !open.empty(); ++length) {
            work.slots.clear();
            for (const std::size_t i : open) {
                append_slots(out[i], out[i].bytes.size(), model.shape().window, work.slots);
            }
            model.forward(work);
            for (Eigen::Index row = 0; row < work.logits.rows(); ++row) {
                // The largest of logit / temperature + Gumbel noise is a draw from the softmax.
                const std::size_t i = open[static_cast<std::size_t>(row)];
                Eigen::Index drawn = 0;
                double best = -1e300;
                for (Eigen::Index v = 0; v < vocabulary; ++v) {
                    const double score =
                        static_cast<double>(work.logits(row, v)) / options.temperature +
                        random[i].gumbel();
                    if (score > best) {
                        best = score;
                        drawn = v;
                    }
                }
                out[i].bytes.push_back(static_cast<char>(drawn));
            }
            std::erase_if(open, [&](std::size_t i) { return out[i].bytes.back() == answer_ends; });
        }
    });
    return out;
}

std::string answer_text(const sequence& sampled) {
    std::string out;
    for (std::size_t i = sampled.answer; i < sampled.bytes.size(); ++i) {
        const char c = sampled.bytes[i];
        if (c == answer_ends) break;
        out.push_back(c == '\n' ? ' ' : c >= ' ' && c <= '~' ? c : '?');
    }
    return out;
}

}  // namespace tiny
