/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_DETECT_JUDGING_H
#define OF_DETECT_JUDGING_H

#include <outflow/outflow.h>

typedef struct of_judging {
    bool given;
    of_score score;
    double rate; /* share of normal images that may be flagged */
} of_judging;

/* Of the model's metadata. */
void of_judging_read(const of_model *model, bool with_general, of_judging *judging);

#endif
