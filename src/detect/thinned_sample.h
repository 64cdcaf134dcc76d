/* SPDX-License-Identifier: Apache-2.0 */
/* Images from all over a stream whose length nobody knows: every stride-th one, where the stride
 * doubles each time the room is used up. It depends on the stream alone, not on its batches. */
#ifndef OF_DETECT_THINNED_SAMPLE_H
#define OF_DETECT_THINNED_SAMPLE_H

#include <outflow/outflow.h>

typedef struct of_thinned_sample {
    uint8_t *pixels; /* [count][image_bytes], freed with of_free */
    size_t image_bytes, count, most;
    uint64_t stride, seen;
} of_thinned_sample;

of_status of_thinned_sample_open(of_thinned_sample *sample, size_t image_bytes, size_t most,
                                 of_error *error);
void of_thinned_sample_add(of_thinned_sample *sample, const uint8_t *image);

#endif
