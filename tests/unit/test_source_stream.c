/* SPDX-License-Identifier: Apache-2.0 */
/* Image sources as streams: order, batches, limits, early ends, and what lies in memory. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include "data/labels.h"
#include "data/source.h"

#include <malloc.h>
#include <signal.h>

/* ---- A reader that counts and misbehaves on demand ------------------------------------------- */

typedef struct fake_reader {
    of_reader reader;
    uint64_t next, count, fails_at; /* fails_at: entry before which the source breaks */
    size_t entry_bytes;
    unsigned bad_every; /* 0: none */
    bool *closed;
} fake_reader;

static of_status next_fake(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    fake_reader *fake = (fake_reader *)reader;
    char name[32];
    if (fake->next == fake->fails_at)
        return of_fail(error, OF_ERROR_IO, "the cable was pulled");
    *end = fake->next == fake->count;
    if (*end)
        return OF_OK;
    (void)snprintf(name, sizeof name, "%llu", (unsigned long long)fake->next);
    of_status status = of_entry_begin(entry, name, "", error);
    if (status != OF_OK)
        return status;
    if (fake->bad_every > 0 && fake->next % fake->bad_every == 0) {
        entry->content = OF_CONTENT_UNREADABLE;
        (void)of_fail(&entry->reason, OF_ERROR_FORMAT, "bad on purpose");
    } else {
        assert_true(of_bytes_reserve(&entry->bytes, fake->entry_bytes));
        entry->bytes.size = fake->entry_bytes;
        entry->content = OF_CONTENT_PIXELS;
        entry->raster = (of_raster){.height = 1, .width = 1, .channels = 1};
        entry->bytes.data[0] = (uint8_t)fake->next;
    }
    fake->next++;
    return OF_OK;
}

static void close_fake(of_reader *reader) {
    fake_reader *fake = (fake_reader *)reader;
    *fake->closed = true;
    free(fake);
}

static of_source_options pixel_options(unsigned threads) {
    of_source_options options = of_source_options_default(NULL);
    options.channels = options.height = options.width = 1;
    options.threads = threads;
    return options;
}

static of_source *open_fake(fake_reader settings, const of_source_options *options) {
    fake_reader *fake = malloc(sizeof *fake);
    of_source *source = NULL;
    assert_non_null(fake);
    *fake = settings;
    fake->reader = (of_reader){.next = next_fake, .close = close_fake};
    if (fake->entry_bytes == 0)
        fake->entry_bytes = 1;
    *fake->closed = false;
    assert_int_equal(of_source_from_reader(&fake->reader, options, &source, NULL), OF_OK);
    return source;
}

static void test_order_with_many_threads(void **state) {
    (void)state;
    bool closed;
    of_source_options options = pixel_options(16);
    of_source *source = open_fake(
        (fake_reader){.count = 20000, .fails_at = UINT64_MAX, .bad_every = 7, .closed = &closed},
        &options);
    uint64_t expected = 0;
    for (size_t size = 1;; size = size * 3 % 1000 + 1) {
        of_source_batch batch = next_batch(source, size);
        assert_true(batch.count <= size);
        for (size_t i = 0; i < batch.count; i++) {
            expected += expected % 7 == 0;
            assert_int_equal(strtoull(batch.items[i].path, NULL, 10), expected);
            assert_int_equal(batch.pixels[i], (uint8_t)expected);
            expected++;
        }
        if (batch.count == 0)
            break;
        assert_true(batch.count == size || expected == 19999);
    }
    assert_int_equal(expected, 19999); /* the last entry is a bad one */
    assert_int_equal(of_source_unreadable(source), 2858);
    of_source_free(source);
    assert_true(closed);
}

static void test_images_before_a_failure(void **state) {
    (void)state;
    bool closed;
    of_error error;
    of_source_batch batch;
    of_source_options options = pixel_options(4);
    of_source *source =
        open_fake((fake_reader){.count = 5000, .fails_at = 1234, .closed = &closed}, &options);
    assert_int_equal(next_batch(source, 1000).count, 1000);
    assert_int_equal(next_batch(source, 1000).count, 234);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(of_source_next(source, 1000, &batch, &error), OF_ERROR_IO);
        assert_string_equal(error.message, "the cable was pulled");
    }
    of_source_free(source);
}

