/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/frames.h"

#include "core/error.h"
#include "core/memory.h"
#include "data/pixels/frames_canvas.h"
#include "data/pixels/image_steps.h"

#include <string.h>

struct of_frames {
    const uint8_t *bytes;
    size_t size, at;
    const of_target *target;
    const of_decoder *decoder;
    of_image_header header;
    uint32_t number; /* of the next frame */
    of_canvas canvas;
#ifdef OUTFLOW_WEBP
    of_webp_frames *webp;
#endif
    uint8_t *seen; /* the last picture that was given out */
};

static bool has_canvas(of_image_kind kind) {
    return kind == OF_KIND_GIF || kind == OF_KIND_PNG;
}

static of_status open_format(of_frames *frames, of_error *error) {
    of_image_kind kind = frames->decoder->kind;
    uint64_t bytes = (uint64_t)frames->header.height * frames->header.width * 16;
    uint64_t most = frames->target->max_memory;
    if (most > 0 && bytes > most)
        return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "max_bytes",
                               "animation takes more than %llu bytes to decode",
                               (unsigned long long)most);
#ifdef OUTFLOW_WEBP
    if (kind == OF_KIND_WEBP)
        return of_webp_frames_open(frames->bytes, frames->size, &frames->webp, error);
#endif
    return has_canvas(kind)
               ? of_canvas_open(frames->header.height, frames->header.width, &frames->canvas, error)
               : OF_OK;
}

static bool holds_several(const uint8_t *bytes, size_t size, const of_target *target,
                          of_frames *frames) {
    of_image_kind kind = of_image_kind_of(bytes, size);
    frames->decoder = kind != OF_KIND_TGA ? of_decoder_of(kind) : NULL;
    return frames->decoder != NULL && size <= target->max_bytes &&
           (has_canvas(kind) || kind == OF_KIND_WEBP || frames->decoder->pages) &&
           of_image_read_header(frames->decoder, bytes, size, target, &frames->header, NULL) ==
               OF_OK &&
           frames->header.frames > 1;
}

of_status of_frames_open(const uint8_t *bytes, size_t size, const of_target *target,
                         of_frames **frames, of_error *error) {
    of_frames probe = {.bytes = bytes, .size = size, .target = target};
    *frames = NULL;
    if (!holds_several(bytes, size, target, &probe))
        return OF_OK;
    of_frames *opened = of_allocate(1, sizeof *opened);
    if (opened == NULL)
        return of_fail_memory(error, "an animation");
    *opened = probe;
    of_status status = open_format(opened, error);
    if (status == OF_OK)
        *frames = opened;
    else
        of_frames_close(opened);
    return status;
}

void of_frames_close(of_frames *frames) {
    if (frames == NULL)
        return;
    of_canvas_close(&frames->canvas);
#ifdef OUTFLOW_WEBP
    of_webp_frames_close(frames->webp);
#endif
    of_free(frames->seen);
    of_free(frames);
}

/* ---- A frame -----------------------------------------------------------------------------------
 */

static of_status take_canvas(const of_frames *frames, const uint8_t *pixels, of_picture *picture,
                             of_error *error) {
    of_status status =
        of_picture_allocate(picture, frames->header.height, frames->header.width, 4, error);
    if (status == OF_OK)
        memcpy(picture->pixels, pixels, (size_t)picture->height * picture->width * 4);
    return status;
}

static of_status decode_frame(of_frames *frames, of_picture *picture, of_error *error) {
    const of_picture_wish wish = {.frame = frames->number};
    of_canvas *canvas = &frames->canvas;
    of_status status;
#ifdef OUTFLOW_WEBP
    if (frames->webp != NULL) {
        const uint8_t *pixels = NULL;
        status = of_webp_frames_next(frames->webp, &pixels, error);
        return status == OF_OK ? take_canvas(frames, pixels, picture, error) : status;
    }
#endif
    if (canvas->pixels == NULL)
        return frames->decoder->decode(frames->bytes, frames->size, &wish, picture, error);
    of_canvas_prepare(canvas);
    status = frames->decoder->kind == OF_KIND_GIF
                 ? of_gif_draw(frames->bytes, frames->size, &frames->at, canvas, error)
                 : of_png_draw(frames->bytes, frames->size, &frames->at, canvas, error);
    return status == OF_OK ? take_canvas(frames, canvas->pixels, picture, error) : status;
}

/* Decoders' memory ends with the call; what is given out does not. */
static of_status keep(of_frames *frames, const of_picture *picture, of_raster *raster,
                      of_error *error) {
    size_t bytes = (size_t)picture->height * picture->width * picture->channels;
    of_free(frames->seen);
    frames->seen = of_allocate(bytes, 1);
    if (frames->seen == NULL)
        return of_fail_memory(error, "a frame");
    memcpy(frames->seen, picture->pixels, bytes);
    *raster = (of_raster){frames->seen, picture->height, picture->width, picture->channels, false};
    return OF_OK;
}

of_status of_frames_next(of_frames *frames, of_raster *raster, of_image_info *info, bool *end,
                         of_error *error) {
    of_picture picture = {.pixels = NULL};
    *end = frames->number == frames->header.frames;
    if (*end)
        return OF_OK;
    of_status status = of_image_limit_memory(&frames->header, frames->size, frames->target, error);
    if (status == OF_OK)
        status = decode_frame(frames, &picture, error);
    if (status == OF_OK) {
        *info = of_image_describe(&frames->header, of_image_kind_name(frames->decoder->kind),
                                  frames->target);
        info->frames_dropped = 0;
        status = of_image_show(&picture, &frames->header, frames->target, info, error);
    }
    if (status == OF_OK)
        status = keep(frames, &picture, raster, error);
    of_decoder_free(picture.pixels);
    frames->number++;
    return status;
}
