/* SPDX-License-Identifier: Apache-2.0 */
/* An image and its heat as a PNG file. */
#include "core/error.h"
#include "core/memory.h"
#include "core/options_read.h"
#include "data/pixels/convert.h"
#include "detect/picture.h"

#include <inttypes.h>
#include <outflow/detect.h>

enum { SIDE = 256, MOST_SIDE = 2048, LARGEST_SIDE = 8192 };

of_heat_picture_options of_heat_picture_options_default(void) {
    return (of_heat_picture_options){
        .size = sizeof(of_heat_picture_options), .side = SIDE, .with_image = true};
}

static of_status draw(const of_heated_image *image, const of_heat_picture_options *options,
                      of_picture *picture, of_error *error) {
    uint32_t factor = of_picture_factor(image->height, image->width, options->side);
    uint32_t most = options->side > MOST_SIDE ? options->side : MOST_SIDE;
    of_picture plain = {0}, heat = {0};
    if (!options->with_image)
        return of_picture_heat(image, factor, most, picture, error);
    of_status status = of_picture_plain(image, factor, most, &plain, error);
    if (status == OF_OK)
        status = of_picture_heat(image, factor, most, &heat, error);
    if (status == OF_OK)
        status = of_picture_join(&plain, &heat, picture, error);
    of_picture_free(&plain);
    of_picture_free(&heat);
    return status;
}

/* A side that somebody else names must not take all memory. */
static of_status check(uint32_t height, uint32_t width, uint32_t channels,
                       const of_heat_picture_options *options, of_error *error) {
    const of_target target = {.channels = channels, .height = height, .width = width};
    if (options->side == 0 || options->side > LARGEST_SIDE)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "side",
                               "a picture's side is 1 to %d pixels, not %" PRIu32,
                               (int)LARGEST_SIDE, options->side);
    return of_target_check(&target, "a picture of heat", error);
}

of_status of_heat_picture_sized(uint32_t height, uint32_t width, uint32_t channels,
                                const uint8_t *pixels, const double *heat, double limit,
                                const of_heat_picture_options *options, uint8_t **png, size_t *size,
                                of_error *error) {
    of_heat_picture_options own = of_heat_picture_options_default();
    of_picture picture = {0};
    if (pixels == NULL || heat == NULL || png == NULL || size == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_heat_picture: a required argument is NULL");
    of_status status =
        of_options_read(&own, sizeof own, sizeof own, options, "of_heat_picture_options", error);
    if (status == OF_OK)
        status = check(height, width, channels, &own, error);
    const of_heated_image image = {pixels, heat, limit, channels, height, width};
    if (status == OF_OK)
        status = draw(&image, &own, &picture, error);
    if (status == OF_OK)
        status = of_picture_encode(&picture, png, size, error);
    of_picture_free(&picture);
    return status;
}

of_status of_heat_picture(const of_architecture *architecture, const uint8_t *pixels,
                          const double *heat, double limit, const of_heat_picture_options *options,
                          uint8_t **png, size_t *size, of_error *error) {
    if (architecture == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_heat_picture: a required argument is NULL");
    of_status status = of_architecture_check(architecture, error);
    return status == OF_OK ? of_heat_picture_sized(architecture->height, architecture->width,
                                                   architecture->channels, pixels, heat, limit,
                                                   options, png, size, error)
                           : status;
}
