/* SPDX-License-Identifier: Apache-2.0 */
#include "evaluate/image_sample.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/random.h"

#include <string.h>

/* Reservoir sampling (Vitter 1985, algorithm R). */
of_status of_image_sample_offer(of_image_sample *sample, const uint8_t *pixels, size_t image_bytes,
                                of_error *error) {
    size_t bytes, place = sample->count;
    if (sample->pixels == NULL) {
        if (of_multiply(OF_SAMPLE_MOST, image_bytes, &bytes))
            sample->pixels = of_allocate(bytes, 1);
        if (sample->pixels == NULL)
            return of_fail_memory(error, "a sample of images");
    }
    uint64_t number = sample->offered++;
    if (sample->count == OF_SAMPLE_MOST) {
        of_random random = of_random_stream(0, number);
        uint64_t wide = (uint64_t)of_random_u32(&random) << 32 | of_random_u32(&random);
        uint64_t drawn = wide % (number + 1);
        if (drawn >= OF_SAMPLE_MOST)
            return OF_OK;
        place = (size_t)drawn;
    } else {
        sample->count++;
    }
    memcpy(sample->pixels + place * image_bytes, pixels, image_bytes);
    return OF_OK;
}

void of_image_sample_close(of_image_sample *sample) {
    of_free(sample->pixels);
    sample->pixels = NULL;
}
