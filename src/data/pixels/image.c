/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/pixels/image.h"

#include "core/error.h"
#include "data/pixels/image_check.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * The decoder believes lengths inside a file and lets a compressed stream grow as it likes, so
 * each of its allocations is held against a limit that follows from the file's size and header.
 * It has no place for a context in its allocator: the limit is the thread's.
 */
static _Thread_local struct {
    size_t limit;
    bool exceeded;
} decoder_memory;

static bool within_limit(size_t size) {
    if (size > decoder_memory.limit)
        decoder_memory.exceeded = true;
    return size <= decoder_memory.limit;
}

/* Zeroed, because the decoder reads tables that a damaged file leaves undefined. */
static void *decoder_malloc(size_t size) {
    return within_limit(size) ? calloc(1, size) : NULL;
}

static void *decoder_realloc(void *block, size_t size) {
    return within_limit(size) ? realloc(block, size) : NULL;
}

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_ONLY_TGA
#define STBI_ONLY_PNM
#define STBI_FAILURE_USERMSG
#define STBI_ASSERT(condition) ((void)0)
#define STBI_MALLOC(size) decoder_malloc(size)
#define STBI_REALLOC(block, size) decoder_realloc(block, size)
#define STBI_FREE(block) free(block)
#if defined(__clang__)
/* Its arithmetic on damaged JPEG data wraps around in signed integers. */
#pragma clang attribute push(__attribute__((no_sanitize("undefined"))), apply_to = function)
#endif
/* Judged at the end of the file, hence not popped. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_image.h>
#if defined(__clang__)
#pragma clang attribute pop
#endif

bool of_has_image_extension(const char *name) {
    static const char *const extensions[] = {"png", "jpg", "jpeg", "bmp", "gif",
                                             "tga", "ppm", "pgm",  "pnm"};
    const char *dot = strrchr(name, '.');
    if (dot == NULL || strchr(dot, '/') != NULL)
        return false;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (strcasecmp(dot + 1, extensions[i]) == 0)
            return true;
    return false;
}

static bool begins_with(const uint8_t *bytes, size_t size, const char *magic, size_t length) {
    return size >= length && memcmp(bytes, magic, length) == 0;
}

static bool is_png(const uint8_t *bytes, size_t size) {
    return begins_with(bytes, size, "\x89PNG\r\n\x1a\n", 8);
}

static bool is_jpeg(const uint8_t *bytes, size_t size) {
    return begins_with(bytes, size, "\xff\xd8\xff", 3);
}

bool of_has_image_magic(const uint8_t *bytes, size_t size) {
    return is_png(bytes, size) || is_jpeg(bytes, size) || begins_with(bytes, size, "BM", 2) ||
           begins_with(bytes, size, "GIF8", 4) || begins_with(bytes, size, "P5", 2) ||
           begins_with(bytes, size, "P6", 2);
}

static bool may_be_tga(const char *name) {
    size_t length = strlen(name);
    return length >= 4 && strcasecmp(name + length - 4, ".tga") == 0;
}

/* The decoder's view of a file. It refills one small buffer of its own, always asking for all
 * of it, and reads larger pieces directly; a refill that finds nothing, or a direct read that
 * comes up short, means that the file ends too early. */
typedef struct memory_file {
    const uint8_t *bytes;
    size_t size, position;
    const void *refilled; /* address of the decoder's buffer, known from its first read */
    bool truncated;
} memory_file;

static int memory_read(void *user, char *to, int wanted) {
    memory_file *file = user;
    size_t left = file->size - file->position;
    size_t count = (size_t)wanted < left ? (size_t)wanted : left;
    if (count > 0)
        memcpy(to, file->bytes + file->position, count);
    file->position += count;
    if (file->refilled == NULL)
        file->refilled = to;
    if (wanted > 0 && (count == 0 || (to != file->refilled && count < (size_t)wanted)))
        file->truncated = true;
    return (int)count;
}

static void memory_skip(void *user, int count) {
    memory_file *file = user;
    size_t left = file->size - file->position;
    if (count < 0 || (size_t)count > left) {
        file->truncated = true;
        file->position = file->size;
    } else {
        file->position += (size_t)count;
    }
}

static int memory_eof(void *user) {
    memory_file *file = user;
    return file->position == file->size;
}

static const stbi_io_callbacks memory_callbacks = {memory_read, memory_skip, memory_eof};

