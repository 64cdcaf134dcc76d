/* SPDX-License-Identifier: Apache-2.0 */
/* TIFF, by libtiff: pages of samples of 16 bits as they are, all others as libtiff makes RGBA of
 * them. Its messages go nowhere but into the error. */
#include "core/error.h"
#include "data/pixels/decoder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

/* ---- A file in memory --------------------------------------------------------------------------
 */

typedef struct tiff_job {
    const uint8_t *bytes;
    size_t size;
    uint64_t at;
    char reason[128]; /* the first */
} tiff_job;

static tmsize_t take_bytes(thandle_t handle, void *to, tmsize_t wanted) {
    tiff_job *job = handle;
    uint64_t left = job->at < job->size ? job->size - job->at : 0;
    size_t count = wanted > 0 && (uint64_t)wanted < left ? (size_t)wanted : (size_t)left;
    if (wanted <= 0 || count == 0)
        return 0;
    memcpy(to, job->bytes + job->at, count);
    job->at += count;
    return (tmsize_t)count;
}

static tmsize_t write_nothing(thandle_t handle, void *from, tmsize_t count) {
    (void)handle;
    (void)from;
    (void)count;
    return -1;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence) {
    tiff_job *job = handle;
    uint64_t from = whence == SEEK_CUR ? job->at : whence == SEEK_END ? job->size : 0;
    job->at = from + offset;
    return job->at;
}

static int close_nothing(thandle_t handle) {
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle) {
    return ((tiff_job *)handle)->size;
}

static int map(thandle_t handle, void **base, toff_t *size) {
    const tiff_job *job = handle;
    memcpy(base, &job->bytes, sizeof *base); /* opened for reading alone */
    *size = job->size;
    return 1;
}

static void unmap(thandle_t handle, void *base, toff_t size) {
    (void)handle;
    (void)base;
    (void)size;
}

__attribute__((format(printf, 4, 0))) static int
take_error(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
    tiff_job *job = user;
    (void)tiff;
    (void)module;
    if (job->reason[0] == '\0')
        (void)vsnprintf(job->reason, sizeof job->reason, format, arguments);
    return 1;
}

__attribute__((format(printf, 4, 0))) static int pass_over_warning(TIFF *tiff, void *user,
                                                                   const char *module,
                                                                   const char *format,
                                                                   va_list arguments) {
    (void)tiff;
    (void)user;
    (void)module;
    (void)format;
    (void)arguments;
    return 1;
}

/* No single allocation of the library needs more than a picture of the size that is let through. */
static TIFF *open_tiff(tiff_job *job) {
    const tmsize_t most = (tmsize_t)1 << 30;
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (options == NULL)
        return NULL;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, most);
    TIFFOpenOptionsSetErrorHandlerExtR(options, take_error, job);
    TIFFOpenOptionsSetWarningHandlerExtR(options, pass_over_warning, NULL);
    TIFF *tiff = TIFFClientOpenExt("image", "r", job, take_bytes, write_nothing, seek,
                                   close_nothing, size_of, map, unmap, options);
    TIFFOpenOptionsFree(options);
    return tiff;
}

static of_status fail(const tiff_job *job, of_error *error) {
    return of_decoder_fail(error, "TIFF", job->reason[0] != '\0' ? job->reason : "no picture");
}

/* ---- Pages -------------------------------------------------------------------------------------
 */

typedef struct page {
    uint32_t height, width;
    uint16_t bits, samples, format, photometric, planar, orientation, extra_count;
    uint16_t largest; /* value of a sample, where the file says it; or 0 */
    bool opacity, premultiplied;
} page;

static void read_extra(TIFF *tiff, page *read) {
    const uint16_t *extra;
    if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &read->extra_count, &extra) != 1)
        read->extra_count = 0;
    read->opacity = read->extra_count > 0 &&
                    (extra[0] == EXTRASAMPLE_ASSOCALPHA || extra[0] == EXTRASAMPLE_UNASSALPHA);
    read->premultiplied = read->opacity && extra[0] == EXTRASAMPLE_ASSOCALPHA;
}

static void read_page(TIFF *tiff, page *read) {
    *read = (page){.orientation = ORIENTATION_TOPLEFT};
    (void)TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &read->height);
    (void)TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &read->width);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &read->bits);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &read->samples);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &read->format);
    (void)TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &read->planar);
    (void)TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &read->photometric);
    (void)TIFFGetField(tiff, TIFFTAG_ORIENTATION, &read->orientation);
    (void)TIFFGetField(tiff, TIFFTAG_MAXSAMPLEVALUE, &read->largest);
    read_extra(tiff, read);
    if (read->orientation < 1 || read->orientation > 8)
        read->orientation = ORIENTATION_TOPLEFT;
}

