// SPDX-License-Identifier: Apache-2.0
//
// A range that makes its tensors as it goes: they would be gone before they are read.

#include <ranges>
#include <vector>

#include <prefopt/trust_region.hpp>

struct maker {
    struct iterator {
        using difference_type = std::ptrdiff_t;
        using value_type = std::vector<float>;
        int i = 0;
        std::vector<float> operator*() const { return std::vector<float>(2, 1.0F); }
        iterator& operator++() {
            ++i;
            return *this;
        }
        iterator operator++(int) {
            iterator old = *this;
            ++i;
            return old;
        }
        bool operator==(const iterator& other) const { return i == other.i; }
    };
    iterator begin() const { return {0}; }
    iterator end() const { return {1}; }
};

bool use(std::vector<std::vector<float>>& reference) {
    prefopt::tr_dpo loss{};
#ifdef PREFOPT_MUST_FAIL
    return loss.step(maker{}, reference);
#else
    const std::vector<std::vector<float>> policy{*maker{}.begin()};
    return loss.step(policy, reference);
#endif
}
