/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes of images under lossless coders: upper bounds of their complexity. */
#include "core/error.h"

#include <png.h>
#ifdef OUTFLOW_WEBP
#include <webp/encode.h>
#endif

static of_status check_image(const uint8_t *pixels, uint32_t channels, uint32_t height,
                             uint32_t width, uint32_t most, const size_t *bytes, of_error *error) {
    if (pixels != NULL && bytes != NULL && (channels == 1 || channels == 3) && height > 0 &&
        width > 0 && height <= most && width <= most)
        return OF_OK;
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "coding an image: it must have 1 or 3 channels and sides from 1 to %u",
                   (unsigned)most);
}

/* ---- PNG ---------------------------------------------------------------------------------- */

enum { PNG_LEVEL = 9, PNG_MOST = 1000000 };

static void count_bytes(png_structp png, png_bytep data, size_t length) {
    (void)data;
    *(size_t *)png_get_io_ptr(png) += length;
}

static void flush_nothing(png_structp png) {
    (void)png;
}

/* libpng must not print. */
static void ignore_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void jump_out(png_structp png, png_const_charp message) {
    (void)message;
    png_longjmp(png, 1);
}

/* False on a failure of libpng, which comes back by longjmp: nothing here changes after setjmp. */
static bool code_png(png_structp png, png_infop info, const uint8_t *pixels, uint32_t channels,
                     uint32_t height, uint32_t width, size_t *bytes) {
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_write_fn(png, bytes, count_bytes, flush_nothing);
    png_set_compression_level(png, PNG_LEVEL);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
    png_set_IHDR(png, info, width, height, 8,
                 channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
    png_write_info(png, info);
    for (uint32_t y = 0; y < height; y++)
        png_write_row(png, pixels + (size_t)y * width * channels);
    png_write_end(png, NULL);
    return true;
}

of_status of_png_bytes(const uint8_t *pixels, uint32_t channels, uint32_t height, uint32_t width,
                       size_t *bytes, of_error *error) {
    size_t count = 0;
    of_status status = check_image(pixels, channels, height, width, PNG_MOST, bytes, error);
    if (status != OF_OK)
        return status;
    png_structp png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, jump_out, ignore_warning);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    if (info == NULL || !code_png(png, info, pixels, channels, height, width, &count))
        status = of_fail_memory(error, "an image's PNG");
    else
        *bytes = count;
    png_destroy_write_struct(&png, &info);
    return status;
}

/* ---- WebP --------------------------------------------------------------------------------- */

#ifdef OUTFLOW_WEBP

static int count_webp(const uint8_t *data, size_t length, const WebPPicture *picture) {
    (void)data;
    *(size_t *)picture->custom_ptr += length;
    return 1;
}

/* WebP knows no grey images: each value three times, which costs next to nothing. */
static bool import_pixels(WebPPicture *picture, const uint8_t *pixels, uint32_t channels) {
    picture->use_argb = 1;
    if (!WebPPictureAlloc(picture))
        return false;
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++) {
            const uint8_t *p = pixels + ((size_t)y * (size_t)picture->width + (size_t)x) * channels;
            uint32_t green = p[channels / 2], blue = p[channels - 1];
            picture->argb[(size_t)y * (size_t)picture->argb_stride + (size_t)x] =
                0xff000000u | (uint32_t)p[0] << 16 | green << 8 | blue;
        }
    return true;
}

of_status of_webp_bytes(const uint8_t *pixels, uint32_t channels, uint32_t height, uint32_t width,
                        size_t *bytes, of_error *error) {
    WebPConfig config;
    WebPPicture picture;
    size_t count = 0;
    of_status status =
        check_image(pixels, channels, height, width, WEBP_MAX_DIMENSION, bytes, error);
    if (status != OF_OK)
        return status;
    if (!WebPConfigInit(&config) || !WebPPictureInit(&picture))
        return of_fail(error, OF_ERROR_INTERNAL, "libwebp has another version than its header");
    config.lossless = config.exact = 1;
    config.quality = 100;
    config.method = 6;
    picture.width = (int)width;
    picture.height = (int)height;
    picture.writer = count_webp;
    picture.custom_ptr = &count;
    if (!import_pixels(&picture, pixels, channels) || !WebPEncode(&config, &picture))
        status = of_fail_memory(error, "an image's WebP");
    else
        *bytes = count;
    WebPPictureFree(&picture);
    return status;
}

bool of_has_webp(void) {
    return true;
}

#else

of_status of_webp_bytes(const uint8_t *pixels, uint32_t channels, uint32_t height, uint32_t width,
                        size_t *bytes, of_error *error) {
    of_status status = check_image(pixels, channels, height, width, PNG_MOST, bytes, error);
    return status != OF_OK ? status
                           : of_fail(error, OF_ERROR_UNSUPPORTED,
                                     "this build has no WebP coder: install libwebp-dev and "
                                     "configure again");
}

bool of_has_webp(void) {
    return false;
}

#endif