static bool is_grey(const page *read) {
    return read->photometric == PHOTOMETRIC_MINISBLACK ||
           read->photometric == PHOTOMETRIC_MINISWHITE;
}

/* Samples of 16 bits, grey or RGB, one after the other: read here, because their range counts. */
static bool is_wide(const page *read) {
    uint16_t colours = is_grey(read) ? 1 : read->photometric == PHOTOMETRIC_RGB ? 3 : 0;
    return read->bits == 16 && colours > 0 && read->format == SAMPLEFORMAT_UINT &&
           read->samples == colours + read->extra_count &&
           (read->planar == PLANARCONFIG_CONTIG || read->samples == 1);
}

/* Previews and masks of other pages are none. */
static bool is_shown(TIFF *tiff) {
    uint32_t kind = 0;
    return TIFFGetField(tiff, TIFFTAG_SUBFILETYPE, &kind) != 1 ||
           (kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)) == 0;
}

/* To the page of a number; false behind the last. The file's first page is opened already. */
static bool find_page(TIFF *tiff, uint32_t number) {
    for (;;) {
        if (is_shown(tiff) && number-- == 0)
            return true;
        if (TIFFLastDirectory(tiff) || TIFFReadDirectory(tiff) != 1)
            return false;
    }
}

static uint32_t count_pages(TIFF *tiff) {
    enum { MOST_PAGES = 10000 };
    uint32_t pages = 0;
    do {
        pages += is_shown(tiff);
    } while (pages < MOST_PAGES && !TIFFLastDirectory(tiff) && TIFFReadDirectory(tiff) == 1);
    return pages;
}

static of_status check_page(TIFF *tiff, const page *read, of_error *error) {
    char reason[1024];
    if (read->format == SAMPLEFORMAT_IEEEFP)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "TIFF with samples of floating point, which is not read");
    if (read->bits > 16 || (read->bits > 8 && !is_wide(read) && read->bits < 16))
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "TIFF with samples of %u bits, which is not read", (unsigned)read->bits);
    if (!is_wide(read) && !TIFFRGBAImageOK(tiff, reason))
        return of_fail(error, OF_ERROR_UNSUPPORTED, "TIFF of a kind that is not read: %s", reason);
    return OF_OK;
}

static of_status describe(TIFF *tiff, const tiff_job *job, of_image_header *header,
                          of_error *error) {
    page first;
    if (!find_page(tiff, 0))
        return fail(job, error);
    read_page(tiff, &first);
    of_status status = check_page(tiff, &first, error);
    if (status != OF_OK)
        return status;
    *header = (of_image_header){.height = first.height,
                                .width = first.width,
                                .channels = (is_grey(&first) ? 1u : 3u) + first.opacity,
                                .orientation = first.orientation,
                                .deep = first.bits > 8,
                                .cmyk = first.photometric == PHOTOMETRIC_SEPARATED,
                                .decoder_bytes = 12};
    uint32_t pages = count_pages(tiff);
    header->frames = pages > 0 ? pages : 1;
    return OF_OK;
}

static of_status read_header(const uint8_t *bytes, size_t size, of_image_header *header,
                             of_error *error) {
    tiff_job job = {.bytes = bytes, .size = size};
    TIFF *tiff = open_tiff(&job);
    if (tiff == NULL)
        return fail(&job, error);
    of_status status = describe(tiff, &job, header, error);
    TIFFClose(tiff);
    return status;
}

/* ---- Pixels ------------------------------------------------------------------------------------
 */

static uint8_t narrow(const page *read, uint32_t sample) {
    if (read->largest > 255 && read->largest < UINT16_MAX) {
        sample = sample < read->largest ? sample : read->largest;
        sample = 256 * sample / ((uint32_t)read->largest + 1);
    } else {
        sample >>= 8;
    }
    return (uint8_t)(read->photometric == PHOTOMETRIC_MINISWHITE ? 255 - sample : sample);
}

static void narrow_row(const page *read, const uint16_t *row, uint32_t channels, uint8_t *to) {
    for (uint32_t x = 0; x < read->width; x++, row += read->samples)
        for (uint32_t c = 0; c < channels; c++)
            *to++ =
                read->opacity && c + 1 == channels ? (uint8_t)(row[c] >> 8) : narrow(read, row[c]);
}

