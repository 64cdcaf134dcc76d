/* SPDX-License-Identifier: Apache-2.0 */
/* Training over the public header: what observers are told, stopping and going on, the log, and
 * what is refused. */
#define _XOPEN_SOURCE 700
#include <outflow/train.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { STEPS = 200, BATCH = 8 };

static char folder[] = "/tmp/train-XXXXXX";
static const char *const shapes[] = {"synthetic:shapes:60"};
static const of_named_source flat = {"flat", "synthetic:flat:20"};

static int enter_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int leave_folder(void **state) {
    (void)state;
    static const char *const files[] = {"a", "b", "c", "a.log", "b.log"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s.checkpoint", files[i]);
        (void)unlink(files[i]);
        (void)unlink(name);
    }
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static of_architecture small(void) {
    of_architecture architecture = of_architecture_default();
    architecture.channels = 0; /* those of the data */
    architecture.height = architecture.width = 16;
    architecture.scales = 2;
    architecture.steps = 1;
    architecture.hidden = 8;
    return architecture;
}

static of_train_options wish(const char *out, const of_architecture *architecture) {
    of_train_options options = of_train_options_default();
    options.out = out;
    options.architecture = architecture;
    options.data = shapes;
    options.data_count = 1;
    options.batch = BATCH;
    options.rate = 5e-3;
    options.images = STEPS * BATCH;
    options.flip = true;
    options.shift = 0.1;
    options.hold_out = 0.25;
    options.out_of = &flat;
    options.out_of_count = 1;
    options.valid_every = 50 * BATCH;
    options.threads = 2;
    options.record = "a test";
    return options;
}

/* What an observer was told. */
typedef struct witness {
    unsigned started, progressed, loading, validating, reports, validations, warnings;
    unsigned stop_after; /* steps; 0: never */
    size_t images, valid_images;
    uint64_t resumed_step;
    double first_bits, last_bits, auroc;
    bool sums_up;
} witness;

static void see_start(void *user, const of_train_start *start) {
    witness *w = user;
    w->started++;
    w->images = start->images;
    w->valid_images = start->valid_images;
    w->resumed_step = start->resumed_step;
    assert_int_equal(start->architecture->channels, 3);
    assert_non_null(strstr(start->architecture_json, "\"hidden\":8"));
    assert_int_equal(start->total_images, STEPS * BATCH);
    assert_int_equal(start->threads, 2);
    assert_true(start->memory.gradients > 0 && start->memory.optimizer > 0);
}

static void see_progress(void *user, uint64_t images, double bits_per_dim, double rate) {
    witness *w = user;
    w->progressed++;
    assert_int_equal(images, w->resumed_step * BATCH + w->progressed * BATCH);
    assert_true(isfinite(bits_per_dim) && rate == 5e-3);
}

static void see_loading(void *user, const char *source, uint64_t loaded, uint64_t expected) {
    (void)loaded;
    (void)expected;
    assert_non_null(source);
    ((witness *)user)->loading++;
}

static void see_validating(void *user, uint64_t done, uint64_t total) {
    assert_true(done <= total);
    ((witness *)user)->validating++;
}

static of_status see_report(void *user, const of_train_report *report, of_error *error) {
    witness *w = user;
    double sum = 8;
    (void)error;
    w->reports++;
    assert_int_equal(report->scales, 2);
    for (uint32_t s = 0; s < report->scales; s++)
        sum += report->scale_bits[s];
    w->sums_up = fabs(sum - report->bits_per_dim) < 1e-6;
    if (w->reports == 1)
        w->first_bits = report->bits_per_dim;
    w->last_bits = report->bits_per_dim;
    if (report->validation != NULL) {
        w->validations++;
        assert_int_equal(report->validation->out_of_count, 1);
        assert_string_equal(report->validation->out_of[0].name, "flat");
        w->auroc = report->validation->out_of[0].auroc_nll;
        assert_true(isnan(report->validation->out_of[0].auroc_ratio));
    }
    return OF_OK;
}

static void see_warning(void *user, const char *text) {
    assert_non_null(text);
    ((witness *)user)->warnings++;
}

static bool is_stopped(void *user) {
    const witness *w = user;
    return w->stop_after > 0 && w->progressed >= w->stop_after;
}

static of_train_observer watch(witness *w) {
    of_train_observer observer = of_train_observer_default();
    observer.user = w;
    observer.started = see_start;
    observer.progressed = see_progress;
    observer.loading = see_loading;
    observer.validating = see_validating;
    observer.report = see_report;
    observer.warn = see_warning;
    observer.stop = is_stopped;
    return observer;
}

static of_train_result train(const of_train_options *options, witness *w) {
    of_train_observer observer = watch(w);
    of_train_result result;
    of_error error;
    if (of_train(options, &observer, &result, &error) != OF_OK)
        fail_msg("%s", error.message);
    return result;
}

static void expect_same_weights(const char *one, const char *two) {
    of_model *a = NULL, *b = NULL;
    assert_int_equal(of_model_load(one, &a, NULL), OF_OK);
    assert_int_equal(of_model_load(two, &b, NULL), OF_OK);
    assert_int_equal(of_model_tensor_count(a), of_model_tensor_count(b));
    for (size_t i = 0; i < of_model_tensor_count(a); i++) {
        of_tensor_info first = of_model_tensor(a, i), second = of_model_tensor(b, i);
        size_t values = 1;
        for (uint32_t axis = 0; axis < first.rank; axis++)
            values *= (size_t)first.shape[axis];
        if (first.values != NULL)
            assert_memory_equal(first.values, second.values, values * sizeof(float));
    }
    of_model_free(a);
    of_model_free(b);
}

/* Up to what depends on a clock. */
static void expect_same_figures(const char *one, const char *two, unsigned lines) {
    FILE *a = fopen(one, "r"), *b = fopen(two, "r");
    char first[2048], second[2048];
    unsigned count = 0;
    assert_true(a && b);
    while (fgets(first, sizeof first, a) != NULL) {
        assert_non_null(fgets(second, sizeof second, b));
        char *end = strstr(first, "\"images_per_second\"");
        assert_non_null(end);
        assert_memory_equal(first, second, (size_t)(end - first));
        count++;
    }
    assert_null(fgets(second, sizeof second, b));
    assert_int_equal(count, lines);
    assert_int_equal(fclose(a) | fclose(b), 0);
}

/* ---- A run -------------------------------------------------------------------------------- */

static void observer_is_told_of_every_step(void **state) {
    (void)state;
    of_architecture architecture = small();
    of_train_options options = wish("a", &architecture);
    witness w = {0};
    options.log = "a.log";
    of_train_result result = train(&options, &w);
    assert_int_equal(result.end, OF_TRAIN_FINISHED);
    assert_int_equal(result.step, STEPS);
    assert_int_equal(result.images, STEPS * BATCH);
    assert_int_equal(result.skipped | result.unreadable, 0);
    assert_int_equal(result.log_error.status, OF_OK);
    assert_string_equal(result.checkpoint, "a.checkpoint");
    assert_int_equal(w.started, 1);
    assert_int_equal(w.progressed, STEPS);
    assert_int_equal(w.reports, STEPS / 50);
    assert_int_equal(w.validations, STEPS / 50);
    assert_int_equal(w.warnings, 0);
    assert_true(w.loading >= 3 && w.validating >= 4);
    assert_int_equal(w.images + w.valid_images, 60);
    assert_true(w.valid_images > 0 && w.sums_up && w.auroc >= 0 && w.auroc <= 1);
    assert_true(w.last_bits < w.first_bits - 0.2);
    assert_true(result.bits_per_dim == w.last_bits);
    of_model *model = NULL;
    assert_int_equal(of_model_load("a", &model, NULL), OF_OK);
    assert_non_null(strstr(of_model_metadata(model, "training"), "\"command\":\"a test\""));
    assert_non_null(strstr(of_model_metadata(model, "training"), "part:0.25-1:synthetic:shapes"));
    of_model_free(model);
}

/* After observer_is_told_of_every_step, whose run is the whole one. */
static void run_that_is_stopped_goes_on_bit_for_bit(void **state) {
    (void)state;
    of_architecture architecture = small();
    of_train_options options = wish("b", &architecture);
    witness first = {.stop_after = 73}, second = {.stop_after = 60}, third = {0};
    options.log = "b.log";
    of_train_result result = train(&options, &first);
    assert_int_equal(result.end, OF_TRAIN_INTERRUPTED);
    assert_int_equal(result.step, 73);
    assert_int_equal(access("b", F_OK), -1);
    options.threads = 2;
    options.resume = true;
    result = train(&options, &second);
    assert_int_equal(second.resumed_step, 73);
    assert_int_equal(result.step, 133);
    result = train(&options, &third);
    assert_int_equal(third.resumed_step, 133);
    assert_int_equal(result.end, OF_TRAIN_FINISHED);
    assert_int_equal(result.step, STEPS);
    expect_same_weights("a", "b");
    expect_same_figures("a.log", "b.log", STEPS / 50);
}

static void what_is_there_is_kept(void **state) {
    (void)state;
    of_architecture architecture = small();
    of_train_options options = wish("b", &architecture);
    of_train_result result;
    of_error error;
    assert_int_equal(of_train(&options, NULL, &result, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "resume");
    assert_int_equal(unlink("b.checkpoint"), 0);
    assert_int_equal(of_train(&options, NULL, &result, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "overwrite");
    options.overwrite = true;
    options.images = 2 * BATCH;
    assert_int_equal(of_train(&options, NULL, &result, &error), OF_OK);
    options.overwrite = false;
    options.resume = true;
    options.rate = 1e-3;
    assert_int_equal(of_train(&options, NULL, &result, &error), OF_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "'lr=0.0050000000000000001' there"));
}

static of_status fail_report(void *user, const of_train_report *report, of_error *error) {
    (void)user;
    (void)report;
    return of_fail(error, OF_ERROR_IO, "the observer has had enough");
}

static void failure_of_a_report_ends_the_run(void **state) {
    (void)state;
    of_architecture architecture = small();
    of_train_options options = wish("c", &architecture);
    of_train_observer observer = of_train_observer_default();
    of_train_result result;
    of_error error;
    observer.report = fail_report;
    assert_int_equal(of_train(&options, &observer, &result, &error), OF_ERROR_IO);
    assert_string_equal(error.message, "the observer has had enough");
    assert_int_equal(access("c", F_OK), -1);
    assert_int_equal(unlink("c.checkpoint"), 0);
    observer.size = 0;
    assert_int_equal(of_train(&options, &observer, &result, &error), OF_ERROR_ARGUMENT);
}

static void log_that_cannot_be_written_ends_nothing(void **state) {
    (void)state;
    of_architecture architecture = small();
    of_train_options options = wish("c", &architecture);
    witness w = {0};
    if (access("/dev/full", W_OK) != 0)
        skip();
    options.log = "/dev/full";
    of_train_result result = train(&options, &w);
    assert_int_equal(result.end, OF_TRAIN_FINISHED);
    assert_int_equal(result.log_error.status, OF_ERROR_IO);
    assert_non_null(strstr(result.log_error.message, "cannot write /dev/full: No space left"));
    assert_int_equal(w.warnings, 1);
    expect_same_weights("a", "c");
}

/* ---- Weights to start from ---------------------------------------------------------------- */

static void architecture_is_that_of_the_weights_to_start_from(void **state) {
    (void)state;
    of_architecture architecture = small();
    of_train_options options = wish("c", NULL);
    of_model *init = NULL;
    of_train_result result;
    of_error error;
    assert_int_equal(of_model_load("a", &init, NULL), OF_OK);
    options.overwrite = true;
    options.images = BATCH;
    options.init = init;
    assert_int_equal(of_train(&options, NULL, &result, &error), OF_OK);
    options.init = NULL;
    options.init_file = "a";
    options.architecture = &architecture;
    assert_int_equal(of_train(&options, NULL, &result, &error), OF_OK);
    architecture.hidden = 9;
    assert_int_equal(of_train(&options, NULL, &result, &error), OF_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "a has another architecture"));
    assert_string_equal(error.setting, "init_file");
    of_model_free(init);
}

/* Three channels of 32 x 32 where nothing is said. */
static void architecture_is_that_of_the_data(void **state) {
    (void)state;
    of_train_options options = wish("c", NULL);
    of_train_result result;
    of_model *model = NULL;
    options.overwrite = true;
    options.images = BATCH;
    assert_int_equal(of_train(&options, NULL, &result, NULL), OF_OK);
    assert_int_equal(of_model_load("c", &model, NULL), OF_OK);
    of_architecture made = *of_model_architecture(model), expected = of_architecture_default();
    assert_int_equal(made.height, expected.height);
    assert_int_equal(made.channels, expected.channels);
    assert_int_equal(made.hidden, expected.hidden);
    of_model_free(model);
}

/* ---- What is refused ---------------------------------------------------------------------- */

static void expect_refused(const of_train_options *options, const char *setting) {
    of_error error;
    of_train_result result;
    if (of_train_options_check(options, &error) != OF_ERROR_ARGUMENT)
        fail_msg("'%s' is not refused", setting);
    assert_string_equal(error.setting, setting);
    assert_null(strstr(error.message, "--"));
    assert_int_equal(of_train(options, NULL, &result, NULL), OF_ERROR_ARGUMENT);
}

#define REFUSED(setting, ...)                                                                      \
    do {                                                                                           \
        of_train_options o = good;                                                                 \
        __VA_ARGS__;                                                                               \
        expect_refused(&o, setting);                                                               \
    } while (0)

static void values_out_of_range_are_refused(void **state) {
    (void)state;
    of_architecture architecture = small();
    const of_train_options good = wish("c", &architecture);
    const double nothing = 0;
    const char *const missing[] = {NULL};
    assert_int_equal(of_train_options_check(&good, NULL), OF_OK);
    REFUSED("out", o.out = NULL);
    REFUSED("data", o.data_count = 0);
    REFUSED("data", o.data = missing);
    REFUSED("data", o.data_count = 65);
    REFUSED("gradient_precision", o.gradient_precision = OF_PRECISION_AUTO);
    REFUSED("data", o.data_shares = &nothing);
    REFUSED("out_of", o.out_of_count = 17);
    REFUSED("batch", o.batch = 0);
    REFUSED("rate", o.rate = 0);
    REFUSED("rate", o.rate = (double)NAN);
    REFUSED("shift", o.shift = 0.6);
    REFUSED("ema", o.ema = 1);
    REFUSED("beta2", o.beta2 = 1);
    REFUSED("clip", o.clip = -1);
    REFUSED("threads", o.threads = 5000);
    REFUSED("images", o.images = UINT64_MAX);
    REFUSED("optimizer", o.optimizer = (of_optimizer_kind)7);
    REFUSED("log_every", o.log_every = 0);
}

static void contradictions_are_refused(void **state) {
    (void)state;
    of_architecture architecture = small();
    const of_train_options good = wish("c", &architecture);
    const char *const part[] = {"part:0-0.5:synthetic:shapes"}, *const input[] = {"-", "-"};
    REFUSED("hold_out", o.valid = shapes, o.valid_count = 1);
    REFUSED("hold_out", o.data = part);
    REFUSED("valid", o.hold_out = 0);
    REFUSED("valid", o.hold_out = 0, o.out_of_count = 0, o.valid_every = 0, o.patience = 1);
    REFUSED("general_data", o.outlier_loss = OF_OUTLIER_MARGIN);
    REFUSED("general_model", o.outlier_loss = OF_OUTLIER_RATIO, o.general_data = shapes,
            o.general_count = 1);
    REFUSED("outlier_loss", o.general_data = shapes, o.general_count = 1);
    REFUSED("outlier_loss", o.temperature = 10);
    REFUSED("out_of", o.outlier_loss = OF_OUTLIER_MARGIN, o.general_data = shapes,
            o.general_count = 1, o.out_of_count = 0, o.patience = 3);
    REFUSED("", o.resume = o.overwrite = true);
    REFUSED("", o.data = input, o.data_count = 2, o.hold_out = 0, o.out_of_count = 0,
            o.valid_every = 0);
    REFUSED("", o.size = 0);
}

static void names_read_back(void **state) {
    (void)state;
    of_outlier_loss loss;
    of_optimizer_kind optimizer;
    of_schedule_kind schedule;
    of_error error;
    for (int i = 0; i <= OF_OUTLIER_MARGIN; i++) {
        assert_int_equal(
            of_outlier_loss_parse(of_outlier_loss_name((of_outlier_loss)i), &loss, NULL), OF_OK);
        assert_int_equal(loss, i);
    }
    for (int i = 0; i <= OF_OPTIMIZER_ADAMW; i++) {
        assert_int_equal(
            of_optimizer_kind_parse(of_optimizer_kind_name((of_optimizer_kind)i), &optimizer, NULL),
            OF_OK);
        assert_int_equal(optimizer, i);
    }
    for (int i = 0; i <= OF_SCHEDULE_COSINE; i++) {
        assert_int_equal(
            of_schedule_kind_parse(of_schedule_kind_name((of_schedule_kind)i), &schedule, NULL),
            OF_OK);
        assert_int_equal(schedule, i);
    }
    assert_int_equal(of_optimizer_kind_parse("sgd", &optimizer, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.message, "unknown optimizer 'sgd': use adamax, adam or adamw");
    assert_string_equal(of_optimizer_kind_name((of_optimizer_kind)9), "unknown");
    assert_string_equal(of_train_end_name(OF_TRAIN_INTERRUPTED), "interrupted");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(observer_is_told_of_every_step),
        cmocka_unit_test(run_that_is_stopped_goes_on_bit_for_bit),
        cmocka_unit_test(what_is_there_is_kept),
        cmocka_unit_test(failure_of_a_report_ends_the_run),
        cmocka_unit_test(log_that_cannot_be_written_ends_nothing),
        cmocka_unit_test(architecture_is_that_of_the_weights_to_start_from),
        cmocka_unit_test(architecture_is_that_of_the_data),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(names_read_back),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
