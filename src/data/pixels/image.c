/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/pixels/image.h"

#include "core/error.h"
#include "data/pixels/image_check.h"
#include "data/pixels/image_frames.h"
#include "data/pixels/image_mend.h"
#include "data/pixels/image_palette.h"
#include "data/pixels/image_pnm.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * The decoder believes lengths inside a file and lets a compressed stream grow as it likes, so
 * each of its allocations is held against a limit that follows from the file's size and header,
 * and their sum against the caller's. It has no place for a context in its allocator: the limits
 * are the thread's.
 */
static _Thread_local struct {
    size_t limit;     /* of one allocation */
    size_t most, all; /* of all that are in use; and what they are */
    bool exceeded, scarce;
    bool exhausted; /* the system gave none */
} decoder_memory;

/* Before each block stands its size; the union keeps the block aligned. */
typedef union block_head {
    size_t size;
    max_align_t aligned;
} block_head;

static bool may_take(size_t size, size_t instead_of) {
    decoder_memory.exceeded = decoder_memory.exceeded || size > decoder_memory.limit;
    if (size > decoder_memory.limit)
        return false;
    bool fits = size <= decoder_memory.most - (decoder_memory.all - instead_of);
    decoder_memory.scarce = decoder_memory.scarce || !fits;
    return fits;
}

/* Zeroed, because the decoder reads tables that a damaged file leaves undefined. */
static void *decoder_malloc(size_t size) {
    block_head *head = NULL;
    if (may_take(size, 0))
        decoder_memory.exhausted |= (head = calloc(1, sizeof *head + size)) == NULL;
    if (head == NULL)
        return NULL;
    head->size = size;
    decoder_memory.all += size;
    return head + 1;
}

static void *decoder_realloc(void *block, size_t size) {
    if (block == NULL)
        return decoder_malloc(size);
    block_head *head = (block_head *)block - 1;
    size_t before = head->size;
    if (!may_take(size, before))
        return NULL;
    head = realloc(head, sizeof *head + size);
    decoder_memory.exhausted |= head == NULL;
    if (head == NULL)
        return NULL;
    head->size = size;
    decoder_memory.all += size - before;
    return head + 1;
}

static void decoder_free(void *block) {
    if (block == NULL)
        return;
    block_head *head = (block_head *)block - 1;
    decoder_memory.all -= head->size;
    free(head);
}

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_ONLY_TGA
#define STBI_FAILURE_USERMSG
#define STBI_ASSERT(condition) ((void)0)
#define STBI_MALLOC(size) decoder_malloc(size)
#define STBI_REALLOC(block, size) decoder_realloc(block, size)
#define STBI_FREE(block) decoder_free(block)
/* Judged at the end of the file, hence not popped. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_image.h>

static bool may_be_tga(const char *name) {
    size_t length = strlen(name);
    return length >= 4 && strcasecmp(name + length - 4, ".tga") == 0;
}

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

static of_status fail_scarce(of_error *error) {
    return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "max_bytes",
                           "image takes more than %zu bytes to decode", decoder_memory.most);
}

static of_status fail_decoding(const memory_file *file, of_error *error) {
    if (decoder_memory.scarce)
        return fail_scarce(error);
    if (decoder_memory.exhausted)
        return of_fail_memory(error, "an image");
    if (file->truncated)
        return of_fail(error, OF_ERROR_FORMAT, "truncated image");
    if (decoder_memory.exceeded)
        return of_fail(error, OF_ERROR_FORMAT,
                       "damaged image: holds more data than its header announces");
    const char *reason = stbi_failure_reason();
    return of_fail(error, OF_ERROR_FORMAT, "damaged or unsupported image: %s",
                   reason != NULL ? reason : "unknown reason");
}

static void limit_decoder_memory(size_t file_size, size_t pixel_bytes, const of_target *target) {
    uint64_t most = target->max_memory;
    /* Chunks are gathered in a buffer that doubles; 1 MiB covers the decoder's tables. */
    decoder_memory.limit = pixel_bytes + 2 * file_size + (1u << 20);
    decoder_memory.most = most > 0 && most < SIZE_MAX ? (size_t)most : SIZE_MAX;
    decoder_memory.all = 0;
    decoder_memory.exceeded = decoder_memory.scarce = decoder_memory.exhausted = false;
}

