// SPDX-License-Identifier: Apache-2.0
//
// A result written to a temporary is lost with it. A view of memory that lives on is none: a span,
// a prefopt::view, a range that says so of itself.

#include <cstddef>
#include <ranges>
#include <span>
#include <vector>

#include <prefopt/dpo.hpp>

namespace mine {

struct slice {
    float* first;
    std::size_t count;
    float* begin() const { return first; }
    float* end() const { return first + count; }
};

}  // namespace mine

template <>
inline constexpr bool std::ranges::enable_borrowed_range<mine::slice> = true;

double use(const std::vector<float>& v, std::vector<float>& out) {
#ifdef PREFOPT_MUST_FAIL
    return prefopt::dpo{}.into(v, v, v, v, {.losses = std::vector<float>(out.size())}).loss;
#else
    return prefopt::dpo{}
        .into(v, v, v, v,
              {.losses = std::span(out),
               .grad_chosen = prefopt::view{out.data(), {out.size()}},
               .grad_rejected = mine::slice{out.data(), out.size()}})
        .loss;
#endif
}
