/* SPDX-License-Identifier: Apache-2.0 */
/* PNG, by libpng. It leaves by longjmp at an error; what it has allocated until then is in the job,
 * which the caller of setjmp frees. */
#include "core/error.h"
#include "core/memory.h"
#include "data/pixels/decoder.h"
#include "data/pixels/png_chunks.h"

#include <png.h>
#include <stdio.h>
#include <string.h>

enum { WITH_COLOUR = 2, WITH_OPACITY = 4, INDEXED = 3 };

static of_status read_header(const uint8_t *bytes, size_t size, of_image_header *header,
                             of_error *error) {
    of_png_summary summary;
    of_status status = of_png_summarise(bytes, size, &summary, error);
    if (status != OF_OK)
        return status;
    uint32_t colours = (summary.kind & WITH_COLOUR) != 0 ? 3 : 1;
    bool opacity = (summary.kind & WITH_OPACITY) != 0 || summary.transparent;
    *header = (of_image_header){.height = summary.height,
                                .width = summary.width,
                                .channels = colours + opacity,
                                .orientation = summary.orientation,
                                .frames = summary.frames,
                                .deep = summary.depth > 8};
    return OF_OK;
}

/* ---- libpng ------------------------------------------------------------------------------------
 */

typedef struct png_job {
    const uint8_t *bytes;
    size_t size, at;
    png_structp png;
    png_infop info;
    bool excess;   /* more data than the header announces */
    uint8_t *wide; /* samples of 16 bits, where they are looked at */
    char reason[96];
} png_job;

static void *allocate(png_structp png, png_alloc_size_t size) {
    (void)png;
    return of_decoder_malloc(size);
}

static void release(png_structp png, void *block) {
    (void)png;
    of_decoder_free(block);
}

static void take_error(png_structp png, png_const_charp reason) {
    png_job *job = png_get_error_ptr(png);
    (void)snprintf(job->reason, sizeof job->reason, "%s", reason);
    png_longjmp(png, 1);
}

static void take_warning(png_structp png, png_const_charp text) {
    png_job *job = png_get_error_ptr(png);
    job->excess = job->excess || strstr(text, "Too much image data") != NULL ||
                  strstr(text, "Extra compressed data") != NULL;
}

static void take_bytes(png_structp png, png_bytep to, size_t count) {
    png_job *job = png_get_io_ptr(png);
    if (count > job->size - job->at)
        png_error(png, "truncated");
    memcpy(to, job->bytes + job->at, count);
    job->at += count;
}

static bool open_job(png_job *job) {
    job->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, job, take_error, take_warning, NULL,
                                        allocate, release);
    if (job->png != NULL)
        job->info = png_create_info_struct(job->png);
    return job->info != NULL;
}

/* Allocates, too, so failures must have somewhere to go. */
static void set_limits(png_job *job) {
    /* Chunks that say nothing of pixels may hold as much as they like after decompression. */
    static const png_byte ignored[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs"
                                      "\0sBIT\0sCAL\0sPLT\0sRGB\0sTER\0tEXt\0tIME\0zTXt";
    png_set_read_fn(job->png, job, take_bytes);
    png_set_keep_unknown_chunks(job->png, PNG_HANDLE_CHUNK_NEVER, ignored, sizeof ignored / 5);
    png_set_keep_unknown_chunks(job->png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    /* What stands in a chunk that may be left out was never checked here. */
    png_set_crc_action(job->png, PNG_CRC_DEFAULT, PNG_CRC_QUIET_USE);
    png_set_user_limits(job->png, UINT16_MAX, UINT16_MAX);
}

/* Opacity and palettes as samples of 8 bits, or of 16 where they are asked for. */
static void set_transformations(const png_job *job, bool keep_wide) {
    png_set_expand(job->png);
    if (!keep_wide)
        png_set_strip_16(job->png);
    (void)png_set_interlace_handling(job->png);
    png_read_update_info(job->png, job->info);
}

static void read_rows(png_job *job, uint8_t *pixels, uint32_t height) {
    int passes = png_get_interlace_type(job->png, job->info) == PNG_INTERLACE_ADAM7 ? 7 : 1;
    size_t row = png_get_rowbytes(job->png, job->info);
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < height; y++)
            png_read_row(job->png, pixels + y * row, NULL);
    png_read_end(job->png, NULL);
}

/* ---- Samples of fewer than 16 bits in 16 -------------------------------------------------------
 */

/*
 * sBIT says that samples had fewer bits before they were scaled to 16, and some programs write it
 * without scaling. That is so if no sample needs more bits than it says, and some has lower bits
 * that no way to scale gives: of such small samples, all give 0 or 1.
 */
static bool is_unscaled(const uint8_t *wide, size_t count, uint32_t bits) {
    uint32_t below = 16 - bits, most = 0, lower = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t sample = (uint32_t)wide[2 * i] << 8 | wide[2 * i + 1];
        most = sample > most ? sample : most;
        uint32_t rest = sample & ((1u << below) - 1);
        lower = rest > lower ? rest : lower;
    }
    return most < 1u << bits && lower > 1;
}

