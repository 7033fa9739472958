// SPDX-License-Identifier: Apache-2.0
//
// The pairs of storage types that a policy and its reference can have, for TEMPLATE_LIST_TEST_CASE.

#pragma once

#include <tuple>

#include <prefopt/core/scalar.hpp>

namespace test {

template <class P, class R>
struct mix {
    using policy = P;
    using reference = R;
};
template <class P>
using with_policy =
    std::tuple<mix<P, float>, mix<P, double>, mix<P, prefopt::bf16>, mix<P, prefopt::fp16>>;
/// All sixteen.
using mixes = decltype(std::tuple_cat(with_policy<float>{}, with_policy<double>{},
                                      with_policy<prefopt::bf16>{}, with_policy<prefopt::fp16>{}));

}  // namespace test
