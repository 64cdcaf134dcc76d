/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints come back bit for bit; damaged and foreign ones are refused with a reason. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include "core/random.h"
#include "train/checkpoint.h"

#include <math.h>

typedef struct run {
    of_model *model;
    float *first, *second;
    of_train_state state;
    of_checkpoint checkpoint;
} run;

static void fill(float *values, size_t floats, uint64_t seed) {
    of_random random = of_random_stream(seed, 0);
    for (size_t i = 0; i < floats; i++)
        values[i] = (float)of_random_normal(&random);
}

static run make_run(uint32_t hidden, uint64_t seed, of_permutation permutation) {
    of_architecture architecture = of_architecture_default();
    run made = {0};
    architecture.height = architecture.width = 8;
    architecture.scales = 2;
    architecture.steps = 1;
    architecture.hidden = hidden;
    architecture.permutation = permutation;
    architecture.lu = permutation == OF_PERMUTATION_INVCONV;
    assert_int_equal(of_model_create(&architecture, seed, &made.model, NULL), OF_OK);
    made.first = calloc(made.model->value_bytes, 1);
    made.second = calloc(made.model->value_bytes, 1);
    assert_non_null(made.first);
    assert_non_null(made.second);
    fill(made.first, made.model->value_bytes / sizeof(float), seed);
    fill(made.second, made.model->value_bytes / sizeof(float), seed + 1);
    made.state.counters.step = 77 + seed;
    made.state.counters.images = UINT64_MAX - seed;
    made.state.figures.nll = 0.1 + (double)seed;
    made.state.figures.recent_bits = (double)NAN;
    return made;
}

static void connect(run *r) {
    r->checkpoint = (of_checkpoint){
        .model = r->model,
        .blocks = {{"first", r->first}, {"second", r->second}, {"average", NULL}, {"best", NULL}},
        .block_count = 4,
        .state = &r->state,
        .identity = "lr=0.5\nbatch=64\n"};
}

static void free_run(run *r) {
    of_model_free(r->model);
    free(r->first);
    free(r->second);
}

static void path_in(const fixture *f, const char *name, char *path) {
    (void)snprintf(path, 128, "%s/%s", f->directory, name);
}

static void assert_same_trained(const of_model *model, const void *a, const void *b) {
    for (size_t i = 0; i < model->parameter_count; i++) {
        const of_parameter *p = &model->parameters[i];
        if (p->kind == OF_PARAMETER_TRAINED)
            assert_memory_equal((const char *)a + p->offset, (const char *)b + p->offset,
                                p->count * sizeof(float));
    }
}

static void round_trip_keeps_every_bit(void **state) {
    for (int permutation = 0; permutation < 3; permutation++) {
        run written = make_run(8, 1, (of_permutation)permutation);
        run read = make_run(8, 1, (of_permutation)permutation);
        char path[128];
        of_error error;
        path_in(*state, "a.checkpoint", path);
        connect(&written);
        connect(&read);
        float *conv =
            of_model_values(written.model, written.model->scales[0].steps[0].conv1_weight);
        conv[0] = 1.25F;
        memset(read.first, 0, read.model->value_bytes);
        memset(read.second, 0, read.model->value_bytes);
        read.state = (of_train_state){0};
        assert_int_equal(of_checkpoint_write(path, &written.checkpoint, &error), OF_OK);
        assert_int_equal(of_checkpoint_read(path, &read.checkpoint, &error), OF_OK);
        assert_memory_equal(read.model->values, written.model->values, written.model->value_bytes);
        assert_same_trained(written.model, written.first, read.first);
        assert_same_trained(written.model, written.second, read.second);
        assert_memory_equal(&read.state, &written.state, sizeof read.state);
        free_run(&written);
        free_run(&read);
    }
}

static void expect_refusal(const char *path, run *reader, of_status status, const char *reason) {
    of_error error;
    unsigned char *before = malloc(reader->model->value_bytes);
    assert_non_null(before);
    memcpy(before, reader->model->values, reader->model->value_bytes);
    assert_int_equal(of_checkpoint_read(path, &reader->checkpoint, &error), status);
    if (strstr(error.message, reason) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, reason);
    assert_memory_equal(before, reader->model->values, reader->model->value_bytes);
    free(before);
}

static void foreign_ones_are_refused(void **state) {
    run written = make_run(8, 1, OF_PERMUTATION_INVCONV);
    run wider = make_run(12, 1, OF_PERMUTATION_INVCONV);
    run other = make_run(8, 2, OF_PERMUTATION_INVCONV);
    run more = make_run(8, 1, OF_PERMUTATION_INVCONV);
    char path[128], model[128];
    path_in(*state, "b.checkpoint", path);
    path_in(*state, "b.model", model);
    connect(&written);
    connect(&wider);
    connect(&other);
    connect(&more);
    assert_int_equal(of_checkpoint_write(path, &written.checkpoint, NULL), OF_OK);
    assert_int_equal(of_model_save(written.model, model, NULL), OF_OK);
    expect_refusal(path, &wider, OF_ERROR_MISMATCH, "another architecture");
    expect_refusal(model, &more, OF_ERROR_FORMAT, "not a checkpoint");
    more.checkpoint.identity = "lr=0.25\nbatch=64\n";
    expect_refusal(path, &more, OF_ERROR_MISMATCH, "'lr=0.5' there, '0.25' here");
    more.checkpoint.identity = "lr=0.5\nbatch=64\nema=0.9\n";
    expect_refusal(path, &more, OF_ERROR_MISMATCH, "ema=0.9");
    more.checkpoint.identity = written.checkpoint.identity;
    more.checkpoint.blocks[3].values = more.second; /* a run that keeps its best weights */
    expect_refusal(path, &more, OF_ERROR_FORMAT, "best.");
    free_run(&written);
    free_run(&wider);
    free_run(&other);
    free_run(&more);
}

