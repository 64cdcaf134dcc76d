/* SPDX-License-Identifier: Apache-2.0 */
/* [II or MM][42][place of the first directory]; a directory: [count] and so many entries of 12
 * bytes, [tag][type][count][value]. */
#include "data/pixels/exif.h"

#include <string.h>

typedef struct exif {
    const uint8_t *bytes;
    size_t size;
    bool big_endian;
} exif;

static uint32_t read_16(const exif *data, size_t at) {
    const uint8_t *b = data->bytes + at;
    return data->big_endian ? (uint32_t)b[0] << 8 | b[1] : (uint32_t)b[1] << 8 | b[0];
}

static uint32_t read_32(const exif *data, size_t at) {
    uint32_t first = read_16(data, at), second = read_16(data, at + 2);
    return data->big_endian ? first << 16 | second : second << 16 | first;
}

static uint32_t find_orientation(const exif *data) {
    enum { ORIENTATION = 0x112, SHORT = 3, ENTRY = 12 };
    size_t at = read_32(data, 4);
    if (at > data->size - 2)
        return 1;
    size_t entries = read_16(data, at), room = (data->size - at - 2) / ENTRY;
    for (size_t i = 0; i < entries && i < room; i++) {
        size_t entry = at + 2 + i * ENTRY;
        if (read_16(data, entry) != ORIENTATION)
            continue;
        uint32_t value = read_16(data, entry + 8);
        return read_16(data, entry + 2) == SHORT && value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}

uint32_t of_exif_orientation(const uint8_t *bytes, size_t size) {
    if (size >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0) {
        bytes += 6;
        size -= 6;
    }
    if (size < 8)
        return 1;
    const exif data = {bytes, size, bytes[0] == 'M'};
    if (memcmp(bytes, data.big_endian ? "MM\0*" : "II*\0", 4) != 0)
        return 1;
    return find_orientation(&data);
}
