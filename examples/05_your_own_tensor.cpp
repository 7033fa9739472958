// SPDX-License-Identifier: Apache-2.0
//
// 5. A tensor of your own: a few lines, and every function of the library takes it.
//
// `column` is one column of a table in which a trainer keeps all that it knows about a batch: its
// elements are a row apart. The adapter says so; results that the library makes are std::vectors.

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include <prefopt/dpo.hpp>
#include <prefopt/testing/conformance.hpp>

namespace my {

/// One column of a row-major table.
struct column {
    std::vector<double>* cells;
    std::size_t width;
    std::size_t index;
};

}  // namespace my

template <>
struct prefopt::adapter<my::column> {
    static constexpr std::size_t rank = 1;
    static constexpr bool borrowed = true;  // a temporary column refers to a table that stays
    static auto view(const my::column& c) {
        return prefopt::view{c.cells->data() + c.index, {c.cells->size() / c.width}, {c.width}};
    }
};

int main() {
    // clang-format off
    //                          policy          reference       gradients
    //                          chosen rejected chosen rejected chosen rejected
    std::vector<double> table{  -12.0, -14.0,   -13.0, -13.5,   0.0,   0.0,
                                -30.5, -29.0,   -30.0, -29.5,   0.0,   0.0};
    // clang-format on
    const auto column = [&](std::size_t i) { return my::column{&table, 6, i}; };

    const prefopt::dpo loss{.beta = 0.1};
    const auto result = loss.into(column(0), column(1), column(2), column(3),
                                  {.grad_chosen = column(4), .grad_rejected = column(5)});
    std::printf("loss %.6f\n", result.loss);
    std::printf("gradients %+.6f %+.6f\n", table[4], table[10]);

    // The library checks an adapter for its author.
    auto sample = column(0);
    const auto complaints = prefopt::testing::conformance(sample);
    for (const std::string& complaint : complaints) std::puts(complaint.c_str());
    std::printf("%zu complaints\n", complaints.size());
}

// Output:
// loss 0.682677
// gradients -0.023129 -0.026249
// 0 complaints
