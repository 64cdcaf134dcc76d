/* SPDX-License-Identifier: Apache-2.0 */
/* JPEG 2000, files and bare codestreams, by OpenJPEG. */
#include "core/error.h"
#include "data/pixels/decoder.h"

#include <openjpeg.h>
#include <stdio.h>
#include <string.h>

typedef struct jp2_job {
    const uint8_t *bytes;
    size_t size, at;
    opj_codec_t *codec;
    opj_stream_t *stream;
    opj_image_t *image;
    char reason[128]; /* the first */
} jp2_job;

static OPJ_SIZE_T take_bytes(void *to, OPJ_SIZE_T wanted, void *user) {
    jp2_job *job = user;
    size_t left = job->size - job->at, count = wanted < left ? wanted : left;
    if (count == 0)
        return (OPJ_SIZE_T)-1;
    memcpy(to, job->bytes + job->at, count);
    job->at += count;
    return count;
}

static OPJ_OFF_T skip(OPJ_OFF_T count, void *user) {
    jp2_job *job = user;
    if (count < 0 || (uint64_t)count > job->size - job->at)
        return -1;
    job->at += (size_t)count;
    return count;
}

static OPJ_BOOL seek(OPJ_OFF_T place, void *user) {
    jp2_job *job = user;
    if (place < 0 || (uint64_t)place > job->size)
        return OPJ_FALSE;
    job->at = (size_t)place;
    return OPJ_TRUE;
}

static void take_error(const char *text, void *user) {
    jp2_job *job = user;
    if (job->reason[0] == '\0')
        (void)snprintf(job->reason, sizeof job->reason, "%.*s", (int)strcspn(text, "\r\n"), text);
}

static void pass_over(const char *text, void *user) {
    (void)text;
    (void)user;
}

static bool open_job(jp2_job *job) {
    opj_dparameters_t parameters;
    bool boxes = job->bytes[0] == 0;
    job->codec = opj_create_decompress(boxes ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
    job->stream = opj_stream_default_create(OPJ_TRUE);
    if (job->codec == NULL || job->stream == NULL)
        return false;
    opj_set_error_handler(job->codec, take_error, job);
    opj_set_warning_handler(job->codec, pass_over, NULL);
    opj_set_info_handler(job->codec, pass_over, NULL);
    opj_stream_set_user_data(job->stream, job, NULL);
    opj_stream_set_user_data_length(job->stream, job->size);
    opj_stream_set_read_function(job->stream, take_bytes);
    opj_stream_set_skip_function(job->stream, skip);
    opj_stream_set_seek_function(job->stream, seek);
    opj_set_default_decoder_parameters(&parameters);
    return opj_setup_decoder(job->codec, &parameters) &&
           opj_decoder_set_strict_mode(job->codec, OPJ_TRUE) &&
           opj_read_header(job->stream, job->codec, &job->image);
}

static void close_job(jp2_job *job) {
    opj_image_destroy(job->image);
    opj_stream_destroy(job->stream);
    opj_destroy_codec(job->codec);
}

static of_status fail(const jp2_job *job, of_error *error) {
    return of_decoder_fail(error, "JPEG 2000",
                           job->reason[0] != '\0' ? job->reason : "its data make no picture");
}

/* Components that are opacity stand last. */
static uint32_t colours_of(const opj_image_t *image) {
    return image->numcomps < 3 ? 1 : 3;
}

static of_status check_components(const opj_image_t *image, of_error *error) {
    uint32_t count = image->numcomps, colours = colours_of(image);
    bool opacity = count == colours + 1 && image->comps[colours].alpha != 0;
    if (image->color_space == OPJ_CLRSPC_CMYK || image->color_space == OPJ_CLRSPC_EYCC)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "JPEG 2000 with colours of ink or e-YCC, which is not read");
    if (count == 0 || (count != colours && !opacity && count != 2))
        return of_fail(error, OF_ERROR_UNSUPPORTED, "JPEG 2000 of %u components, which is not read",
                       (unsigned)count);
    for (uint32_t c = 0; c < count; c++)
        if (image->comps[c].prec < 1 || image->comps[c].prec > 16 || image->comps[c].sgnd)
            return of_fail(error, OF_ERROR_UNSUPPORTED,
                           "JPEG 2000 with signed samples or more than 16 bits, which is not read");
    return OF_OK;
}

