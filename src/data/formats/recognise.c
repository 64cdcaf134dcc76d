/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of source a name stands for. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "data/formats/byte_stream.h"
#include "data/formats/reader.h"
#include "data/pixels/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 512 };

typedef struct file_head {
    uint8_t bytes[HEAD];
    size_t size;
} file_head;

/* What is known of a file before it is opened as anything. */
typedef struct candidate {
    const char *path;
    file_head head, unpacked; /* unpacked: the bytes that gzip hides, none of another file */
} candidate;

static bool has_bytes(const file_head *head, size_t at, const char *bytes, size_t length) {
    return head->size >= at + length && memcmp(head->bytes + at, bytes, length) == 0;
}

static bool ends_with(const char *path, const char *end) {
    size_t length = strlen(path), end_length = strlen(end);
    return length >= end_length && strcasecmp(path + length - end_length, end) == 0;
}

static bool is_gzip(const file_head *head) {
    return has_bytes(head, 0, "\x1f\x8b", 2);
}

/* The first bytes, or those that gzip hides. Damaged gzip data shows as what could be read. */
static of_status read_head(const char *path, bool unpack, file_head *head, of_error *error) {
    if (unpack) {
        of_byte_stream *stream;
        of_status status = of_byte_stream_open(path, &stream, error);
        if (status != OF_OK)
            return status;
        (void)of_byte_stream_read(stream, head->bytes, 4, &head->size, NULL);
        of_byte_stream_close(stream);
        return OF_OK;
    }
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return of_fail_io(error, errno, "%s: %s", path, strerror(errno));
    head->size = fread(head->bytes, 1, sizeof head->bytes, file);
    int failed = ferror(file) ? errno : 0;
    (void)fclose(file);
    return failed ? of_fail_io(error, failed, "%s: %s", path, strerror(failed)) : OF_OK;
}

/* ---- The formats ---------------------------------------------------------------------------- */

static bool is_cifar(const candidate *file) {
    return ends_with(file->path, ".bin");
}

/* Images, or labels: the reader says which it wants. */
static bool begins_like_idx(const file_head *head) {
    return has_bytes(head, 0, "\0\0\x08", 3) && head->size >= 4 && head->bytes[3] >= 1 &&
           head->bytes[3] <= 4;
}

static bool is_idx(const candidate *file) {
    return begins_like_idx(&file->head) || begins_like_idx(&file->unpacked) ||
           ends_with(file->path, "idx3-ubyte");
}

static bool is_npy(const candidate *file) {
    return has_bytes(&file->head, 0, "\x93NUMPY", 6) || ends_with(file->path, ".npy");
}

static bool is_mat(const candidate *file) {
    return has_bytes(&file->head, 0, "MATLAB ", 7) || ends_with(file->path, ".mat");
}

static bool is_image(const candidate *file) {
    return of_has_image_magic(file->head.bytes, file->head.size);
}

static bool is_archive(const candidate *file) {
    static const char *const ends[] = {".tar",    ".tar.gz",  ".tgz", ".tar.bz2",
                                       ".tar.xz", ".tar.zst", ".zip"};
    const file_head *head = &file->head;
    bool begins = has_bytes(head, 0, "PK\x03\x04", 4) || has_bytes(head, 0, "PK\x05\x06", 4) ||
                  has_bytes(head, 257, "ustar", 5) || has_bytes(head, 0, "BZh", 3) ||
                  has_bytes(head, 0, "\xfd\x37zXZ", 5) ||
                  has_bytes(head, 0, "\x28\xb5\x2f\xfd", 4) || is_gzip(head);
    for (size_t i = 0; !begins && i < sizeof ends / sizeof *ends; i++)
        begins = ends_with(file->path, ends[i]);
    return begins;
}

static bool is_called_image(const candidate *file) {
    return of_has_image_extension(file->path);
}

static of_status open_cifar(const char *path, const of_target *target, of_reader **reader,
                            of_error *error) {
    return of_reader_open_cifar(&path, 1, target, reader, error);
}

/* The first row that matches. Records without a signature come first: they may begin like anything;
 * a name that says little comes last. */
static const struct {
    const char *name; /* for people */
    bool (*matches)(const candidate *file);
    of_status (*open)(const char *path, const of_target *target, of_reader **reader,
                      of_error *error);
} formats[] = {
    {"CIFAR .bin", is_cifar, open_cifar},
    {"IDX", is_idx, of_reader_open_idx},
    {".npy", is_npy, of_reader_open_npy},
    {"MATLAB .mat", is_mat, of_reader_open_mat},
    {"an image (" OF_IMAGE_EXTENSIONS ")", is_image, of_reader_open_file},
    {"a .tar, .tar.gz or .zip archive", is_archive, of_reader_open_archive},
    {NULL, is_called_image, of_reader_open_file},
};

enum { FORMATS = sizeof formats / sizeof *formats };

static of_status fail_unknown(const candidate *file, of_error *error) {
    char names[512] = "a folder";
    size_t used = strlen(names);
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].name != NULL && used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, ", %s", formats[i].name);
    return of_fail(error, OF_ERROR_FORMAT, "%s: %s; expected one of %s", file->path,
                   file->head.size == 0 ? "empty file" : "not recognised", names);
}