static void test_strict(void **state) {
    (void)state;
    bool closed;
    of_error error;
    of_source_batch batch;
    of_source_options options = pixel_options(4);
    options.strict = true;
    of_source *source = open_fake(
        (fake_reader){
            .next = 1, .count = 500, .fails_at = UINT64_MAX, .bad_every = 100, .closed = &closed},
        &options);
    assert_int_equal(next_batch(source, 1000).count, 99);
    assert_int_equal(of_source_next(source, 1000, &batch, &error), OF_ERROR_FORMAT);
    assert_string_equal(error.message, "100: bad on purpose");
    assert_int_equal(of_source_unreadable(source), 1);
    of_source_free(source);
}

static void test_limit(void **state) {
    (void)state;
    bool closed;
    of_source_options options = pixel_options(2);
    options.limit = 10;
    of_source *source = open_fake(
        (fake_reader){
            .count = UINT64_MAX, .fails_at = UINT64_MAX, .bad_every = 3, .closed = &closed},
        &options);
    assert_int_equal(next_batch(source, 7).count, 7);
    assert_int_equal(next_batch(source, 7).count, 3);
    assert_int_equal(next_batch(source, 7).count, 0);
    of_source_free(source);
    options = test_options(NULL);
    options.limit = 10;
    source = open_source("synthetic:flat:50", &options);
    assert_int_equal(of_source_expected(source), 10);
    of_source_free(source);
}

static void test_free_at_any_moment(void **state) {
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        bool closed;
        of_source_options options = pixel_options(1 + i % 5);
        of_source *source = open_fake((fake_reader){.count = UINT64_MAX,
                                                    .fails_at = i % 3 == 0 ? i * 20 : UINT64_MAX,
                                                    .closed = &closed},
                                      &options);
        for (unsigned k = 0; k < i % 7; k++)
            (void)of_source_next(source, 1 + i * 5, &(of_source_batch){0}, NULL);
        of_source_free(source);
        assert_true(closed);
    }
    of_source_free(NULL);
}

typedef struct patience {
    unsigned questions, most;
    of_source *source;
} patience;

static bool loses_patience(void *user) {
    patience *caller = user;
    (void)of_source_skipped(caller->source); /* no lock is held */
    return ++caller->questions > caller->most;
}

/* A list whose writer says nothing more: the caller is asked while it waits. */
static void test_stop_while_waiting(void **state) {
    int list[2];
    of_error error;
    of_source_batch batch;
    of_target target;
    of_reader *reader;
    patience caller = {.most = 3};
    of_source_options options = of_source_options_default(NULL);
    options.threads = 2;
    options.user = &caller;
    options.stop = loses_patience;
    write_pattern(state, "1.png", 1);
    const char *path = path_of(state, "1.png");
    assert_int_equal(pipe(list), 0);
    assert_int_equal(write(list[1], path, strlen(path)), strlen(path));
    assert_int_equal(write(list[1], "\n", 1), 1);
    assert_int_equal(of_source_target(&options, &target, NULL), OF_OK);
    assert_int_equal(of_reader_open_list(list[0], &target, &reader, NULL), OF_OK);
    assert_int_equal(of_source_from_reader(reader, &options, &caller.source, NULL), OF_OK);
    assert_int_equal(next_batch(caller.source, 1).count, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(of_source_next(caller.source, 1, &batch, &error), OF_ERROR_IO);
        assert_string_equal(error.message, "interrupted");
    }
    assert_int_equal(caller.questions, 4);
    of_source_free(caller.source);
    (void)close(list[0]);
    (void)close(list[1]);
}

/* Without end, and never a reason to wait: asked all the same, and nothing is given after that. */
static void test_stop_while_busy(void **state) {
    (void)state;
    bool closed;
    of_error error;
    of_source_batch batch;
    patience caller = {.most = 1};
    of_source_options options = pixel_options(2);
    options.user = &caller;
    options.stop = loses_patience;
    caller.source = open_fake(
        (fake_reader){
            .count = UINT64_MAX, .fails_at = UINT64_MAX, .bad_every = 2, .closed = &closed},
        &options);
    assert_int_equal(of_source_next(caller.source, SIZE_MAX, &batch, &error), OF_ERROR_IO);
    assert_string_equal(error.message, "interrupted");
    of_source_free(caller.source);
    assert_true(closed);
}

