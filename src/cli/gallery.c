/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/gallery.h"

#include "core/error.h"
#include "score/heat.h"

#include <stdlib.h>

of_status of_gallery_open(of_gallery *gallery, const of_engine *engine, size_t set_count,
                          size_t main_score, bool with_sample, of_error *error) {
    *gallery = (of_gallery){.main_score = main_score,
                            .image_bytes = of_architecture_dimensions(&engine->architecture),
                            .set_count = set_count,
                            .with_sample = with_sample};
    gallery->most = calloc(set_count, sizeof *gallery->most);
    gallery->least = calloc(set_count, sizeof *gallery->least);
    if (gallery->most == NULL || gallery->least == NULL) {
        of_gallery_close(gallery);
        return of_fail_memory(error, "the images of a report");
    }
    for (size_t i = 0; i < set_count; i++) {
        gallery->most[i] = (of_examples){.most = OF_GALLERY_IMAGES};
        gallery->least[i] = (of_examples){.most = OF_GALLERY_IMAGES, .lowest = true};
    }
    return OF_OK;
}

of_status of_gallery_offer(of_gallery *gallery, size_t set, const char *source,
                           const of_scored_batch *batch, size_t index, double value,
                           of_error *error) {
    size_t bytes = gallery->image_bytes;
    of_status status =
        of_examples_offer(&gallery->most[set], source, batch, index, bytes, value, error);
    if (status == OF_OK)
        status = of_examples_offer(&gallery->least[set], source, batch, index, bytes, value, error);
    if (status == OF_OK && set == 0 && gallery->with_sample)
        status = of_sample_offer(&gallery->sample, batch->pixels + index * bytes, bytes, error);
    return status;
}

/* The images of a small set are divided: none is among the most and the least anomalous. */
static void sort_set(of_examples *most, of_examples *least) {
    of_examples_sort(most);
    of_examples_sort(least);
    if (most->offered < UINT64_C(2) * OF_GALLERY_IMAGES) {
        size_t images = (size_t)most->offered;
        of_examples_shorten(most, images - images / 2);
        of_examples_shorten(least, images / 2);
    }
}

of_status of_gallery_heat(of_gallery *gallery, of_engine *engine, of_score main_score,
                          of_error *error) {
    of_status status = OF_OK;
    gallery->heat = of_heat_score(main_score, engine->general != NULL);
    if (gallery->with_sample)
        status = of_heat_reference_make(engine, gallery->heat, &gallery->sample,
                                        &gallery->reference, error);
    for (size_t i = 0; i < gallery->set_count && status == OF_OK; i++) {
        of_examples *most = &gallery->most[i], *least = &gallery->least[i];
        sort_set(most, least);
        status = of_examples_heat(engine, gallery->heat, &gallery->reference, most, error);
        if (status == OF_OK)
            status = of_examples_heat(engine, gallery->heat, &gallery->reference, least, error);
    }
    return status;
}

void of_gallery_close(of_gallery *gallery) {
    for (size_t i = 0; i < gallery->set_count; i++) {
        if (gallery->most != NULL)
            of_examples_free(&gallery->most[i]);
        if (gallery->least != NULL)
            of_examples_free(&gallery->least[i]);
    }
    free(gallery->most);
    free(gallery->least);
    of_sample_free(&gallery->sample);
    of_heat_reference_free(&gallery->reference);
    *gallery = (of_gallery){0};
}
