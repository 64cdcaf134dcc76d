/* SPDX-License-Identifier: Apache-2.0 */
#include "evaluate/gallery.h"

#include "core/error.h"
#include "evaluate/image_sample.h"

#include <stdlib.h>

/* Both ends of a set. */
typedef struct gallery_wall {
    of_examples *most, *least;
    size_t shown; /* of `most` */
} gallery_wall;

struct of_gallery {
    const of_detector *detector;
    gallery_wall *walls; /* [set_count] */
    size_t set_count;
    bool with_sample, heated;
    of_image_sample sample; /* of the first set */
    of_heat_reference *reference;
};

static of_status open_wall(const of_detector *detector, size_t most, gallery_wall *wall,
                           of_error *error) {
    of_status status = of_examples_create(detector, most, false, &wall->most, error);
    return status == OF_OK
               ? of_examples_create(detector, OF_GALLERY_IMAGES, true, &wall->least, error)
               : status;
}

of_status of_gallery_create(const of_detector *detector, size_t set_count, bool first_is_reference,
                            size_t most, of_gallery **gallery, of_error *error) {
    of_gallery *made = calloc(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "the images of a report");
    *made = (of_gallery){.detector = detector, .with_sample = first_is_reference};
    made->walls = calloc(set_count, sizeof *made->walls);
    of_status status =
        made->walls != NULL ? OF_OK : of_fail_memory(error, "the images of a report");
    for (size_t i = 0; status == OF_OK && i < set_count; i++) {
        made->set_count++;
        status = open_wall(detector, most, &made->walls[i], error);
    }
    if (status == OF_OK)
        *gallery = made;
    else
        of_gallery_free(made);
    return status;
}

void of_gallery_free(of_gallery *gallery) {
    if (gallery == NULL)
        return;
    for (size_t i = 0; i < gallery->set_count; i++) {
        of_examples_free(gallery->walls[i].most);
        of_examples_free(gallery->walls[i].least);
    }
    free(gallery->walls);
    of_image_sample_close(&gallery->sample);
    of_heat_reference_free(gallery->reference);
    free(gallery);
}

of_status of_gallery_offer(of_gallery *gallery, size_t set, const char *source,
                           const of_scored_batch *batch, size_t index, double value,
                           of_error *error) {
    gallery_wall *wall = &gallery->walls[set];
    of_status status = of_examples_offer(wall->most, source, batch, index, value, error);
    if (status == OF_OK)
        status = of_examples_offer(wall->least, source, batch, index, value, error);
    bool cut = of_scored_heat(batch, index) != NULL; /* it brings what its heat is relative to */
    if (status == OF_OK && set == 0 && gallery->with_sample && !cut)
        status = of_image_sample_offer(
            &gallery->sample, of_scored_pixels(batch, index),
            of_architecture_dimensions(of_detector_architecture(gallery->detector)), error);
    return status;
}

/* The images of a small set are divided: none is among the most and the least anomalous on the
 * wall.
 */
static void sort_wall(gallery_wall *wall, uint64_t flagged) {
    size_t images = wall->most->offered < SIZE_MAX ? (size_t)wall->most->offered : SIZE_MAX;
    bool small = images < (size_t)2 * OF_GALLERY_IMAGES;
    of_examples_sort(wall->most);
    of_examples_sort(wall->least);
    wall->shown = small ? images - images / 2 : OF_GALLERY_IMAGES;
    of_examples_shorten(wall->most, flagged > wall->shown ? (size_t)flagged : wall->shown);
    of_examples_shorten(wall->least, small ? images / 2 : OF_GALLERY_IMAGES);
}

static of_status make_reference(of_gallery *gallery, of_score score, of_error *error) {
    const of_batch batch = {OF_PIXEL_U8, gallery->sample.pixels, gallery->sample.count};
    return gallery->sample.count > 0 && gallery->reference == NULL
               ? of_heat_reference_create(gallery->detector, score, &batch, &gallery->reference,
                                          error)
               : OF_OK;
}

static of_status heat_wall(const of_gallery *gallery, gallery_wall *wall, of_score score,
                           of_heat_watch *watch, of_error *error) {
    of_status status =
        of_examples_heat_watched(wall->most, score, gallery->reference, watch, error);
    return status == OF_OK
               ? of_examples_heat_watched(wall->least, score, gallery->reference, watch, error)
               : status;
}

of_status of_gallery_heat(of_gallery *gallery, of_score score, const uint64_t *flagged,
                          const of_stream_observer *observer, of_error *error) {
    of_heat_watch watch;
    uint64_t images = 0;
    if (gallery->heated)
        return OF_OK;
    for (size_t i = 0; i < gallery->set_count; i++) {
        sort_wall(&gallery->walls[i], flagged != NULL ? flagged[i] : 0);
        images += gallery->walls[i].most->count + gallery->walls[i].least->count;
    }
    of_status status = make_reference(gallery, score, error);
    if (status == OF_OK)
        status = of_heat_watch_start(observer, images, &watch, error);
    for (size_t i = 0; status == OF_OK && i < gallery->set_count; i++)
        status = heat_wall(gallery, &gallery->walls[i], score, &watch, error);
    gallery->heated = status == OF_OK;
    return status;
}

const of_examples *of_gallery_images(const of_gallery *gallery, size_t set, bool least) {
    return least ? gallery->walls[set].least : gallery->walls[set].most;
}

size_t of_gallery_wall(const of_gallery *gallery, size_t set) {
    return gallery->walls[set].shown;
}

const of_heat_reference *of_gallery_reference(const of_gallery *gallery) {
    return gallery->reference;
}
