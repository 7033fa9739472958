// SPDX-License-Identifier: Apache-2.0
//
// align_tiny_lm: everything wrong with the command line or the data is said, in one sentence and
// with exit status 2, before the output directory is made; then the experiment runs, and what it
// found is printed and written, also when a signal cuts it short.

#include "experiment.hpp"
#include "interrupt.hpp"
#include "options.hpp"
#include "report.hpp"

#include <prefopt/core/error.hpp>

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace {

constexpr int wrong_input = 2;

// Made before the training, so that a name that cannot be one costs a second and not a minute.
void make_directory(const std::filesystem::path& directory) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error || !std::filesystem::is_directory(directory)) {
        throw tiny::usage_error("--out: " + directory.string() +
                                " cannot be made; expected the name of a directory");
    }
    const std::filesystem::path probe = directory / "probe.part";
    const bool writable = std::ofstream(probe).put('\n').flush().good();
    std::filesystem::remove(probe, error);
    if (!writable) {
        throw tiny::usage_error("--out: " + directory.string() +
                                " cannot be written to; expected a directory that may be");
    }
}

double peak_megabytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024.0;  // Linux counts it in KiB
}

int run(const tiny::options& settings) {
    const auto start = std::chrono::steady_clock::now();
    auto pairs = tiny::read_preferences(settings.data);
    make_directory(settings.out);
    tiny::listen_for_signals();

    std::printf("%zu pairs from %s, model of %lld parameters, seed %llu\n", pairs.size(),
                settings.data.filename().c_str(),
                static_cast<long long>(settings.training.shape.parameters()),
                static_cast<unsigned long long>(settings.training.seed));
    std::fflush(stdout);
    const tiny::results found = tiny::run_experiment(settings, std::move(pairs));

    tiny::write_csv(found, settings.out);
    const std::string remark =
        settings.plots ? tiny::draw_plots(found, settings.out) : std::string();
    if (!found.tuning_nats.empty()) {
        std::printf("fine-tuned to %.3f nats per held-out byte\n", found.tuning_nats.back());
    }
    std::printf("%s\n%s\n", tiny::answers_text(found).c_str(), tiny::table(found, true).c_str());
    if (!remark.empty()) std::printf("%s\n", remark.c_str());
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    std::printf("Results in %s. %.1f s, peak memory %.0f MiB.\n", settings.out.c_str(),
                spent.count(), peak_megabytes());
    if (tiny::interrupted()) {
        std::printf("Interrupted: the figures are those of the steps that were done.\n");
        return 128 + static_cast<int>(tiny::caught_signal);
    }
    return 0;
}

int fail(const char* sentence, int status) {
    std::fprintf(stderr, "align_tiny_lm: %s\n", sentence);
    return status;
}

}  // namespace

int main(int count, char** arguments) {
    try {
        const tiny::options settings = tiny::parse_options(count, arguments);
        if (!settings.help.empty()) {
            std::printf("%s", settings.help.c_str());
            return 0;
        }
        return run(settings);
    } catch (const tiny::usage_error& error) {
        return fail(error.what(), wrong_input);
    } catch (const tiny::data_error& error) {
        return fail(error.what(), wrong_input);
    } catch (const prefopt::error& error) {
        return fail(error.what(), wrong_input);
    } catch (const std::exception& error) {
        return fail(error.what(), 1);
    }
}
