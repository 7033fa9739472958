// SPDX-License-Identifier: Apache-2.0
//
// The caller's memory in a row: what makes a buffer, that an empty one has been given too, and when
// memory of our own takes its place.

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <prefopt/core/buffer.hpp>
#include <span>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using prefopt::buffer;
using prefopt::detail::enough;

namespace {

using longs = std::vector<std::int64_t>;

struct options {
    buffer<std::int64_t> count{};
    buffer<const std::int64_t> known{};
};

}  // namespace

TEST_CASE("a buffer is made from whatever makes a span, and only from that", "[core]") {
    longs memory(5);
    std::iota(memory.begin(), memory.end(), 7);
    std::array<std::int64_t, 3> fixed{1, 2, 3};
    std::int64_t plain[2] = {4, 5};
    const longs constant{8, 9};

    const options o{.count = memory, .known = constant};
    CHECK((o.count.data == memory.data() && o.count.size == 5 && o.count.has_value));
    CHECK((o.known.data == constant.data() && o.known.size == 2 && o.known[1] == 9));
    CHECK(std::accumulate(o.count.begin(), o.count.end(), std::int64_t{0}) == 45);
    o.count[4] = -1;
    CHECK(memory[4] == -1);

    const buffer<std::int64_t> from_array = fixed, from_plain = plain;
    CHECK((from_array.data == fixed.data() && from_array.size == 3));
    CHECK((from_plain.data == plain && from_plain.size == 2));
    const buffer<std::int64_t> part = std::span(memory).subspan(1, 2);
    CHECK((part.data == &memory[1] && part.size == 2 && part[0] == 8));
    const buffer<std::int64_t> by_hand{memory.data(), memory.size()};
    CHECK((by_hand.data == memory.data() && by_hand.size == 5));
    const buffer<const std::int64_t> read_only = memory;
    CHECK(read_only.data == memory.data());
    buffer<std::int64_t> copy = part;  // not a range of its own
    const buffer<std::int64_t> again = copy;
    CHECK((again.data == part.data && again.size == 2));

    static_assert(!std::is_convertible_v<const longs&, buffer<std::int64_t>>);
    static_assert(!std::is_convertible_v<longs, buffer<std::int64_t>>);  // would be gone
    static_assert(!std::is_convertible_v<std::vector<int>&, buffer<std::int64_t>>);
    static_assert(std::is_trivially_copyable_v<buffer<double>>);
}

TEST_CASE("an empty buffer has been given, one that was not given has not", "[core]") {
    longs empty;
    const options none{};
    const options given{.count = empty, .known = std::span<const std::int64_t>()};
    CHECK(!none.count.has_value);
    CHECK(none.count.begin() == none.count.end());
    CHECK((given.count.has_value && given.count.size == 0));
    CHECK((given.known.has_value && given.known.size == 0));
}

TEST_CASE("memory of our own takes the place of a buffer that is too small", "[core]") {
    std::vector<double> memory(4, 1.5);
    const enough<double> theirs(memory, 4), ours(memory, 5), nobody({}, 3), nothing({}, 0);
    CHECK((theirs.memory().data == memory.data() && theirs.memory().size == 4));
    CHECK((ours.memory().data != memory.data() && ours.memory().size == 5));
    CHECK(ours.memory()[4] == 0);
    CHECK((nobody.memory().size == 3 && nobody.memory()[2] == 0));
    CHECK(nothing.memory().size == 0);
}
