/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of an animated GIF: each is given to the decoder as the first and only one of a file. */
#include "core/error.h"
#include "core/memory.h"
#include "data/pixels/frames_canvas.h"
#include "data/pixels/image_frames.h"

#include <string.h>

static of_disposal disposal_of(const of_gif_frame *frame) {
    return frame->disposal == 2 ? OF_CLEAR : frame->disposal == 3 ? OF_RESTORE : OF_KEEP;
}

/* Where nothing is drawn, the decoder leaves opacity at 0, so what it gives lies over the rest. */
static of_status decode_frame(const uint8_t *bytes, const of_gif_frame *frame, of_canvas *canvas,
                              of_error *error) {
    const of_picture_wish wish = {0};
    of_picture picture = {.pixels = NULL};
    size_t data = frame->end - frame->place, size = frame->head + data;
    uint8_t *file = of_allocate(size, 1);
    if (file == NULL)
        return of_fail_memory(error, "a frame");
    memcpy(file, bytes, frame->head);
    memcpy(file + frame->head, bytes + frame->place, data);
    of_status status = of_decoder_gif.decode(file, size, &wish, &picture, error);
    of_free(file);
    if (status == OF_OK)
        of_canvas_draw(canvas, &picture, (of_area){0, 0, canvas->width, canvas->height}, true);
    of_decoder_free(picture.pixels);
    return status;
}

of_status of_gif_draw(const uint8_t *bytes, size_t size, size_t *at, of_canvas *canvas,
                      of_error *error) {
    of_gif_frame frame;
    if (!of_gif_frame_at(bytes, size, *at, &frame))
        return of_fail(error, OF_ERROR_FORMAT, "damaged GIF: a frame of its animation");
    of_status status = decode_frame(bytes, &frame, canvas, error);
    *at = frame.end;
    canvas->area = (of_area){frame.x, frame.y, frame.width, frame.height};
    canvas->disposal = disposal_of(&frame);
    return status;
}
