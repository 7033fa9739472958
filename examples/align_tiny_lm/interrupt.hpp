// SPDX-License-Identifier: Apache-2.0
//
// SIGINT and SIGTERM set a flag that every training loop looks at between two steps. The program
// then reports what it has and exits with 128 + the signal, as a shell expects. A second signal
// ends it at once: somebody who presses Ctrl-C twice means it.

#pragma once

#include <csignal>

namespace tiny {

inline volatile std::sig_atomic_t caught_signal = 0;

inline bool interrupted() { return caught_signal != 0; }

extern "C" inline void remember_signal(int number) {
    caught_signal = number;
    std::signal(number, SIG_DFL);
}

inline void listen_for_signals() {
    std::signal(SIGINT, remember_signal);
    std::signal(SIGTERM, remember_signal);
}

}  // namespace tiny
