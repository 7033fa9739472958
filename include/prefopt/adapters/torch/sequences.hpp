// SPDX-License-Identifier: Apache-2.0
//
// sequence_log_probs over libtorch's logits. On the host, the library's kernels go forward and,
// with the partial sums that the forward call kept (32 bytes a row), backward. On an accelerator
// both are a handful of operations in the library's own form: the label against all other tokens,
// so that a confident token keeps its digits there too. Where a gradient is itself differentiated,
// those operations write it on the host as well.

#pragma once

#include <torch/types.h>
#include <torch/utils.h>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <prefopt/adapters/torch/adapter.hpp>
#include <prefopt/adapters/torch/graph.hpp>
#include <prefopt/adapters/torch/losses.hpp>
#include <prefopt/adapters/torch/number.hpp>
#include <prefopt/adapters/torch/tensors.hpp>
#include <prefopt/core/core.hpp>
#include <prefopt/log_probs.hpp>

namespace prefopt::inline PREFOPT_ABI::detail {

struct torch_threads_fn {
    void operator()(std::ptrdiff_t n, const range_task& f) const {
        at::parallel_for(0, n, 1, [&](std::int64_t begin, std::int64_t end) { f(begin, end); });
    }
};
inline constexpr torch_threads_fn torch_threads_of_library{};

/// Logits, labels and offsets, all rows in one line.
struct torch_rows {
    at::Tensor logits;    ///< (N, V)
    at::Tensor labels;    ///< (N) and none below 0
    torch_mask scored;    ///< (N)
    at::Tensor sequence;  ///< (N) the number of the row's sequence
    std::int64_t sequences;

    torch_rows(const at::Tensor& logits_, const at::Tensor& labels_, const at::Tensor& offsets)
        : logits(logits_.flatten(0, -2)),
          labels(labels_.reshape({-1}).to(at::kLong)),
          scored{labels.ge(0)},
          sequences(offsets.defined() ? offsets.size(0) - 1
                                      : (logits_.dim() == 3 ? logits_.size(0) : 1)) {
        const auto rows = logits.size(0);
        const at::Tensor row = at::arange(rows, labels.options());
        if (offsets.defined())
            sequence = at::bucketize(row, offsets.to(at::kLong).slice(0, 1), false, true);
        else
            sequence = row.div(sequences > 0 && rows > 0 ? rows / sequences : 1, "floor");
        labels = labels.clamp_min(0);
    }

    /// (N), 0 where nothing is scored; of a row of -infinity alone -infinity, and NaN where there
    /// is a NaN or +infinity.
    [[nodiscard]] at::Tensor log_probs() const {
        constexpr double low = -infinity_of<double>;
        constexpr double none = quiet_nan_of<double>;
        const at::ScalarType real = torch_real(logits.device());
        if (logits.size(1) == 0) return at::zeros({logits.size(0)}, logits.options().dtype(real));
        const at::Tensor x = torch_stored(logits.detach(), logits);
        const at::Tensor at_label = labels.unsqueeze(1);
        const at::Tensor top = x.amax(1);
        const at::Tensor others = x.scatter(1, at_label, low).logsumexp(1);
        const at::Tensor lead = x.gather(1, at_label).squeeze(1).to(real) - others;
        at::Tensor r = log_sigmoid_and_derivative(torch_number(lead)).value.tensor;
        r = r.masked_fill(top.eq(low), low).masked_fill(top.eq(-low), none);
        return keep(scored, r);
    }

    /// (B) sums over the rows of each sequence.
    [[nodiscard]] at::Tensor summed(const at::Tensor& by_row) const {
        return at::zeros({sequences}, by_row.options()).index_add(0, sequence, by_row);
    }

