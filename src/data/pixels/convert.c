/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/convert.h"

#include "core/error.h"
#include "core/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STBIR_ASSERT(condition) ((void)0)
/* Judged at the end of the file, hence not popped. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_image_resize.h>

of_status of_check_size(uint64_t height, uint64_t width, const of_target *target, of_error *error) {
    if (height == 0 || width == 0)
        return of_fail(error, OF_ERROR_FORMAT, "image of %" PRIu64 " x %" PRIu64 " pixels", width,
                       height);
    if (height > OF_MAX_SIDE || width > OF_MAX_SIDE || height * width > target->max_pixels)
        return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "max_pixels",
                               "image of %" PRIu64 " x %" PRIu64
                               " pixels is over the limit of %" PRIu64 " pixels and %d a side",
                               width, height, target->max_pixels, OF_MAX_SIDE);
    if (height < target->min_height || width < target->min_width)
        return of_fail_setting(error, OF_ERROR_UNSUPPORTED,
                               height < target->min_height ? "min_height" : "min_width",
                               "image of %" PRIu64 " x %" PRIu64 " pixels is smaller than %" PRIu32
                               " x %" PRIu32 ", the least that is taken here",
                               width, height, target->min_width, target->min_height);
    return OF_OK;
}

of_status of_target_check(const of_target *target, const char *what, of_error *error) {
    if (target->channels != 1 && target->channels != 3)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "channels",
                               "%s: %" PRIu32 " channels; expected 1 (grey) or 3 (RGB)", what,
                               target->channels);
    if (target->height == 0 || target->width == 0 || target->height > OF_MAX_SIDE ||
        target->width > OF_MAX_SIDE || (uint64_t)target->height * target->width > OF_MAX_PIXELS)
        return of_fail(error, OF_ERROR_ARGUMENT, "%s: %" PRIu32 " x %" PRIu32 " pixels asked for",
                       what, target->width, target->height);
    return OF_OK;
}

void of_target_background(const of_target *target, uint8_t rgb[3]) {
    uint32_t colour = target->background != 0 ? target->background : 0xffffff;
    rgb[0] = (uint8_t)(colour >> 16);
    rgb[1] = (uint8_t)(colour >> 8);
    rgb[2] = (uint8_t)colour;
}

/* Shrunk to less than a quarter, or to another form: what the model sees is another image. */
static bool is_reshaped(uint32_t height, uint32_t width, const of_target *target) {
    double down = (double)height / target->height, across = (double)width / target->width;
    return fmax(down, across) > 4 || fmax(down / across, across / down) > 1.25;
}

of_image_info of_describe_image(const char *format, uint32_t channels, uint32_t height,
                                uint32_t width, const of_target *target) {
    uint32_t stored = channels < 3 ? 1 : 3; /* without opacity */
    return (of_image_info){.format = format,
                           .channels = stored,
                           .height = height,
                           .width = width,
                           .resized = height != target->height || width != target->width,
                           .converted = stored != target->channels,
                           .enlarged = height < target->height || width < target->width,
                           .reshaped = is_reshaped(height, width, target)};
}

static uint8_t luma(uint8_t red, uint8_t green, uint8_t blue) {
    /* The weights in units of 2^-16; they sum to 1, so grey stays grey. */
    return (uint8_t)((19595u * red + 38470u * green + 7471u * blue + 32768u) >> 16);
}

/* Interleaved pixels of 1 or 3 channels, at the raster's own size. */
static void convert_channels(const of_raster *from, uint32_t channels, uint8_t *to) {
    size_t count = (size_t)from->height * from->width;
    size_t step = from->planar ? 1 : from->channels;
    size_t plane = from->planar ? count : 1;
    const uint8_t *red = from->pixels;
    bool grey = from->channels < 3;
    const uint8_t *green = grey ? red : red + plane, *blue = grey ? red : green + plane;
    if (channels == 1) {
        for (size_t i = 0; i < count; i++)
            to[i] = grey ? red[i * step] : luma(red[i * step], green[i * step], blue[i * step]);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        to[3 * i] = red[i * step];
        to[3 * i + 1] = green[i * step];
        to[3 * i + 2] = blue[i * step];
    }
}

static bool resample(const of_raster *from, const of_target *target, uint8_t *to) {
    return stbir_resize_uint8_generic(
               from->pixels, (int)from->width, (int)from->height, 0, to, (int)target->width,
               (int)target->height, 0, (int)from->channels, STBIR_ALPHA_CHANNEL_NONE, 0,
               STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, NULL) != 0;
}

/* Resamples as few channels as carry information, then repeats grey if colour is wanted. */
static of_status convert_and_resample(const of_raster *from, const of_target *target,
                                      uint8_t *pixels, of_error *error) {
    of_status status = OF_OK;
    uint32_t channels = from->channels < 3 ? 1 : target->channels;
    of_raster packed = {from->pixels, from->height, from->width, channels, false};
    uint8_t *converted = NULL, *grey = NULL;
    if (from->channels != channels || from->planar) {
        converted = of_allocate((size_t)from->height * from->width, channels);
        if (converted == NULL) {
            status = of_fail_memory(error, "an image");
            goto cleanup;
        }
        convert_channels(from, channels, converted);
        packed.pixels = converted;
    }
    uint8_t *resampled = pixels;
    if (channels != target->channels) {
        grey = of_allocate(target->height, target->width);
        if (grey == NULL) {
            status = of_fail_memory(error, "an image");
            goto cleanup;
        }
        resampled = grey;
    }
    if (!resample(&packed, target, resampled)) {
        status = of_fail_memory(error, "a resized image");
        goto cleanup;
    }
    if (grey != NULL)
        convert_channels(&(of_raster){grey, target->height, target->width, 1, false},
                         target->channels, pixels);
cleanup:
    of_free(grey);
    of_free(converted);
    return status;
}

of_status of_convert(const of_raster *from, const of_target *target, uint8_t *pixels,
                     of_error *error) {
    of_status status = of_check_size(from->height, from->width, target, error);
    if (status != OF_OK)
        return status;
    if (from->height != target->height || from->width != target->width)
        return convert_and_resample(from, target, pixels, error);
    if (from->channels == target->channels && (!from->planar || from->channels == 1))
        memcpy(pixels, from->pixels, of_target_bytes(target));
    else
        convert_channels(from, target->channels, pixels);
    return OF_OK;
}
