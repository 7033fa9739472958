// SPDX-License-Identifier: Apache-2.0
//
// Eight rows of logits in place, or nothing but their memory: the difference, counted by a
// simulated cache, is what one sweep moves. tests/valgrind runs it.

#include <prefopt/log_probs.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

int main(int argc, char** argv) {
    constexpr std::ptrdiff_t rows = 8;
    constexpr std::ptrdiff_t vocab = 128256;
    std::vector<float> x(static_cast<std::size_t>(rows * vocab));
    std::uint32_t random = 1;
    for (float& value : x) {
        random = random * 1664525U + 1013904223U;
        value = static_cast<float>(random >> 8) * 0x1p-22F;
    }
    const std::vector<int> labels{0, 7919, 15838, 23757, 64000, 100000, 128000, 128255};
    std::vector<double> sum(1);
    const prefopt::view logits(x.data(), {std::ptrdiff_t{1}, rows, vocab});
    const prefopt::view y(labels.data(), {std::ptrdiff_t{1}, rows});
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "in_place") {
        prefopt::sequence_log_probs_in_place.into(logits, y, {.sum = sum});
    } else if (what == "twice") {
        const std::vector<double> one(1, 1.0);
        prefopt::sequence_log_probs.into(logits, y, {.sum = sum});
        prefopt::sequence_log_probs_backward(logits, y, one, logits);
    }
    std::printf("%td\n", rows * vocab * static_cast<std::ptrdiff_t>(sizeof(float)));
    return sum[0] <= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
