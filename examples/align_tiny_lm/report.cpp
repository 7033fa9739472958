// SPDX-License-Identifier: Apache-2.0
//
// Numbers are printed with std::snprintf: short to read, and the same in every locale that this
// program, which sets none, runs in.

#include "report.hpp"

#include "plot.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace tiny {
namespace {

std::string number(double value, int digits) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    return text.data();
}

std::string exact(double value) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.9g", value);
    return text.data();
}

std::string speed_of(double bytes_per_second) { return number(bytes_per_second / 1000.0, 1) + "k"; }

using row = std::vector<std::string>;

row table_row(const std::string& name, const std::string& epochs, const measures& m, bool is_start,
              const std::string& speed) {
    return {name,
            epochs,
            is_start ? "-" : number(m.loss, 4),
            is_start ? "-" : number(m.reward_accuracy, 3),
            number(m.policy_accuracy, 3),
            is_start ? "-" : number(m.margin, 3),
            number(m.kl, 2),
            number(m.chosen_change, 2),
            speed};
}

std::string aligned(const std::vector<row>& rows, std::size_t columns) {
    std::vector<std::size_t> widths(columns, 0);
    for (const auto& cells : rows) {
        for (std::size_t c = 0; c < columns; ++c) widths[c] = std::max(widths[c], cells[c].size());
    }
    std::string out;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        std::string line;
        for (std::size_t c = 0; c < columns; ++c) {
            const std::string padding(widths[c] - rows[r][c].size(), ' ');
            line += (c == 0 ? "" : "  ");
            line += c == 0 ? rows[r][c] + padding : padding + rows[r][c];
        }
        out += line + "\n";
        if (r == 0) out += std::string(line.size(), '-') + "\n";
    }
    return out;
}

std::string csv_measures(const measures& m) {
    return exact(m.loss) + "," + exact(m.reward_accuracy) + "," + exact(m.policy_accuracy) + "," +
           exact(m.margin) + "," + exact(m.kl) + "," + exact(m.chosen_change);
}

constexpr const char* measure_names =
    "held_out_loss,reward_accuracy,policy_accuracy,margin,kl_nats_per_answer,chosen_change_nats";

std::string run_key(const aligned_model& run) {
    const auto& o = run.objective;
    const char* const reference = o.reference == reference_kind::soft   ? "soft"
                                  : o.reference == reference_kind::hard ? "hard"
                                                                        : "fixed";
    return name_of(o.loss) + "," + exact(o.beta) + "," + reference;
}

}  // namespace

std::string table(const results& all, bool speed) {
    std::vector<row> rows;
    rows.push_back({"model", "epochs", "loss", "reward acc", "policy acc", "margin", "KL",
                    "chosen logp", "tokens/s"});
    rows.push_back(table_row("fine-tuned", std::to_string(all.tuning_nats.size()), all.start, true,
                             speed_of(all.tuning_speed)));
    for (const auto& run : all.runs) {
        const auto& last = run.curve.back();
        rows.push_back(table_row(name_of(run.objective) + (run.complete ? "" : " (cut short)"),
                                 number(last.epoch, run.complete ? 0 : 1), last.held_out, false,
                                 speed_of(run.bytes_per_second)));
    }
    std::string out = aligned(rows, speed ? 9 : 8);
    out += "Measured on " + std::to_string(all.held_out_pairs) + " held-out pairs (trained on " +
           std::to_string(all.training_pairs) + "), " + std::to_string(all.ties) +
           " of them with equal answers: never won.\n"
           "A token is a byte. KL and the change of the chosen log-prob are against the frozen "
           "start,\nin nats per answer; rewards too, where the loss follows a moving reference.\n";
    return out;
}

std::string answers_text(const results& all) {
    std::string out;
    const std::string* shown = nullptr;
    for (const auto& answer : all.answers) {
        if (shown == nullptr || *shown != answer.prompt) {
            std::string prompt = answer.prompt;
            std::replace(prompt.begin(), prompt.end(), '\n', ' ');
            out += "\nprompt  " + prompt + "\nbefore  " + answer.before + "\n";
        }
        out += "after   " + answer.after;
        if (!answer.model.empty()) out += "   [" + answer.model + "]";
        out += "\n";
        shown = &answer.prompt;
    }
    return out;
}

void write_file(const std::filesystem::path& file, const std::string& content) {
    std::filesystem::path part = file;
    part += ".part";
    std::error_code error;
    {
        std::ofstream out(part, std::ios::binary);
        out << content;
        out.close();
        if (!out) error = std::make_error_code(std::errc::io_error);
    }
    if (!error) std::filesystem::rename(part, file, error);
    if (error) {
        std::error_code ignored;
        std::filesystem::remove(part, ignored);
        throw std::runtime_error(file.string() +
                                 ": the file cannot be written; expected a "
                                 "directory with room that may be written to");
    }
}

void write_csv(const results& all, const std::filesystem::path& directory) {
    std::string summary = std::string("model,beta,reference,complete,") + measure_names +
                          ",held_out_pairs,ties,tokens_per_second\n";
    const std::string counts =
        "," + std::to_string(all.held_out_pairs) + "," + std::to_string(all.ties) + ",";
    // Before alignment there is no beta, and so no loss, reward or margin.
    summary += "fine-tuned,,,1,,," + exact(all.start.policy_accuracy) + ",,0,0" + counts +
               exact(all.tuning_speed) + "\n";
    std::string curves =
        std::string("loss,beta,reference,step,epoch,training_loss,") + measure_names + "\n";
    for (const auto& run : all.runs) {
        summary += run_key(run) + (run.complete ? ",1," : ",0,") +
                   csv_measures(run.curve.back().held_out) + counts + exact(run.bytes_per_second) +
                   "\n";
        for (const auto& point : run.curve) {
            curves += run_key(run) + "," + std::to_string(point.step) + "," + exact(point.epoch) +
                      "," + exact(point.training_loss) + "," + csv_measures(point.held_out) + "\n";
        }
    }
    write_file(directory / "summary.csv", summary);
    write_file(directory / "curves.csv", curves);
    write_file(directory / "answers.txt", answers_text(all));
}

std::string draw_plots(const results& all, const std::filesystem::path& directory) {
    std::vector<plotted_run> runs;
    for (const auto& run : all.runs) runs.push_back({name_of(run.objective), run.objective.beta});
    if (runs.empty()) return "";
    write_file(directory / "plot.gp", plot_script(runs));
    return run_gnuplot(directory, runs.size() > 1);
}

}  // namespace tiny
