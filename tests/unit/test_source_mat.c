/* SPDX-License-Identifier: Apache-2.0 */
/* Image sources: MATLAB files laid out as those of SVHN. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include "mat_fixture.h"

enum { HEIGHT = 5, WIDTH = 4, IMAGES = 12 };

/* A value that tells where it belongs. */
static uint8_t value_at(size_t image, size_t channel, size_t y, size_t x) {
    return (uint8_t)(image * 61 + channel * 83 + y * 17 + x * 3);
}

/* Column-major [HEIGHT][WIDTH][channels][images]. */
static uint8_t *columns(size_t channels, size_t images) {
    uint8_t *values = malloc(HEIGHT * WIDTH * channels * images), *at = values;
    assert_non_null(values);
    for (size_t n = 0; n < images; n++)
        for (size_t c = 0; c < channels; c++)
            for (size_t x = 0; x < WIDTH; x++)
                for (size_t y = 0; y < HEIGHT; y++)
                    *at++ = value_at(n, c, y, x);
    return values;
}

static void add_images(mat_file *file, uint32_t channels, uint32_t images, int compressed) {
    const uint32_t shape[] = {HEIGHT, WIDTH, channels, images};
    uint8_t *values = columns(channels, images);
    mat_add_array(file, "X", MAT_UINT8, MAT_BYTES, shape, images == 1 ? 3 : 4, values,
                  (size_t)HEIGHT * WIDTH * channels * images, compressed);
    free(values);
}

/* 1, 2 ... 10, 1, 2 ... as SVHN has them: doubles that are stored as bytes. */
static void add_labels(mat_file *file, uint32_t count, int compressed) {
    const uint32_t shape[] = {count, 1};
    uint8_t labels[64];
    for (uint32_t i = 0; i < count; i++)
        labels[i] = (uint8_t)(1 + i % 10);
    mat_add_array(file, "y", MAT_DOUBLE, MAT_BYTES, shape, 2, labels, count, compressed);
}

static const char *save(void **state, const char *name, mat_file *file) {
    write_file(state, name, file->bytes, file->size);
    free(file->bytes);
    *file = (mat_file){0};
    return path_of(state, name);
}

static of_source_options small_options(uint32_t channels) {
    of_source_options options = test_options(NULL);
    options.height = HEIGHT;
    options.width = WIDTH;
    options.channels = channels;
    return options;
}

static void assert_images(const of_source_batch *batch, size_t channels) {
    const uint8_t *at = batch->pixels;
    for (size_t n = 0; n < batch->count; n++)
        for (size_t y = 0; y < HEIGHT; y++)
            for (size_t x = 0; x < WIDTH; x++)
                for (size_t c = 0; c < channels; c++)
                    assert_int_equal(*at++, value_at(n, c, y, x));
}

static void check_file(void **state, int compressed, bool labels_first) {
    of_source_options options = small_options(3);
    mat_file file = {0};
    mat_begin(&file);
    if (labels_first)
        add_labels(&file, IMAGES, compressed);
    add_images(&file, 3, IMAGES, compressed);
    if (!labels_first)
        add_labels(&file, IMAGES, compressed);
    of_source *source = open_source(save(state, "train_32x32.mat", &file), &options);
    assert_int_equal(of_source_expected(source), IMAGES);
    of_source_batch batch = next_batch(source, 99);
    assert_int_equal(batch.count, IMAGES);
    assert_images(&batch, 3);
    assert_string_equal(batch.items[0].label, "1");
    assert_int_equal(batch.items[8].class_index, 9);
    assert_string_equal(batch.items[9].label, "0"); /* stored as 10 */
    assert_int_equal(batch.items[9].class_index, 0);
    assert_string_equal(batch.items[11].path, "11");
    assert_int_equal(next_batch(source, 9).count, 0);
    of_source_free(source);
}

static void test_svhn(void **state) {
    check_file(state, 1, false);
    check_file(state, 0, false);
    check_file(state, 1, true);
}

