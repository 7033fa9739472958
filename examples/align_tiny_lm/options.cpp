// SPDX-License-Identifier: Apache-2.0
//
// CLI11 splits the words and writes the help; the checks are our own, because the sentence a user
// reads should name what was expected and not a validator.

#include "options.hpp"

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>

#ifndef ALIGN_TINY_LM_DATA
#define ALIGN_TINY_LM_DATA "examples/align_tiny_lm/data/polite.jsonl"
#endif

namespace tiny {
namespace {

constexpr const char* description =
    "Aligns a small byte-level language model with human preferences: fine-tunes it on the chosen\n"
    "answers, freezes the result as the reference, trains it on with a preference loss once per\n"
    "beta, and measures it on pairs kept out of training.";

constexpr const char* footer =
    "FILE is a JSON array or JSON lines (one object a line) in UTF-8. Each object has the strings\n"
    "prompt, chosen, rejected; or instruction, input (may be missing), chosen, rejected.\n\n"
    "Written to DIR: summary.csv (the table), curves.csv (every examination), answers.txt,\n"
    "plot.gp, and through gnuplot curves.svg and, for more than one beta, sweep.svg.\n\n"
    "The same seed gives the same figures, whatever the number of threads; speed aside.\n"
    "Exit status: 0, or 2 for wrong input, or 130/143 after Ctrl-C/SIGTERM, with what there was.";

std::string shown(double value) {
    std::ostringstream out;
    out << value;
    return out.str();
}

void expect(bool holds, const std::string& option, double given, const std::string& expected) {
    if (holds && std::isfinite(given)) return;
    throw usage_error(option + ": " + shown(given) + " is not allowed; expected " + expected);
}

std::vector<double> parse_betas(const std::string& text) {
    std::vector<double> out;
    std::istringstream in(text);
    for (std::string word; std::getline(in, word, ',');) {
        std::size_t used = 0;
        double value = 0.0;
        try {
            value = std::stod(word, &used);
        } catch (const std::exception&) {
            used = std::string::npos;
        }
        if (used != word.size()) {
            throw usage_error("--beta: \"" + text +
                              "\" is not a list of numbers; expected for example 0.1 or 0.1,0.3");
        }
        expect(value > 0.0, "--beta", value, "numbers above 0");
        expect(value >= 1e-9 && value <= 1e9, "--beta", value, "numbers from 1e-9 to 1e9");
        out.push_back(value);
    }
    if (out.empty()) throw usage_error("--beta: the list is empty; expected for example 0.1,0.3");
    return out;
}

template <class Value>
Value look_up(const std::map<std::string, Value>& names, const std::string& option,
              const std::string& word) {
    const auto found = names.find(word);
    if (found != names.end()) return found->second;
    std::string expected;
    for (const auto& [name, value] : names) expected += (expected.empty() ? "" : ", ") + name;
    throw usage_error(option + ": \"" + word + "\" is unknown; expected one of " + expected);
}

// What is read as signed, so that -1 is refused and not taken for a large number.
struct counts {
    std::int64_t epochs, tuning_epochs, batch, every, points, seed;
    std::int64_t window, embedding, hidden;
    std::int64_t threads;
};

std::size_t count_of(const std::string& option, std::int64_t value, std::int64_t least,
                     std::int64_t most) {
    expect(value >= least && value <= most, option, static_cast<double>(value),
           "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return static_cast<std::size_t>(value);
}

void check(options& out, const counts& n) {
    auto& t = out.training;
    t.epochs = count_of("--epochs", n.epochs, 1, 1000);
    t.tuning_epochs = count_of("--tuning-epochs", n.tuning_epochs, 1, 1000);
    t.batch = count_of("--batch", n.batch, 1, 4096);
    t.points = count_of("--points", n.points, 1, 1000);
    t.seed = count_of("--seed", n.seed, 0, std::numeric_limits<std::int64_t>::max());
    count_of("--every", n.every, 1, 1'000'000);
    out.objective.every = n.every;
    out.threads = static_cast<int>(count_of("--threads", n.threads, 0, 1024));
    const auto size = [](const char* option, std::int64_t value, std::int64_t most) {
        return static_cast<Eigen::Index>(count_of(option, value, 1, most));
    };
    t.shape = {size("--window", n.window, 64), size("--embedding", n.embedding, 256),
               size("--hidden", n.hidden, 4096)};
    expect(t.rate > 0.0, "--learning-rate", t.rate, "a number above 0");
    expect(t.tuning_rate > 0.0, "--tuning-rate", t.tuning_rate, "a number above 0");
    expect(t.dropout >= 0.0 && t.dropout < 1.0, "--dropout", t.dropout, "a number in [0, 1)");
    expect(t.weight_decay >= 0.0, "--weight-decay", t.weight_decay, "a number of at least 0");
    expect(out.objective.alpha >= 0.0 && out.objective.alpha <= 1.0, "--alpha", out.objective.alpha,
           "a number in [0, 1]");
    expect(out.held_out > 0.0 && out.held_out <= 0.5, "--held-out", out.held_out,
           "a number above 0 and up to 0.5");
    expect(out.temperature > 0.0, "--temperature", out.temperature, "a number above 0");
}

}  // namespace

options parse_options(int count, char** arguments) {
    options out;
    out.data = ALIGN_TINY_LM_DATA;
    auto& t = out.training;
    counts n{static_cast<std::int64_t>(t.epochs),
             static_cast<std::int64_t>(t.tuning_epochs),
             static_cast<std::int64_t>(t.batch),
             out.objective.every,
             static_cast<std::int64_t>(t.points),
             static_cast<std::int64_t>(t.seed),
             t.shape.window,
             t.shape.embedding,
             t.shape.hidden,
             out.threads};
    std::string data, directory, betas = "0.1,0.3,0.7,1.0", loss = "dpo", reference = "fixed";
    bool no_plots = false;

    CLI::App app{description, "align_tiny_lm"};
    app.footer(footer);
    app.option_defaults()->always_capture_default();
    const auto add = [&app](const char* name, auto& value, const char* text, const char* unit) {
        return app.add_option(name, value, text)->type_name(unit);
    };
    add("--data", data, "preference pairs [the small set that comes with the example]", "FILE")
        ->always_capture_default(false);
    directory = out.out.string();
    add("--out", directory, "where the results are written", "DIR");
    add("--held-out", out.held_out, "share of the pairs kept out of training", "SHARE");
    add("--seed", n.seed, "of the split, the weights, the order, dropout and samples", "INTEGER");

    add("--threads", n.threads, "that work at once; 0: one per core", "COUNT");

    add("--loss", loss, "dpo, ipo, kto or plackett-luce", "NAME")->group("Alignment");
    add("--beta", betas, "temperature of the reward, per nat; a list runs each", "X[,X...]")
        ->group("Alignment");
    add("--reference", reference, "fixed, or following the policy: soft or hard", "NAME")
        ->group("Alignment");
    add("--alpha", out.objective.alpha, "weight of the policy in a soft update", "SHARE")
        ->group("Alignment");
    add("--every", n.every, "steps between two updates of the reference", "STEPS")
        ->group("Alignment");
    add("--epochs", n.epochs, "passes over the pairs", "EPOCHS")->group("Alignment");
    add("--learning-rate", t.rate, "peak rate of AdamW", "RATE")->group("Alignment");
    add("--points", n.points, "examinations per epoch, for the curves", "COUNT")
        ->group("Alignment");

    add("--tuning-epochs", n.tuning_epochs, "passes over the chosen answers", "EPOCHS")
        ->group("Fine-tuning");
    add("--tuning-rate", t.tuning_rate, "peak rate of AdamW", "RATE")->group("Fine-tuning");

    add("--batch", n.batch, "pairs (fine-tuning: answers) per step", "PAIRS")
        ->group("Model and both phases");
    add("--dropout", t.dropout, "of the last hidden layer", "SHARE")
        ->group("Model and both phases");
    add("--weight-decay", t.weight_decay, "of AdamW, times the rate", "RATE")
        ->group("Model and both phases");
    add("--window", n.window, "how many bytes back the model sees exactly", "BYTES")
        ->group("Model and both phases");
    add("--embedding", n.embedding, "numbers per byte", "SIZE")->group("Model and both phases");
    add("--hidden", n.hidden, "numbers per hidden layer", "SIZE")->group("Model and both phases");

    add("--temperature", out.temperature, "of the sampled answers that are shown", "X")
        ->group("Report");
    app.add_flag("--no-plots", no_plots, "do not call gnuplot")->group("Report");

    try {
        app.parse(count, arguments);
    } catch (const CLI::CallForHelp&) {
        out.help = app.help();
        return out;
    } catch (const CLI::ParseError& error) {
        std::string sentence = error.what();
        sentence.erase(sentence.find_last_not_of(" \n.") + 1);
        throw usage_error(sentence + "; --help lists what is expected");
    }
    if (app.count("--data") != 0) out.data = data;
    if (directory.empty()) throw usage_error("--out: the name is empty; expected a directory");
    out.out = directory;
    out.plots = !no_plots;
    out.betas = parse_betas(betas);
    out.objective.loss = look_up<loss_kind>({{"dpo", loss_kind::dpo},
                                             {"ipo", loss_kind::ipo},
                                             {"kto", loss_kind::kto},
                                             {"plackett-luce", loss_kind::plackett_luce}},
                                            "--loss", loss);
    out.objective.reference = look_up<reference_kind>({{"fixed", reference_kind::fixed},
                                                       {"soft", reference_kind::soft},
                                                       {"hard", reference_kind::hard}},
                                                      "--reference", reference);
    check(out, n);
    return out;
}

}  // namespace tiny
