// SPDX-License-Identifier: Apache-2.0
//
// The instantiations that every unit of the table would otherwise compile for itself: kernels and
// checks, which know nothing of the types of tensors. They are in table.cpp.
//
// PREFOPT_TEST_KERNELS is `extern` where they are announced and empty where they are made.

#pragma once

#ifndef PREFOPT_TEST_KERNELS
#define PREFOPT_TEST_KERNELS extern
#endif

#include <prefopt/prefopt.hpp>

namespace prefopt::inline PREFOPT_ABI {
namespace detail {

#define PREFOPT_TEST_LOSS(kind, Formula)                                                           \
    PREFOPT_TEST_KERNELS template batch_result run_##kind(                                         \
        const Formula&, const kind##_inputs&, const kind##_options&, const kind##_outputs&);

PREFOPT_TEST_LOSS(pairwise, dpo)
PREFOPT_TEST_LOSS(pairwise, ipo)
PREFOPT_TEST_LOSS(pairwise, ipo_averaged)
PREFOPT_TEST_LOSS(pairwise, bradley_terry)
PREFOPT_TEST_LOSS(pairwise, tr_dpo)
PREFOPT_TEST_LOSS(pairwise, tr_ipo)
PREFOPT_TEST_LOSS(unpaired, kto)
PREFOPT_TEST_LOSS(unpaired, tr_kto)
#undef PREFOPT_TEST_LOSS

PREFOPT_TEST_KERNELS template batch_result run_listwise(const plackett_luce_dpo&,
                                                        const listwise_inputs&,
                                                        const listwise_options&,
                                                        const listwise_outputs&,
                                                        const buffer<double>&);
PREFOPT_TEST_KERNELS template batch_result run_listwise(const tr_plackett_luce_dpo&,
                                                        const listwise_inputs&,
                                                        const listwise_options&,
                                                        const listwise_outputs&,
                                                        const buffer<double>&);

#define PREFOPT_TEST_SCALAR(S)                                                                     \
    PREFOPT_TEST_KERNELS template sequence_report sequence_log_probs_fn::run<S>(                   \
        const sequence_batch&, const sequence_outputs&);                                           \
    PREFOPT_TEST_KERNELS template sequence_report sequence_log_probs_in_place_fn::run<S>(          \
        const sequence_batch&, const output<3>&, const sequence_outputs&);                         \
    PREFOPT_TEST_KERNELS template void sequence_log_probs_backward_fn::run<S, float>(              \
        const sequence_batch&, const sequence_memory&);                                            \
    PREFOPT_TEST_KERNELS template void sequence_log_probs_backward_fn::run<S, double>(             \
        const sequence_batch&, const sequence_memory&);                                            \
    PREFOPT_TEST_KERNELS template void sequence_log_probs_backward_fn::run<S, bf16>(               \
        const sequence_batch&, const sequence_memory&);                                            \
    PREFOPT_TEST_KERNELS template void sequence_log_probs_backward_fn::run<S, fp16>(               \
        const sequence_batch&, const sequence_memory&);

PREFOPT_TEST_SCALAR(float)
PREFOPT_TEST_SCALAR(double)
PREFOPT_TEST_SCALAR(bf16)
PREFOPT_TEST_SCALAR(fp16)
#undef PREFOPT_TEST_SCALAR

}  // namespace detail
}  // namespace prefopt::inline PREFOPT_ABI
