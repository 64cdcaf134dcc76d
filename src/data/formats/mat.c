/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "data/formats/mat.h"

#include "core/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum {
    HEADER = 128,
    INPUT = 1 << 16,
    TYPE_MATRIX = 14,
    TYPE_COMPRESSED = 15,
    TYPE_UTF8 = 16,
    CLASS_FIRST_NUMBER = 6, /* double, single, eight kinds of integers */
    CLASS_UINT8 = 9,
    CLASS_LAST_NUMBER = 15,
    FLAG_COMPLEX = 0x0800
};

struct of_mat {
    FILE *file;
    uint64_t size, next;    /* of the file; where its next element begins */
    uint64_t left;          /* bytes of the array's element that were not read */
    bool compressed, ended; /* the array; its compressed data */
    uint64_t input_left;    /* compressed bytes that were not read */
    z_stream inflater;      /* valid if `inflating` */
    bool inflating;
    uint8_t small[4]; /* values that stand in their own tag */
    size_t small_left, small_at;
    uint8_t input[INPUT];
    char name[];
};

static uint32_t word(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

/* ---- Bytes -------------------------------------------------------------------------------- */

static of_status fail_truncated(const of_mat *mat, of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT, "%s: truncated: ends inside an array", mat->name);
}

static of_status fail_read(const of_mat *mat, of_error *error) {
    return ferror(mat->file) ? of_fail_io(error, errno, "%s: %s", mat->name, strerror(errno))
                             : fail_truncated(mat, error);
}

static of_status read_plain(of_mat *mat, void *to, size_t size, of_error *error) {
    return size == 0 || fread(to, 1, size, mat->file) == size ? OF_OK : fail_read(mat, error);
}

static of_status refill(of_mat *mat, of_error *error) {
    size_t wanted = mat->input_left < INPUT ? (size_t)mat->input_left : INPUT;
    if (wanted == 0)
        return fail_truncated(mat, error);
    of_status status = read_plain(mat, mat->input, wanted, error);
    mat->input_left -= status == OF_OK ? wanted : 0;
    mat->inflater.next_in = mat->input;
    mat->inflater.avail_in = (uInt)wanted;
    return status;
}

/* Up to `size` bytes; fewer only at the end of the compressed data. */
static of_status inflate_some(of_mat *mat, uint8_t *to, size_t size, size_t *count,
                              of_error *error) {
    z_stream *inflater = &mat->inflater;
    *count = 0;
    while (*count < size && !mat->ended) {
        if (inflater->avail_in == 0) {
            of_status status = refill(mat, error);
            if (status != OF_OK)
                return status;
        }
        size_t wanted = size - *count < 1u << 30 ? size - *count : 1u << 30;
        inflater->next_out = to + *count;
        inflater->avail_out = (uInt)wanted;
        int result = inflate(inflater, Z_NO_FLUSH);
        *count += wanted - inflater->avail_out;
        mat->ended = result == Z_STREAM_END;
        if (result == Z_MEM_ERROR)
            return of_fail_memory(error, "compressed data");
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return of_fail(error, OF_ERROR_FORMAT, "%s: damaged compressed data: %s", mat->name,
                           inflater->msg != NULL ? inflater->msg : "not zlib data");
    }
    return OF_OK;
}

/* Bytes of the array's element. */
static of_status take(of_mat *mat, void *to, size_t size, of_error *error) {
    if (size > mat->left)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: damaged: an array's parts are larger than the array", mat->name);
    mat->left -= size;
    if (!mat->compressed)
        return read_plain(mat, to, size, error);
    size_t count;
    of_status status = inflate_some(mat, to, size, &count, error);
    return status == OF_OK && count < size ? fail_truncated(mat, error) : status;
}

static of_status skip(of_mat *mat, uint64_t size, of_error *error) {
    uint8_t dropped[256];
    of_status status = OF_OK;
    while (status == OF_OK && size > 0) {
        size_t part = size < sizeof dropped ? (size_t)size : sizeof dropped;
        status = take(mat, dropped, part, error);
        size -= part;
    }
    return status;
}

/* ---- Opening ------------------------------------------------------------------------------ */

