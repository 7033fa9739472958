// SPDX-License-Identifier: Apache-2.0
//
// 6. libtorch: a transformer learns manners by TR-DPO, through libtorch's own autograd.
//
// The model is libtorch's, the optimizer is libtorch's; the library gives sequence log-probs and a
// loss whose grad_fn reaches the policy through whatever graph the logits came from. The reference
// starts as a copy of the policy and follows it: `step` after every optimizer step. The data are
// align_tiny_lm's pairs of a courteous and a brusque answer to one question.
//
//     06_libtorch_tr_dpo examples/align_tiny_lm/data/polite.jsonl

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <torch/torch.h>
#include <nlohmann/json.hpp>

#include <prefopt/adapters/torch.hpp>
#include <prefopt/log_probs.hpp>
#include <prefopt/metrics.hpp>
#include <prefopt/trust_region.hpp>

namespace {

constexpr std::int64_t vocab = 128;  // bytes; those above are written as '?'
constexpr std::int64_t width = 48;
constexpr std::int64_t longest = 96;

/// One causal block of attention and a feed-forward layer over bytes.
struct transformer_model : torch::nn::Module {
    torch::nn::Embedding token{nullptr}, place{nullptr};
    torch::nn::LayerNorm before_attention{nullptr}, before_hidden{nullptr}, at_end{nullptr};
    torch::nn::Linear query_key_value{nullptr}, mixed{nullptr}, hidden{nullptr}, out{nullptr},
        head{nullptr};

    transformer_model() {
        const auto norm = [] { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})); };
        token = register_module("token", torch::nn::Embedding(vocab, width));
        place = register_module("place", torch::nn::Embedding(longest, width));
        before_attention = register_module("before_attention", norm());
        query_key_value = register_module("query_key_value", torch::nn::Linear(width, 3 * width));
        mixed = register_module("mixed", torch::nn::Linear(width, width));
        before_hidden = register_module("before_hidden", norm());
        hidden = register_module("hidden", torch::nn::Linear(width, 4 * width));
        out = register_module("out", torch::nn::Linear(4 * width, width));
        at_end = register_module("at_end", norm());
        head = register_module("head", torch::nn::Linear(width, vocab));
    }

    /// tokens (B, T) to logits (B, T, V).
    torch::Tensor forward(const torch::Tensor& tokens) {
        constexpr std::int64_t heads = 2;
        const std::int64_t b = tokens.size(0), t = tokens.size(1);
        torch::Tensor x = token(tokens) + place(torch::arange(t));
        const auto parts = query_key_value(before_attention(x))
                               .view({b, t, 3, heads, width / heads})
                               .permute({2, 0, 3, 1, 4});  // (3, B, heads, T, width / heads)
        const auto future = torch::ones({t, t}, torch::kBool).triu(1);
        const auto scores = torch::matmul(parts[0], parts[1].transpose(-2, -1)) /
                            std::sqrt(static_cast<double>(width / heads));
        const auto attention = torch::softmax(scores.masked_fill(future, -1e9), -1);
        x = x + mixed(torch::matmul(attention, parts[2]).transpose(1, 2).reshape({b, t, width}));
        x = x + out(torch::gelu(hidden(before_hidden(x))));
        return head(at_end(x));
    }
};

/// Tokens (B, T) of prompt + answer, and labels (B, T): what follows each token of the answer.
struct side {
    torch::Tensor tokens;
    torch::Tensor labels;
};

side encode(const std::vector<nlohmann::json>& pairs, const char* answer) {
    const auto count = static_cast<std::int64_t>(pairs.size());
    torch::Tensor tokens = torch::zeros({count, longest}, torch::kLong);
    std::vector<std::int64_t> prompts, lengths;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto& pair = pairs[static_cast<std::size_t>(i)];
        const std::string prompt = pair["prompt"].get<std::string>() + "\n";
        std::string text = prompt + pair[answer].get<std::string>() + "\n";
        text.resize(std::min(text.size(), static_cast<std::size_t>(longest)));
        for (std::size_t t = 0; t < text.size(); ++t) {
            const auto byte = static_cast<unsigned char>(text[t]);
            tokens[i][static_cast<std::int64_t>(t)] = byte < vocab ? byte : '?';
        }
        prompts.push_back(static_cast<std::int64_t>(std::min(prompt.size(), text.size())));
        lengths.push_back(static_cast<std::int64_t>(text.size()));
    }
    return {tokens, prefopt::shift_labels(tokens, {.prompt_lengths = prompts, .lengths = lengths})};
}