static of_status read_header(const uint8_t *bytes, size_t size, of_image_header *header,
                             of_error *error) {
    jp2_job job = {.bytes = bytes, .size = size};
    of_status status = OF_OK;
    if (!open_job(&job)) {
        status = fail(&job, error);
    } else {
        const opj_image_t *image = job.image;
        /* Of an indexed picture the palette is applied when it is decoded. */
        uint32_t count = image->numcomps < 4 ? image->numcomps : 4;
        *header = (of_image_header){.height = image->y1 - image->y0,
                                    .width = image->x1 - image->x0,
                                    .channels = count,
                                    .orientation = 1,
                                    .frames = 1,
                                    .deep = count > 0 && image->comps[0].prec > 8,
                                    .decoder_bytes = 12 * (count > 0 ? count : 1)};
        if (image->y1 <= image->y0 || image->x1 <= image->x0)
            header->height = header->width = 0;
    }
    close_job(&job);
    return status;
}

/* ---- Pixels ------------------------------------------------------------------------------------
 */

/* A sample of fewer bits is scaled, of more the upper 8 are taken. */
static uint8_t reduce(int32_t sample, uint32_t bits) {
    int32_t most = (1 << bits) - 1;
    sample = sample < 0 ? 0 : sample > most ? most : sample;
    return (uint8_t)(bits > 8 ? sample >> (bits - 8) : (sample * 255 + most / 2) / most);
}

static uint8_t sample_at(const opj_image_comp_t *component, uint32_t y, uint32_t x) {
    y /= component->dy;
    x /= component->dx;
    y = y < component->h ? y : component->h - 1;
    x = x < component->w ? x : component->w - 1;
    return reduce(component->data[(size_t)y * component->w + x], component->prec);
}

static uint8_t clamp(double value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

/* ITU-R BT.601 of full range, as JPEG. */
static void from_ycc(uint8_t *pixel) {
    double y = pixel[0], blue = pixel[1] - 128.0, red = pixel[2] - 128.0;
    pixel[0] = clamp(y + 1.402 * red);
    pixel[1] = clamp(y - 0.344136 * blue - 0.714136 * red);
    pixel[2] = clamp(y + 1.772 * blue);
}

static of_status gather(const opj_image_t *image, of_picture *picture, of_error *error) {
    uint32_t height = image->y1 - image->y0, width = image->x1 - image->x0;
    of_status status = check_components(image, error);
    for (uint32_t c = 0; status == OF_OK && c < image->numcomps; c++)
        if (image->comps[c].data == NULL || image->comps[c].w == 0 || image->comps[c].h == 0 ||
            image->comps[c].dx == 0 || image->comps[c].dy == 0)
            status = of_fail(error, OF_ERROR_FORMAT, "damaged JPEG 2000: an empty component");
    if (status == OF_OK)
        status = of_picture_allocate(picture, height, width, image->numcomps, error);
    if (status != OF_OK)
        return status;
    uint8_t *to = picture->pixels;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++, to += picture->channels) {
            for (uint32_t c = 0; c < picture->channels; c++)
                to[c] = sample_at(&image->comps[c], y, x);
            if (image->color_space == OPJ_CLRSPC_SYCC && picture->channels >= 3)
                from_ycc(to);
        }
    return OF_OK;
}

static of_status decode(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                        of_picture *picture, of_error *error) {
    (void)wish;
    jp2_job job = {.bytes = bytes, .size = size};
    of_status status = open_job(&job) && opj_decode(job.codec, job.stream, job.image) &&
                               opj_end_decompress(job.codec, job.stream)
                           ? gather(job.image, picture, error)
                           : fail(&job, error);
    close_job(&job);
    return status;
}

const of_decoder of_decoder_jp2 = {OF_KIND_JP2, "OpenJPEG", read_header, decode, false};
