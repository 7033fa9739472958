// SPDX-License-Identifier: Apache-2.0
//
// Rows on the library's own pool of threads.

#include <prefopt/executors/thread_pool.hpp>

#include "threaded.hpp"

int main() {
    prefopt::thread_pool pool({.threads = 2});
    return threaded("threads", pool);
}
