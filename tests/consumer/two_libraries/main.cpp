// SPDX-License-Identifier: Apache-2.0
//
// The host: its two libraries share nothing of prefopt, and print the same. PRINT is the one that
// this program asks.

#include <cstdio>
#include <cstring>

#include "identity.hpp"

int main() {
    const identity plain = identity_plain();
    const identity fast = identity_fast();
    if (std::strcmp(plain.type, fast.type) == 0 || plain.function == fast.function) {
        std::fprintf(stderr, "one copy serves both: %s\n", plain.type);
        return 1;
    }
    PRINT();
}
