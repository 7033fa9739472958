/* SPDX-License-Identifier: Apache-2.0
 *
 * prefopt from C, or from C++ of any age: what a trainer written in C includes. 07_c_interface.cpp
 * is the one file of it that needs a C++20 compiler.
 */

#ifndef PREFOPT_C_INTERFACE_H
#define PREFOPT_C_INTERFACE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One side of B pairs: logits (B, T, V), whose rows lie `row_stride` floats apart (at least V: a
 * padded vocabulary is passed as it is), labels (B, T), already shifted, negative where nothing is
 * scored, and the reference's summed log-probs (B). */
typedef struct prefopt_side {
    const float* logits;
    const int* labels;
    const double* reference;
    float* grad_logits; /* like the logits, and may be the same memory; of the other side it shares
                         * none; or NULL */
} prefopt_side;

typedef struct prefopt_shape {
    size_t pairs;
    size_t tokens;
    size_t vocab;
    size_t row_stride;
} prefopt_shape;

/* The mean DPO loss of the pairs, and its gradient with respect to the logits. Columns of the
 * padding get a zero gradient.
 *
 * Returns 0. Or else a code of prefopt::errc: then `message` (of `message_size` bytes, may be NULL)
 * says in a sentence what is wrong, and nothing else has been written. */
int prefopt_dpo_from_logits(prefopt_shape shape, prefopt_side chosen, prefopt_side rejected,
                            double beta, double* loss, char* message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif
