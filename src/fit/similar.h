/* SPDX-License-Identifier: Apache-2.0 */
/* Images that are the same, or nearly: brightened, coded again, a frame later. If one is trained on
 * and the other measured with, the measurement is too good. */
#ifndef OF_FIT_SIMILAR_H
#define OF_FIT_SIMILAR_H

#include "fit/survey.h"

typedef struct of_similar {
    uint64_t copies;  /* images that equal an earlier one */
    uint64_t similar; /* others that have a near duplicate */
    bool alike;       /* more than half of the images are one group: that is how they are, and each
                         is a group of its own */
} of_similar;

/* Sets `group` and `copy` of the survey's images. Time is near linear in their number: of many
 * candidates, only neighbours in the order of their thumbnails are compared. */
of_status of_similar_find(of_survey *survey, of_similar *found, of_error *error);

#endif
