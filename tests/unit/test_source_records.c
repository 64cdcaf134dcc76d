/* SPDX-License-Identifier: Apache-2.0 */
/* Image sources: CIFAR binary, IDX and .npy files. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include <zlib.h>

/* ---- CIFAR ---------------------------------------------------------------------------------- */

/* Records with planes of the pattern and the given first bytes. */
static void write_cifar(void **state, const char *name, const uint8_t *labels, size_t label_bytes,
                        unsigned records) {
    size_t size = label_bytes + 3072;
    uint8_t *bytes = malloc(size * records);
    assert_non_null(bytes);
    for (unsigned i = 0; i < records; i++) {
        memcpy(bytes + i * size, labels + i * label_bytes, label_bytes);
        fill_pattern(bytes + i * size + label_bytes, 3072, i);
    }
    write_file(state, name, bytes, size * records);
    free(bytes);
}

static void assert_planes_of_pattern(const uint8_t *pixels, unsigned seed) {
    uint8_t planes[3072];
    fill_pattern(planes, sizeof planes, seed);
    for (size_t i = 0; i < 1024; i++)
        for (size_t c = 0; c < 3; c++)
            assert_int_equal(pixels[3 * i + c], planes[1024 * c + i]);
}

static void test_cifar10(void **state) {
    const uint8_t labels[] = {6, 0, 9};
    of_source_options options = test_options(NULL);
    write_cifar(state, "data_batch_1.bin", labels, 1, 3);
    of_source *source = open_source(path_of(state, "data_batch_1.bin"), &options);
    assert_int_equal(of_source_expected(source), 3);
    of_source_batch batch = next_batch(source, 9);
    assert_int_equal(batch.count, 3);
    assert_string_equal(batch.items[0].path, "0");
    assert_string_equal(batch.items[0].label, "frog");
    assert_int_equal(batch.items[0].class_index, 6);
    assert_string_equal(batch.items[2].label, "truck");
    assert_string_equal(batch.items[2].path, "2");
    for (unsigned i = 0; i < 3; i++)
        assert_planes_of_pattern(batch.pixels + (size_t)i * 3072, i);
    of_source_free(source);
}

static void test_cifar100(void **state) {
    const uint8_t labels[] = {19, 99, 3, 7}; /* coarse, fine */
    of_source_options options = test_options(NULL);
    write_cifar(state, "test.bin", labels, 2, 2);
    of_source *source = open_source(path_of(state, "test.bin"), &options);
    of_source_batch batch = next_batch(source, 9);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.items[0].class_index, 99);
    assert_string_equal(batch.items[0].label, "99");
    assert_int_equal(batch.items[1].class_index, 7);
    assert_planes_of_pattern(batch.pixels + 3072, 1);
    of_source_free(source);
}

static void test_folder_of_cifar_files(void **state) {
    const uint8_t labels[] = {1, 2, 3};
    of_source_options options = test_options(NULL);
    make_folder(state, "batches");
    write_cifar(state, "batches/data_batch_2.bin", labels, 1, 1);
    write_cifar(state, "batches/data_batch_1.bin", labels, 1, 3);
    write_file(state, "batches/batches.meta.txt", "airplane\n", 9);
    of_source *source = open_source(path_of(state, "batches"), &options);
    assert_int_equal(of_source_expected(source), 4);
    of_source_batch batch = next_batch(source, 9);
    assert_int_equal(batch.count, 4);
    assert_string_equal(batch.items[2].path, "data_batch_1.bin/2");
    assert_string_equal(batch.items[3].path, "data_batch_2.bin/0");
    assert_int_equal(batch.items[3].class_index, 1);
    of_source_free(source);

    const uint8_t pairs[] = {0, 5};
    write_cifar(state, "batches/test.bin", pairs, 2, 1);
    assert_source_fails(path_of(state, "batches"), &options, OF_ERROR_MISMATCH, "CIFAR-100");
}

static void test_damaged_cifar(void **state) {
    const uint8_t labels[] = {3, 200};
    of_source_options options = test_options(NULL);
    write_cifar(state, "label.bin", labels, 1, 2);
    assert_int_equal(assert_source_fails(path_of(state, "label.bin"), &options, OF_ERROR_FORMAT,
                                         "record 1 has the label 200"),
                     1);
    write_file(state, "size.bin", "12345", 5);
    assert_source_fails(path_of(state, "size.bin"), &options, OF_ERROR_FORMAT, "no multiple");
    write_file(state, "zero.bin", "", 0);
    assert_source_fails(path_of(state, "zero.bin"), &options, OF_ERROR_FORMAT, "no multiple");
}

/* ---- IDX ------------------------------------------------------------------------------------ */

