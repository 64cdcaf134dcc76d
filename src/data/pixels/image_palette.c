/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/image_palette.h"

#include <string.h>

/* The patch, of which `used` bytes are written, stands for the bytes [from, to). */
static void replace(const uint8_t *bytes, size_t size, size_t from, size_t to, size_t used,
                    of_mended_file *file) {
    file->pieces[0].size = from;
    file->pieces[1].bytes = file->patch;
    file->pieces[1].size = used;
    file->pieces[2].bytes = bytes + to;
    file->pieces[2].size = size - to;
}

/* ---- BMP: [file header, with the pixels' place at 10][header: its size first][palette][pixels];
 * colours have 3 bytes in the oldest kind, with a header of 12 bytes, and 4 in all others -------
 */

enum { BMP_HEADER = 14, BMP_PLACE = 10, OS2_HEADER = 12, LARGEST_HEADER = 124 };

static size_t little_endian_16(const uint8_t *bytes) {
    return (size_t)bytes[0] | (size_t)bytes[1] << 8;
}

static size_t little_endian_32(const uint8_t *bytes) {
    return little_endian_16(bytes) | little_endian_16(bytes + 2) << 16;
}

static void complete_bmp(const uint8_t *bytes, size_t size, of_mended_file *file) {
    enum { OS2_BITS = 24, BITS = 28, COLOURS = 46 }; /* places in the file */
    if (size < BMP_HEADER + 4)
        return;
    size_t pixels = little_endian_32(bytes + BMP_PLACE);
    size_t header = little_endian_32(bytes + BMP_HEADER);
    size_t palette = BMP_HEADER + header;
    bool os2 = header == OS2_HEADER;
    if ((!os2 && header < 40) || header > LARGEST_HEADER || pixels > size || pixels <= palette)
        return;
    size_t bits = little_endian_16(bytes + (os2 ? OS2_BITS : BITS));
    if (bits == 0 || bits > 8)
        return;
    size_t colour = os2 ? 3 : 4, whole = (size_t)1 << bits, count = (pixels - palette) / colour;
    size_t used = os2 ? 0 : little_endian_32(bytes + COLOURS);
    count = used > 0 && used < count ? used : count;
    count = whole < count ? whole : count;
    /* The decoder takes the oldest header for 12 bytes longer when it counts colours. */
    size_t end = palette + whole * colour + (os2 ? OS2_HEADER : 0);
    memset(file->patch, 0, end);
    memcpy(file->patch, bytes, palette + count * colour);
    for (size_t i = 0; i < 4; i++)
        file->patch[BMP_PLACE + i] = (uint8_t)(end >> 8 * i);
    replace(bytes, size, 0, pixels, end, file);
}

void of_complete_palette(const uint8_t *bytes, size_t size, of_mended_file *file) {
    memset(file->pieces, 0, sizeof file->pieces);
    file->pieces[0].bytes = bytes;
    file->pieces[0].size = size;
    if (size >= 2 && memcmp(bytes, "BM", 2) == 0)
        complete_bmp(bytes, size, file);
}
