/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MATLAB files laid out as those of SVHN: X, bytes of height x width x channels x images, and y, a
 * label for each image. MATLAB's order puts the first dimension next to each other, so an image is
 * [channel][column][row], and images follow each other: they are streamed.
 */
#include "core/error.h"
#include "data/formats/mat.h"
#include "data/formats/reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_IMAGES = 1 << 26, /* labels are held in memory: a bound for what inflates to anything */
    LARGEST_LABEL = 65535,
    LABELS_AT_ONCE = 4096,
    SVHN_ZERO = 10
};

typedef struct mat_reader {
    of_reader reader;
    of_mat *mat;
    uint64_t count, next;
    of_raster raster;
    size_t image_bytes;
    of_bytes columns; /* one image as it stands in the file */
    uint16_t *labels; /* [count], NULL without y */
} mat_reader;

static void close_mat(of_reader *reader) {
    mat_reader *mat = (mat_reader *)reader;
    of_mat_close(mat->mat);
    of_bytes_free(&mat->columns);
    free(mat->labels);
    free(mat);
}

/* ---- Images ------------------------------------------------------------------------------- */

/* [channel][column][row] to [channel][row][column]. */
static void turn(const of_raster *raster, const uint8_t *columns, uint8_t *rows) {
    size_t height = raster->height, width = raster->width, plane = height * width;
    for (size_t channel = 0; channel < raster->channels; channel++)
        for (size_t y = 0; y < height; y++)
            for (size_t x = 0; x < width; x++)
                rows[channel * plane + y * width + x] = columns[channel * plane + x * height + y];
}

static of_status begin_image(mat_reader *mat, of_entry *entry, of_error *error) {
    of_status status = of_entry_begin(entry, "", "", error);
    if (status != OF_OK)
        return status;
    bool stored = of_text_format(&entry->path, "%" PRIu64, mat->next) &&
                  of_bytes_reserve(&entry->bytes, mat->image_bytes) &&
                  of_bytes_reserve(&mat->columns, mat->image_bytes);
    if (mat->labels != NULL) {
        entry->class_index = mat->labels[mat->next];
        stored = stored && of_text_format(&entry->label, "%d", (int)entry->class_index);
    }
    entry->content = OF_CONTENT_PIXELS;
    entry->raster = mat->raster;
    entry->bytes.size = mat->image_bytes;
    return stored ? OF_OK : of_fail_memory(error, "an array's image");
}

static of_status next_image(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    mat_reader *mat = (mat_reader *)reader;
    of_error reason;
    *end = mat->next == mat->count;
    if (*end)
        return of_mat_finish(mat->mat, error);
    of_status status = begin_image(mat, entry, error);
    if (status != OF_OK)
        return status;
    status = of_mat_read(mat->mat, mat->columns.data, mat->image_bytes, &reason);
    if (status != OF_OK)
        return of_fail_from(error, &reason, "%s (image %" PRIu64 " of %" PRIu64 ")", reason.message,
                            mat->next, mat->count);
    turn(&mat->raster, mat->columns.data, entry->bytes.data);
    mat->next++;
    return OF_OK;
}

/* ---- Opening ------------------------------------------------------------------------------ */

static of_status take_images(mat_reader *mat, const of_mat_array *array, const of_target *target,
                             of_error *error) {
    const char *name = of_mat_name(mat->mat);
    const uint64_t *shape = array->shape;
    /* MATLAB drops a last dimension of 1: there is one image. */
    uint64_t images = array->rank == 4 ? shape[3] : 1;
    if (!array->bytes || array->type != OF_MAT_UINT8)
        return of_fail(error, OF_ERROR_FORMAT, "%s: X is no array of bytes (uint8)", name);
    if (array->rank < 3 || array->rank > 4 || (shape[2] != 1 && shape[2] != 3) || images == 0)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: X has %" PRIu32 " dimensions, the third being %" PRIu64
                       "; expected height x width x 1 or 3 channels x images",
                       name, array->rank, array->rank > 2 ? shape[2] : 0);
    if (images > MOST_IMAGES)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "%s: %" PRIu64 " images; at most %d", name,
                       images, (int)MOST_IMAGES);
    of_error reason;
    of_status status = of_check_size(shape[0], shape[1], target, &reason);
    if (status != OF_OK)
        return of_fail(error, status, "%s: %s", name, reason.message);
    mat->count = images;
    mat->raster = (of_raster){.height = (uint32_t)shape[0],
                              .width = (uint32_t)shape[1],
                              .channels = (uint32_t)shape[2],
                              .planar = true};
    mat->image_bytes = (size_t)(shape[0] * shape[1] * shape[2]);
    mat->reader.expected = images;
    return OF_OK;
}