static void test_other_shapes(void **state) {
    of_source_options options = small_options(1);
    mat_file file = {0};
    mat_begin(&file);
    add_images(&file, 1, 3, 1); /* grey, without labels */
    of_source *source = open_source(save(state, "grey.mat", &file), &options);
    of_source_batch batch = next_batch(source, 9);
    assert_int_equal(batch.count, 3);
    assert_images(&batch, 1);
    assert_int_equal(batch.items[0].class_index, -1);
    assert_string_equal(batch.items[0].label, "");
    of_source_free(source);

    options = small_options(3);
    mat_begin(&file);
    add_images(&file, 3, 1, 1); /* MATLAB drops the last dimension of one image */
    source = open_source(save(state, "one.dat", &file), &options); /* found by its header */
    batch = next_batch(source, 9);
    assert_int_equal(batch.count, 1);
    assert_images(&batch, 3);
    of_source_free(source);
}

/* Arrays that are nobody's business, numbers of other types, labels that are not SVHN's. */
static void test_other_arrays(void **state) {
    const uint32_t four[] = {4, 1}, cell[] = {1, 1};
    const double doubles[] = {0, 10, 3, 1}, noise[] = {1e300, -1, 0.5, 2};
    of_source_options options = small_options(3);
    mat_file file = {0};
    mat_begin(&file);
    mat_add_array(&file, "notes", MAT_CELL, MAT_BYTES, cell, 2, "anything at all", 15, 0);
    mat_add_array(&file, "means", MAT_DOUBLE, MAT_DOUBLES, four, 2, noise, sizeof noise, 1);
    add_images(&file, 3, 4, 1);
    mat_add_array(&file, "y", MAT_DOUBLE, MAT_DOUBLES, four, 2, doubles, sizeof doubles, 1);
    of_source *source = open_source(save(state, "more.mat", &file), &options);
    of_source_batch batch = next_batch(source, 9);
    assert_int_equal(batch.count, 4);
    assert_images(&batch, 3);
    assert_int_equal(batch.items[0].class_index, 0);
    assert_int_equal(batch.items[1].class_index, 10); /* there is a 0: 10 is 10 */
    assert_int_equal(batch.items[2].class_index, 3);
    of_source_free(source);
}

static void refuse(void **state, mat_file *file, of_status status, const char *text) {
    of_source_options options = small_options(3);
    (void)assert_source_fails(save(state, "bad.mat", file), &options, status, text);
}