/* Entries of 48 MiB, far more of them than memory for all: only a few may be alive at once. */
static void test_large_files_do_not_pile_up(void **state) {
    (void)state;
    bool closed;
    of_source_options options = pixel_options(2);
    of_source *source = open_fake((fake_reader){.count = 200,
                                                .fails_at = UINT64_MAX,
                                                .entry_bytes = (size_t)48 << 20,
                                                .closed = &closed},
                                  &options);
    size_t images = 0, most = 0, count;
    while ((count = next_batch(source, 1).count) > 0) {
        struct mallinfo2 information = mallinfo2();
        size_t used = information.hblkhd + information.uordblks;
        images += count;
        most = used > most ? used : most;
    }
    assert_int_equal(images, 200);
    assert_true(most < (size_t)400 << 20);
    of_source_free(source);
}

/* Threads of the source leave signals to the caller's. */
static void test_signals_stay_with_the_caller(void **state) {
    (void)state;
    bool closed;
    sigset_t before, after;
    of_source_options options = pixel_options(2);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    of_source *source =
        open_fake((fake_reader){.count = 5, .fails_at = UINT64_MAX, .closed = &closed}, &options);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    assert_int_equal(sigismember(&after, SIGINT), sigismember(&before, SIGINT));
    of_source_free(source);
}

static void test_bad_arguments(void **state) {
    (void)state;
    bool closed;
    of_source *source = NULL;
    of_source_batch batch;
    of_source_options options = pixel_options(2);
    assert_int_equal(of_source_open(NULL, &options, &source, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_source_open("synthetic:flat", NULL, &source, NULL), OF_ERROR_ARGUMENT);
    options.size = 0;
    assert_int_equal(of_source_open("synthetic:flat", &options, &source, NULL), OF_ERROR_ARGUMENT);
    options.size = sizeof options;
    assert_int_equal(of_source_open("synthetic:flat", &options, NULL, NULL), OF_ERROR_ARGUMENT);
    options.threads = 1000;
    assert_int_equal(of_source_open("synthetic:flat", &options, &source, NULL), OF_ERROR_ARGUMENT);
    assert_null(source);
    options.threads = 1;
    source =
        open_fake((fake_reader){.count = 5, .fails_at = UINT64_MAX, .closed = &closed}, &options);
    assert_int_equal(of_source_next(source, 0, &batch, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_source_next(source, 1, NULL, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(next_batch(source, SIZE_MAX).count, 5);
    of_source_free(source);
}

static void test_labels(void **state) {
    (void)state;
    of_labels labels = {0};
    int32_t number;
    char name[32];
    for (int round = 0; round < 2; round++)
        for (int32_t i = 0; i < 3000; i++) {
            (void)snprintf(name, sizeof name, "class %d", (int)i);
            assert_true(of_labels_number(&labels, name, &number));
            assert_int_equal(number, i);
        }
    assert_int_equal(labels.count, 3000);
    of_labels_free(&labels);
}

/* The real thing, where it is at hand. */
static void test_cifar10_archive(void **state) {
    (void)state;
    const char *path = TEST_SHARED_DIR "/data/cifar10-test.tar";
    if (access(path, R_OK) != 0) {
        print_message("SKIPPED: %s is not there\n", path);
        skip();
    }
    of_source_options options = of_source_options_default(NULL);
    of_source *source = open_source(path, &options);
    size_t images = 0, in_class[10] = {0};
    of_source_batch batch;
    while ((batch = next_batch(source, 256)).count > 0)
        for (size_t i = 0; i < batch.count; i++, images++) {
            assert_in_range(batch.items[i].class_index, 0, 9);
            in_class[batch.items[i].class_index]++;
        }
    assert_int_equal(images, 4000);
    assert_int_equal(of_source_unreadable(source), 0);
    for (int i = 0; i < 10; i++)
        assert_true(in_class[i] > 300);
    of_source_free(source);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_with_many_threads),
        cmocka_unit_test(test_images_before_a_failure),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_free_at_any_moment),
        IN_DIRECTORY(test_stop_while_waiting),
        cmocka_unit_test(test_stop_while_busy),
        cmocka_unit_test(test_large_files_do_not_pile_up),
        cmocka_unit_test(test_signals_stay_with_the_caller),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_cifar10_archive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
