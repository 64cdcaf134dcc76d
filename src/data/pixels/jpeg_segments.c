/* SPDX-License-Identifier: Apache-2.0 */
/* Segments [0xff][marker][length, its own two bytes included][data]; after a scan's header follows
 * entropy-coded data, in which 0xff is followed by 0 or a restart marker. */
#include "data/pixels/jpeg_segments.h"

#include "core/error.h"
#include "data/pixels/exif.h"

#include <string.h>

enum {
    START = 0xd8,
    END = 0xd9,
    FIRST_FRAME = 0xc0,
    EXTENDED = 0xc1,
    PROGRESSIVE = 0xc2,
    HUFFMAN_TABLES = 0xc4,
    EXTENSION = 0xc8, /* reserved */
    ARITHMETIC = 0xc9,
    ARITHMETIC_PROGRESSIVE = 0xca,
    ARITHMETIC_CONDITIONS = 0xcc,
    LAST_FRAME = 0xcf,
    SCAN = 0xda,
    APP1 = 0xe1,
    /* Each scan goes over the whole image, however few bytes it has. A progressive file has about
     * ten; no division into them makes sense that takes more than this. */
    MAX_SCANS = 100
};

/* Pixels that all scans may go over. */
#define MAX_SCANNED ((uint64_t)1 << 30)

/* The place after the next marker, which goes to *marker; 0 if there is none. What lies in between
 * is skipped, as decoders do with padding and with entropy-coded data. */
static size_t find_marker(const uint8_t *bytes, size_t size, size_t at, uint8_t *marker) {
    while (at < size) {
        const uint8_t *found = memchr(bytes + at, 0xff, size - at);
        if (found == NULL)
            return 0;
        at = (size_t)(found - bytes);
        while (at < size && bytes[at] == 0xff)
            at++;
        if (at == size)
            return 0;
        *marker = bytes[at++];
        if (*marker != 0 && (*marker & 0xf8) != 0xd0)
            return at;
    }
    return 0;
}

/* [class and number][16 counts, of the codes of 1 to 16 bits][a symbol for each code], repeated.
 * More than 256 codes would run over a decoder's tables. */
static bool are_huffman_tables(const uint8_t *bytes, size_t size) {
    while (size > 0) {
        size_t codes = 0;
        if (size < 17)
            return false;
        for (int i = 1; i <= 16; i++)
            codes += bytes[i];
        if (codes > 256 || codes > size - 17)
            return false;
        bytes += 17 + codes;
        size -= 17 + codes;
    }
    return true;
}

static bool is_frame(uint8_t marker) {
    return marker >= FIRST_FRAME && marker <= LAST_FRAME && marker != HUFFMAN_TABLES &&
           marker != EXTENSION && marker != ARITHMETIC_CONDITIONS;
}

/* [depth][height][width][components] */
static bool read_frame(uint8_t marker, const uint8_t *data, size_t length,
                       of_jpeg_summary *summary) {
    if (length < 6)
        return false;
    summary->depth = data[0];
    summary->height = (uint32_t)data[1] << 8 | data[2];
    summary->width = (uint32_t)data[3] << 8 | data[4];
    summary->components = data[5];
    summary->progressive = marker == PROGRESSIVE || marker == ARITHMETIC_PROGRESSIVE;
    summary->arithmetic = marker >= ARITHMETIC;
    summary->lossless =
        marker > PROGRESSIVE && marker != ARITHMETIC && marker != ARITHMETIC_PROGRESSIVE;
    return true;
}

static bool read_segment(uint8_t marker, const uint8_t *data, size_t length,
                         of_jpeg_summary *summary) {
    if (marker == HUFFMAN_TABLES)
        return are_huffman_tables(data, length);
    if (is_frame(marker) && summary->components == 0)
        return read_frame(marker, data, length, summary);
    if (marker == APP1 && length >= 6 && memcmp(data, "Exif\0\0", 6) == 0)
        summary->orientation = of_exif_orientation(data, length);
    return true;
}

of_status of_jpeg_summarise(const uint8_t *bytes, size_t size, of_jpeg_summary *summary,
                            of_error *error) {
    size_t at = 2;
    uint64_t scans = 0;
    uint8_t marker = START;
    *summary = (of_jpeg_summary){.orientation = 1};
    while ((at = find_marker(bytes, size, at, &marker)) != 0) {
        if (marker == END && summary->components == 0)
            return of_fail(error, OF_ERROR_FORMAT, "damaged JPEG: no picture in it");
        if (marker == END)
            return OF_OK;
        if (size - at < 2)
            break;
        size_t length = (size_t)bytes[at] << 8 | bytes[at + 1];
        if (length > size - at)
            break;
        if (length < 2 || !read_segment(marker, bytes + at + 2, length - 2, summary))
            return of_fail(error, OF_ERROR_FORMAT, "damaged JPEG: segment %02x", marker);
        scans += marker == SCAN;
        if (scans > MAX_SCANS ||
            (scans > 20 && scans * summary->height * summary->width > MAX_SCANNED))
            return of_fail(error, OF_ERROR_FORMAT, "damaged JPEG: too many scans");
        at += length;
    }
    return of_fail(error, OF_ERROR_FORMAT, "truncated JPEG");
}
