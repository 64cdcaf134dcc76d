/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes images from memory through the public function, and all frames of a file: two bytes choose
 * the options, the rest is the file. What is said of an image must fit what was asked for. */
#include "data/pixels/frames.h"

#include <outflow/outflow.h>
#include <stdlib.h>

static void require(bool condition) {
    if (!condition)
        abort();
}

static void check(const of_image_info *info, const of_image_options *options) {
    uint64_t pixels = (uint64_t)info->height * info->width;
    require(info->format != NULL && (info->channels == 1 || info->channels == 3));
    require(pixels > 0 && pixels <= options->max_pixels);
    require(info->height >= options->min_height && info->width >= options->min_width);
    require(info->resized == (info->height != options->height || info->width != options->width));
    require(info->converted == (info->channels != options->channels));
    require(info->resized || !info->reshaped);
}

static void check_frames(const uint8_t *bytes, size_t size) {
    enum { MOST = 16 };
    const of_target target = {.channels = 3,
                              .height = 8,
                              .width = 8,
                              .max_pixels = 1 << 16,
                              .max_bytes = 1 << 20,
                              .max_memory = 1 << 22};
    of_frames *frames;
    of_raster raster = {.pixels = NULL};
    of_image_info info;
    bool end = false;
    if (of_frames_open(bytes, size, &target, &frames, NULL) != OF_OK || frames == NULL)
        return;
    for (int i = 0; i < MOST && of_frames_next(frames, &raster, &info, &end, NULL) == OF_OK && !end;
         i++)
        require(raster.height > 0 && raster.width > 0 &&
                (uint64_t)raster.height * raster.width <= target.max_pixels);
    of_frames_close(frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t pixels[8 * 8 * 3];
    of_image_info info;
    of_image_options options = of_image_options_default(NULL);
    if (size < 2)
        return 0;
    options.channels = (data[0] & 1) != 0 ? 1 : 3;
    options.height = (data[0] >> 1) % 8 + 1;
    options.width = (data[0] >> 4) % 8 + 1;
    options.max_pixels = 1 << 16;
    options.max_bytes = (data[1] & 1) != 0 ? (uint64_t)data[1] << 12 : 0;
    options.min_height = (data[1] & 2) != 0 ? 4 : 0;
    const char *name = (data[1] & 4) != 0 ? "image.tga" : NULL;
    of_status status = of_image_read(data + 2, size - 2, name, &options, pixels, &info, NULL);
    if (status == OF_OK)
        check(&info, &options);
    else
        require(status == OF_ERROR_FORMAT || status == OF_ERROR_UNSUPPORTED ||
                status == OF_ERROR_MEMORY);
    check_frames(data + 2, size - 2);
    return 0;
}
