/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/frames_canvas.h"

#include "core/error.h"
#include "core/memory.h"

#include <string.h>

of_status of_canvas_open(uint32_t height, uint32_t width, of_canvas *canvas, of_error *error) {
    size_t count = (size_t)height * width;
    *canvas = (of_canvas){.height = height,
                          .width = width,
                          .pixels = of_allocate_zeroed(count, 4),
                          .before = of_allocate_zeroed(count, 4)};
    return canvas->pixels != NULL && canvas->before != NULL ? OF_OK
                                                            : of_fail_memory(error, "an animation");
}

void of_canvas_close(of_canvas *canvas) {
    of_free(canvas->pixels);
    of_free(canvas->before);
    *canvas = (of_canvas){.pixels = NULL};
}

/* The part of an area that lies on the canvas. */
static of_area cut(const of_canvas *canvas, of_area area) {
    area.x = area.x < canvas->width ? area.x : canvas->width;
    area.y = area.y < canvas->height ? area.y : canvas->height;
    uint32_t right = canvas->width - area.x, below = canvas->height - area.y;
    area.width = area.width < right ? area.width : right;
    area.height = area.height < below ? area.height : below;
    return area;
}

void of_canvas_prepare(of_canvas *canvas) {
    of_area area = cut(canvas, canvas->area);
    for (uint32_t y = 0; y < area.height && canvas->disposal != OF_KEEP; y++) {
        size_t at = ((size_t)(area.y + y) * canvas->width + area.x) * 4;
        if (canvas->disposal == OF_CLEAR)
            memset(canvas->pixels + at, 0, (size_t)area.width * 4);
        else
            memcpy(canvas->pixels + at, canvas->before + at, (size_t)area.width * 4);
    }
    memcpy(canvas->before, canvas->pixels, (size_t)canvas->height * canvas->width * 4);
}

static void widen(const uint8_t *from, uint32_t channels, uint8_t pixel[4]) {
    bool grey = channels < 3;
    for (int c = 0; c < 3; c++)
        pixel[c] = from[grey ? 0 : c];
    pixel[3] = channels == 2 || channels == 4 ? from[channels - 1] : 255;
}

/* Porter and Duff's "over", of colours that are not multiplied with opacity. */
static void lay_over(const uint8_t above[4], uint8_t below[4]) {
    uint32_t a = above[3] * 255u, b = below[3] * (255u - above[3]), all = a + b;
    if (all == 0)
        return;
    for (int c = 0; c < 3; c++)
        below[c] = (uint8_t)((above[c] * a + below[c] * b + all / 2) / all);
    below[3] = (uint8_t)((all + 127) / 255);
}

void of_canvas_draw(of_canvas *canvas, const of_picture *picture, of_area area, bool over) {
    area.width = picture->width;
    area.height = picture->height;
    of_area seen = cut(canvas, area);
    for (uint32_t y = 0; y < seen.height; y++)
        for (uint32_t x = 0; x < seen.width; x++) {
            uint8_t pixel[4];
            uint8_t *to = canvas->pixels + ((size_t)(seen.y + y) * canvas->width + seen.x + x) * 4;
            widen(picture->pixels + ((size_t)y * picture->width + x) * picture->channels,
                  picture->channels, pixel);
            if (over)
                lay_over(pixel, to);
            else
                memcpy(to, pixel, 4);
        }
}