static void put_32(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void write_idx(void **state, const char *name, uint32_t count, uint32_t height,
                      uint32_t width, size_t data, bool compressed) {
    uint8_t *bytes = malloc(16 + data);
    assert_non_null(bytes);
    put_32(bytes, 0x803);
    put_32(bytes + 4, count);
    put_32(bytes + 8, height);
    put_32(bytes + 12, width);
    fill_pattern(bytes + 16, data, 1);
    if (compressed) {
        gzFile file = gzopen(path_of(state, name), "wb");
        assert_non_null(file);
        assert_int_equal(gzwrite(file, bytes, (unsigned)(16 + data)), (int)(16 + data));
        assert_int_equal(gzclose(file), Z_OK);
    } else {
        write_file(state, name, bytes, 16 + data);
    }
    free(bytes);
}

static void write_idx_labels(void **state, const char *name, uint32_t count) {
    uint8_t bytes[8 + 256];
    put_32(bytes, 0x801);
    put_32(bytes + 4, count);
    for (uint32_t i = 0; i < count; i++)
        bytes[8 + i] = (uint8_t)(9 - i);
    write_file(state, name, bytes, 8 + count);
}

static void assert_idx_reads(void **state, const char *name, bool labelled) {
    uint8_t expected[2 * 32 * 32];
    of_source_options options = test_options(NULL);
    options.channels = 1;
    fill_pattern(expected, sizeof expected, 1);
    of_source *source = open_source(path_of(state, name), &options);
    assert_int_equal(of_source_expected(source), 2);
    of_source_batch batch = next_batch(source, 9);
    assert_int_equal(batch.count, 2);
    assert_memory_equal(batch.pixels, expected, sizeof expected);
    assert_string_equal(batch.items[1].path, "1");
    assert_string_equal(batch.items[1].label, labelled ? "8" : "");
    assert_int_equal(batch.items[1].class_index, labelled ? 8 : -1);
    assert_int_equal(next_batch(source, 9).count, 0);
    of_source_free(source);
}

static void test_idx(void **state) {
    write_idx(state, "t10k-images-idx3-ubyte", 2, 32, 32, 2048, false);
    assert_idx_reads(state, "t10k-images-idx3-ubyte", false);
    write_idx(state, "t10k-images-idx3-ubyte.gz", 2, 32, 32, 2048, true);
    assert_idx_reads(state, "t10k-images-idx3-ubyte.gz", false);
    write_idx_labels(state, "t10k-labels-idx1-ubyte", 2);
    assert_idx_reads(state, "t10k-images-idx3-ubyte", true);
    assert_idx_reads(state, "t10k-images-idx3-ubyte.gz", true);
    write_idx(state, "train-images.idx3-ubyte", 2, 32, 32, 2048, false);
    write_idx_labels(state, "train-labels.idx1-ubyte", 2);
    assert_idx_reads(state, "train-images.idx3-ubyte", true);
}

static void test_damaged_idx(void **state) {
    of_source_options options = test_options(NULL);
    const char *name = "x-images-idx3-ubyte";
    write_idx(state, name, 3, 32, 32, 2048, false);
    assert_source_fails(path_of(state, name), &options, OF_ERROR_FORMAT, "announces 3 images");
    write_idx(state, name, 0, 32, 32, 0, false);
    assert_source_fails(path_of(state, name), &options, OF_ERROR_FORMAT, "no images");
    write_idx(state, name, 0xffffffff, 8192, 8192, 64, false);
    assert_source_fails(path_of(state, name), &options, OF_ERROR_FORMAT, "announces 4294967295");
    write_idx(state, name, 1, 0xffffffff, 0xffffffff, 64, false);
    assert_source_fails(path_of(state, name), &options, OF_ERROR_UNSUPPORTED, "over the limit");
    write_idx(state, name, 1, 0, 32, 64, false);
    assert_source_fails(path_of(state, name), &options, OF_ERROR_FORMAT, "32 x 0");
    write_file(state, name, "\0\0\x08\x03\0\0", 6);
    assert_source_fails(path_of(state, name), &options, OF_ERROR_FORMAT, "truncated");
    write_file(state, name, "text", 4);
    assert_source_fails(path_of(state, name), &options, OF_ERROR_FORMAT, "not IDX images");
    write_idx(state, name, 2, 32, 32, 2048, false);
    write_idx_labels(state, "x-labels-idx1-ubyte", 3);
    assert_source_fails(path_of(state, name), &options, OF_ERROR_MISMATCH, "3 labels for the 2");
    assert_source_fails(path_of(state, "x-labels-idx1-ubyte"), &options, OF_ERROR_FORMAT,
                        "these are labels");
}

/* In a compressed file the missing images show only at the end. */
static void test_truncated_idx_gz(void **state) {
    of_source_options options = test_options(NULL);
    write_idx(state, "x-images-idx3-ubyte.gz", 5, 32, 32, 2100, true);
    assert_int_equal(assert_source_fails(path_of(state, "x-images-idx3-ubyte.gz"), &options,
                                         OF_ERROR_FORMAT, "announces 5 entries, there are 2"),
                     2);
}

/* ---- NumPy ---------------------------------------------------------------------------------- */

static void write_npy(void **state, const char *name, unsigned version, const char *dictionary,
                      size_t data, unsigned seed) {
    uint8_t bytes[12 + 256 + 8192] = "\x93NUMPY";
    size_t length = strlen(dictionary), at = version == 1 ? 10 : 12;
    assert_true(length <= 256 && data <= 8192);
    bytes[6] = (uint8_t)version;
    bytes[8] = (uint8_t)length;
    bytes[9] = (uint8_t)(length >> 8);
    memcpy(bytes + at, dictionary, length);
    fill_pattern(bytes + at + length, data, seed);
    write_file(state, name, bytes, at + length + data);
}

static of_source_batch read_npy(void **state, of_source **source, uint32_t channels) {
    of_source_options options = test_options(NULL);
    options.channels = channels;
    *source = open_source(path_of(state, "x.npy"), &options);
    assert_int_equal(of_source_expected(*source), 2);
    of_source_batch batch = next_batch(*source, 9);
    assert_int_equal(batch.count, 2);
    assert_string_equal(batch.items[1].path, "1");
    assert_int_equal(batch.items[1].class_index, -1);
    return batch;
}

static void test_npy_shapes(void **state) {
    of_source *source;
    uint8_t expected[6144];
    fill_pattern(expected, sizeof expected, 4);

    write_npy(state, "x.npy", 1,
              "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 32, 32, 3), }\n", 6144, 4);
    of_source_batch batch = read_npy(state, &source, 3);
    assert_memory_equal(batch.pixels, expected, 6144);
    of_source_free(source);

    write_npy(state, "x.npy", 2,
              "{\"shape\":(2,3,32,32),\"fortran_order\":False,\"descr\":\"|u1\"}", 6144, 4);
    batch = read_npy(state, &source, 3);
    for (size_t n = 0; n < 2; n++)
        for (size_t i = 0; i < 1024; i++)
            for (size_t c = 0; c < 3; c++)
                assert_int_equal(batch.pixels[n * 3072 + 3 * i + c],
                                 expected[n * 3072 + 1024 * c + i]);
    of_source_free(source);

    write_npy(state, "x.npy", 3,
              "{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 32L, 32L)}", 2048, 4);
    batch = read_npy(state, &source, 1);
    assert_memory_equal(batch.pixels, expected, 2048);
    of_source_free(source);
}

static void test_bad_npy(void **state) {
    static const struct {
        const char *dictionary, *message;
        of_status status;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 32, 32)}", "'<f4'",
         OF_ERROR_UNSUPPORTED},
        {"{'descr': '|u1', 'fortran_order': True, 'shape': (2, 32, 32)}", "Fortran",
         OF_ERROR_UNSUPPORTED},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1024)}", "2 dimensions",
         OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1)}", "5 dimensions",
         OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 32, 32)}", "no dimension of 1",
         OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (0, 32, 32)}", "without images",
         OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (9, 32, 32)}", "truncated",
         OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (-2, 32, 32)}", "damaged .npy header",
         OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (18446744073709551615, 8192, 8192)}",
         "truncated", OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (18446744073709551617, 2, 2)}",
         "damaged .npy header", OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4294967297, 4294967297)}",
         "over the limit", OF_ERROR_UNSUPPORTED},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 0, 32)}", "32 x 0",
         OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 32, 32)", "damaged",
         OF_ERROR_FORMAT},
        {"{'descr': '|u1', 'shape': (2, 32, 32)}", "damaged", OF_ERROR_FORMAT},
        {"{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (2, 32, 32)}", "damaged",
         OF_ERROR_FORMAT},
        {"", "damaged", OF_ERROR_FORMAT},
    };
    of_source_options options = test_options(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_npy(state, "x.npy", 1, cases[i].dictionary, 2048, 0);
        assert_source_fails(path_of(state, "x.npy"), &options, cases[i].status, cases[i].message);
    }
    write_npy(state, "x.npy", 9, "{}", 0, 0);
    assert_source_fails(path_of(state, "x.npy"), &options, OF_ERROR_UNSUPPORTED, "version 9.0");
    write_file(state, "x.npy", "\x93NUMPY\2\0\xff\xff\xff\xff", 12);
    assert_source_fails(path_of(state, "x.npy"), &options, OF_ERROR_FORMAT, "header of 4294967295");
    write_file(state, "x.npy", "\x93NUMPY\1", 7);
    assert_source_fails(path_of(state, "x.npy"), &options, OF_ERROR_FORMAT, "truncated");
    write_file(state, "x.npy", "not numpy", 9);
    assert_source_fails(path_of(state, "x.npy"), &options, OF_ERROR_FORMAT, "signature");
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_cifar10),
        IN_DIRECTORY(test_cifar100),
        IN_DIRECTORY(test_folder_of_cifar_files),
        IN_DIRECTORY(test_damaged_cifar),
        IN_DIRECTORY(test_idx),
        IN_DIRECTORY(test_damaged_idx),
        IN_DIRECTORY(test_truncated_idx_gz),
        IN_DIRECTORY(test_npy_shapes),
        IN_DIRECTORY(test_bad_npy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
