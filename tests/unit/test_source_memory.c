/* SPDX-License-Identifier: Apache-2.0 */
/* Large images are decoded beside each other only as far as memory is granted. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include "data/pipeline.h"
#include "data/pixels/image.h"
#include "data/source.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { SIDE = 1200, THREADS = 8, IMAGES = 24, IMAGE_BYTES = SIDE * SIDE * 4 * 4 };

/* A PNG of 16 bits a channel whose first row has this colour; small, as all else is empty. */
static encoded large_png(unsigned seed) {
    uint16_t *pixels = calloc((size_t)SIDE * SIDE * 4, sizeof *pixels);
    assert_non_null(pixels);
    for (size_t i = 0; i < (size_t)SIDE * 4; i++)
        pixels[i] = (uint16_t)(seed << 8);
    encoded file = encode_png(pixels, SIDE, SIDE, PNG_FORMAT_LINEAR_RGB_ALPHA);
    free(pixels);
    return file;
}

static of_target target_of(unsigned side) {
    of_target target;
    of_source_options options = of_source_options_default(NULL);
    options.height = options.width = side;
    assert_int_equal(of_source_target(&options, &target, NULL), OF_OK);
    return target;
}

static void test_estimates(void **state) {
    (void)state;
    of_target target = target_of(32);
    encoded large = large_png(1), small = encode_pattern(1);
    assert_int_equal(of_image_decoding_bytes(large.bytes, large.size, &target), IMAGE_BYTES);
    assert_int_equal(of_image_decoding_bytes(small.bytes, small.size, &target), 0);
    assert_int_equal(of_image_decoding_bytes(large.bytes, 20, &target), 0);
    target.max_pixels = 1000;
    assert_int_equal(of_image_decoding_bytes(large.bytes, large.size, &target), 0);
    free(large.bytes);
    free(small.bytes);
}

/* Baseline and progressive headers of 1024 x 1024 x 3. */
static void test_estimates_of_jpeg(void **state) {
    (void)state;
    of_target target = target_of(32);
    uint8_t file[] = {0xff, 0xd8, 0xff, 0xe0, 0,    4, 0, 0,    0xff, 0xc0, 0,    17, 8,    4,   0,
                      4,    0,    3,    1,    0x11, 0, 2, 0x11, 0,    3,    0x11, 0,  0xff, 0xd9};
    assert_int_equal(of_image_decoding_bytes(file, sizeof file, &target), 6 << 20);
    file[9] = 0xc2;
    assert_int_equal(of_image_decoding_bytes(file, sizeof file, &target), 12 << 20);
}

typedef struct meter {
    atomic_bool stop;
    size_t most;
} meter;

static void *measure(void *argument) {
    meter *memory = argument;
    while (!atomic_load(&memory->stop)) {
        struct mallinfo2 information = mallinfo2();
        memory->most = information.hblkhd > memory->most ? information.hblkhd : memory->most;
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return NULL;
}

/* Decodes all images in order, with this grant for all; gives the most memory that was in use. */
static size_t decode_all(void **state, size_t granted) {
    of_target target = target_of(32);
    of_reader *reader;
    of_pipeline *pipeline;
    meter memory = {.most = 0};
    pthread_t thread;
    of_slot *slot;
    bool late;
    /* Whatever is large is mapped, and counted, by itself. */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    size_t before = mallinfo2().hblkhd;
    assert_int_equal(pthread_create(&thread, NULL, measure, &memory), 0);
    assert_int_equal(of_reader_open_folder(path_of(state, "large"), &target, &reader, NULL), OF_OK);
    assert_int_equal(of_pipeline_start(reader, &target, THREADS, granted, &pipeline, NULL), OF_OK);
    for (unsigned i = 0; i < IMAGES; i += !late) {
        char name[32];
        assert_int_equal(of_pipeline_take(pipeline, 1, &late, &slot, NULL), OF_OK);
        if (late)
            continue;
        assert_non_null(slot);
        assert_int_equal(slot->result.status, OF_OK);
        (void)snprintf(name, sizeof name, "%02u.png", i);
        assert_string_equal((const char *)slot->entry.path.data, name);
        of_pipeline_release(pipeline);
    }
    of_pipeline_free(pipeline);
    atomic_store(&memory.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return memory.most > before ? memory.most - before : 0;
}

static void test_large_images_take_turns(void **state) {
    make_folder(state, "large");
    for (unsigned i = 0; i < IMAGES; i++) {
        char name[32];
        encoded file = large_png(i);
        (void)snprintf(name, sizeof name, "large/%02u.png", i);
        write_file(state, name, file.bytes, file.size);
        free(file.bytes);
    }
    /* An image is about its estimate; one is always let through, however little is granted. */
    assert_true(decode_all(state, 1) < (size_t)IMAGE_BYTES * 3 / 2);
    assert_true(decode_all(state, (size_t)2 * IMAGE_BYTES) < (size_t)IMAGE_BYTES * 3);
}

/* Ends while some work and others wait. */
static void test_free_while_waiting(void **state) {
    of_target target = target_of(32);
    test_large_images_take_turns(state);
    for (unsigned i = 0; i < 4; i++) {
        of_reader *reader;
        of_pipeline *pipeline;
        assert_int_equal(of_reader_open_folder(path_of(state, "large"), &target, &reader, NULL),
                         OF_OK);
        assert_int_equal(of_pipeline_start(reader, &target, THREADS, 1, &pipeline, NULL), OF_OK);
        for (unsigned k = 0; k < i; k++) {
            bool late = true;
            of_slot *slot;
            while (late)
                assert_int_equal(of_pipeline_take(pipeline, 1, &late, &slot, NULL), OF_OK);
            of_pipeline_release(pipeline);
        }
        of_pipeline_free(pipeline);
    }
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimates),
        cmocka_unit_test(test_estimates_of_jpeg),
        IN_DIRECTORY(test_free_while_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