static of_status check_header(of_mat *mat, of_error *error) {
    uint8_t header[HEADER];
    if (fread(header, 1, HEADER, mat->file) != HEADER)
        return ferror(mat->file) ? fail_read(mat, error)
                                 : of_fail(error, OF_ERROR_FORMAT,
                                           "%s: too short for a MATLAB file: %" PRIu64 " bytes",
                                           mat->name, mat->size);
    bool swapped = header[126] == 'M' && header[127] == 'I';
    unsigned version = swapped ? header[124] : header[125];
    if (version == 2 || memcmp(header, "MATLAB 7.3", 10) == 0)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "%s: a MATLAB 7.3 file, which is HDF5; save it with -v7 instead", mat->name);
    if (swapped)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "%s: a MATLAB file of a big-endian machine; save it again on another one",
                       mat->name);
    if (version != 1 || header[126] != 'I' || header[127] != 'M')
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: not a MATLAB 5 file (what MATLAB saves with -v6 or -v7)", mat->name);
    mat->next = HEADER;
    return OF_OK;
}

static of_status open_file(FILE *file, uint64_t size, const char *name, of_mat **mat,
                           of_error *error) {
    size_t length = strlen(name) + 1;
    of_mat *made = calloc(1, sizeof *made + length);
    if (made == NULL) {
        (void)fclose(file);
        return of_fail_memory(error, "a reader of MATLAB files");
    }
    made->file = file;
    made->size = size;
    memcpy(made->name, name, length);
    of_status status = check_header(made, error);
    if (status != OF_OK)
        of_mat_close(made);
    else
        *mat = made;
    return status;
}

of_status of_mat_open(const char *path, of_mat **mat, of_error *error) {
    struct stat information;
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return of_fail_io(error, errno, "%s: %s", path, strerror(errno));
    if (fstat(fileno(file), &information) != 0 || !S_ISREG(information.st_mode)) {
        (void)fclose(file);
        return of_fail(error, OF_ERROR_IO, "%s: not a regular file", path);
    }
    return open_file(file, (uint64_t)information.st_size, path, mat, error);
}

of_status of_mat_open_memory(const void *bytes, size_t size, of_mat **mat, of_error *error) {
    union {
        const void *given;
        void *as_taken;
    } memory = {bytes}; /* fmemopen takes no const, and with "r" it does not write */
    FILE *file = size > 0 ? fmemopen(memory.as_taken, size, "rb") : NULL;
    if (file == NULL)
        return of_fail(error, OF_ERROR_FORMAT, "MATLAB data: empty, or no memory");
    return open_file(file, size, "MATLAB data", mat, error);
}

static void end_inflating(of_mat *mat) {
    if (mat->inflating)
        (void)inflateEnd(&mat->inflater);
    mat->inflating = false;
}

void of_mat_close(of_mat *mat) {
    if (mat == NULL)
        return;
    end_inflating(mat);
    (void)fclose(mat->file);
    free(mat);
}

const char *of_mat_name(const of_mat *mat) {
    return mat->name;
}

void of_mat_seek(of_mat *mat, uint64_t place) {
    mat->next = place;
}

/* ---- Elements ----------------------------------------------------------------------------- */

typedef struct tag {
    uint32_t type, bytes;
    bool small; /* up to four bytes of content stand in the tag itself: mat->small */
} tag;

static of_status take_tag(of_mat *mat, tag *read, of_error *error) {
    uint8_t bytes[8];
    of_status status = take(mat, bytes, sizeof bytes, error);
    if (status != OF_OK)
        return status;
    *read = (tag){.type = word(bytes), .bytes = word(bytes + 4)};
    if (read->type >> 16 != 0) {
        *read = (tag){.type = read->type & 0xffff, .bytes = read->type >> 16, .small = true};
        memcpy(mat->small, bytes + 4, sizeof mat->small);
        if (read->bytes > sizeof mat->small)
            return of_fail(error, OF_ERROR_FORMAT,
                           "%s: damaged: a part of %" PRIu32 " bytes in the room of four",
                           mat->name, read->bytes);
    }
    return OF_OK;
}

/* Content of a part: its first `room` bytes, the rest and the padding passed over. */
static of_status take_content(of_mat *mat, const tag *part, void *to, size_t room,
                              of_error *error) {
    size_t wanted = part->bytes < room ? part->bytes : room;
    if (part->small) {
        memcpy(to, mat->small, wanted);
        return OF_OK;
    }
    of_status status = take(mat, to, wanted, error);
    uint64_t rest = (uint64_t)part->bytes - wanted + (0u - part->bytes) % 8;
    return status == OF_OK ? skip(mat, rest, error) : status;
}

