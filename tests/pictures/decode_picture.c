/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode_picture FILE OUT [all] [#rrggbb]: decodes a picture, or all of its frames, to its own size
 * and three channels, through image sources as the program does. OUT gets the pixels, standard
 * output a line "HEIGHT WIDTH STORED_CHANNELS NOTES" a picture. Exit status 3 with the reason if it
 * is refused.
 */
#include "data/pixels/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 24);
    if (file == NULL || bytes == NULL)
        exit(1);
    *size = fread(bytes, 1, 1 << 24, file);
    (void)fclose(file);
    return bytes;
}

static void tell(void *user, const char *path, const char *reason) {
    (void)user;
    (void)path;
    (void)printf("%s\n", reason);
}

static int dump(const char *path, const of_source_options *options, FILE *out) {
    of_source *source = NULL;
    of_source_batch batch = {0};
    of_error error;
    size_t pictures = 0;
    of_status status = of_source_open(path, options, &source, &error);
    while (status == OF_OK) {
        status = of_source_next(source, 8, &batch, &error);
        if (status != OF_OK || batch.count == 0)
            break;
        pictures += batch.count;
        for (size_t i = 0; i < batch.count; i++) {
            char notes[OF_NOTES_SIZE];
            const of_item *item = &batch.items[i];
            (void)printf("%u %u %u %s\n", (unsigned)item->height, (unsigned)item->width,
                         (unsigned)item->info.channels, of_image_notes(&item->info, notes));
        }
        size_t bytes = batch.count * options->height * options->width * 3;
        if (fwrite(batch.pixels, 1, bytes, out) != bytes)
            return 1;
    }
    if (status != OF_OK)
        (void)printf("%s\n", error.message);
    of_source_free(source);
    return status == OF_OK && pictures > 0 ? 0 : 3;
}

int main(int count, char **arguments) {
    of_source_options options = of_source_options_default(NULL);
    of_target target = {3, 1, 1, 1 << 24, 1 << 24, 0, 0, 0, 0, 0, false, false};
    of_image_shape shape;
    of_error error;
    size_t size;
    if (count < 3)
        return 2;
    for (int i = 3; i < count; i++) {
        if (strcmp(arguments[i], "all") == 0)
            options.all_frames = true;
        else if (of_colour_parse(arguments[i], &options.background, &error) != OF_OK)
            return 2;
    }
    uint8_t *bytes = read_file(arguments[1], &size);
    of_status status = of_image_shape_of(bytes, size, &target, &shape, &error);
    free(bytes);
    if (status != OF_OK) {
        (void)printf("%s\n", error.message);
        return 3;
    }
    options.height = shape.height;
    options.width = shape.width;
    options.full_decoding = true;
    options.on_unreadable = tell;
    FILE *out = fopen(arguments[2], "wb");
    if (out == NULL)
        return 1;
    int code = dump(arguments[1], &options, out);
    return fclose(out) == 0 ? code : 1;
}
