/* SPDX-License-Identifier: Apache-2.0 */
/* Files for the tests of image sources, made in a directory of their own, and ways to read them.
 * Include once, after defining _XOPEN_SOURCE 700. */
#ifndef OF_TESTS_SOURCE_FIXTURE_H
#define OF_TESTS_SOURCE_FIXTURE_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#include "image_fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <ftw.h>
#include <outflow/outflow.h>
#include <png.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fixture {
    char directory[64];
} fixture;

static inline int make_directory(void **state) {
    fixture *made = calloc(1, sizeof *made);
    assert_non_null(made);
    (void)snprintf(made->directory, sizeof made->directory, "/tmp/outflow-test-XXXXXX");
    assert_non_null(mkdtemp(made->directory));
    *state = made;
    return 0;
}

static inline int remove_one(const char *path, const struct stat *information, int kind,
                             struct FTW *place) {
    (void)information, (void)kind, (void)place;
    return remove(path);
}

static inline int remove_directory(void **state) {
    fixture *made = *state;
    (void)nftw(made->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(made);
    return 0;
}

/* Path of a name in the test's directory; the next four calls leave it alone. */
static inline const char *path_of(void **state, const char *name) {
    static char paths[5][512];
    static unsigned next;
    char *path = paths[next++ % 5];
    (void)snprintf(path, sizeof paths[0], "%s/%s", ((fixture *)*state)->directory, name);
    return path;
}

static inline void make_folder(void **state, const char *name) {
    assert_int_equal(mkdir(path_of(state, name), 0755), 0);
}

static inline void write_file(void **state, const char *name, const void *bytes, size_t size) {
    FILE *file = fopen(path_of(state, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* ---- Images --------------------------------------------------------------------------------- */

static inline encoded encode_png(const void *pixels, unsigned height, unsigned width,
                                 unsigned png_format) {
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = png_format};
    png_alloc_size_t size = 0;
    assert_true(png_image_write_to_memory(&image, NULL, &size, 0, pixels, 0, NULL));
    encoded file = {malloc(size), size};
    assert_non_null(file.bytes);
    assert_true(png_image_write_to_memory(&image, file.bytes, &size, 0, pixels, 0, NULL));
    file.size = size;
    return file;
}

/* A colour image that differs for each `seed`. */
static inline void fill_pattern(uint8_t *pixels, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i++)
        pixels[i] = (uint8_t)(i * 7 + i / 96 * 13 + seed * 29);
}

/* A PNG of the pattern, 32 x 32 RGB. */
static inline encoded encode_pattern(unsigned seed) {
    uint8_t pixels[32 * 32 * 3];
    fill_pattern(pixels, sizeof pixels, seed);
    return encode_png(pixels, 32, 32, PNG_FORMAT_RGB);
}

static inline void write_pattern(void **state, const char *name, unsigned seed) {
    encoded file = encode_pattern(seed);
    write_file(state, name, file.bytes, file.size);
    free(file.bytes);
}

static inline void assert_pattern(const uint8_t *pixels, unsigned seed) {
    uint8_t expected[32 * 32 * 3];
    fill_pattern(expected, sizeof expected, seed);
    assert_memory_equal(pixels, expected, sizeof expected);
}

/* ---- Archives ------------------------------------------------------------------------------- */

typedef enum archive_kind { TAR, TAR_GZ, ZIP } archive_kind;

static inline struct archive *begin_archive(void **state, const char *name, archive_kind kind) {
    struct archive *archive = archive_write_new();
    assert_non_null(archive);
    assert_int_equal(kind == ZIP ? archive_write_set_format_zip(archive)
                                 : archive_write_set_format_pax_restricted(archive),
                     ARCHIVE_OK);
    if (kind == TAR_GZ)
        assert_int_equal(archive_write_add_filter_gzip(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(archive, path_of(state, name)), ARCHIVE_OK);
    return archive;
}

static inline void add_member(struct archive *archive, const char *name, const void *bytes,
                              size_t size) {
    struct archive_entry *entry = archive_entry_new();
    size_t length = strlen(name);
    bool folder = length > 0 && name[length - 1] == '/';
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, folder ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)size);
    assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
    if (size > 0)
        assert_int_equal(archive_write_data(archive, bytes, size), (la_ssize_t)size);
    archive_entry_free(entry);
}

static inline void add_pattern(struct archive *archive, const char *name, unsigned seed) {
    encoded file = encode_pattern(seed);
    add_member(archive, name, file.bytes, file.size);
    free(file.bytes);
}

static inline void end_archive(struct archive *archive) {
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
}

/* ---- Reading -------------------------------------------------------------------------------- */

typedef struct complaints {
    unsigned count;
    char path[256], reason[1024]; /* of the last one */
} complaints;

static inline void note_complaint(void *user, const char *path, const char *reason) {
    complaints *noted = user;
    noted->count++;
    (void)snprintf(noted->path, sizeof noted->path, "%s", path);
    (void)snprintf(noted->reason, sizeof noted->reason, "%s", reason);
}

static inline of_source_options test_options(complaints *noted) {
    of_source_options options = of_source_options_default(NULL);
    options.threads = 3;
    options.on_unreadable = noted != NULL ? note_complaint : NULL;
    options.user = noted;
    return options;
}

static inline of_source *open_source(const char *spec, const of_source_options *options) {
    of_source *source = NULL;
    of_error error = {.status = OF_OK};
    of_status status = of_source_open(spec, options, &source, &error);
    if (status != OF_OK)
        print_error("%s\n", error.message);
    assert_int_equal(status, OF_OK);
    return source;
}

static inline of_source_batch next_batch(of_source *source, size_t max_count) {
    of_source_batch batch;
    of_error error = {.status = OF_OK};
    of_status status = of_source_next(source, max_count, &batch, &error);
    if (status != OF_OK)
        print_error("%s\n", error.message);
    assert_int_equal(status, OF_OK);
    return batch;
}

/* Opening, or else reading to the end, must fail with this status and a message that contains
 * `text`. Gives the number of images that came before. */
static inline size_t assert_source_fails(const char *spec, const of_source_options *options,
                                         of_status expected, const char *text) {
    of_source *source = NULL;
    of_source_batch batch = {.count = 1};
    of_error error = {.status = OF_OK};
    size_t images = 0;
    of_status status = of_source_open(spec, options, &source, &error);
    while (status == OF_OK && batch.count > 0) {
        status = of_source_next(source, 7, &batch, &error);
        images += status == OF_OK ? batch.count : 0;
    }
    if (status != expected || strstr(error.message, text) == NULL)
        print_error("status %d, message '%s' instead of %d, '%s'\n", (int)status, error.message,
                    (int)expected, text);
    assert_int_equal(status, expected);
    assert_non_null(strstr(error.message, text));
    assert_null(strchr(error.message, '\n'));
    if (source != NULL)
        assert_int_equal(of_source_next(source, 7, &batch, NULL), expected);
    of_source_free(source);
    return images;
}

#endif
