/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/pixels/image_kind.h"

#include "data/pixels/image_pnm.h"

#include <string.h>
#include <strings.h>

static bool begins_with(const uint8_t *bytes, size_t size, const char *magic, size_t length) {
    return size >= length && memcmp(bytes, magic, length) == 0;
}

of_image_kind of_image_kind_of(const uint8_t *bytes, size_t size) {
    return begins_with(bytes, size, "\x89PNG\r\n\x1a\n", 8) ? OF_KIND_PNG
           : begins_with(bytes, size, "\xff\xd8\xff", 3)    ? OF_KIND_JPEG
           : begins_with(bytes, size, "BM", 2)              ? OF_KIND_BMP
           : begins_with(bytes, size, "GIF8", 4)            ? OF_KIND_GIF
           : of_is_pnm(bytes, size)                         ? OF_KIND_PNM
                                                            : OF_KIND_TGA;
}

const char *of_image_kind_name(of_image_kind kind) {
    static const char *const names[] = {
        [OF_KIND_PNG] = "PNG", [OF_KIND_JPEG] = "JPEG", [OF_KIND_BMP] = "BMP",
        [OF_KIND_GIF] = "GIF", [OF_KIND_PNM] = "PNM",   [OF_KIND_TGA] = "TGA"};
    return names[kind];
}

bool of_has_image_magic(const uint8_t *bytes, size_t size) {
    return of_image_kind_of(bytes, size) != OF_KIND_TGA;
}

bool of_has_image_extension(const char *name) {
    static const char *const extensions[] = {"png", "jpg", "jpeg", "bmp", "gif",
                                             "tga", "pbm", "pgm",  "ppm", "pnm"};
    const char *dot = strrchr(name, '.');
    if (dot == NULL || strchr(dot, '/') != NULL)
        return false;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (strcasecmp(dot + 1, extensions[i]) == 0)
            return true;
    return false;
}