static of_status open_regular_file(const char *path, const of_target *target, of_reader **reader,
                                   of_error *error) {
    candidate file = {.path = path};
    of_status status = read_head(path, false, &file.head, error);
    if (status == OF_OK && is_gzip(&file.head))
        status = read_head(path, true, &file.unpacked, error);
    if (status != OF_OK)
        return status;
    for (size_t i = 0; i < FORMATS; i++)
        if (formats[i].matches(&file))
            return formats[i].open(path, target, reader, error);
    return fail_unknown(&file, error);
}

/* ---- Sources -------------------------------------------------------------------------------- */

/* What is neither a part nor made of tiles. */
static of_status open_whole(const char *spec, const of_target *target, uint64_t seed,
                            of_reader **reader, of_error *error) {
    static const char synthetic[] = "synthetic:", imglist[] = "imglist:";
    if (strcmp(spec, "-") == 0)
        return of_reader_open_list(STDIN_FILENO, target, reader, error);
    if (strncmp(spec, synthetic, sizeof synthetic - 1) == 0)
        return of_reader_open_synthetic(spec + sizeof synthetic - 1, seed, reader, error);
    if (strncmp(spec, imglist, sizeof imglist - 1) == 0)
        return of_reader_open_imglist(spec + sizeof imglist - 1, target, reader, error);
    struct stat information;
    if (stat(spec, &information) != 0)
        return of_fail_io(error, errno, "%s: %s", spec, strerror(errno));
    if (S_ISDIR(information.st_mode))
        return of_reader_open_folder(spec, target, reader, error);
    if (S_ISREG(information.st_mode))
        return open_regular_file(spec, target, reader, error);
    return of_fail(error, OF_ERROR_UNSUPPORTED, "%s: neither a regular file nor a folder", spec);
}

static bool has_prefix(const char *spec, const char *prefix) {
    return strncmp(spec, prefix, strlen(prefix)) == 0;
}

typedef of_status open_source(const char *spec, const of_target *target, uint64_t seed,
                              of_reader **reader, of_error *error);

static of_status open_part(const char *text, const of_target *target, uint64_t seed,
                           open_source *open, of_reader **reader, of_error *error) {
    of_part_range part;
    of_reader *whole;
    of_status status = of_part_parse(text, &part, error);
    if (status == OF_OK)
        status = open(part.source, target, seed, &whole, error);
    return status == OF_OK ? of_reader_open_part(whole, &part, reader, error) : status;
}

static of_status open_whole_or_part(const char *spec, const of_target *target, uint64_t seed,
                                    of_reader **reader, of_error *error) {
    return has_prefix(spec, "part:")
               ? open_part(spec + strlen("part:"), target, seed, open_whole, reader, error)
               : open_whole(spec, target, seed, reader, error);
}

/* Every frame of the files of a reader, where that is asked for. */
static of_status open_frames(of_reader **reader, const of_target *target, of_error *error) {
    return target->all_frames ? of_reader_open_frames(*reader, target, reader, error) : OF_OK;
}

typedef of_status parse_cut(const char *text, of_tiles_range *tiles, const char **source,
                            of_error *error);

static of_status open_cut(const char *text, parse_cut *parse, const of_target *target,
                          uint64_t seed, of_reader **reader, of_error *error) {
    of_tiles_range tiles;
    const char *source;
    of_reader *whole;
    of_status status = parse(text, &tiles, &source, error);
    tiles.seed = seed;
    if (status == OF_OK)
        status = open_whole_or_part(source, target, seed, &whole, error);
    if (status == OF_OK)
        status = open_frames(&whole, target, error);
    return status == OF_OK ? of_reader_open_tiles(whole, &tiles, target, reader, error) : status;
}

/* Of tiles, a part may be taken: tile by tile. */
static of_status open_whole_or_tiles(const char *spec, const of_target *target, uint64_t seed,
                                     of_reader **reader, of_error *error) {
    if (has_prefix(spec, "tiles:"))
        return open_cut(spec + strlen("tiles:"), of_tiles_parse, target, seed, reader, error);
    if (has_prefix(spec, "windows:"))
        return open_cut(spec + strlen("windows:"), of_windows_parse, target, seed, reader, error);
    return open_whole(spec, target, seed, reader, error);
}

static bool is_cut_source(const char *spec) {
    return has_prefix(spec, "tiles:") || has_prefix(spec, "windows:");
}

/* Are windows cut, of frames as well as of pictures? Else frames are what remains of a part. */
static bool is_cut(const char *spec) {
    of_part_range part;
    return is_cut_source(spec) || (has_prefix(spec, "part:") &&
                                   of_part_parse(spec + strlen("part:"), &part, NULL) == OF_OK &&
                                   is_cut_source(part.source));
}

of_status of_reader_open(const char *spec, const of_target *target, uint64_t seed,
                         of_reader **reader, of_error *error) {
    of_status status =
        has_prefix(spec, "part:")
            ? open_part(spec + strlen("part:"), target, seed, open_whole_or_tiles, reader, error)
            : open_whole_or_tiles(spec, target, seed, reader, error);
    return status == OF_OK && !is_cut(spec) ? open_frames(reader, target, error) : status;
}