/* What a header announces. The decoder reads a JPEG's tables together with its header and trusts
 * them, so they are checked before. */
typedef struct image_header {
    int width, height, channels;
} image_header;

static of_status read_pnm_header(const uint8_t *bytes, size_t size, image_header *header,
                                 of_error *error) {
    of_pnm pnm;
    of_status status = of_pnm_read_header(bytes, size, &pnm, error);
    if (status == OF_OK)
        *header = (image_header){(int)pnm.width, (int)pnm.height, (int)pnm.channels};
    return status;
}

static of_status read_other_header(const uint8_t *bytes, size_t size, const of_target *target,
                                   image_header *header, of_error *error) {
    of_status status =
        of_image_kind_of(bytes, size) == OF_KIND_JPEG ? of_check_jpeg(bytes, size, error) : OF_OK;
    if (status != OF_OK)
        return status;
    const of_mended_file whole = {.pieces = {{bytes, size}}};
    memory_file file = {.file = &whole};
    limit_decoder_memory(size, 0, target);
    if (!stbi_info_from_callbacks(&memory_callbacks, &file, &header->width, &header->height,
                                  &header->channels))
        return fail_decoding(&file, error);
    /* A negative height is that of a BMP whose first row is the top one. */
    if (header->height < 0)
        header->height = header->height < -INT_MAX ? INT_MAX : -header->height;
    return OF_OK;
}

static of_status read_header(const uint8_t *bytes, size_t size, const of_target *target,
                             image_header *header, of_error *error) {
    of_status status = of_image_kind_of(bytes, size) == OF_KIND_PNM
                           ? read_pnm_header(bytes, size, header, error)
                           : read_other_header(bytes, size, target, header, error);
    if (status != OF_OK)
        return status;
    return of_check_size(header->height < 0 ? 0 : (uint64_t)header->height,
                         header->width < 0 ? 0 : (uint64_t)header->width, target, error);
}

static bool is_16_bit(const uint8_t *bytes, size_t size) {
    of_pnm pnm;
    if (of_image_kind_of(bytes, size) == OF_KIND_PNM)
        return of_pnm_read_header(bytes, size, &pnm, NULL) == OF_OK && pnm.most > 255;
    const of_mended_file whole = {.pieces = {{bytes, size}}};
    memory_file file = {.file = &whole};
    return stbi_is_16_bit_from_callbacks(&memory_callbacks, &file) != 0;
}

/* ---- What does not get through ----------------------------------------------------------------
 */

static bool is_opaque(const of_raster *decoded) {
    if (decoded->channels == 1 || decoded->channels == 3)
        return true;
    size_t count = (size_t)decoded->height * decoded->width, step = decoded->channels;
    const uint8_t *opacity = decoded->pixels + step - 1;
    for (size_t i = 0; i < count; i++)
        if (opacity[i * step] != 255)
            return false;
    return true;
}

static uint32_t count_frames(const uint8_t *bytes, size_t size) {
    if (of_image_kind_of(bytes, size) == OF_KIND_PNG)
        return of_png_frames(bytes, size);
    return of_image_kind_of(bytes, size) == OF_KIND_GIF ? of_gif_frames(bytes, size) : 1;
}

static of_image_info describe(const uint8_t *bytes, size_t size, const of_raster *decoded,
                              const of_target *target) {
    of_image_info info =
        of_describe_image(of_image_kind_name(of_image_kind_of(bytes, size)), decoded->channels,
                          decoded->height, decoded->width, target);
    uint32_t frames = count_frames(bytes, size);
    info.alpha_dropped = !is_opaque(decoded);
    info.depth_reduced = is_16_bit(bytes, size);
    info.frames_dropped = frames > 1 ? frames - 1 : 0;
    return info;
}

/* ---- Decoding ---------------------------------------------------------------------------------
 */

static of_status check_file(const uint8_t *bytes, size_t size, const char *name,
                            const of_target *target, of_error *error) {
    if (size == 0)
        return of_fail(error, OF_ERROR_FORMAT, "empty file");
    if (size > target->max_bytes)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "file of %zu bytes is over the limit of %zu",
                       size, target->max_bytes);
    if (!of_has_image_magic(bytes, size) && !may_be_tga(name))
        return of_fail(error, OF_ERROR_FORMAT,
                       "content is not a PNG, JPEG, BMP, GIF, TGA or PNM image");
    return of_image_kind_of(bytes, size) == OF_KIND_PNG ? of_check_png(bytes, size, error) : OF_OK;
}

