/* SPDX-License-Identifier: Apache-2.0 */
/* BMP, GIF and TGA, by stb_image; JPEG too where libjpeg-turbo is not at hand. */
#include "core/error.h"
#include "data/pixels/decoder.h"
#include "data/pixels/image_frames.h"
#include "data/pixels/image_mend.h"
#include "data/pixels/image_palette.h"
#include "data/pixels/jpeg_segments.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#ifndef OUTFLOW_JPEG
#define STBI_ONLY_JPEG
#endif
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_ONLY_TGA
#define STBI_FAILURE_USERMSG
#define STBI_ASSERT(condition) ((void)0)
#define STBI_MALLOC(size) of_decoder_malloc(size)
#define STBI_REALLOC(block, size) of_decoder_realloc(block, size)
#define STBI_FREE(block) of_decoder_free(block)
/* Judged at the end of the file, hence not popped. */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <stb_image.h>

/* The decoder's view of a file. It refills one small buffer of its own, always asking for all
 * of it, and reads larger pieces directly; a refill that finds nothing, or a direct read that
 * comes up short, means that the file ends too early. */
typedef struct memory_file {
    const of_mended_file *file;
    size_t piece, position; /* in that piece */
    const void *refilled;   /* address of the decoder's buffer, known from its first read */
    bool truncated;
} memory_file;

enum { PIECES = sizeof((of_mended_file *)0)->pieces / sizeof *((of_mended_file *)0)->pieces };

/* Copies up to this many bytes, or with NULL passes over them; gives their number. */
static size_t advance(memory_file *view, char *to, size_t wanted) {
    size_t done = 0;
    while (done < wanted && view->piece < PIECES) {
        size_t left = view->file->pieces[view->piece].size - view->position;
        size_t count = wanted - done < left ? wanted - done : left;
        if (count > 0 && to != NULL)
            memcpy(to + done, view->file->pieces[view->piece].bytes + view->position, count);
        done += count;
        view->position += count;
        if (count == left) {
            view->piece++;
            view->position = 0;
        }
    }
    return done;
}

static int memory_read(void *user, char *to, int wanted) {
    memory_file *view = user;
    size_t count = advance(view, to, wanted > 0 ? (size_t)wanted : 0);
    if (view->refilled == NULL)
        view->refilled = to;
    if (wanted > 0 && (count == 0 || (to != view->refilled && count < (size_t)wanted)))
        view->truncated = true;
    return (int)count;
}

static void memory_skip(void *user, int count) {
    memory_file *view = user;
    size_t wanted = count < 0 ? SIZE_MAX : (size_t)count; /* backwards: nowhere to go */
    if (advance(view, NULL, wanted) < wanted)
        view->truncated = true;
}

static int memory_eof(void *user) {
    memory_file *view = user;
    size_t piece = view->piece;
    while (piece < PIECES && view->file->pieces[piece].size == 0)
        piece++;
    return piece == PIECES;
}

static const stbi_io_callbacks memory_callbacks = {memory_read, memory_skip, memory_eof};

/* The library's words for a failure. */
static of_status fail(const memory_file *file, of_error *error) {
    of_status status = of_decoder_memory_fail(error);
    if (status != OF_OK)
        return status;
    return file->truncated ? of_fail(error, OF_ERROR_FORMAT, "truncated image")
                           : of_decoder_fail(error, "image", stbi_failure_reason());
}

/* ---- Headers -----------------------------------------------------------------------------------
 */

static of_status read_header(const uint8_t *bytes, size_t size, of_image_header *header,
                             of_error *error) {
    const of_mended_file whole = {.pieces = {{bytes, size}}};
    memory_file file = {.file = &whole};
    int width, height, channels;
    if (!stbi_info_from_callbacks(&memory_callbacks, &file, &width, &height, &channels))
        return fail(&file, error);
    /* A negative height is that of a BMP whose first row is the top one. */
    if (height < 0)
        height = height < -INT_MAX ? INT_MAX : -height;
    *header = (of_image_header){.height = (uint32_t)height,
                                .width = width < 0 ? 0 : (uint32_t)width,
                                .channels = (uint32_t)channels,
                                .orientation = 1,
                                .frames = 1};
    return OF_OK;
}