static of_status read_strips(TIFF *tiff, const tiff_job *job, const page *read, uint16_t *row,
                             of_picture *picture, of_error *error) {
    for (uint32_t y = 0; y < read->height; y++) {
        if (TIFFReadScanline(tiff, row, y, 0) != 1)
            return fail(job, error);
        narrow_row(read, row, picture->channels,
                   picture->pixels + (size_t)y * read->width * picture->channels);
    }
    return OF_OK;
}

static of_status decode_wide(TIFF *tiff, const tiff_job *job, const page *read, of_picture *picture,
                             of_error *error) {
    uint32_t channels = (is_grey(read) ? 1u : 3u) + read->opacity;
    tmsize_t bytes = TIFFScanlineSize(tiff);
    if (TIFFIsTiled(tiff))
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "TIFF of tiles with samples of 16 bits, which is not read");
    if (bytes < (tmsize_t)read->width * read->samples * 2)
        return fail(job, error);
    of_status status = of_picture_allocate(picture, read->height, read->width, channels, error);
    uint16_t *row = status == OF_OK ? of_decoder_malloc((size_t)bytes) : NULL;
    if (status == OF_OK && row == NULL)
        status = of_decoder_fail(error, "TIFF", "no memory");
    if (status == OF_OK)
        status = read_strips(tiff, job, read, row, picture, error);
    of_decoder_free(row);
    picture->premultiplied = read->premultiplied;
    return status;
}

/* [height][width] of A, B, G, R from the highest byte down; its rows are in the order of the file
 * where the orientation that is asked for is the file's own. */
static bool read_rgba(TIFF *tiff, uint32_t *raster, const page *read) {
    char reason[1024];
    TIFFRGBAImage image;
    if (!TIFFRGBAImageBegin(&image, tiff, 1, reason))
        return false;
    image.req_orientation = image.orientation;
    bool done = TIFFRGBAImageGet(&image, raster, read->width, read->height) == 1;
    TIFFRGBAImageEnd(&image);
    return done;
}

static void unpack(const uint32_t *raster, size_t count, uint32_t channels, uint8_t *pixels) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t seen[4] = {(uint8_t)TIFFGetR(raster[i]), (uint8_t)TIFFGetG(raster[i]),
                                 (uint8_t)TIFFGetB(raster[i]), (uint8_t)TIFFGetA(raster[i])};
        for (uint32_t c = 0; c < channels; c++)
            pixels[i * channels + c] = seen[channels == 2 && c == 1 ? 3 : c];
    }
}

static of_status decode_rgba(TIFF *tiff, const tiff_job *job, const page *read, of_picture *picture,
                             of_error *error) {
    uint32_t channels = (is_grey(read) ? 1u : 3u) + read->opacity;
    size_t count = (size_t)read->height * read->width;
    of_status status = of_picture_allocate(picture, read->height, read->width, channels, error);
    uint32_t *raster = status == OF_OK ? of_decoder_malloc(count * sizeof *raster) : NULL;
    if (status == OF_OK && raster == NULL)
        status = of_decoder_fail(error, "TIFF", "no memory");
    if (status == OF_OK && (!read_rgba(tiff, raster, read) || job->reason[0] != '\0'))
        status = fail(job, error);
    if (status == OF_OK)
        unpack(raster, count, channels, picture->pixels);
    of_decoder_free(raster);
    /* libtiff multiplies colours with opacity, grey it leaves as it is. */
    picture->premultiplied = is_grey(read) ? read->premultiplied : read->opacity;
    return status;
}

static of_status decode(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                        of_picture *picture, of_error *error) {
    tiff_job job = {.bytes = bytes, .size = size};
    page read;
    TIFF *tiff = open_tiff(&job);
    if (tiff == NULL)
        return fail(&job, error);
    of_status status = find_page(tiff, wish->frame) ? OF_OK : fail(&job, error);
    if (status == OF_OK) {
        read_page(tiff, &read);
        status = check_page(tiff, &read, error);
    }
    if (status == OF_OK)
        status = is_wide(&read) ? decode_wide(tiff, &job, &read, picture, error)
                                : decode_rgba(tiff, &job, &read, picture, error);
    TIFFClose(tiff);
    return status;
}

const of_decoder of_decoder_tiff = {OF_KIND_TIFF, "libtiff", read_header, decode, true};