static of_status fail_layout(const of_mat *mat, const char *what, of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT, "%s: damaged: an array without %s", mat->name, what);
}

static of_status take_shape(of_mat *mat, of_mat_array *array, of_error *error) {
    uint8_t sides[4 * OF_MAT_MAX_RANK];
    tag part;
    of_status status = take_tag(mat, &part, error);
    if (status != OF_OK)
        return status;
    if (part.type != OF_MAT_INT32 || part.bytes % 4 != 0 || part.bytes < 8)
        return fail_layout(mat, "dimensions", error);
    if ((status = take_content(mat, &part, sides, sizeof sides, error)) != OF_OK)
        return status;
    array->rank = part.bytes / 4;
    array->numeric = array->numeric && array->rank <= OF_MAT_MAX_RANK;
    array->count = 1;
    for (uint32_t i = 0; array->numeric && i < array->rank; i++) {
        array->shape[i] = word(sides + (size_t)4 * i);
        if (array->shape[i] > INT32_MAX ||
            __builtin_mul_overflow(array->count, array->shape[i], &array->count))
            return of_fail(error, OF_ERROR_FORMAT, "%s: damaged: an array of impossible size",
                           mat->name);
    }
    return OF_OK;
}

static of_status take_name(of_mat *mat, of_mat_array *array, of_error *error) {
    tag part;
    of_status status = take_tag(mat, &part, error);
    if (status == OF_OK && part.type != OF_MAT_INT8 && part.type != TYPE_UTF8)
        return fail_layout(mat, "a name", error);
    if (status == OF_OK)
        status = take_content(mat, &part, array->name, sizeof array->name - 1, error);
    for (char *at = array->name; *at != '\0'; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    return status;
}

static size_t type_size(uint32_t type) {
    switch (type) {
    case OF_MAT_INT8:
    case OF_MAT_UINT8:
        return 1;
    case OF_MAT_INT16:
    case OF_MAT_UINT16:
        return 2;
    case OF_MAT_INT32:
    case OF_MAT_UINT32:
    case OF_MAT_SINGLE:
        return 4;
    case OF_MAT_DOUBLE:
    case OF_MAT_INT64:
    case OF_MAT_UINT64:
        return 8;
    default:
        return 0;
    }
}

static of_status begin_values(of_mat *mat, of_mat_array *array, of_error *error) {
    tag part;
    of_status status = take_tag(mat, &part, error);
    if (status != OF_OK)
        return status;
    size_t size = type_size(part.type);
    if (size == 0)
        return fail_layout(mat, "numbers", error);
    if (array->count != part.bytes / size || part.bytes % size != 0 ||
        (!part.small && part.bytes > mat->left))
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: damaged: array '%s' has %" PRIu64 " values and %" PRIu32
                       " bytes for them",
                       mat->name, array->name, array->count, part.bytes);
    array->type = (of_mat_type)part.type;
    if (part.small)
        mat->small_left = part.bytes;
    else
        mat->left = part.bytes;
    return OF_OK;
}

/* Flags, dimensions, name. Cells, structs and the like have other parts: they are passed over. */
static of_status take_array(of_mat *mat, of_mat_array *array, of_error *error) {
    uint8_t flags[8] = {0};
    tag part;
    of_status status = take_tag(mat, &part, error);
    if (status == OF_OK && (part.type != OF_MAT_UINT32 || part.bytes != sizeof flags))
        return fail_layout(mat, "flags", error);
    if (status == OF_OK)
        status = take_content(mat, &part, flags, sizeof flags, error);
    uint32_t kind = word(flags) & 0xff;
    array->numeric = kind >= CLASS_FIRST_NUMBER && kind <= CLASS_LAST_NUMBER &&
                     (word(flags) & FLAG_COMPLEX) == 0;
    array->bytes = kind == CLASS_UINT8;
    if (status != OF_OK || !array->numeric)
        return status;
    status = take_shape(mat, array, error);
    if (status == OF_OK)
        status = take_name(mat, array, error);
    return status == OF_OK && array->numeric ? begin_values(mat, array, error) : status;
}

