/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/image_check.h"

#include "core/error.h"

#include <string.h>
#include <zlib.h>

/* ---- PNG: a signature and chunks of [length][type][data][crc of type and data], up to IEND --- */

static uint32_t big_endian_32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

of_status of_check_png(const uint8_t *bytes, size_t size, of_error *error) {
    size_t at = 8;
    for (;;) {
        if (size - at < 12)
            return of_fail(error, OF_ERROR_FORMAT, "truncated PNG");
        uint32_t length = big_endian_32(bytes + at);
        const uint8_t *type = bytes + at + 4;
        if (length > size - at - 12)
            return of_fail(error, OF_ERROR_FORMAT, "truncated PNG");
        bool critical = (type[0] & 0x20) == 0;
        if (critical && crc32(0, type, length + 4) != big_endian_32(type + 4 + length))
            return of_fail(error, OF_ERROR_FORMAT, "damaged PNG: a checksum does not match");
        if (memcmp(type, "IEND", 4) == 0)
            return OF_OK;
        at += 12 + (size_t)length;
    }
}

/* ---- JPEG: segments [0xff][marker][length, its own two bytes included][data]; after a scan's
 * header follows entropy-coded data, in which 0xff is followed by 0 or a restart marker -------- */

enum {
    START = 0xd8,
    END = 0xd9,
    PROGRESSIVE = 0xc2,
    HUFFMAN_TABLES = 0xc4,
    SCAN = 0xda,
    /* Each scan goes over the whole image, however few bytes it has. A progressive file has about
     * ten; no division into them makes sense that takes more than this. */
    MAX_SCANS = 100
};

/* The place after the next marker, which goes to *marker; 0 if there is none. What lies in between
 * is skipped, as the decoder does with padding and with entropy-coded data. */
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
 * More than 256 codes would run over the decoder's tables. */
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

/* Kinds of frames that the decoder does not know; NULL for all other segments. */
static const char *foreign_kind(uint8_t marker) {
    enum { FIRST_FRAME = 0xc3, ARITHMETIC = 0xc8, LAST_FRAME = 0xcf };
    if (marker < FIRST_FRAME || marker > LAST_FRAME || marker == HUFFMAN_TABLES)
        return NULL;
    return marker >= ARITHMETIC ? "arithmetic coding" : "lossless or hierarchical coding";
}

of_status of_check_jpeg(const uint8_t *bytes, size_t size, of_error *error) {
    size_t at = 2;
    unsigned scans = 0;
    uint8_t marker = START;
    while ((at = find_marker(bytes, size, at, &marker)) != 0) {
        if (marker == END)
            return OF_OK;
        if (foreign_kind(marker) != NULL)
            return of_fail(error, OF_ERROR_UNSUPPORTED, "JPEG with %s, which is not read",
                           foreign_kind(marker));
        if (size - at < 2)
            break;
        size_t length = (size_t)bytes[at] << 8 | bytes[at + 1];
        if (length > size - at)
            break;
        if (length < 2 ||
            (marker == HUFFMAN_TABLES && !are_huffman_tables(bytes + at + 2, length - 2)))
            return of_fail(error, OF_ERROR_FORMAT, "damaged JPEG: segment %02x", marker);
        scans += marker == SCAN;
        if (scans > MAX_SCANS)
            return of_fail(error, OF_ERROR_FORMAT, "damaged JPEG: too many scans");
        at += length;
    }
    return of_fail(error, OF_ERROR_FORMAT, "truncated JPEG");
}

bool of_is_progressive_jpeg(const uint8_t *bytes, size_t size) {
    size_t at = 2;
    uint8_t marker = START;
    while ((at = find_marker(bytes, size, at, &marker)) != 0 && marker != SCAN && size - at >= 2) {
        if (marker == PROGRESSIVE)
            return true;
        size_t length = (size_t)bytes[at] << 8 | bytes[at + 1];
        at += length < size - at ? length : size - at;
    }
    return false;
}