static void test_refusals(void **state) {
    const uint32_t pair[] = {2, 1}, three[] = {3, 1}, flat[] = {HEIGHT, WIDTH};
    const uint32_t nine[] = {HEIGHT, WIDTH, 3, 2}, no_image[] = {HEIGHT, WIDTH, 3, 0};
    const uint32_t five_channels[] = {HEIGHT, WIDTH, 5, 2}, wide[] = {1u << 30, 1u << 30, 3, 9};
    const uint32_t huge[] = {1, 1, 1, 1u << 30};
    uint8_t *values = columns(3, 5);
    mat_file file = {0};

    mat_begin(&file);
    refuse(state, &file, OF_ERROR_FORMAT, "there is no array X in it");
    mat_add(&file, "MATLAB 5.0", 10);
    refuse(state, &file, OF_ERROR_FORMAT, "too short for a MATLAB file");
    mat_begin(&file);
    file.bytes[125] = 2;
    refuse(state, &file, OF_ERROR_UNSUPPORTED, "save it with -v7");
    mat_begin(&file);
    memcpy(file.bytes + 124, "\1\0MI", 4);
    refuse(state, &file, OF_ERROR_UNSUPPORTED, "big-endian");
    mat_begin(&file);
    file.bytes[125] = 0;
    refuse(state, &file, OF_ERROR_FORMAT, "not a MATLAB 5 file");

    mat_begin(&file);
    mat_add_array(&file, "X", MAT_DOUBLE, MAT_BYTES, nine, 4, values, 120, 1);
    refuse(state, &file, OF_ERROR_FORMAT, "X is no array of bytes");
    mat_begin(&file);
    mat_add_array(&file, "X", MAT_UINT8, MAT_BYTES, flat, 2, values, 20, 0);
    refuse(state, &file, OF_ERROR_FORMAT, "X has 2 dimensions");
    mat_begin(&file);
    mat_add_array(&file, "X", MAT_UINT8, MAT_BYTES, five_channels, 4, values, 200, 0);
    refuse(state, &file, OF_ERROR_FORMAT, "the third being 5");
    mat_begin(&file);
    mat_add_array(&file, "X", MAT_UINT8, MAT_BYTES, no_image, 4, values, 0, 0);
    refuse(state, &file, OF_ERROR_FORMAT, "expected height x width");
    mat_begin(&file);
    mat_add_array(&file, "X", MAT_UINT8, MAT_BYTES, nine, 4, values, 119, 1);
    refuse(state, &file, OF_ERROR_FORMAT, "array 'X' has 120 values and 119 bytes");
    mat_begin(&file);
    mat_add_array(&file, "X", MAT_UINT8, MAT_BYTES, wide, 4, values, 120, 1);
    refuse(state, &file, OF_ERROR_FORMAT, "impossible size");
    mat_begin(&file);
    mat_add_array(&file, "X", MAT_UINT8, MAT_BYTES, huge, 4, values, 120, 1);
    refuse(state, &file, OF_ERROR_FORMAT, "has 1073741824 values and 120 bytes");

    mat_begin(&file);
    add_images(&file, 3, 5, 1);
    add_labels(&file, 3, 1);
    refuse(state, &file, OF_ERROR_MISMATCH, "y has 3 labels for the 5 images");
    const double odd[] = {1, 2.5, 3}, negative[] = {-1, 1};
    mat_begin(&file);
    add_images(&file, 3, 3, 1);
    mat_add_array(&file, "y", MAT_DOUBLE, MAT_DOUBLES, three, 2, odd, sizeof odd, 1);
    refuse(state, &file, OF_ERROR_FORMAT, "label 2.5 for image 1");
    mat_begin(&file);
    add_images(&file, 3, 2, 1);
    mat_add_array(&file, "y", MAT_DOUBLE, MAT_DOUBLES, pair, 2, negative, sizeof negative, 1);
    refuse(state, &file, OF_ERROR_FORMAT, "label -1 for image 0");
    mat_begin(&file);
    add_images(&file, 3, 2, 1);
    mat_add_array(&file, "y", MAT_CELL, MAT_BYTES, pair, 2, values, 2, 1);
    of_source_options options = small_options(3);
    of_source *source = open_source(save(state, "cells.mat", &file), &options);
    assert_int_equal(next_batch(source, 9).items[0].class_index,
                     -1); /* it has no name to be y by */
    of_source_free(source);
    free(values);
}

/* Every length of a file: an error in one line, or all images. Never anything else. */
static void test_truncation(void **state) {
    for (int compressed = 0; compressed < 2; compressed++) {
        mat_file file = {0};
        mat_begin(&file);
        add_labels(&file, 6, compressed);
        add_images(&file, 3, 6, compressed);
        for (size_t size = 0; size < file.size; size++) {
            of_source_options options = small_options(3);
            of_source *source = NULL;
            of_error error = {.status = OF_OK};
            write_file(state, "cut.mat", file.bytes, size);
            assert_int_not_equal(
                of_source_open(path_of(state, "cut.mat"), &options, &source, &error), OF_OK);
            assert_non_null(strstr(error.message, "cut.mat: "));
        }
        free(file.bytes);
    }
}

static void test_damage(void **state) {
    mat_file file = {0};
    mat_begin(&file);
    add_images(&file, 3, 6, 1);
    file.bytes[file.size - 1] ^= 1; /* of the checksum */
    of_source_options options = small_options(3);
    assert_int_equal(assert_source_fails(save(state, "sum.mat", &file), &options, OF_ERROR_FORMAT,
                                         "damaged compressed data"),
                     5); /* the sum is seen with the last image's bytes */
    mat_begin(&file);
    add_images(&file, 3, 6, 1);
    memset(file.bytes + 136, 0xff, 8);
    refuse(state, &file, OF_ERROR_FORMAT, "damaged compressed data");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_svhn, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_other_shapes, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_other_arrays, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_refusals, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_truncation, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_damage, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