/* Fixed values, and permutations that index memory, must be those of the run's own model. */
static void fixed_values_are_not_taken_over(void **state) {
    run written = make_run(8, 1, OF_PERMUTATION_SHUFFLE);
    run read = make_run(8, 1, OF_PERMUTATION_SHUFFLE);
    char path[128];
    path_in(*state, "f.checkpoint", path);
    connect(&written);
    connect(&read);
    of_model_indices(written.model, written.model->scales[0].steps[0].indices)[0] = 1 << 30;
    assert_int_equal(of_checkpoint_write(path, &written.checkpoint, NULL), OF_OK);
    of_error error;
    assert_int_equal(of_checkpoint_read(path, &read.checkpoint, &error), OF_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "is fixed"));
    free_run(&written);
    free_run(&read);
}

/* One low bit of the data, which looks like any other value. */
static void turned_bits_are_noticed(void **state) {
    run written = make_run(8, 1, OF_PERMUTATION_INVCONV);
    run read = make_run(8, 1, OF_PERMUTATION_INVCONV);
    char path[128];
    struct stat info;
    path_in(*state, "turned.checkpoint", path);
    connect(&written);
    connect(&read);
    assert_int_equal(of_checkpoint_write(path, &written.checkpoint, NULL), OF_OK);
    assert_int_equal(of_checkpoint_read(path, &read.checkpoint, NULL), OF_OK);
    assert_int_equal(stat(path, &info), 0);
    for (long from_end = 4; from_end < 4000; from_end += 332) {
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        for (int turn = 0; turn < 2; turn++) { /* there and back */
            assert_int_equal(fseek(file, info.st_size - from_end, SEEK_SET), 0);
            int byte = fgetc(file);
            assert_int_equal(fseek(file, info.st_size - from_end, SEEK_SET), 0);
            assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
            assert_int_equal(fflush(file), 0);
            if (turn == 0)
                expect_refusal(path, &read, OF_ERROR_FORMAT, "damaged: its content is not what");
        }
        assert_int_equal(fclose(file), 0);
    }
    assert_int_equal(of_checkpoint_read(path, &read.checkpoint, NULL), OF_OK);
    free_run(&written);
    free_run(&read);
}

static void truncated_ones_are_refused(void **state) {
    run written = make_run(8, 1, OF_PERMUTATION_INVCONV);
    run read = make_run(8, 1, OF_PERMUTATION_INVCONV);
    char path[128];
    struct stat information;
    of_error error;
    path_in(*state, "c.checkpoint", path);
    connect(&written);
    connect(&read);
    assert_int_equal(of_checkpoint_write(path, &written.checkpoint, NULL), OF_OK);
    assert_int_equal(stat(path, &information), 0);
    for (off_t size = information.st_size - 1;; size /= 3) {
        assert_int_equal(truncate(path, size), 0);
        assert_int_equal(of_checkpoint_read(path, &read.checkpoint, &error), OF_ERROR_FORMAT);
        assert_non_null(strstr(error.message, "c.checkpoint"));
        assert_int_equal(stat(path, &information), 0);
        assert_int_equal(information.st_size, size); /* left as it was */
        if (size == 0)
            break;
    }
    free_run(&written);
    free_run(&read);
}

static void values_that_are_not_finite_are_not_written(void **state) {
    run good = make_run(8, 1, OF_PERMUTATION_INVCONV);
    run read = make_run(8, 1, OF_PERMUTATION_INVCONV);
    char path[128];
    path_in(*state, "d.checkpoint", path);
    connect(&good);
    connect(&read);
    assert_int_equal(of_checkpoint_write(path, &good.checkpoint, NULL), OF_OK);
    of_model_values(good.model, good.model->scales[1].prior_loc)[0] = (float)NAN;
    assert_int_equal(of_checkpoint_write(path, &good.checkpoint, NULL), OF_ERROR_NUMERIC);
    assert_int_equal(of_checkpoint_read(path, &read.checkpoint, NULL), OF_OK); /* the old one */
    free_run(&good);
    free_run(&read);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_keeps_every_bit),
        cmocka_unit_test(foreign_ones_are_refused),
        cmocka_unit_test(fixed_values_are_not_taken_over),
        cmocka_unit_test(turned_bits_are_noticed),
        cmocka_unit_test(truncated_ones_are_refused),
        cmocka_unit_test(values_that_are_not_finite_are_not_written),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
