/* SPDX-License-Identifier: Apache-2.0 */
/* The public face: images out of the caller's memory. */
#include "core/error.h"
#include "core/options_read.h"
#include "data/pixels/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

of_image_options of_image_options_default(const of_architecture *architecture) {
    of_image_options options = {.size = sizeof options,
                                .channels = 3,
                                .height = 32,
                                .width = 32,
                                .max_pixels = OF_MAX_PIXELS};
    if (architecture != NULL) {
        options.channels = architecture->channels;
        options.height = architecture->height;
        options.width = architecture->width;
    }
    return options;
}

static of_status read_target(const of_image_options *given, of_target *target, of_error *error) {
    of_image_options options = of_image_options_default(NULL);
    of_status status =
        of_options_read(&options, sizeof options, OF_SIZE_UP_TO(of_image_options, min_width), given,
                        "image options", error);
    if (status != OF_OK)
        return status;
    *target = (of_target){.channels = options.channels,
                          .height = options.height,
                          .width = options.width,
                          .max_pixels = options.max_pixels > 0 ? options.max_pixels : OF_MAX_PIXELS,
                          .max_bytes = OF_MAX_FILE_BYTES,
                          .min_height = options.min_height,
                          .min_width = options.min_width,
                          .max_memory = options.max_bytes,
                          .background = options.background,
                          .full_decoding = options.full_decoding};
    return of_target_check(target, "image", error);
}

of_status of_colour_parse(const char *text, uint32_t *colour, of_error *error) {
    static const struct {
        const char *name;
        uint32_t rgb;
    } names[] = {{"white", 0xffffff}, {"black", 0}, {"grey", 0x808080}};
    enum { GIVEN = 1 << 24 }; /* so that 0 is nothing, and not black */
    char *end = NULL;
    for (size_t i = 0; text != NULL && i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i].name) == 0) {
            *colour = GIVEN | names[i].rgb;
            return OF_OK;
        }
    if (text == NULL || text[0] != '#' || strspn(text + 1, "0123456789abcdefABCDEF") != 6 ||
        text[7] != '\0')
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "'%s' is no colour; expected white, black, grey or #rrggbb",
                       text != NULL ? text : "");
    *colour = GIVEN | (uint32_t)strtoul(text + 1, &end, 16);
    return OF_OK;
}

static void add_note(char text[OF_NOTES_SIZE], bool wanted, const char *note) {
    size_t used = strlen(text);
    if (wanted)
        (void)snprintf(text + used, OF_NOTES_SIZE - used, "%s%s", used > 0 ? "; " : "", note);
}

const char *of_image_notes(const of_image_info *info, char text[OF_NOTES_SIZE]) {
    text[0] = '\0';
    add_note(text, info->frames_dropped > 0, "first frame");
    add_note(text, info->oriented, "orientation applied");
    add_note(text, info->alpha_dropped, "alpha on background");
    add_note(text, info->cmyk, "inks to colours");
    add_note(text, info->depth_reduced, "16 to 8 bits");
    add_note(text, info->dim, "uses few of its bits");
    add_note(text, info->converted, info->channels == 1 ? "grey to colour" : "colour to grey");
    add_note(text, info->enlarged, "enlarged");
    add_note(text, info->reshaped, "much shrunk or squeezed");
    return text;
}

of_status of_image_read(const void *bytes, size_t size, const char *name,
                        const of_image_options *options, uint8_t *pixels, of_image_info *info,
                        of_error *error) {
    of_target target;
    of_image_info own;
    of_error reason;
    if ((bytes == NULL && size > 0) || pixels == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_image_read: NULL argument");
    of_status status = read_target(options, &target, error);
    if (status != OF_OK)
        return status;
    status = of_image_decode(bytes, size, name != NULL ? name : "", &target, pixels, &own, &reason);
    if (status != OF_OK)
        return of_fail_setting(error, status, reason.setting, "%s: %s",
                               name != NULL && name[0] != '\0' ? name : "image", reason.message);
    if (info != NULL)
        *info = own;
    return OF_OK;
}
