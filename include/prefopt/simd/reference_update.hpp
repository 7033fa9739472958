// SPDX-License-Identifier: Apache-2.0
//
// The trust-region update: reference <- reference + a (policy - reference), fused.
//
// fma(a, p, fma(-a, r, r)) is exact at a = 0 and a = 1, never leaves [r, p], and overflows for no
// finite input; an entry equal to the policy's is left alone, so that equal weights stay equal. The
// vectors give the same bits as the scalar code here. Tensors are swept in the order of the
// reference's memory, axes that are contiguous in both as one.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <prefopt/core/arithmetic.hpp>
#include <prefopt/core/checks.hpp>
#include <prefopt/core/classify.hpp>
#include <prefopt/core/config.hpp>
#include <prefopt/core/scalar.hpp>
#include <prefopt/math/libm.hpp>
#include <prefopt/simd/ops.hpp>
#include <prefopt/simd/stochastic_rounding.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

/// What an update is computed in: double where either side is double, else float.
template <class P, class R>
using update_t =
    std::conditional_t<std::is_same_v<P, double> || std::is_same_v<R, double>, double, float>;

template <class R>
inline constexpr bool is_16_bit = sizeof(R) == 2;

/// What is done to every element of a run.
struct element_update {
    double alpha = 0;         ///< 0 < alpha <= 1
    bool copies = false;      ///< alpha is 1
    bool stochastic = false;  ///< of 16-bit references only
    random_key key{};
};

/// n elements of both sides; element i has the number index + i index_step, modulo 2^32, in its
/// tensor.
template <class P, class R>
struct element_run {
    const P* policy;
    R* reference;
    std::ptrdiff_t policy_stride;
    std::ptrdiff_t reference_stride;
    std::ptrdiff_t n;
    std::uint32_t index;
    std::uint32_t index_step;

    [[nodiscard]] bool contiguous() const noexcept {
        return policy_stride == 1 && reference_stride == 1;
    }
    [[nodiscard]] std::uint32_t index_of(std::ptrdiff_t i) const noexcept {
        return index + static_cast<std::uint32_t>(i) * index_step;
    }
    [[nodiscard]] element_run part(std::ptrdiff_t first, std::ptrdiff_t count) const noexcept {
        element_run r = *this;
        r.policy += first * policy_stride;
        r.reference += first * reference_stride;
        r.n = count;
        r.index = index_of(first);
        return r;
    }
};

/// The scalar code: any stride, any value. A NaN in the reference stays, one in the policy comes.
template <real_scalar P, real_scalar R>
void scalar_update_run(const element_run<P, R>& run, const element_update& u) noexcept {
    using T = update_t<P, R>;
    const T a = static_cast<T>(u.alpha);
    for (std::ptrdiff_t i = 0; i < run.n; ++i) {
        R* to = run.reference + i * run.reference_stride;
        const T p = static_cast<T>(load(run.policy + i * run.policy_stride));
        T x = p;
        if (!u.copies) {
            const T r = static_cast<T>(load(to));
            // NaN first: under -ffast-math a comparison alone may call it equal
            if (is_nan(r))
                x = r;
            else if (!is_nan(p) && p == r)
                continue;
            else if (!is_nan(p))
                x = libm::fma(a, p, libm::fma(-a, r, r));
        }
        if constexpr (is_16_bit<R>) {
            if (u.stochastic) {
                const float narrow = to_odd(static_cast<double>(x));
                const std::uint32_t random = random_bits(u.key, run.index_of(i));
                store(to, static_cast<double>(round_stochastically<R>(narrow, random)));
                continue;
            }
        }
        store(to, static_cast<double>(x));
    }
}

/// A few elements side by side, zeros behind them: how the vectors see strides and ends.
template <class P, class R, std::ptrdiff_t Width>
struct element_copy {
    P policy[static_cast<std::size_t>(Width)]{};
    R reference[static_cast<std::size_t>(Width)]{};

    explicit element_copy(const element_run<P, R>& run) noexcept {
        for (std::ptrdiff_t i = 0; i < run.n; ++i) {
            std::memcpy(policy + i, run.policy + i * run.policy_stride, sizeof(P));
            std::memcpy(reference + i, run.reference + i * run.reference_stride, sizeof(R));
        }
    }
    void write(const element_run<P, R>& run) const noexcept {
        for (std::ptrdiff_t i = 0; i < run.n; ++i)
            std::memcpy(run.reference + i * run.reference_stride, reference + i, sizeof(R));
    }
    /// The same, but what may be NaN by the scalar code: which of two NaNs comes out depends on how
    /// a compiler orders operands.
    void write_numbers(const element_run<P, R>& run, const element_update& u) const noexcept {
        for (std::ptrdiff_t i = 0; i < run.n; ++i) {
            const element_run<P, R> one = run.part(i, 1);
            if (is_nan(load(one.policy)) || !is_finite(load(one.reference)))
                scalar_update_run(one, u);
            else
                std::memcpy(one.reference, reference + i, sizeof(R));
        }
    }
};

}  // namespace prefopt::inline PREFOPT_ABI::detail

#define PREFOPT_KERNELS <prefopt/simd/update_kernels.inc>
#include <prefopt/simd/for_each_set.inc>
#undef PREFOPT_KERNELS

