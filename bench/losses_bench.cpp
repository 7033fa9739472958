// SPDX-License-Identifier: Apache-2.0
//
// Losses and gradients over 1e3 to 1e7 examples, and the move of a reference. bytes_per_second
// counts every array that is read or written once.

#include <prefopt/ipo.hpp>
#include <prefopt/kto.hpp>
#include <prefopt/plackett_luce.hpp>

#include "support/ours.hpp"
#include "support/sizes.hpp"

namespace prefopt_bench {
namespace {

void add_ipo(std::ptrdiff_t n) {
    add(vector_name<float>("ipo", n) + "prefopt", pair_work<float>(n), [=] {
        auto& p = shared_pairs<float>(n);
        return [&p] {
            const prefopt::ipo loss{.beta = 0.1};
            const auto r = loss.into(p.policy_chosen, p.policy_rejected, p.reference_chosen,
                                     p.reference_rejected,
                                     {.losses = p.losses,
                                      .grad_chosen = p.grad_chosen,
                                      .grad_rejected = p.grad_rejected});
            benchmark::DoNotOptimize(r.loss);
        };
    });
}

/// Every second answer desirable.
void add_kto(std::ptrdiff_t n) {
    const double items = static_cast<double>(n);
    add(vector_name<float>("kto", n) + "prefopt", {17 * items, items}, [=] {
        auto& p = shared_pairs<float>(n);
        const auto& desirable = shared<std::vector<std::uint8_t>>("desirable", n, 1, [&] {
            std::vector<std::uint8_t> flags(static_cast<std::size_t>(n));
            for (std::size_t i = 0; i < flags.size(); i += 2) flags[i] = 1;
            return flags;
        });
        return [&p, &desirable] {
            const prefopt::kto loss{.beta = 0.1};
            const auto r = loss.into(p.policy_chosen, p.reference_chosen, desirable, 0.1,
                                     {.losses = p.losses, .grad = p.grad_chosen});
            benchmark::DoNotOptimize(r.loss);
        };
    });
}

/// Lists of `answers`, as many as make n answers.
void add_plackett_luce(std::ptrdiff_t n, std::ptrdiff_t answers) {
    const std::ptrdiff_t lists = n / answers;
    const double items = static_cast<double>(lists * answers);
    add("plackett_luce/f32/" + size_name(lists, answers) + "/prefopt",
        {12 * items + 4 * static_cast<double>(lists), items}, [=] {
            auto& p = shared_pairs<float>(n);
            return [&p, lists, answers] {
                const prefopt::plackett_luce_dpo loss{.beta = 0.1};
                const prefopt::view<const float, 2> policy(p.policy_chosen.data(),
                                                           {lists, answers});
                const prefopt::view<const float, 2> reference(p.reference_chosen.data(),
                                                              {lists, answers});
                const prefopt::view<float, 1> losses(p.losses.data(), {lists});
                const prefopt::view<float, 2> grad(p.grad_chosen.data(), {lists, answers});
                const auto r = loss.into(policy, reference, {.losses = losses, .grad = grad});
                benchmark::DoNotOptimize(r.loss);
            };
        });
}

[[maybe_unused]] const bool registered = [] {
    for (const std::ptrdiff_t n : vector_sizes) {
        add_dpo<float>(n);
        add_dpo<double>(n);
        add_ipo(n);
        add_kto(n);
        add_plackett_luce(n, 4);
        add_plackett_luce(n, 16);
    }
    for (const std::ptrdiff_t n : parameter_sizes) {
        add_soft_update<float>(n);
        add_soft_update<prefopt::bf16>(n);
    }
    return true;
}();

}  // namespace
}  // namespace prefopt_bench