static of_status fail_decoding(const memory_file *file, of_error *error) {
    if (file->truncated)
        return of_fail(error, OF_ERROR_FORMAT, "truncated image");
    if (decoder_memory.exceeded)
        return of_fail(error, OF_ERROR_FORMAT,
                       "damaged image: holds more data than its header announces");
    const char *reason = stbi_failure_reason();
    return of_fail(error, OF_ERROR_FORMAT, "damaged or unsupported image: %s",
                   reason != NULL ? reason : "unknown reason");
}

static void limit_decoder_memory(size_t file_size, size_t pixel_bytes) {
    /* Chunks are gathered in a buffer that doubles; 1 MiB covers the decoder's tables. */
    decoder_memory.limit = pixel_bytes + 2 * file_size + (1u << 20);
    decoder_memory.exceeded = false;
}

/* What a header announces. The decoder reads a JPEG's tables together with its header and trusts
 * them, so they are checked before. */
typedef struct image_header {
    int width, height, channels;
} image_header;

static of_status read_header(const uint8_t *bytes, size_t size, const of_target *target,
                             image_header *header, of_error *error) {
    of_status status = is_jpeg(bytes, size) ? of_check_jpeg(bytes, size, error) : OF_OK;
    if (status != OF_OK)
        return status;
    memory_file file = {.bytes = bytes, .size = size};
    limit_decoder_memory(size, 0);
    if (!stbi_info_from_callbacks(&memory_callbacks, &file, &header->width, &header->height,
                                  &header->channels))
        return fail_decoding(&file, error);
    return of_check_size(header->width < 0 ? 0 : (uint64_t)header->width,
                         header->height < 0 ? 0 : (uint64_t)header->height, target, error);
}

static of_image_shape shape_of(const image_header *header) {
    return (of_image_shape){header->channels < 3 ? 1 : 3, (uint32_t)header->height,
                            (uint32_t)header->width};
}

of_status of_image_decode(const uint8_t *bytes, size_t size, const char *name,
                          const of_target *target, uint8_t *pixels, of_image_shape *shape,
                          of_error *error) {
    if (size == 0)
        return of_fail(error, OF_ERROR_FORMAT, "empty file");
    if (size > target->max_bytes)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "file of %zu bytes is over the limit of %zu",
                       size, target->max_bytes);
    if (!of_has_image_magic(bytes, size) && !may_be_tga(name))
        return of_fail(error, OF_ERROR_FORMAT,
                       "content is not a PNG, JPEG, BMP, GIF, TGA or binary PNM image");
    image_header header;
    of_status status = is_png(bytes, size) ? of_check_png(bytes, size, error) : OF_OK;
    if (status == OF_OK)
        status = read_header(bytes, size, target, &header, error);
    if (status != OF_OK)
        return status;
    *shape = shape_of(&header);

    /* Up to four channels of 16 bits, twice, with sides rounded up to whole blocks. */
    limit_decoder_memory(size, ((size_t)header.width + 64) * ((size_t)header.height + 64) * 16);
    memory_file file = {.bytes = bytes, .size = size};
    int width, height, channels;
    uint8_t *decoded =
        stbi_load_from_callbacks(&memory_callbacks, &file, &width, &height, &channels, 0);
    if (decoded == NULL || file.truncated || channels < 1 || channels > 4)
        status = fail_decoding(&file, error);
    else
        status = of_convert(
            &(of_raster){decoded, (uint32_t)height, (uint32_t)width, (uint32_t)channels, false},
            target, pixels, error);
    stbi_image_free(decoded);
    return status;
}

of_status of_image_shape_of(const uint8_t *bytes, size_t size, const of_target *target,
                            of_image_shape *shape, of_error *error) {
    image_header header;
    of_status status = read_header(bytes, size, target, &header, error);
    if (status == OF_OK)
        *shape = shape_of(&header);
    return status;
}

static bool is_16_bit(const uint8_t *bytes, size_t size) {
    memory_file file = {.bytes = bytes, .size = size};
    return stbi_is_16_bit_from_callbacks(&memory_callbacks, &file) != 0;
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
    bool wide =
        is_16_bit(bytes, size) || (is_jpeg(bytes, size) && of_is_progressive_jpeg(bytes, size));
    return pixels * (size_t)header.channels * (wide ? 4 : 2);
}