/* Decoded pixels, to be freed with stbi_image_free. */
static of_status decode_pnm(const uint8_t *bytes, size_t size, uint8_t **pixels, of_raster *raster,
                            of_error *error) {
    of_pnm pnm;
    of_status status = of_pnm_read_header(bytes, size, &pnm, error);
    if (status == OF_OK)
        status = of_pnm_check_length(&pnm, error);
    if (status != OF_OK)
        return status;
    *pixels = decoder_malloc((size_t)pnm.height * pnm.width * pnm.channels);
    if (*pixels == NULL)
        return decoder_memory.scarce ? fail_scarce(error) : of_fail_memory(error, "an image");
    *raster = (of_raster){*pixels, pnm.height, pnm.width, pnm.channels, false};
    return of_pnm_decode(&pnm, *pixels, error);
}

static of_status decode_other(const uint8_t *bytes, size_t size, uint8_t **pixels,
                              of_raster *raster, of_error *error) {
    int width, height, channels;
    of_mended_file mended;
    of_complete_palette(bytes, size, &mended);
    memory_file file = {.file = &mended};
    *pixels = stbi_load_from_callbacks(&memory_callbacks, &file, &width, &height, &channels, 0);
    if (*pixels == NULL || file.truncated || channels < 1 || channels > 4)
        return fail_decoding(&file, error);
    *raster = (of_raster){*pixels, (uint32_t)height, (uint32_t)width, (uint32_t)channels, false};
    of_image_kind kind = of_image_kind_of(bytes, size);
    if (kind == OF_KIND_GIF && channels == 4)
        of_mend_gif(bytes, size, *pixels, (size_t)height * (size_t)width);
    if (kind == OF_KIND_TGA)
        of_mend_tga(bytes, size, *pixels, raster->height, raster->width, raster->channels);
    return OF_OK;
}

of_status of_image_decode(const uint8_t *bytes, size_t size, const char *name,
                          const of_target *target, uint8_t *pixels, of_image_info *info,
                          of_error *error) {
    image_header header;
    of_status status = check_file(bytes, size, name, target, error);
    if (status == OF_OK)
        status = read_header(bytes, size, target, &header, error);
    if (status != OF_OK)
        return status;

    /* Up to four channels of 16 bits, twice, with sides rounded up to whole blocks. */
    limit_decoder_memory(size, ((size_t)header.width + 64) * ((size_t)header.height + 64) * 16,
                         target);
    of_raster raster;
    uint8_t *decoded = NULL;
    status = of_image_kind_of(bytes, size) == OF_KIND_PNM
                 ? decode_pnm(bytes, size, &decoded, &raster, error)
                 : decode_other(bytes, size, &decoded, &raster, error);
    if (status == OF_OK) {
        *info = describe(bytes, size, &raster, target);
        status = of_convert(&raster, target, pixels, error);
    }
    stbi_image_free(decoded);
    return status;
}

of_status of_image_shape_of(const uint8_t *bytes, size_t size, const of_target *target,
                            of_image_shape *shape, of_error *error) {
    image_header header;
    of_status status = read_header(bytes, size, target, &header, error);
    if (status == OF_OK)
        *shape = (of_image_shape){header.channels < 3 ? 1 : 3, (uint32_t)header.height,
                                  (uint32_t)header.width};
    return status;
}

size_t of_image_decoding_bytes(const uint8_t *bytes, size_t size, const of_target *target) {
    enum { SMALL = 1 << 20 };
    image_header header;
    if (size > target->max_bytes || read_header(bytes, size, target, &header, NULL) != OF_OK)
        return 0;
    size_t pixels = (size_t)header.width * (size_t)header.height;
    if (pixels < SMALL)
        return 0;
    /* As it comes out of the file and as pixels; the coefficients of scans have 16 bits. */
    bool wide = is_16_bit(bytes, size) || (of_image_kind_of(bytes, size) == OF_KIND_JPEG &&
                                           of_is_progressive_jpeg(bytes, size));
    return pixels * (size_t)header.channels * (wide ? 4 : 2);
}
