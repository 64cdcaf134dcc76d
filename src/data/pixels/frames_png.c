/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of an animated PNG: [fcTL][IDAT or fdAT...], each made into a PNG file of its own. */
#include "core/error.h"
#include "core/memory.h"
#include "data/pixels/frames_canvas.h"
#include "data/pixels/png_chunks.h"

#include <string.h>
#include <zlib.h>

enum { CONTROL = 26, SEQUENCE = 4, AROUND = 12, HEADER = 13 };

typedef struct own_file {
    uint8_t *bytes;
    size_t size;
} own_file;

static void put_32(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* There is room: the file is no longer than the one that its chunks come from. */
static void put_chunk(own_file *file, const char *type, const uint8_t *data, size_t length) {
    uint8_t *at = file->bytes + file->size;
    put_32(at, (uint32_t)length);
    memcpy(at + 4, type, 4);
    if (length > 0)
        memcpy(at + 8, data, length);
    put_32(at + 8 + length, (uint32_t)crc32(0, at + 4, (uInt)length + 4));
    file->size += AROUND + length;
}

/* What stands before the pictures, with the frame's size. */
static void put_head(const uint8_t *bytes, size_t size, const of_area *area, own_file *file) {
    of_png_chunk chunk = {.end = OF_PNG_SIGNATURE};
    uint8_t header[HEADER];
    memcpy(file->bytes, bytes, OF_PNG_SIGNATURE);
    file->size = OF_PNG_SIGNATURE;
    while (of_png_chunk_at(bytes, size, chunk.end, &chunk) && !of_png_is(&chunk, "IDAT")) {
        if (of_png_is(&chunk, "IHDR") && chunk.length == HEADER) {
            memcpy(header, chunk.data, HEADER);
            put_32(header, area->width);
            put_32(header + 4, area->height);
            put_chunk(file, "IHDR", header, HEADER);
        } else if (of_png_is(&chunk, "PLTE") || of_png_is(&chunk, "tRNS") ||
                   of_png_is(&chunk, "sBIT")) {
            put_chunk(file, (const char *)chunk.type, chunk.data, chunk.length);
        }
    }
}

/* Copies the picture data from a place on, up to the next frame, whose place is *at then. */
static void put_data(const uint8_t *bytes, size_t size, size_t *at, own_file *file) {
    of_png_chunk chunk;
    while (of_png_chunk_at(bytes, size, *at, &chunk) && !of_png_is(&chunk, "fcTL") &&
           !of_png_is(&chunk, "IEND")) {
        if (of_png_is(&chunk, "IDAT"))
            put_chunk(file, "IDAT", chunk.data, chunk.length);
        else if (of_png_is(&chunk, "fdAT") && chunk.length >= SEQUENCE)
            put_chunk(file, "IDAT", chunk.data + SEQUENCE, chunk.length - SEQUENCE);
        *at = chunk.end;
    }
    put_chunk(file, "IEND", NULL, 0);
}

static of_status decode_frame(const own_file *file, of_canvas *canvas, bool over, of_error *error) {
    const of_picture_wish wish = {0};
    of_picture picture = {.pixels = NULL};
    of_status status = of_decoder_png.decode(file->bytes, file->size, &wish, &picture, error);
    if (status == OF_OK)
        of_canvas_draw(canvas, &picture, canvas->area, over);
    of_decoder_free(picture.pixels);
    return status;
}

/* To the frame's control, or for the first picture that has none, its data. */
static bool find_frame(const uint8_t *bytes, size_t size, size_t *at, of_png_chunk *chunk) {
    if (*at == 0)
        *at = OF_PNG_SIGNATURE;
    while (of_png_chunk_at(bytes, size, *at, chunk)) {
        if (of_png_is(chunk, "fcTL") || of_png_is(chunk, "IDAT"))
            return true;
        *at = chunk->end;
    }
    return false;
}

/* fcTL: [sequence][width][height][x][y][delay: two of 16 bits][disposal][blend] */
static bool read_control(const of_png_chunk *chunk, of_canvas *canvas, bool *over) {
    *over = false;
    canvas->disposal = OF_KEEP;
    canvas->area = (of_area){0, 0, canvas->width, canvas->height};
    if (!of_png_is(chunk, "fcTL"))
        return true;
    if (chunk->length != CONTROL)
        return false;
    canvas->area = (of_area){of_png_read_32(chunk->data + 12), of_png_read_32(chunk->data + 16),
                             of_png_read_32(chunk->data + 4), of_png_read_32(chunk->data + 8)};
    canvas->disposal = chunk->data[24] == 1   ? OF_CLEAR
                       : chunk->data[24] == 2 ? OF_RESTORE
                                              : OF_KEEP;
    *over = chunk->data[25] == 1;
    return canvas->area.width > 0 && canvas->area.height > 0 &&
           canvas->area.width <= canvas->width && canvas->area.height <= canvas->height;
}

of_status of_png_draw(const uint8_t *bytes, size_t size, size_t *at, of_canvas *canvas,
                      of_error *error) {
    of_png_chunk chunk;
    bool over;
    if (!find_frame(bytes, size, at, &chunk) || !read_control(&chunk, canvas, &over))
        return of_fail(error, OF_ERROR_FORMAT, "damaged PNG: a frame of its animation");
    *at = of_png_is(&chunk, "fcTL") ? chunk.end : chunk.place;
    own_file file = {.bytes = of_allocate(size + AROUND, 1)};
    if (file.bytes == NULL)
        return of_fail_memory(error, "a frame");
    put_head(bytes, size, &canvas->area, &file);
    put_data(bytes, size, at, &file);
    of_status status = decode_frame(&file, canvas, over, error);
    of_free(file.bytes);
    return status;
}
