/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/pixels/image_kind.h"

#include "data/pixels/image_pnm.h"

#include <string.h>
#include <strings.h>

static bool has(const uint8_t *bytes, size_t size, size_t at, const char *magic, size_t length) {
    return size >= at + length && memcmp(bytes + at, magic, length) == 0;
}

static bool is_tiff(const uint8_t *bytes, size_t size) {
    return has(bytes, size, 0, "II*\0", 4) || has(bytes, size, 0, "MM\0*", 4) ||
           has(bytes, size, 0, "II+\0", 4) || has(bytes, size, 0, "MM\0+", 4);
}

static bool is_jp2(const uint8_t *bytes, size_t size) {
    return has(bytes, size, 0, "\0\0\0\x0cjP  \r\n\x87\n", 12) ||
           has(bytes, size, 0, "\xff\x4f\xff\x51", 4);
}

/* [length]["ftyp"][brand]: the kind that such a file names first; TGA if it is another. */
static of_image_kind kind_of_brand(const uint8_t *bytes, size_t size) {
    static const char heic[][5] = {"heic", "heix", "heim", "heis", "hevc", "mif1", "msf1"};
    if (!has(bytes, size, 4, "ftyp", 4))
        return OF_KIND_TGA;
    if (has(bytes, size, 8, "avif", 4) || has(bytes, size, 8, "avis", 4))
        return OF_KIND_AVIF;
    for (size_t i = 0; i < sizeof heic / sizeof *heic; i++)
        if (has(bytes, size, 8, heic[i], 4))
            return OF_KIND_HEIC;
    return OF_KIND_TGA;
}

of_image_kind of_image_kind_of(const uint8_t *bytes, size_t size) {
    return has(bytes, size, 0, "\x89PNG\r\n\x1a\n", 8)                        ? OF_KIND_PNG
           : has(bytes, size, 0, "\xff\xd8\xff", 3)                           ? OF_KIND_JPEG
           : has(bytes, size, 0, "BM", 2)                                     ? OF_KIND_BMP
           : has(bytes, size, 0, "GIF8", 4)                                   ? OF_KIND_GIF
           : of_is_pnm(bytes, size)                                           ? OF_KIND_PNM
           : has(bytes, size, 0, "RIFF", 4) && has(bytes, size, 8, "WEBP", 4) ? OF_KIND_WEBP
           : is_tiff(bytes, size)                                             ? OF_KIND_TIFF
           : is_jp2(bytes, size)                                              ? OF_KIND_JP2
                                 : kind_of_brand(bytes, size);
}

const char *of_image_kind_name(of_image_kind kind) {
    static const char *const names[] = {
        [OF_KIND_PNG] = "PNG",   [OF_KIND_JPEG] = "JPEG",     [OF_KIND_BMP] = "BMP",
        [OF_KIND_GIF] = "GIF",   [OF_KIND_PNM] = "PNM",       [OF_KIND_WEBP] = "WebP",
        [OF_KIND_TIFF] = "TIFF", [OF_KIND_JP2] = "JPEG 2000", [OF_KIND_AVIF] = "AVIF",
        [OF_KIND_HEIC] = "HEIC", [OF_KIND_TGA] = "TGA"};
    return names[kind];
}

bool of_has_image_magic(const uint8_t *bytes, size_t size) {
    return of_image_kind_of(bytes, size) != OF_KIND_TGA;
}

bool of_has_image_extension(const char *name) {
    static const char extensions[] = OF_IMAGE_EXTENSIONS " ";
    const char *dot = strrchr(name, '.');
    if (dot == NULL || dot[1] == '\0' || strchr(dot, '/') != NULL || strchr(dot, ' ') != NULL)
        return false;
    size_t length = strlen(dot);
    for (const char *at = extensions; *at != '\0'; at = strchr(at, ' ') + 1)
        if (strncasecmp(at, dot, length) == 0 && at[length] == ' ')
            return true;
    return false;
}
