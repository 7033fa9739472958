// SPDX-License-Identifier: Apache-2.0
//
// One translation unit of the ABI test, compiled several times with different flags; ABI_UNIT is
// the name of this one.

#include "unit.hpp"

#include <cstdint>
#include <cstring>
#include <typeinfo>
#include <vector>

#include <prefopt/prefopt.hpp>

#define ABI_JOIN_(a, b) a##b
#define ABI_JOIN(a, b) ABI_JOIN_(a, b)

namespace abi {

description ABI_UNIT() {
    description d{};
    d.type = typeid(prefopt::dpo).name();
    const auto address = [](auto* function) {
        const void* p = nullptr;
        std::memcpy(&p, &function, sizeof p);
        return p;
    };
    d.sigmoid = address(&prefopt::sigmoid<double>);
    d.inline_function = address(&prefopt::detail::check_positive);
    d.inline_variable = &prefopt::kl_estimate;
    d.assert_level = PREFOPT_ASSERT_LEVEL;
#ifdef __FAST_MATH__
    d.fast_math = true;
#endif
    d.kernels = prefopt::to_string(prefopt::active_instruction_set());
    d.forced = prefopt::to_string(prefopt::use_instruction_set(prefopt::instruction_set::generic));
    prefopt::use_instruction_set(prefopt::widest_instruction_set());
    const std::vector<double> chosen{1, -2, 3, 0.5, -7};
    const std::vector<double> rejected{0.5, -1, -30, 0.25, 2};
    const std::vector<double> zero(5, 0.0);
    const prefopt::dpo loss{.beta = 0.7};
    d.loss = loss(chosen, rejected, zero, zero).loss;

    prefopt::tensor<float, 2> logits({1, 1000});
    logits(0, 0) = 20;
    const std::vector<int> label{0};
    d.confident = prefopt::sequence_log_probs(logits, label).sum[0];

    constexpr double inf = prefopt::detail::infinity_of<double>;
    const std::vector<double> bad{1, -inf, prefopt::detail::quiet_nan_of<double>, -inf, 2};
    d.nonfinite = static_cast<long>(loss(bad, zero, zero, zero).summary.nonfinite);
    d.refuses = !prefopt::dpo{.beta = bad[2]}.check_parameters().ok();
    return d;
}

#if PREFOPT_EXCEPTIONS
void ABI_JOIN(fail_, ABI_UNIT)() {
    const std::vector<double> one{1};
    (void)prefopt::dpo{.beta = -1}(one, one, one, one);
}
#endif

}  // namespace abi