/* Room grows with what is read, not with what is announced. */
static of_status read_labels(mat_reader *mat, const of_mat_array *array, of_error *error) {
    const char *name = of_mat_name(mat->mat);
    double numbers[LABELS_AT_ONCE];
    size_t done = 0, capacity = 0;
    if (!array->numeric || array->count > MOST_IMAGES)
        return of_fail(error, OF_ERROR_FORMAT, "%s: y is no array of labels", name);
    while (done < array->count) {
        size_t part = array->count - done < LABELS_AT_ONCE ? (size_t)(array->count - done)
                                                           : (size_t)LABELS_AT_ONCE;
        if (done + part > capacity) {
            capacity = done + part + done / 2;
            uint16_t *labels = realloc(mat->labels, capacity * sizeof *labels);
            if (labels == NULL)
                return of_fail_memory(error, "labels");
            mat->labels = labels;
        }
        of_status status = of_mat_read_numbers(mat->mat, array, numbers, part, error);
        if (status != OF_OK)
            return status;
        for (size_t i = 0; i < part; i++, done++) {
            if (!(numbers[i] >= 0 && numbers[i] <= LARGEST_LABEL &&
                  floor(numbers[i]) == numbers[i]))
                return of_fail(error, OF_ERROR_FORMAT,
                               "%s: y has the label %g for image %zu; expected whole numbers up to "
                               "%d",
                               name, numbers[i], done, (int)LARGEST_LABEL);
            mat->labels[done] = (uint16_t)numbers[i];
        }
    }
    return OF_OK;
}

/* In SVHN the digits 1 to 9 have the labels 1 to 9, and 0 has 10. */
static void name_zero(mat_reader *mat) {
    uint16_t most = 0, least = LARGEST_LABEL;
    for (uint64_t i = 0; i < mat->count; i++) {
        most = mat->labels[i] > most ? mat->labels[i] : most;
        least = mat->labels[i] < least ? mat->labels[i] : least;
    }
    for (uint64_t i = 0; least >= 1 && most == SVHN_ZERO && i < mat->count; i++)
        if (mat->labels[i] == SVHN_ZERO)
            mat->labels[i] = 0;
}

/* Finds both arrays, reads y, and goes back to the beginning of X. */
static of_status find_arrays(mat_reader *mat, const of_target *target, of_error *error) {
    of_mat_array array, images = {.place = 0};
    uint64_t labels = 0;
    const char *name = of_mat_name(mat->mat);
    bool end = false;
    for (;;) {
        of_status status = of_mat_next(mat->mat, &array, &end, error);
        if (status == OF_OK && !end && strcmp(array.name, "X") == 0 && images.place == 0) {
            images = array;
            status = take_images(mat, &array, target, error);
        } else if (status == OF_OK && !end && strcmp(array.name, "y") == 0 && mat->labels == NULL) {
            labels = array.count;
            status = read_labels(mat, &array, error);
        }
        if (status != OF_OK)
            return status;
        if (end)
            break;
    }
    if (images.place == 0)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: there is no array X in it; expected X, bytes of height x width x "
                       "channels x images, and y, their labels, as in SVHN",
                       name);
    if (mat->labels != NULL && labels != mat->count)
        return of_fail(error, OF_ERROR_MISMATCH,
                       "%s: y has %" PRIu64 " labels for the %" PRIu64 " images of X", name, labels,
                       mat->count);
    if (mat->labels != NULL)
        name_zero(mat);
    of_mat_seek(mat->mat, images.place);
    return of_mat_next(mat->mat, &images, &end, error);
}

static of_status open_arrays(of_mat *opened, const of_target *target, of_reader **reader,
                             of_error *error) {
    mat_reader *mat = calloc(1, sizeof *mat);
    if (mat == NULL) {
        of_mat_close(opened);
        return of_fail_memory(error, "a reader of MATLAB files");
    }
    mat->reader = (of_reader){.next = next_image, .close = close_mat};
    mat->mat = opened;
    of_status status = find_arrays(mat, target, error);
    if (status != OF_OK)
        close_mat(&mat->reader);
    else
        *reader = &mat->reader;
    return status;
}

of_status of_reader_open_mat(const char *path, const of_target *target, of_reader **reader,
                             of_error *error) {
    of_mat *mat;
    of_status status = of_mat_open(path, &mat, error);
    return status != OF_OK ? status : open_arrays(mat, target, reader, error);
}

of_status of_reader_open_mat_memory(const void *bytes, size_t size, const of_target *target,
                                    of_reader **reader, of_error *error) {
    of_mat *mat;
    of_status status = of_mat_open_memory(bytes, size, &mat, error);
    return status != OF_OK ? status : open_arrays(mat, target, reader, error);
}
