/* SPDX-License-Identifier: Apache-2.0
 *
 * 7. A trainer in C99, whose vocabulary of 5 is padded to 8 as its matrix products like it. It
 * descends on the logits themselves, and makes a mistake at the end.
 */

#include <stdio.h>
#include <string.h>

#include "07_c_interface.h"

enum { B = 2, T = 3, V = 5, PADDED = 8 };

int main(void) {
    static float chosen_logits[B * T * PADDED], rejected_logits[B * T * PADDED];
    static float chosen_grad[B * T * PADDED], rejected_grad[B * T * PADDED];
    int chosen_labels[B * T] = {-100, 1, 2, -100, 3, -100};
    const int rejected_labels[B * T] = {-100, 4, 4, -100, 0, -100};
    /* the reference's log-probs: those of logits that are all zero */
    const double chosen_reference[B] = {-3.218876, -1.609438};
    const double rejected_reference[B] = {-3.218876, -1.609438};

    const prefopt_shape shape = {B, T, V, PADDED};
    const prefopt_side chosen = {chosen_logits, chosen_labels, chosen_reference, chosen_grad};
    const prefopt_side rejected = {rejected_logits, rejected_labels, rejected_reference,
                                   rejected_grad};
    char message[160] = "";
    double loss = 0;
    int failed = 0;
    for (int step = 0; step <= 20 && !failed; ++step) {
        failed =
            prefopt_dpo_from_logits(shape, chosen, rejected, 0.5, &loss, message, sizeof message);
        for (int i = 0; i < B * T * PADDED; ++i) {
            chosen_logits[i] -= 2.0F * chosen_grad[i];
            rejected_logits[i] -= 2.0F * rejected_grad[i];
        }
        if (step % 10 == 0) printf("step %2d: loss %.3f\n", step, loss);
    }

    chosen_labels[4] = 7; /* inside the padding, outside the vocabulary */
    failed = prefopt_dpo_from_logits(shape, chosen, rejected, 0.5, &loss, message, sizeof message);
    printf("%d: %s\n", failed, message);
    return failed == 4 ? 0 : 1;
}

/* Output:
 * step  0: loss 0.693
 * step 10: loss 0.183
 * step 20: loss 0.103
 * 4: prefopt: labels[4] must be less than the vocabulary's size (negative: not scored) (5), got 7 [label_out_of_range]
 */