side rows(const side& s, std::int64_t first, std::int64_t last) {
    return {s.tokens.slice(0, first, last), s.labels.slice(0, first, last)};
}

/// (B) log-probs of the answers under a model, with the model's graph behind them.
torch::Tensor score(transformer_model& model, const side& s) {
    return prefopt::sequence_log_probs(model.forward(s.tokens), s.labels).sum;
}

}  // namespace

int main(int argc, char** argv) {
    std::ifstream file(argc > 1 ? argv[1] : "examples/align_tiny_lm/data/polite.jsonl");
    std::vector<nlohmann::json> pairs;
    for (std::string line; std::getline(file, line);) pairs.push_back(nlohmann::json::parse(line));
    if (pairs.size() < 200) return std::puts("the pairs were not found"), 1;
    const side chosen = encode(pairs, "chosen");
    const side rejected = encode(pairs, "rejected");
    const auto held_out = static_cast<std::int64_t>(pairs.size()) - 64;

    torch::manual_seed(1);
    transformer_model policy, reference, start;
    const auto policy_parameters = policy.parameters();
    auto reference_parameters = reference.parameters();
    auto start_parameters = start.parameters();
    prefopt::tr_dpo copy{.update = prefopt::hard_update({.every = 1})};
    copy.step(policy_parameters, reference_parameters);
    copy.step(policy_parameters, start_parameters);

    prefopt::tr_dpo loss{.loss = {.beta = 0.1},
                         .update = prefopt::soft_update({.alpha = 0.3, .every = 8})};
    torch::optim::Adam optimizer(policy_parameters, torch::optim::AdamOptions(2e-3));

    // The share of held-out pairs of which the policy has come to like the chosen answer more.
    const auto evaluate = [&] {
        const torch::NoGradGuard no_gradient;
        const side c = rows(chosen, held_out, held_out + 64);
        const side r = rows(rejected, held_out, held_out + 64);
        prefopt::preference_metrics metrics;
        metrics.add(
            prefopt::dpo{}(score(policy, c), score(policy, r), score(start, c), score(start, r)));
        return metrics.accuracy();
    };

    constexpr std::int64_t batch = 28;
    prefopt::preference_metrics metrics;
    for (int step = 0; step < 66; ++step) {
        const std::int64_t first = step % (held_out / batch) * batch;
        const side c = rows(chosen, first, first + batch);
        const side r = rows(rejected, first, first + batch);
        torch::Tensor reference_chosen, reference_rejected;
        {
            const torch::NoGradGuard no_gradient;
            reference_chosen = score(reference, c);
            reference_rejected = score(reference, r);
        }
        const auto result = loss(score(policy, c), score(policy, r), reference_chosen,
                                 reference_rejected, {.reference_versions = loss.version()});
        optimizer.zero_grad();
        result.loss.backward();
        optimizer.step();
        const bool moved = loss.step(policy_parameters, reference_parameters);
        metrics.add(result);
        if (moved) {  // to the screen only: the digits depend on libtorch's version
            std::fprintf(stderr, "step %2d: loss %.3f, reward accuracy %.2f, reference %llu\n",
                         step + 1, metrics.loss(), metrics.accuracy(),
                         static_cast<unsigned long long>(loss.version()));
            metrics = {};
        }
    }
    std::printf("the reference moved %llu times\n",
                static_cast<unsigned long long>(loss.version()));
    const double accuracy = evaluate();
    std::fprintf(stderr, "held-out pairs: accuracy %.2f\n", accuracy);
    std::printf("held-out pairs: %s\n", accuracy > 0.9 ? "more than nine in ten" : "not learnt");
}

// Output:
// the reference moved 8 times
// held-out pairs: more than nine in ten
