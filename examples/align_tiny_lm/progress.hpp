// SPDX-License-Identifier: Apache-2.0
//
// One progress bar per phase, on standard error. A terminal sees it move, at most ten times a
// second; a log file gets one line when the phase is over.

#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>

namespace tiny {

class progress_bar {
public:
    progress_bar(std::string phase, std::size_t steps, bool quiet)
        : phase_(std::move(phase)),
          steps_(std::max<std::size_t>(steps, 1)),
          quiet_(quiet),
          terminal_(::isatty(STDERR_FILENO) == 1) {}

    progress_bar(const progress_bar&) = delete;
    progress_bar& operator=(const progress_bar&) = delete;

    ~progress_bar() {
        if (quiet_) return;
        draw();
        std::fputc('\n', stderr);
    }

    void advance(std::string note) {
        ++done_;
        note_ = std::move(note);
        const auto now = std::chrono::steady_clock::now();
        if (quiet_ || !terminal_ || now - drawn_ < std::chrono::milliseconds(100)) return;
        drawn_ = now;
        draw();
    }

private:
    void draw() const {
        constexpr std::size_t width = 24;
        const std::size_t filled = std::min(width, width * done_ / steps_);
        const std::string bar = std::string(filled, '#') + std::string(width - filled, '.');
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
        std::fprintf(stderr, "%s%-30s [%s] %zu/%zu steps, %.1f s, %s%s", terminal_ ? "\r" : "",
                     phase_.c_str(), bar.c_str(), done_, steps_, spent.count(), note_.c_str(),
                     terminal_ ? "\x1b[K" : "");
        std::fflush(stderr);
    }

    std::string phase_;
    std::size_t steps_;
    bool quiet_;
    bool terminal_;
    std::size_t done_ = 0;
    std::string note_;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point drawn_ = start_;
};

}  // namespace tiny
