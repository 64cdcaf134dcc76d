/* SPDX-License-Identifier: Apache-2.0 */
/* AVIF and HEIC, by libheif and the codecs that it finds when the program runs. It turns and
 * mirrors a picture as the file says. */
#include "core/error.h"
#include "data/pixels/decoder.h"

#include <libheif/heif.h>
#include <stdio.h>
#include <string.h>

typedef struct heif_job {
    struct heif_context *context;
    struct heif_image_handle *handle;
    struct heif_image *image;
} heif_job;

static of_status fail(struct heif_error reason, of_error *error) {
    if (reason.code == heif_error_Memory_allocation_error)
        return of_fail_memory(error, "an image");
    return of_fail(error,
                   reason.code == heif_error_Unsupported_filetype ||
                           reason.code == heif_error_Unsupported_feature
                       ? OF_ERROR_UNSUPPORTED
                       : OF_ERROR_FORMAT,
                   "damaged or unsupported AVIF or HEIC: %s",
                   reason.message != NULL ? reason.message : "unknown reason");
}

static struct heif_error open_job(heif_job *job, const uint8_t *bytes, size_t size) {
    static const struct heif_error no_memory = {heif_error_Memory_allocation_error,
                                                heif_suberror_Unspecified, "no memory"};
    enum { MOST_SIDE = 65535 };
    job->context = heif_context_alloc();
    if (job->context == NULL)
        return no_memory;
    heif_context_set_maximum_image_size_limit(job->context, MOST_SIDE);
    heif_context_set_max_decoding_threads(job->context, 0);
    struct heif_error result =
        heif_context_read_from_memory_without_copy(job->context, bytes, size, NULL);
    if (result.code == heif_error_Ok)
        result = heif_context_get_primary_image_handle(job->context, &job->handle);
    return result;
}

static void close_job(heif_job *job) {
    heif_image_release(job->image);
    heif_image_handle_release(job->handle);
    heif_context_free(job->context);
}

static of_status read_header(const uint8_t *bytes, size_t size, of_image_header *header,
                             of_error *error) {
    heif_job job = {.context = NULL};
    struct heif_error result = open_job(&job, bytes, size);
    of_status status = result.code == heif_error_Ok ? OF_OK : fail(result, error);
    if (status == OF_OK) {
        int height = heif_image_handle_get_height(job.handle);
        int width = heif_image_handle_get_width(job.handle);
        bool opacity = heif_image_handle_has_alpha_channel(job.handle) != 0;
        *header =
            (of_image_header){.height = height > 0 ? (uint32_t)height : 0,
                              .width = width > 0 ? (uint32_t)width : 0,
                              .channels = opacity ? 4 : 3,
                              .orientation = 1,
                              .frames = 1,
                              .deep = heif_image_handle_get_luma_bits_per_pixel(job.handle) > 8,
                              .decoder_bytes = 16};
    }
    close_job(&job);
    return status;
}

static of_status copy_rows(const heif_job *job, uint32_t channels, of_picture *picture,
                           of_error *error) {
    int stride;
    const uint8_t *plane =
        heif_image_get_plane_readonly(job->image, heif_channel_interleaved, &stride);
    int height = heif_image_get_height(job->image, heif_channel_interleaved);
    int width = heif_image_get_width(job->image, heif_channel_interleaved);
    if (plane == NULL || height <= 0 || width <= 0)
        return of_fail(error, OF_ERROR_FORMAT, "damaged AVIF or HEIC: no pixels");
    of_status status =
        of_picture_allocate(picture, (uint32_t)height, (uint32_t)width, channels, error);
    if (status != OF_OK)
        return status;
    size_t row = (size_t)width * channels;
    for (size_t y = 0; y < (size_t)height; y++)
        memcpy(picture->pixels + y * row, plane + y * (size_t)stride, row);
    picture->premultiplied = channels == 4 && heif_image_is_premultiplied_alpha(job->image) != 0;
    return OF_OK;
}

static of_status decode(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                        of_picture *picture, of_error *error) {
    (void)wish;
    heif_job job = {.context = NULL};
    uint32_t channels = 3;
    struct heif_error result = open_job(&job, bytes, size);
    if (result.code == heif_error_Ok) {
        channels = heif_image_handle_has_alpha_channel(job.handle) != 0 ? 4 : 3;
        result = heif_decode_image(
            job.handle, &job.image, heif_colorspace_RGB,
            channels == 4 ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, NULL);
    }
    of_status status = result.code == heif_error_Ok ? copy_rows(&job, channels, picture, error)
                                                    : fail(result, error);
    close_job(&job);
    return status;
}

const of_decoder of_decoder_avif = {OF_KIND_AVIF, "libheif", read_header, decode, false};
const of_decoder of_decoder_heic = {OF_KIND_HEIC, "libheif", read_header, decode, false};
