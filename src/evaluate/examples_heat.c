/* SPDX-License-Identifier: Apache-2.0 */
/* Heat of kept images, some at a time while an observer is told. */
#include "core/error.h"
#include "core/memory.h"
#include "core/options_read.h"
#include "evaluate/examples.h"

#include <string.h>

enum { AT_ONCE = 32 };

/* ---- The observer -------------------------------------------------------------------------- */

of_status of_heat_watch_start(const of_stream_observer *observer, uint64_t images,
                              of_heat_watch *watch, of_error *error) {
    *watch = (of_heat_watch){.observer.size = sizeof watch->observer};
    of_status status =
        of_options_read(&watch->observer, sizeof watch->observer, sizeof watch->observer, observer,
                        "of_stream_observer", error);
    if (status == OF_OK && watch->observer.started != NULL)
        watch->observer.started(watch->observer.user, "heat", images);
    return status;
}

static bool is_stopped(const of_heat_watch *watch) {
    return watch->observer.stop != NULL && watch->observer.stop(watch->observer.user);
}

static void tell(of_heat_watch *watch, size_t images) {
    watch->done += images;
    if (watch->observer.progressed != NULL)
        watch->observer.progressed(watch->observer.user, watch->done);
}

/* ---- Images -------------------------------------------------------------------------------- */

/* What the images of one call are gathered in. */
typedef struct heat_room {
    size_t image_bytes, pixel_count;
    uint8_t *images; /* [AT_ONCE][image_bytes] */
    double *heat;    /* [AT_ONCE][pixel_count] */
    double limits[AT_ONCE];
} heat_room;

static of_status open_room(const of_detector *detector, heat_room *room, of_error *error) {
    const of_architecture *a = of_detector_architecture(detector);
    size_t bytes, values;
    *room = (heat_room){.image_bytes = of_architecture_dimensions(a),
                        .pixel_count = (size_t)a->height * a->width};
    if (of_multiply(AT_ONCE, room->image_bytes, &bytes) &&
        of_multiply(AT_ONCE, room->pixel_count, &values)) {
        room->images = of_allocate(bytes, 1);
        room->heat = of_allocate(values, sizeof *room->heat);
    }
    return room->images != NULL && room->heat != NULL ? OF_OK
                                                      : of_fail_memory(error, "the heat of images");
}

static void close_room(heat_room *room) {
    of_free(room->images);
    of_free(room->heat);
}

static of_status keep_heat(const heat_room *room, size_t index, of_kept_image *image,
                           of_error *error) {
    double *heat =
        image->heat != NULL ? image->heat : of_allocate(room->pixel_count, sizeof *image->heat);
    if (heat == NULL)
        return of_fail_memory(error, "the heat of an image");
    memcpy(heat, room->heat + index * room->pixel_count, room->pixel_count * sizeof *heat);
    image->heat = heat;
    image->limit = room->limits[index];
    return OF_OK;
}

static of_status heat_some(const of_detector *detector, of_score score,
                           const of_heat_reference *reference, heat_room *room,
                           of_kept_image *images, size_t count, of_error *error) {
    const of_batch batch = {OF_PIXEL_U8, room->images, count};
    for (size_t i = 0; i < count; i++)
        memcpy(room->images + i * room->image_bytes, images[i].pixels, room->image_bytes);
    of_status status = of_detector_relative_heat(detector, score, reference, &batch, room->heat,
                                                 room->limits, error);
    for (size_t i = 0; status == OF_OK && i < count; i++)
        status = keep_heat(room, i, &images[i], error);
    return status;
}

of_status of_examples_heat_watched(of_examples *examples, of_score score,
                                   const of_heat_reference *reference, of_heat_watch *watch,
                                   of_error *error) {
    heat_room room;
    if (examples->count > 0 && examples->items[0].cut) {
        tell(watch, examples->count);
        return OF_OK;
    }
    of_status status = open_room(examples->detector, &room, error);
    for (size_t first = 0; status == OF_OK && first < examples->count; first += AT_ONCE) {
        size_t left = examples->count - first, count = left < AT_ONCE ? left : AT_ONCE;
        if (is_stopped(watch))
            status = of_fail(error, OF_ERROR_IO, "interrupted");
        else
            status = heat_some(examples->detector, score, reference, &room, examples->items + first,
                               count, error);
        if (status == OF_OK)
            tell(watch, count);
    }
    close_room(&room);
    return status;
}

of_status of_examples_heat(of_examples *examples, of_score score,
                           const of_heat_reference *reference, const of_stream_observer *observer,
                           of_error *error) {
    of_heat_watch watch;
    if (examples == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_examples_heat: examples are needed");
    of_status status = of_heat_watch_start(observer, examples->count, &watch, error);
    return status == OF_OK ? of_examples_heat_watched(examples, score, reference, &watch, error)
                           : status;
}
