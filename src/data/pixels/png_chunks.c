/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/png_chunks.h"

#include "core/error.h"
#include "data/pixels/exif.h"

#include <string.h>

uint32_t of_png_read_32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

bool of_png_is(const of_png_chunk *chunk, const char *type) {
    return memcmp(chunk->type, type, 4) == 0;
}

bool of_png_chunk_at(const uint8_t *bytes, size_t size, size_t place, of_png_chunk *chunk) {
    enum { AROUND = 12 };
    if (place > size || size - place < AROUND)
        return false;
    size_t length = of_png_read_32(bytes + place);
    if (length > size - place - AROUND)
        return false;
    *chunk = (of_png_chunk){bytes + place + 4, bytes + place + 8, length, place,
                            place + AROUND + length};
    return true;
}

static void read_header(const of_png_chunk *chunk, of_png_summary *summary) {
    summary->width = of_png_read_32(chunk->data);
    summary->height = of_png_read_32(chunk->data + 4);
    summary->depth = chunk->data[8];
    summary->kind = chunk->data[9];
}

static void read_significant(const of_png_chunk *chunk, of_png_summary *summary) {
    for (size_t i = 0; i < chunk->length && i < 4; i++)
        if (chunk->data[i] > summary->significant)
            summary->significant = chunk->data[i];
}

of_status of_png_summarise(const uint8_t *bytes, size_t size, of_png_summary *summary,
                           of_error *error) {
    enum { HEADER = 13 };
    of_png_chunk chunk = {.end = OF_PNG_SIGNATURE};
    bool after_first = false;
    *summary = (of_png_summary){.orientation = 1, .frames = 1};
    do {
        if (!of_png_chunk_at(bytes, size, chunk.end, &chunk))
            return of_fail(error, OF_ERROR_FORMAT, "truncated PNG");
        if (chunk.place == OF_PNG_SIGNATURE &&
            (!of_png_is(&chunk, "IHDR") || chunk.length != HEADER))
            return of_fail(error, OF_ERROR_FORMAT, "damaged PNG: it does not begin with IHDR");
        if (chunk.place == OF_PNG_SIGNATURE)
            read_header(&chunk, summary);
        else if (of_png_is(&chunk, "sBIT"))
            read_significant(&chunk, summary);
        else if (of_png_is(&chunk, "tRNS"))
            summary->transparent = true;
        else if (of_png_is(&chunk, "eXIf"))
            summary->orientation = of_exif_orientation(chunk.data, chunk.length);
        after_first = after_first || of_png_is(&chunk, "IDAT");
        summary->frames += after_first && of_png_is(&chunk, "fcTL");
    } while (!of_png_is(&chunk, "IEND"));
    return OF_OK;
}