    /// d log_probs / d logits times a coefficient per sequence, as an expression of both. Zero for
    /// a row of -infinity alone, and where the coefficient is, whatever the logits. What the label
    /// lacks to 1 is the sum of all others, which keeps a confident token's digits.
    [[nodiscard]] at::Tensor directions(const at::Tensor& coefficient) const {
        const at::Tensor x = torch_stored(logits, logits);
        if (x.size(1) == 0) return at::zeros_like(x);
        const at::Tensor at_label = labels.unsqueeze(1);
        const at::Tensor factor =
            coefficient.to(x.scalar_type()).index_select(0, sequence).unsqueeze(1);
        const at::Tensor top = x.detach().amax(1, true);  // NaN where there is one
        const at::Tensor spoilt = top.isfinite().logical_not();
        const at::Tensor absent = top.eq(-infinity_of<double>);
        const at::Tensor nothing = spoilt.logical_and(factor.detach().eq(0)).logical_or(absent);
        const torch_mask rows{scored.tensor.unsqueeze(1).logical_and(nothing.logical_not())};
        const at::Tensor others = keep(rows, x).softmax(1).scatter(1, at_label, 0.0);
        const at::Tensor missing = others.sum(1, true);
        return keep(rows, factor * at::scatter(others.neg(), 1, at_label, missing));
    }
};

/// A call on an accelerator. Offsets are few, and come to the host to be checked.
template <class Labels>
status torch_sequences_there(sequence_options o, torch_scores* result, const at::Tensor& logits,
                             const Labels& labels) {
    const at::Device device = logits.device();
    const at::Tensor offsets = torch_take(device, o.offsets);
    const sequence_batch s(torch_view_on(device, logits), torch_view_on(device, labels), o.offsets,
                           executor{});
    if (const status bad = check_sequence_operands(s, {}); !bad.ok()) return bad;
    if (offsets.defined()) {
        const at::Tensor here = offsets.to(at::kCPU, at::kLong).contiguous();
        const std::span all(here.template data_ptr<std::int64_t>(),
                            static_cast<std::size_t>(here.numel()));
        if (const status bad = check_offsets(index_input<1>(all), s.rows()); !bad.ok()) return bad;
    }
    torch_report r(device);
    const at::Tensor y = torch_only(labels).to(at::kLong);
    const std::size_t bad_label = r.add_first(y.ge(s.vocab()), y);
    const auto verdict = [&] {
        return r.first(bad_label, [&](double label, std::ptrdiff_t i) {
            return fault_label(static_cast<std::int64_t>(label), i, s.vocab());
        });
    };
    if (result == nullptr || s.vocab() == 0) {
        r.fetch();
        if (const status bad = verdict(); result == nullptr || !bad.ok()) return bad;
    }
    const torch_rows rows(logits, s.vocab() == 0 ? y : y.clamp_max(s.vocab() - 1), offsets);
    const at::Tensor log_probs = rows.log_probs();
    result->sum = rows.summed(log_probs);
    result->count = rows.summed(rows.scored.tensor.to(at::kLong));
    const std::size_t first = r.add_sum(result->count);
    r.add_sum(log_probs.isfinite().logical_not());
    r.add_sum(result->count.eq(0));
    r.fetch();
    if (const status bad = verdict(); !bad.ok()) return bad;
    result->report = {.rows = s.rows(),
                      .scored = r.count(first),
                      .nonfinite = r.count(first + 1),
                      .empty = r.count(first + 2)};
    return {};
}

template <class Labels>
torch_scores torch_evaluate(const sequence_log_probs_fn&, const sequence_options& o,
                            const at::Tensor& logits, const Labels& labels) {
    const auto direction = [](const at::Tensor& arrives, const torch_list& saved) {
        const at::Tensor d = torch_rows(saved[0], saved[1], saved[2]).directions(arrives);
        return torch_list{d.reshape(saved[0].sizes()).to(saved[0].scalar_type())};
    };
    const bool records = torch_records(logits);
    if (torch_is_elsewhere(logits)) {
        torch_scores there;
        require(torch_sequences_there(o, &there, logits, labels));
        if (!records) return there;
        const at::Tensor offsets = torch_constant(torch_tensor_of(o.offsets));
        there.sum = torch_connect(there.sum, {logits, torch_constant(torch_only(labels)), offsets},
                                  direction, logits);
        return there;
    }
    const sequence_batch s(logits, labels, o.offsets, o.executor);
    require(check_sequences(s, {}));
    const auto partials = std::make_shared<std::vector<row_partial>>(
        records ? static_cast<std::size_t>(s.rows()) : std::size_t{0});
    torch_scores r = make_scores(logits, s, [&](sequence_outputs out) {
        if (records) out.partials = *partials;
        return sequence_log_probs_fn::run_as<at::Tensor>(s, out);
    });
    if (!records) return r;

    at::Tensor y;
    if constexpr (torch_tensor<Labels>)
        y = torch_constant(labels);
    else
        y = torch_copy(s.labels).reshape(logits.sizes().slice(0, s.rank - 1));
    const auto backward = [partials, direction](const at::Tensor& arrives,
                                                const torch_list& saved) {
        const at::Tensor& x = saved[0];
        if (at::GradMode::is_enabled()) return direction(arrives, saved);
        at::Tensor to = at::empty_like(x);
        sequence_backward_options how;
        if (saved[2].defined()) how.offsets = saved[2];
        how.executor = torch_threads_of_library;
        how.partials = *partials;
        sequence_log_probs_backward(x, saved[1], arrives, to, how);
        return torch_list{to};
    };
    r.sum = torch_connect(r.sum, {logits, y, torch_copy(o.offsets)}, backward, logits);
    return r;
}

template <class Labels>
status torch_check(const sequence_log_probs_fn&, const sequence_options& o,
                   const sequence_outputs& out, const at::Tensor& logits, const Labels& labels) {
    const bool writes = out.sum.has_value || out.count.has_value || out.partials.has_value;
    if (!writes && torch_is_elsewhere(logits))
        return torch_sequences_there(o, nullptr, logits, labels);
    return check_sequences(sequence_batch(logits, labels, o.offsets, o.executor),
                           sequence_log_probs_fn::memory(out));
}

}  // namespace prefopt::inline PREFOPT_ABI::detail