static of_status begin_inflating(of_mat *mat, of_error *error) {
    mat->inflater = (z_stream){.zalloc = Z_NULL, .zfree = Z_NULL};
    if (inflateInit(&mat->inflater) != Z_OK)
        return of_fail_memory(error, "compressed data");
    mat->inflating = true;
    return OF_OK;
}

/* Enters the element: *is_array tells whether it is one, `left` how large. */
static of_status enter(of_mat *mat, const tag *outer, bool *is_array, of_error *error) {
    tag inner = *outer;
    mat->compressed = outer->type == TYPE_COMPRESSED;
    mat->ended = false;
    mat->input_left = outer->bytes;
    end_inflating(mat);
    if (mat->compressed) {
        mat->left = 8;
        of_status status = begin_inflating(mat, error);
        if (status == OF_OK)
            status = take_tag(mat, &inner, error);
        if (status != OF_OK)
            return status;
    }
    *is_array = inner.type == TYPE_MATRIX && !inner.small;
    mat->left = inner.bytes;
    return OF_OK;
}

of_status of_mat_next(of_mat *mat, of_mat_array *array, bool *end, of_error *error) {
    for (;;) {
        uint8_t bytes[8];
        *array = (of_mat_array){.place = mat->next};
        mat->small_left = mat->small_at = 0;
        *end = mat->next == mat->size;
        if (*end)
            return OF_OK;
        if (mat->size - mat->next < sizeof bytes)
            return fail_truncated(mat, error);
        if (fseeko(mat->file, (off_t)mat->next, SEEK_SET) != 0)
            return of_fail_io(error, errno, "%s: %s", mat->name, strerror(errno));
        of_status status = read_plain(mat, bytes, sizeof bytes, error);
        if (status != OF_OK)
            return status;
        tag outer = {.type = word(bytes), .bytes = word(bytes + 4)};
        if (outer.bytes > mat->size - mat->next - sizeof bytes)
            return fail_truncated(mat, error);
        mat->next += sizeof bytes + outer.bytes;
        bool is_array = false;
        if (outer.type == TYPE_COMPRESSED || outer.type == TYPE_MATRIX)
            status = enter(mat, &outer, &is_array, error);
        if (status != OF_OK || is_array)
            return status == OF_OK ? take_array(mat, array, error) : status;
    }
}

/* ---- Values ------------------------------------------------------------------------------- */

of_status of_mat_read(of_mat *mat, void *to, size_t size, of_error *error) {
    if (mat->small_left == 0)
        return take(mat, to, size, error);
    if (size > mat->small_left)
        return fail_truncated(mat, error);
    memcpy(to, mat->small + mat->small_at, size);
    mat->small_at += size;
    mat->small_left -= size;
    return OF_OK;
}

/* Words are put together by value, so the machine's own byte order does not matter. */
static double number(of_mat_type type, const uint8_t *bytes) {
    uint64_t low = word(bytes), all = low | (uint64_t)word(bytes + 4) << 32;
    uint32_t half = (uint32_t)low;
    float single;
    double real;
    switch (type) {
    case OF_MAT_INT8:
        return (int8_t)bytes[0];
    case OF_MAT_UINT8:
        return bytes[0];
    case OF_MAT_INT16:
        return (int16_t)(low & 0xffff);
    case OF_MAT_UINT16:
        return (uint16_t)(low & 0xffff);
    case OF_MAT_INT32:
        return (int32_t)half;
    case OF_MAT_UINT32:
        return half;
    case OF_MAT_SINGLE:
        memcpy(&single, &half, sizeof single);
        return (double)single;
    case OF_MAT_DOUBLE:
        memcpy(&real, &all, sizeof real);
        return real;
    case OF_MAT_INT64:
        return (double)(int64_t)all;
    case OF_MAT_UINT64:
        return (double)all;
    }
    return 0;
}

of_status of_mat_read_numbers(of_mat *mat, const of_mat_array *array, double *to, size_t count,
                              of_error *error) {
    size_t size = type_size((uint32_t)array->type);
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < count; i++) {
        uint8_t bytes[8] = {0};
        status = of_mat_read(mat, bytes, size, error);
        to[i] = number(array->type, bytes);
    }
    return status;
}

of_status of_mat_finish(of_mat *mat, of_error *error) {
    uint8_t padding[16];
    size_t count;
    return mat->compressed ? inflate_some(mat, padding, sizeof padding, &count, error) : OF_OK;
}
