/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/orient.h"

#include <string.h>

static uint8_t blend(uint32_t colour, uint32_t below, uint32_t opacity, bool premultiplied) {
    uint32_t own = premultiplied ? colour * 255 : colour * opacity;
    uint32_t sum = (own + below * (255 - opacity) + 127) / 255;
    return (uint8_t)(sum < 255 ? sum : 255);
}

static bool is_opaque(const uint8_t *pixels, size_t count, size_t step) {
    for (size_t i = 0; i < count; i++)
        if (pixels[i * step + step - 1] != 255)
            return false;
    return true;
}

/* `to` may be `from` where it has not more channels. */
static void compose(const of_picture *from, const uint8_t background[3], uint32_t channels,
                    uint8_t *to) {
    size_t count = (size_t)from->height * from->width, step = from->channels;
    bool grey = step == 2;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *pixel = from->pixels + i * step;
        uint8_t seen[3];
        for (uint32_t c = 0; c < channels; c++)
            seen[c] =
                blend(pixel[grey ? 0 : c], background[c], pixel[step - 1], from->premultiplied);
        memcpy(to + i * channels, seen, channels);
    }
}

of_status of_picture_compose(of_picture *picture, const uint8_t background[3], bool *opaque,
                             of_error *error) {
    *opaque = true;
    if (picture->channels == 1 || picture->channels == 3)
        return OF_OK;
    size_t count = (size_t)picture->height * picture->width;
    *opaque = is_opaque(picture->pixels, count, picture->channels);
    bool grey_background = background[0] == background[1] && background[1] == background[2];
    uint32_t channels = picture->channels == 2 && (grey_background || *opaque) ? 1 : 3;
    if (channels < picture->channels) {
        compose(picture, background, channels, picture->pixels);
        picture->channels = channels;
        return OF_OK;
    }
    of_picture colour = {.pixels = NULL};
    of_status status =
        of_picture_allocate(&colour, picture->height, picture->width, channels, error);
    if (status != OF_OK)
        return status;
    compose(picture, background, channels, colour.pixels);
    of_decoder_free(picture->pixels);
    picture->pixels = colour.pixels;
    picture->channels = channels;
    return OF_OK;
}

/* Where the first pixel of what is seen is stored, and the steps from there, in pixels, to the next
 * column and the next row. */
typedef struct path {
    ptrdiff_t first, column, row;
} path;

static path path_of(uint32_t orientation, ptrdiff_t height, ptrdiff_t width) {
    ptrdiff_t right = width - 1, bottom = (height - 1) * width;
    switch (orientation) {
    case 2:
        return (path){right, -1, width};
    case 3:
        return (path){bottom + right, -1, -width};
    case 4:
        return (path){bottom, 1, -width};
    case 5:
        return (path){0, width, 1};
    case 6:
        return (path){bottom, -width, 1};
    case 7:
        return (path){bottom + right, -width, -1};
    case 8:
        return (path){right, width, -1};
    default:
        return (path){0, 1, width};
    }
}

of_status of_picture_orient(of_picture *picture, uint32_t orientation, of_error *error) {
    if (orientation <= 1)
        return OF_OK;
    bool turned = orientation >= 5;
    of_picture seen = {.pixels = NULL};
    of_status status =
        of_picture_allocate(&seen, turned ? picture->width : picture->height,
                            turned ? picture->height : picture->width, picture->channels, error);
    if (status != OF_OK)
        return status;
    path way = path_of(orientation, (ptrdiff_t)picture->height, (ptrdiff_t)picture->width);
    size_t channels = picture->channels;
    uint8_t *to = seen.pixels;
    for (ptrdiff_t y = 0; y < (ptrdiff_t)seen.height; y++)
        for (ptrdiff_t x = 0; x < (ptrdiff_t)seen.width; x++, to += channels)
            memcpy(to,
                   picture->pixels + (size_t)(way.first + y * way.row + x * way.column) * channels,
                   channels);
    seen.full_height = turned ? picture->full_width : picture->full_height;
    seen.full_width = turned ? picture->full_height : picture->full_width;
    of_decoder_free(picture->pixels);
    *picture = seen;
    return OF_OK;
}