static void narrow(const uint8_t *wide, size_t count, uint32_t bits, uint8_t *pixels) {
    uint32_t down = is_unscaled(wide, count, bits) ? bits - 8 : 8;
    for (size_t i = 0; i < count; i++)
        pixels[i] = (uint8_t)(((uint32_t)wide[2 * i] << 8 | wide[2 * i + 1]) >> down);
}

/* Opacity is scaled whatever sBIT says of colours, so only pictures without it are looked at. */
static uint32_t significant_bits(const png_job *job, const of_image_header *header) {
    of_png_summary summary;
    bool asked = header->deep && (header->channels == 1 || header->channels == 3) &&
                 of_png_summarise(job->bytes, job->size, &summary, NULL) == OF_OK;
    return asked && summary.significant > 8 && summary.significant < 16 ? summary.significant : 0;
}

/* ------------------------------------------------------------------------------------------------
 */

static of_status decode_in(png_job *job, const of_image_header *header, uint32_t bits,
                           of_picture *picture, of_error *error) {
    if (setjmp(png_jmpbuf(job->png)) != 0)
        return strstr(job->reason, "CRC error") != NULL ||
                       strstr(job->reason, "incorrect data check") != NULL
                   ? of_fail(error, OF_ERROR_FORMAT, "damaged PNG: a checksum does not match")
                   : of_decoder_fail(error, "PNG", job->reason);
    set_limits(job);
    png_read_info(job->png, job->info);
    set_transformations(job, bits > 0);
    uint32_t channels = png_get_channels(job->png, job->info);
    if (png_get_image_height(job->png, job->info) != header->height ||
        png_get_image_width(job->png, job->info) != header->width)
        png_error(job->png, "two headers");
    size_t samples = (size_t)header->height * header->width * channels;
    of_status status = of_picture_allocate(picture, header->height, header->width, channels, error);
    if (status == OF_OK && bits > 0 && (job->wide = of_decoder_malloc(samples * 2)) == NULL)
        status = of_decoder_fail(error, "PNG", "no memory");
    if (status != OF_OK)
        return status;
    read_rows(job, bits > 0 ? job->wide : picture->pixels, header->height);
    if (bits > 0)
        narrow(job->wide, samples, bits, picture->pixels);
    return job->excess ? of_fail(error, OF_ERROR_FORMAT,
                                 "damaged PNG: holds more data than its header announces")
                       : OF_OK;
}

static of_status decode(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                        of_picture *picture, of_error *error) {
    (void)wish;
    of_image_header header;
    png_job job = {.bytes = bytes, .size = size};
    of_status status = read_header(bytes, size, &header, error);
    if (status != OF_OK)
        return status;
    status = open_job(&job)
                 ? decode_in(&job, &header, significant_bits(&job, &header), picture, error)
                 : of_decoder_fail(error, "PNG", job.reason);
    of_decoder_free(job.wide);
    png_destroy_read_struct(&job.png, &job.info, NULL);
    return status;
}

const of_decoder of_decoder_png = {OF_KIND_PNG, "libpng " PNG_LIBPNG_VER_STRING, read_header,
                                   decode, false};