namespace prefopt::inline PREFOPT_ABI::detail {

/// alpha = 1 copies, bit for bit between equal types.
template <real_scalar P, real_scalar R>
void update_run(const element_run<P, R>& run, const element_update& u) noexcept {
    if constexpr (std::is_same_v<P, R>) {
        if (u.copies) {
            if (run.contiguous()) {
                std::memcpy(run.reference, run.policy, static_cast<std::size_t>(run.n) * sizeof(R));
                return;
            }
            for (std::ptrdiff_t i = 0; i < run.n; ++i)
                std::memcpy(run.reference + i * run.reference_stride,
                            run.policy + i * run.policy_stride, sizeof(R));
            return;
        }
    }
    with_set(
        active_instruction_set(), [&](auto level) { update_run(level, run, u); },
        [&] { scalar_update_run(run, u); });
}

/// Two tensors of one shape as nested loops: the axes in the order of the reference's memory, those
/// that continue each other in both tensors merged into one.
struct nested_loops {
    struct axis {
        std::ptrdiff_t n = 1;
        std::ptrdiff_t policy = 1;  ///< steps, in elements
        std::ptrdiff_t reference = 1;
        std::ptrdiff_t index = 1;  ///< of the row-major number; 0 where nobody asks for it

        /// Whether going over the end of `inner` is a step of this axis.
        [[nodiscard]] bool continues(const axis& inner) const noexcept {
            return policy == inner.n * inner.policy && reference == inner.n * inner.reference &&
                   index == inner.n * inner.index;
        }
    };
    std::array<axis, 4> axes{};  ///< the last is the innermost
    std::size_t rank = 0;

    nested_loops(const operand& policy, const operand& reference, bool numbered) noexcept {
        const auto magnitude = [](std::ptrdiff_t x) { return x < 0 ? -x : x; };
        std::ptrdiff_t index = numbered ? 1 : 0;
        for (std::size_t i = policy.extents.rank; i-- > 0;) {  // innermost first
            const axis a{policy.extents.extents[i], policy.strides[i], reference.strides[i], index};
            index *= a.n;
            if (a.n == 1) continue;
            std::size_t at = rank++;
            for (; at > 0 && magnitude(axes[at - 1].reference) > magnitude(a.reference); --at)
                axes[at] = axes[at - 1];
            axes[at] = a;
        }
        std::size_t merged = 0;
        for (std::size_t i = 1; i < rank; ++i)
            if (axes[i].continues(axes[merged]))
                axes[merged].n *= axes[i].n;
            else
                axes[++merged] = axes[i];
        rank = merged + 1;  // a single element is a run too
        for (std::size_t i = 0; i < rank / 2; ++i) std::swap(axes[i], axes[rank - 1 - i]);
    }

    /// f(policy offset, reference offset, number, n) for the runs that elements [first, last) of
    /// the loops are made of.
    template <class F>
    void for_runs(std::ptrdiff_t first, std::ptrdiff_t last, const F& f) const {
        std::array<std::ptrdiff_t, 4> at{};
        std::ptrdiff_t rest = first;
        for (std::size_t i = rank; i-- > 0; rest /= axes[i].n) at[i] = rest % axes[i].n;
        const std::size_t inner = rank - 1;
        while (first < last) {
            axis offset{.n = 0, .policy = 0, .reference = 0, .index = 0};
            for (std::size_t i = 0; i < rank; ++i) {
                offset.policy += at[i] * axes[i].policy;
                offset.reference += at[i] * axes[i].reference;
                offset.index += at[i] * axes[i].index;
            }
            const std::ptrdiff_t n = smaller(axes[inner].n - at[inner], last - first);
            f(offset.policy, offset.reference, offset.index, n);
            first += n;
            at[inner] += n;
            for (std::size_t i = inner; i > 0 && at[i] == axes[i].n; --i) {
                at[i] = 0;
                ++at[i - 1];
            }
        }
    }
};

/// One update of all tensors.
struct update_rule {
    double alpha = 0;
    rounding to = rounding::nearest;
    std::uint64_t seed = 0;
    std::uint64_t version = 0;  ///< how often the reference has moved
};

/// Elements [first, last) of one tensor, in the order of its loops; `data` is the reference's.
/// A template only so that the kernels of all pairs of types are not compiled where none is used.
template <class Operand>
void update_elements(const Operand& policy, const Operand& reference, void* data,
                     std::size_t tensor, std::ptrdiff_t first, std::ptrdiff_t last,
                     const update_rule& rule) noexcept {
    element_update u{.alpha = rule.alpha, .copies = rule.alpha == 1};
    u.stochastic = rule.to == rounding::stochastic && size_of(reference.kind) == 2;
    const nested_loops loops(policy, reference, u.stochastic);
    const nested_loops::axis step = loops.axes[loops.rank - 1];
    with_scalar(policy.kind, [&]<class P>() {
        with_scalar(reference.kind, [&]<class R>() {
            loops.for_runs(
                first, last,
                [&](std::ptrdiff_t p, std::ptrdiff_t r, std::ptrdiff_t index, std::ptrdiff_t n) {
                    const auto* from = static_cast<const P*>(policy.data) + p;
                    auto* to = static_cast<R*>(data) + r;
                    while (n > 0) {  // a key holds for 2^32 numbers
                        std::ptrdiff_t count = n;
                        if (u.stochastic) {
                            const auto number = static_cast<std::uint64_t>(index);
                            u.key = make_random_key(rule.seed, rule.version, tensor, number >> 32);
                            const std::uint64_t room = 0xffffffffU - (number & 0xffffffffU);
                            const auto steps = room / static_cast<std::uint64_t>(step.index) + 1;
                            if (steps < static_cast<std::uint64_t>(n))
                                count = static_cast<std::ptrdiff_t>(steps);
                        }
                        update_run(element_run<P, R>{from, to, step.policy, step.reference, count,
                                                     static_cast<std::uint32_t>(index),
                                                     static_cast<std::uint32_t>(step.index)},
                                   u);
                        from += count * step.policy;
                        to += count * step.reference;
                        index += count * step.index;
                        n -= count;
                    }
                });
        });
    });
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