static of_status read_gif_header(const uint8_t *bytes, size_t size, of_image_header *header,
                                 of_error *error) {
    of_status status = read_header(bytes, size, header, error);
    if (status == OF_OK) {
        uint32_t frames = of_gif_frames(bytes, size);
        header->frames = frames > 0 ? frames : 1;
        header->channels = 4;
    }
    return status;
}

/* ---- Pictures ----------------------------------------------------------------------------------
 */

static of_status decode_mended(const of_mended_file *mended, of_picture *picture, of_error *error) {
    memory_file file = {.file = mended};
    int width, height, channels;
    picture->pixels =
        stbi_load_from_callbacks(&memory_callbacks, &file, &width, &height, &channels, 0);
    if (picture->pixels == NULL || file.truncated || channels < 1 || channels > 4)
        return fail(&file, error);
    picture->height = picture->full_height = (uint32_t)height;
    picture->width = picture->full_width = (uint32_t)width;
    picture->channels = (uint32_t)channels;
    return OF_OK;
}

static void mend_opacity(const uint8_t *bytes, size_t size, const of_picture *picture) {
    if (picture->channels == 4)
        of_mend_opacity(bytes, size, picture->pixels, (size_t)picture->height * picture->width);
}

static of_status decode_bmp(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                            of_picture *picture, of_error *error) {
    (void)wish;
    of_mended_file mended;
    of_complete_palette(bytes, size, &mended);
    of_status status = decode_mended(&mended, picture, error);
    if (status == OF_OK)
        mend_opacity(bytes, size, picture);
    return status;
}

static of_status decode_gif(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                            of_picture *picture, of_error *error) {
    (void)wish;
    of_mended_file mended;
    of_clear_gif_background(bytes, size, &mended);
    return decode_mended(&mended, picture, error);
}

static of_status decode_tga(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                            of_picture *picture, of_error *error) {
    (void)wish;
    const of_mended_file whole = {.pieces = {{bytes, size}}};
    of_status status = decode_mended(&whole, picture, error);
    if (status == OF_OK) {
        of_mend_tga(bytes, size, picture->pixels, picture->height, picture->width,
                    picture->channels);
        mend_opacity(bytes, size, picture);
    }
    return status;
}

#define LIBRARY "stb_image 2.27"

const of_decoder of_decoder_bmp = {OF_KIND_BMP, LIBRARY, read_header, decode_bmp, false};
const of_decoder of_decoder_gif = {OF_KIND_GIF, LIBRARY, read_gif_header, decode_gif, false};
const of_decoder of_decoder_tga = {OF_KIND_TGA, LIBRARY, read_header, decode_tga, false};

/* ---- JPEG --------------------------------------------------------------------------------------
 */

#ifndef OUTFLOW_JPEG
static of_status read_jpeg_header(const uint8_t *bytes, size_t size, of_image_header *header,
                                  of_error *error) {
    of_jpeg_summary summary;
    of_status status = of_jpeg_summarise(bytes, size, &summary, error);
    if (status == OF_OK && (summary.arithmetic || summary.lossless))
        return of_fail(error, OF_ERROR_UNSUPPORTED, "JPEG with %s coding, which is not read",
                       summary.lossless ? "lossless or hierarchical" : "arithmetic");
    if (status == OF_OK)
        status = read_header(bytes, size, header, error);
    if (status != OF_OK)
        return status;
    header->orientation = summary.orientation;
    header->cmyk = summary.components == 4;
    return OF_OK;
}

static of_status decode_jpeg(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                             of_picture *picture, of_error *error) {
    (void)wish;
    const of_mended_file whole = {.pieces = {{bytes, size}}};
    return decode_mended(&whole, picture, error);
}

const of_decoder of_decoder_jpeg = {OF_KIND_JPEG, LIBRARY, read_jpeg_header, decode_jpeg, false};
#endif
