/* SPDX-License-Identifier: Apache-2.0 */
/* JPEG, by libjpeg-turbo; without it, by stb_image in decode_stb.c. It leaves by longjmp at an
 * error; all that it allocates is its own. */
#include "core/error.h"
#include "data/pixels/decoder.h"
#include "data/pixels/jpeg_segments.h"

#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs it */
#include <string.h>

#include <jpeglib.h>

#include <jerror.h> /* after it: which messages there are depends on the library */

static of_status read_header(const uint8_t *bytes, size_t size, of_image_header *header,
                             of_error *error) {
    of_jpeg_summary summary;
    of_status status = of_jpeg_summarise(bytes, size, &summary, error);
    if (status != OF_OK)
        return status;
    if (summary.lossless)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "JPEG with lossless or hierarchical coding, which is not read");
    if (summary.depth != 8)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "JPEG with samples of %u bits, which is not read", (unsigned)summary.depth);
    *header = (of_image_header){.height = summary.height,
                                .width = summary.width,
                                .channels = summary.components == 1 ? 1 : 3,
                                .orientation = summary.orientation,
                                .frames = 1,
                                .cmyk = summary.components == 4,
                                /* coefficients of all scans have 16 bits */
                                .decoder_bytes = summary.progressive ? 2 * summary.components : 0};
    return OF_OK;
}

/* ---- libjpeg-turbo -----------------------------------------------------------------------------
 */

typedef struct jpeg_job {
    struct jpeg_error_mgr errors; /* first: the library knows the address of this */
    jmp_buf leave;
    char reason[JMSG_LENGTH_MAX];
    uint8_t *inks; /* a row of four, of CMYK */
} jpeg_job;

static void take_error(j_common_ptr library) {
    jpeg_job *job = (jpeg_job *)library->err;
    library->err->format_message(library, job->reason);
    longjmp(job->leave, 1);
}

/* Of what it warns of, this means that pixels are missing; the rest is untidy. */
static bool loses_pixels(int code) {
    static const int codes[] = {JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_JPEG_EOF,
                                JWRN_MUST_RESYNC, JWRN_ARITH_BAD_CODE};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (code == codes[i])
            return true;
    return false;
}

static void take_message(j_common_ptr library, int level) {
    if (level < 0 && loses_pixels(library->err->msg_code))
        take_error(library);
}

static void print_nothing(j_common_ptr library) {
    (void)library;
}

/* Of 1/8, 1/4, 1/2 and 1, the least that gives a picture of at least the wished size. */
static void choose_scale(struct jpeg_decompress_struct *jpeg, const of_picture_wish *wish) {
    jpeg->scale_denom = 8;
    for (jpeg->scale_num = 1; jpeg->scale_num < 8; jpeg->scale_num *= 2)
        if (wish->least_height > 0 &&
            (uint64_t)jpeg->image_height * jpeg->scale_num / 8 >= wish->least_height &&
            (uint64_t)jpeg->image_width * jpeg->scale_num / 8 >= wish->least_width)
            return;
}

static void set_colours(struct jpeg_decompress_struct *jpeg) {
    jpeg->out_color_space = jpeg->num_components == 1   ? JCS_GRAYSCALE
                            : jpeg->num_components == 4 ? JCS_CMYK
                                                        : JCS_RGB;
}

/* Inks, [width][4], to colours: 255 is no ink, as Adobe's programs store it; that is taken for
 * granted in other files, too, as browsers do. */
static void mix_inks(const uint8_t *inks, uint32_t width, uint8_t *colours) {
    for (uint32_t x = 0; x < width; x++, inks += 4, colours += 3)
        for (int c = 0; c < 3; c++)
            colours[c] = (uint8_t)((inks[c] * inks[3] + 127) / 255);
}

static void read_rows(struct jpeg_decompress_struct *jpeg, jpeg_job *job, of_picture *picture) {
    size_t row = (size_t)picture->width * picture->channels;
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = picture->pixels + jpeg->output_scanline * row;
        JSAMPROW target = job->inks != NULL ? job->inks : to;
        (void)jpeg_read_scanlines(jpeg, &target, 1);
        if (job->inks != NULL)
            mix_inks(job->inks, picture->width, to);
    }
    (void)jpeg_finish_decompress(jpeg);
}

static of_status decode_in(struct jpeg_decompress_struct *jpeg, jpeg_job *job, const uint8_t *bytes,
                           size_t size, const of_picture_wish *wish, of_picture *picture,
                           of_error *error) {
    if (setjmp(job->leave) != 0)
        return of_decoder_fail(error, "JPEG", job->reason);
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, bytes, size);
    (void)jpeg_read_header(jpeg, TRUE);
    set_colours(jpeg);
    choose_scale(jpeg, wish);
    jpeg->dct_method = JDCT_ISLOW;
    (void)jpeg_start_decompress(jpeg);
    uint32_t channels = jpeg->num_components == 1 ? 1 : 3;
    of_status status =
        of_picture_allocate(picture, jpeg->output_height, jpeg->output_width, channels, error);
    if (status == OF_OK && jpeg->num_components == 4 &&
        (job->inks = of_decoder_malloc((size_t)picture->width * 4)) == NULL)
        status = of_decoder_fail(error, "JPEG", "no memory");
    if (status != OF_OK)
        return status;
    picture->full_height = jpeg->image_height;
    picture->full_width = jpeg->image_width;
    read_rows(jpeg, job, picture);
    return OF_OK;
}

static of_status decode(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                        of_picture *picture, of_error *error) {
    struct jpeg_decompress_struct jpeg = {0};
    jpeg_job job = {.inks = NULL};
    jpeg.err = jpeg_std_error(&job.errors);
    job.errors.error_exit = take_error;
    job.errors.emit_message = take_message;
    job.errors.output_message = print_nothing;
    of_status status = decode_in(&jpeg, &job, bytes, size, wish, picture, error);
    of_decoder_free(job.inks);
    jpeg_destroy_decompress(&jpeg);
    return status;
}

const of_decoder of_decoder_jpeg = {OF_KIND_JPEG, "libjpeg-turbo", read_header, decode, false};
