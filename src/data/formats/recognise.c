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

/* Images, or labels: the reader says which it wants. */
static bool is_idx(const file_head *head) {
    return has_bytes(head, 0, "\0\0\x08", 3) && head->size >= 4 && head->bytes[3] >= 1 &&
           head->bytes[3] <= 4;
}

static bool is_archive(const file_head *head) {
    return has_bytes(head, 0, "PK\x03\x04", 4) || has_bytes(head, 0, "PK\x05\x06", 4) ||
           has_bytes(head, 257, "ustar", 5) || has_bytes(head, 0, "BZh", 3) ||
           has_bytes(head, 0, "\xfd\x37zXZ", 5) || has_bytes(head, 0, "\x28\xb5\x2f\xfd", 4) ||
           is_gzip(head);
}

static bool has_archive_extension(const char *path) {
    static const char *const ends[] = {".tar",    ".tar.gz",  ".tgz", ".tar.bz2",
                                       ".tar.xz", ".tar.zst", ".zip"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(path, ends[i]))
            return true;
    return false;
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
        return of_fail(error, OF_ERROR_IO, "%s: %s", path, strerror(errno));
    head->size = fread(head->bytes, 1, sizeof head->bytes, file);
    int failed = ferror(file) ? errno : 0;
    (void)fclose(file);
    return failed ? of_fail(error, OF_ERROR_IO, "%s: %s", path, strerror(failed)) : OF_OK;
}

static of_status fail_unknown(const char *path, const file_head *head, of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT,
                   "%s: %s; expected a folder, an image (%s), a .tar, .tar.gz or .zip archive, "
                   "CIFAR .bin, IDX, .npy or MATLAB .mat",
                   path, head->size == 0 ? "empty file" : "not recognised", OF_IMAGE_EXTENSIONS);
}

static of_status open_regular_file(const char *path, const of_target *target, of_reader **reader,
                                   of_error *error) {
    file_head head = {.size = 0}, unpacked = {.size = 0};
    of_status status = read_head(path, false, &head, error);
    if (status == OF_OK && is_gzip(&head))
        status = read_head(path, true, &unpacked, error);
    if (status != OF_OK)
        return status;
    /* Records without a signature come first: they may begin like anything. */
    if (ends_with(path, ".bin"))
        return of_reader_open_cifar(&path, 1, target, reader, error);
    if (is_idx(&head) || is_idx(&unpacked) || ends_with(path, "idx3-ubyte"))
        return of_reader_open_idx(path, target, reader, error);
    if (has_bytes(&head, 0, "\x93NUMPY", 6) || ends_with(path, ".npy"))
        return of_reader_open_npy(path, target, reader, error);
    if (has_bytes(&head, 0, "MATLAB ", 7) || ends_with(path, ".mat"))
        return of_reader_open_mat(path, target, reader, error);
    if (of_has_image_magic(head.bytes, head.size))
        return of_reader_open_file(path, target, reader, error);
    if (is_archive(&head) || has_archive_extension(path))
        return of_reader_open_archive(path, target, reader, error);
    if (of_has_image_extension(path))
        return of_reader_open_file(path, target, reader, error);
    return fail_unknown(path, &head, error);
}

of_status of_reader_open(const char *spec, const of_target *target, uint64_t seed,
                         of_reader **reader, of_error *error) {
    static const char synthetic[] = "synthetic:", part[] = "part:";
    if (strcmp(spec, "-") == 0)
        return of_reader_open_list(STDIN_FILENO, target, reader, error);
    if (strncmp(spec, synthetic, sizeof synthetic - 1) == 0)
        return of_reader_open_synthetic(spec + sizeof synthetic - 1, seed, reader, error);
    if (strncmp(spec, part, sizeof part - 1) == 0)
        return of_reader_open_part(spec + sizeof part - 1, target, seed, reader, error);
    struct stat information;
    if (stat(spec, &information) != 0)
        return of_fail(error, OF_ERROR_IO, "%s: %s", spec, strerror(errno));
    if (S_ISDIR(information.st_mode))
        return of_reader_open_folder(spec, target, reader, error);
    if (S_ISREG(information.st_mode))
        return open_regular_file(spec, target, reader, error);
    return of_fail(error, OF_ERROR_UNSUPPORTED, "%s: neither a regular file nor a folder", spec);
}
