/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/thinned_sample.h"

#include "core/error.h"
#include "core/memory.h"

#include <string.h>

of_status of_thinned_sample_open(of_thinned_sample *s, size_t image_bytes, size_t most,
                                 of_error *error) {
    *s = (of_thinned_sample){.image_bytes = image_bytes, .most = most, .stride = 1};
    s->pixels = of_allocate(most, image_bytes);
    return s->pixels != NULL ? OF_OK : of_fail_memory(error, "images");
}

static void thin(of_thinned_sample *s) {
    for (size_t i = 0; 2 * i < s->count; i++)
        memmove(s->pixels + i * s->image_bytes, s->pixels + 2 * i * s->image_bytes, s->image_bytes);
    s->count = (s->count + 1) / 2;
    s->stride *= 2;
}

void of_thinned_sample_add(of_thinned_sample *s, const uint8_t *image) {
    if (s->seen % s->stride == 0 && s->count == s->most)
        thin(s);
    if (s->seen % s->stride == 0) {
        memcpy(s->pixels + s->count * s->image_bytes, image, s->image_bytes);
        s->count++;
    }
    s->seen++;
}
