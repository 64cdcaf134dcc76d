/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluations over the public header: numbers, flags, pairs, JSON, reports, images that stand out.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <outflow/evaluate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "detector_fixture.h"

enum { IN_IMAGES = 30, OUT_IMAGES = 21, MOST_SCORES = 32 };

static const of_evaluation_set_options two_sets[] = {{"in", "synthetic:shapes:30"},
                                                     {"noise", "synthetic:noise:21"}};

static of_evaluation_options options_for(const of_evaluation_set_options *sets, size_t count) {
    of_evaluation_options options = of_evaluation_options_default();
    options.sets = sets;
    options.set_count = count;
    options.compared = true;
    return options;
}

static of_evaluation *evaluate(const of_detector *detector, const of_evaluation_options *options) {
    of_evaluation *evaluation = NULL;
    of_error error;
    if (of_evaluate(detector, options, &evaluation, &error) != OF_OK)
        fail_msg("%s", error.message);
    return evaluation;
}

static void assert_same_values(const of_evaluation *a, const of_evaluation *b) {
    size_t scores;
    (void)of_evaluation_scores(a, &scores);
    for (size_t set = 0; set < of_evaluation_set_count(a); set++)
        for (size_t s = 0; s < scores; s++) {
            size_t count, other;
            const double *x = of_evaluation_values(a, set, s, &count);
            const double *y = of_evaluation_values(b, set, s, &other);
            assert_int_equal(count, other);
            assert_memory_equal(x, y, count * sizeof *x);
        }
}

/* ---- Numbers -------------------------------------------------------------------------------- */

static void test_scores_are_those_of_the_detector(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_evaluation_options options = options_for(two_sets, 2);
    of_evaluation *e = evaluate(f.detector, &options);
    of_score scores[MOST_SCORES];
    size_t count, expected = of_detector_scores(f.detector, scores, MOST_SCORES), images;
    const of_score *found = of_evaluation_scores(e, &count);
    assert_int_equal(count, expected);
    uint8_t *pixels =
        take_images(of_detector_architecture(f.detector), "synthetic:noise", OUT_IMAGES);
    double *values = malloc(OUT_IMAGES * count * sizeof *values);
    assert_non_null(values);
    assert_int_equal(of_detector_score(f.detector, &(of_batch){OF_PIXEL_U8, pixels, OUT_IMAGES},
                                       scores, count, values, NULL),
                     OF_OK);
    for (size_t s = 0; s < count; s++) {
        const double *column = of_evaluation_values(e, 1, s, &images);
        assert_int_equal(images, OUT_IMAGES);
        assert_int_equal(found[s].kind, scores[s].kind);
        for (size_t i = 0; i < images; i++)
            assert_memory_equal(&column[i], &values[i * count + s], sizeof *column);
    }
    assert_int_equal(found[of_evaluation_main_score(e)].kind, OF_SCORE_RATIO);
    assert_null(of_evaluation_values(e, 2, 0, &images));
    assert_int_equal(images, 0);
    assert_null(of_evaluation_values(e, 0, count, NULL));
    free(values);
    free(pixels);
    of_evaluation_free(e);
    free_fixture(&f);
}

static void assert_metrics(const of_evaluation *e, size_t score) {
    size_t ins, outs;
    const double *in = of_evaluation_values(e, 0, score, &ins);
    const double *out = of_evaluation_values(e, 1, score, &outs);
    const of_metrics *found = of_evaluation_metrics(e, 1, score);
    of_metrics expected;
    assert_int_equal(of_metrics_compute(in, ins, out, outs, &expected, NULL), OF_OK);
    assert_true(found->auroc == expected.auroc && found->aupr_in == expected.aupr_in &&
                found->aupr_out == expected.aupr_out && found->fpr95 == expected.fpr95);
    assert_int_equal(found->non_finite_out, expected.non_finite_out);
    assert_null(of_evaluation_metrics(e, 0, score));
}

static void test_metrics_follow_from_the_values(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_evaluation_options options = options_for(two_sets, 2);
    of_evaluation *e = evaluate(f.detector, &options);
    size_t scores;
    (void)of_evaluation_scores(e, &scores);
    for (size_t s = 0; s < scores; s++)
        assert_metrics(e, s);
    assert_null(of_evaluation_metrics(e, 1, scores));
    assert_null(of_evaluation_metrics(e, 2, 0));
    of_evaluation_free(e);
    free_fixture(&f);
}

static double mean(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

static void test_sets_have_their_facts(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_evaluation_options options = options_for(two_sets, 2);
    of_evaluation *e = evaluate(f.detector, &options);
    const of_architecture *architecture = of_detector_architecture(f.detector);
    size_t count;
    of_evaluation_set set = of_evaluation_get_set(e, 1);
    const double *logp = of_evaluation_logp(e, 1, &count);
    assert_int_equal(of_evaluation_set_count(e), 2);
    assert_int_equal(count, OUT_IMAGES);
    assert_string_equal(set.name, "noise");
    assert_string_equal(set.source, "synthetic:noise:21");
    assert_int_equal(set.stream.images, OUT_IMAGES);
    assert_int_equal(set.non_finite, 0);
    assert_true(set.mean_logp == mean(logp, count));
    assert_true(set.bits_per_dim == of_bits_per_dim(architecture, set.mean_logp));
    assert_true(set.mean_general_logp == mean(of_evaluation_general_logp(e, 1, NULL), count));
    assert_true(fabs(set.rank_correlation) <= 1 && fabs(set.correlation) <= 1);
    of_evaluation_summary summary = of_evaluation_summarise(e);
    assert_true(summary.compared && summary.with_general && summary.rate == 0);
    assert_true(summary.images_per_second > 0);
    assert_non_null(strstr(summary.convention, "auroc"));
    assert_null(of_evaluation_get_set(e, 2).name);
    of_evaluation_free(e);

    of_detector *alone = detector_of(f.model, NULL, 1);
    e = evaluate(alone, &options);
    assert_null(of_evaluation_general_logp(e, 0, &count));
    assert_true(isnan(of_evaluation_summarise(e).rank_correlation));
    assert_true(isnan(of_evaluation_get_set(e, 0).mean_general_logp));
    of_evaluation_free(e);
    of_detector_free(alone);
    free_fixture(&f);
}

/* ---- In parts -------------------------------------------------------------------------------- */

typedef struct part {
    of_evaluation *evaluation;
    size_t set;
} part;

static of_status add_part(void *user, const of_scored_batch *batch, of_error *error) {
    const part *p = user;
    return of_evaluation_add(p->evaluation, p->set, batch, error);
}

static void run_part(const of_detector *detector, of_evaluation *evaluation, size_t set,
                     const char *source, size_t batch) {
    of_stream_options stream = of_stream_options_default();
    of_stream_result result;
    of_error error;
    stream.batch = batch;
    stream.needs = of_evaluation_needs(evaluation);
    if (of_detector_stream(detector, source, &stream, add_part, &(part){evaluation, set}, &result,
                           &error) != OF_OK)
        fail_msg("%s", error.message);
    of_evaluation_end_set(evaluation, set, &result);
}

static void test_parts_give_the_same(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_evaluation_options options = options_for(two_sets, 2);
    of_evaluation *whole = evaluate(f.detector, &options), *parts = NULL;
    of_error error;
    assert_int_equal(of_evaluation_create(f.detector, &options, &parts, &error), OF_OK);
    assert_int_equal(of_evaluation_needs(parts) & OF_NEEDS_PNG, OF_NEEDS_PNG);
    run_part(f.detector, parts, 0, two_sets[0].source, 7);
    assert_int_equal(of_evaluation_write_json(parts, NULL, stderr, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_evaluation_finish(parts, &error), OF_ERROR_FORMAT); /* no noise yet */
    run_part(f.detector, parts, 1, two_sets[1].source, 5);
    assert_int_equal(of_evaluation_finish(parts, &error), OF_OK);
    assert_same_values(whole, parts);
    assert_memory_equal(of_evaluation_metrics(whole, 1, 0), of_evaluation_metrics(parts, 1, 0),
                        sizeof(of_metrics));
    assert_true(of_evaluation_get_set(whole, 1).rank_correlation ==
                of_evaluation_get_set(parts, 1).rank_correlation);
    assert_int_equal(of_detector_stream(f.detector, two_sets[0].source, NULL, add_part,
                                        &(part){parts, 0}, NULL, &error),
                     OF_ERROR_ARGUMENT); /* it is finished */
    of_evaluation_free(whole);
    of_evaluation_free(parts);
    free_fixture(&f);
}

/* ---- Flags ------------------------------------------------------------------------------------
 */

static void calibrate(of_detector *detector) {
    of_stream_options stream = of_stream_options_default();
    of_error error;
    stream.seed = 99;
    if (of_detector_calibrate(detector, "synthetic:shapes:200", &stream, NULL, &error) != OF_OK)
        fail_msg("%s", error.message);
}

static uint64_t count_flagged(const of_evaluation *e, const of_detector *detector, size_t set,
                              size_t score, of_flag_rule rule) {
    size_t count;
    uint64_t flagged = 0;
    const double *values = of_evaluation_values(e, set, score, &count);
    for (size_t i = 0; i < count; i++)
        flagged += of_detector_flags(detector, &rule, values[i]);
    return flagged;
}

static void test_flags_at_a_rate(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    calibrate(f.detector);
    of_evaluation_options options = options_for(two_sets, 2);
    options.rate = 0.05;
    of_evaluation *e = evaluate(f.detector, &options);
    size_t count, known = 0;
    uint64_t any = 0;
    const of_score *scores = of_evaluation_scores(e, &count);
    for (size_t s = 0; s < count; s++) {
        const of_flag_rule rule = {.score = scores[s], .rate = 0.05};
        of_evaluation_flags flags = of_evaluation_get_flags(e, 1, s);
        bool judged = of_detector_check_rule(f.detector, &rule, NULL) == OF_OK;
        assert_int_equal(flags.known, judged);
        assert_int_equal(flags.count, judged ? count_flagged(e, f.detector, 1, s, rule) : 0);
        assert_true(flags.share == (double)flags.count / OUT_IMAGES);
        assert_true(flags.low <= flags.share && flags.share <= flags.high);
        assert_true(flags.confidence == 0.99);
        known += flags.known;
        any += flags.count;
    }
    assert_true(known > 2 && any > 0);
    assert_int_equal(scores[of_evaluation_main_score(e)].kind, OF_SCORE_COMBINED);
    assert_false(of_evaluation_get_flags(e, 2, 0).known);
    of_evaluation_free(e);
    free_fixture(&f);
}

static void test_flags_at_a_threshold(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    of_evaluation_options options = options_for(two_sets, 2);
    const of_score last = {OF_SCORE_LAST, 0};
    of_evaluation *e = evaluate(f.detector, &options);
    double threshold = of_evaluation_values(e, 1, 1, NULL)[4]; /* `last` of an image */
    of_evaluation_free(e);
    options.asked = &last;
    options.threshold = &threshold;
    options.rate = 0.05; /* does not count */
    e = evaluate(f.detector, &options);
    size_t count;
    const of_score *scores = of_evaluation_scores(e, &count);
    const of_flag_rule rule = {.score = last, .threshold = threshold};
    assert_int_equal(scores[1].kind, OF_SCORE_LAST);
    assert_int_equal(of_evaluation_main_score(e), 1);
    for (size_t s = 0; s < count; s++)
        assert_int_equal(of_evaluation_get_flags(e, 0, s).known, s == 1);
    uint64_t flagged = of_evaluation_get_flags(e, 1, 1).count;
    assert_int_equal(flagged, count_flagged(e, f.detector, 1, 1, rule));
    assert_true(flagged > 0 && of_evaluation_summarise(e).rate == 0);
    of_evaluation_free(e);
    free_fixture(&f);
}

/* ---- Pairs ------------------------------------------------------------------------------------
 */

static void test_pairs(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    of_detector *other = detector_of(f.general, f.general, 1),
                *alone = detector_of(f.model, NULL, 1);
    of_evaluation_options options = options_for(two_sets, 2);
    of_stream_options fewer = of_stream_options_default();
    of_evaluation *before = evaluate(f.detector, &options), *after = evaluate(other, &options);
    of_evaluation *of_alone = evaluate(alone, &options);
    of_error error;
    assert_int_equal(of_evaluation_check_pair(before, after, &error), OF_OK);
    of_set_change change = of_evaluation_change(before, after, 1);
    const double *a = of_evaluation_logp(before, 1, NULL), *b = of_evaluation_logp(after, 1, NULL);
    double most = 0;
    for (size_t i = 0; i < OUT_IMAGES; i++)
        most = fmax(most, fabs(b[i] - a[i]));
    assert_int_equal(change.images, OUT_IMAGES);
    assert_true(change.max_abs_nats == most && most > 0);
    assert_true(change.before_bits_per_dim == of_evaluation_get_set(before, 1).bits_per_dim);
    assert_true(change.after_bits_per_dim == of_evaluation_get_set(after, 1).bits_per_dim);
    assert_true(fabs(change.mean_nats - (mean(b, OUT_IMAGES) - mean(a, OUT_IMAGES))) < 1e-6);
    assert_true(change.mean_abs_nats >= fabs(change.mean_nats));
    assert_int_equal(of_evaluation_change(before, after, 2).images, 0);

    assert_int_equal(of_evaluation_check_pair(before, of_alone, &error), OF_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "scores"));
    of_evaluation_free(after);
    fewer.limit = 20;
    options.stream = &fewer;
    after = evaluate(other, &options);
    assert_int_equal(of_evaluation_check_pair(before, after, &error), OF_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "30 images in one evaluation and 20"));
    of_evaluation_free(after);
    const of_evaluation_set_options renamed[] = {two_sets[0], {"static", two_sets[1].source}};
    options = options_for(renamed, 2);
    after = evaluate(other, &options);
    assert_int_equal(of_evaluation_check_pair(before, after, &error), OF_ERROR_MISMATCH);
    of_evaluation_free(before);
    of_evaluation_free(after);
    of_evaluation_free(of_alone);
    of_detector_free(other);
    of_detector_free(alone);
    free_fixture(&f);
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static cJSON *write_json(const of_evaluation *e, const of_evaluation *bf16) {
    char *text = NULL;
    size_t size;
    of_error error;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    if (of_evaluation_write_json(e, bf16, file, &error) != OF_OK)
        fail_msg("%s", error.message);
    assert_int_equal(fclose(file), 0);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    assert_true(text[size - 1] == '\n');
    free(text);
    return json;
}

/* Members one inside the other. */
static const cJSON *find(const cJSON *json, const char *a, const char *b, const char *c,
                         const char *d) {
    const char *names[] = {a, b, c, d};
    for (size_t i = 0; i < 4 && names[i] != NULL; i++)
        json = cJSON_GetObjectItemCaseSensitive(json, names[i]);
    return json;
}

static void assert_number(const cJSON *item, double expected) {
    assert_true(cJSON_IsNumber(item));
    assert_true(item->valuedouble == expected);
}

static void test_json_has_all_numbers(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_detector_models models = {
        .size = sizeof models, .model = f.model, .general_model = f.general};
    of_detector_options named = of_detector_options_default();
    of_detector *detector = NULL;
    named.model = "parts.safetensors";
    assert_int_equal(of_detector_create(&models, &named, &detector, NULL), OF_OK);
    calibrate(detector);
    of_evaluation_options options = options_for(two_sets, 2);
    options.rate = 0.1;
    of_evaluation *e = evaluate(detector, &options);
    cJSON *json = write_json(e, e);
    size_t count;
    const of_score *scores = of_evaluation_scores(e, &count);
    for (size_t s = 0; s < count; s++) {
        char name[32];
        of_score_name(scores[s], name, sizeof name);
        const of_metrics *metrics = of_evaluation_metrics(e, 1, s);
        of_evaluation_flags flags = of_evaluation_get_flags(e, 0, s);
        assert_number(find(json, "out", "noise", name, "auroc"), metrics->auroc);
        assert_number(find(json, "out", "noise", name, "fpr95"), metrics->fpr95);
        const cJSON *flagged =
            find(find(json, "flagged", "scores", name, "in"), NULL, NULL, NULL, NULL);
        assert_int_equal(flagged != NULL, flags.known);
        if (flags.known)
            assert_number(find(flagged, "high", NULL, NULL, NULL), flags.high);
        assert_number(find(find(json, "compare_precision", "auroc", "noise", name), "change", NULL,
                           NULL, NULL),
                      0);
    }
    of_evaluation_set set = of_evaluation_get_set(e, 1);
    assert_number(find(json, "out_sets", "noise", "images", NULL), OUT_IMAGES);
    assert_number(find(json, "in", "images", NULL, NULL), IN_IMAGES);
    assert_number(find(json, "bits_per_dim", "noise", NULL, NULL), set.bits_per_dim);
    assert_number(find(json, "mean_logp_general", "noise", NULL, NULL), set.mean_general_logp);
    assert_number(find(json, "rank_correlation", "noise", NULL, NULL), set.rank_correlation);
    assert_string_equal(find(json, "model", NULL, NULL, NULL)->valuestring, named.model);
    assert_string_equal(find(json, "precision", NULL, NULL, NULL)->valuestring, "f32");
    cJSON_Delete(json);
    of_evaluation_free(e);
    of_detector_free(detector);
    free_fixture(&f);
}

/* ---- Reports ------------------------------------------------------------------------------------
 */

typedef of_status write_form(of_evaluation *evaluation, FILE *file, of_error *error);

static of_status write_page(of_evaluation *evaluation, FILE *file, of_error *error) {
    return of_evaluation_write_report(evaluation, NULL, file, error);
}

static of_status write_figure(of_evaluation *evaluation, FILE *file, of_error *error) {
    return of_evaluation_write_figure(evaluation, file, error);
}

/* What a form writes; freed with free(). */
static char *text_of(of_evaluation *e, write_form *form) {
    char *text = NULL;
    size_t size;
    of_error error;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    if (form(e, file, &error) != OF_OK)
        fail_msg("%s", error.message);
    assert_int_equal(fclose(file), 0);
    return text;
}

static size_t count_text(const char *text, const char *pattern) {
    size_t times = 0;
    while ((text = strstr(text, pattern)) != NULL) {
        text += strlen(pattern);
        times++;
    }
    return times;
}

/* Every element ends, in order; every & begins a reference. */
static void assert_well_formed(const char *text) {
    char open[64][16];
    size_t depth = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '&')
            assert_true(strcspn(c, ";") < strcspn(c, "< \""));
        if (*c != '<' || c[1] == '!' || c[1] == '?')
            continue;
        char name[16];
        bool closing = c[1] == '/';
        const char *begin = c + 1 + closing, *end = begin + strcspn(begin, ">");
        size_t length = strcspn(begin, " \n/>");
        assert_true(length > 0 && length < sizeof name && *end == '>');
        memcpy(name, begin, length);
        name[length] = '\0';
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], name);
        } else if (end[-1] != '/') {
            assert_true(depth < 64);
            memcpy(open[depth++], name, sizeof name);
        }
        c = end;
    }
    assert_int_equal(depth, 0);
}

static void test_report_shows_sets_and_images(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_evaluation_set_options sets[] = {two_sets[0], {"<a&b>", "synthetic:noise:9"}};
    of_evaluation_options options = options_for(sets, 2);
    options.keep_images = true;
    of_evaluation *e = evaluate(f.detector, &options);
    char *page = text_of(e, write_page), *figure = text_of(e, write_figure);
    char auroc[32];
    (void)snprintf(auroc, sizeof auroc, ">%.4f</td>", of_evaluation_metrics(e, 1, 0)->auroc);
    assert_well_formed(page);
    assert_well_formed(figure);
    assert_int_equal(count_text(page, "<div class=\"pair\">"), 16 + 9); /* all of the small set */
    assert_non_null(strstr(page, "&lt;a&amp;b&gt;"));
    assert_non_null(strstr(page, auroc));
    assert_non_null(strstr(page, "in memory: glow, 3x16x16"));
    assert_non_null(strstr(page, "what it adds on average in in-distribution images"));
    assert_null(strstr(page, "<pre>")); /* no command is known */
    assert_int_equal(count_text(figure, "class=\"hill\""), 4);
    free(page);
    free(figure);
    of_evaluation_free(e);
    free_fixture(&f);
}

static void test_report_with_a_threshold(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    of_evaluation_options options = options_for(two_sets, 2);
    const of_score nll = {OF_SCORE_NLL, 0};
    const double threshold = 1234.5;
    options.keep_images = true;
    options.asked = &nll;
    options.threshold = &threshold;
    of_evaluation *e = evaluate(f.detector, &options);
    char *page = text_of(e, write_page);
    assert_well_formed(page);
    assert_non_null(strstr(page, "Flagged at a threshold of 1234.5<"));
    assert_null(strstr(page, "false-positive rate of 0<"));
    free(page);
    of_evaluation_free(e);
    free_fixture(&f);
}

typedef struct watched {
    uint64_t expected, images;
    size_t starts, left; /* left: questions until it is to stop */
} watched;

static void note_start(void *user, const char *source, uint64_t expected) {
    watched *w = user;
    assert_string_equal(source, "heat");
    w->expected = expected;
    w->starts++;
}

static void note_progress(void *user, uint64_t images) {
    ((watched *)user)->images = images;
}

static bool is_over(void *user) {
    watched *w = user;
    return w->left == 0 || w->left-- == 0;
}

static void test_heat_is_watched_and_made_once(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    of_evaluation_options options = options_for(two_sets, 2);
    options.keep_images = true;
    of_evaluation *e = evaluate(f.detector, &options);
    watched w = {.left = 2};
    const of_stream_observer observer = {.size = sizeof observer,
                                         .user = &w,
                                         .started = note_start,
                                         .progressed = note_progress,
                                         .stop = is_over};
    of_report_options report = of_report_options_default();
    of_error error;
    FILE *file = tmpfile();
    report.observer = &observer;
    report.command = "outflow 'a & b'";
    assert_int_equal(of_evaluation_write_report(e, &report, file, &error), OF_ERROR_IO);
    assert_string_equal(error.message, "interrupted");
    assert_true(w.images > 0 && w.images < w.expected);
    w.left = SIZE_MAX;
    assert_int_equal(of_evaluation_write_report(e, &report, file, &error), OF_OK);
    assert_int_equal(w.expected, 32);
    assert_int_equal(w.images, 32);
    assert_int_equal(of_evaluation_write_report(e, &report, file, &error), OF_OK);
    assert_int_equal(w.starts, 2);
    (void)fclose(file);
    of_evaluation_free(e);
    free_fixture(&f);
}

/* Means and numbers of images are there, whether the caller ended the sets or not; a set that has
 * ended takes no more images. */
static void test_sets_that_are_not_ended(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_evaluation_options options = options_for(two_sets, 2);
    of_evaluation *whole = evaluate(f.detector, &options), *parts = NULL;
    of_stream_options stream = of_stream_options_default();
    of_error error;
    assert_int_equal(of_evaluation_create(f.detector, &options, &parts, &error), OF_OK);
    stream.needs = of_evaluation_needs(parts);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(of_detector_stream(f.detector, two_sets[i].source, &stream, add_part,
                                            &(part){parts, i}, NULL, &error),
                         OF_OK);
    of_evaluation_end_set(parts, 0, NULL);
    assert_int_equal(of_detector_stream(f.detector, two_sets[0].source, &stream, add_part,
                                        &(part){parts, 0}, NULL, &error),
                     OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "has ended"));
    assert_int_equal(of_evaluation_finish(parts, &error), OF_OK);
    for (size_t i = 0; i < 2; i++) {
        of_evaluation_set a = of_evaluation_get_set(whole, i), b = of_evaluation_get_set(parts, i);
        assert_true(a.stream.images > 0 && a.stream.images == b.stream.images);
        assert_true(a.mean_logp == b.mean_logp);
    }
    of_evaluation_free(whole);
    of_evaluation_free(parts);
    free_fixture(&f);
}

static void test_uncompared_sets_without_images_are_left_out(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_evaluation_set_options sets[] = {{"none", "nothing"}, two_sets[0], two_sets[1]};
    of_evaluation_options options = options_for(sets, 3);
    of_evaluation *e = NULL;
    of_error error;
    options.compared = false;
    options.keep_images = true;
    assert_int_equal(of_evaluation_create(f.detector, &options, &e, &error), OF_OK);
    of_evaluation_end_set(e, 0, &(of_stream_result){.unreadable = 3});
    assert_int_equal(of_evaluation_finish(e, &error), OF_ERROR_FORMAT); /* no image at all */
    assert_non_null(strstr(error.message, "nothing"));
    run_part(f.detector, e, 1, sets[1].source, 0);
    run_part(f.detector, e, 2, sets[2].source, 0);
    assert_int_equal(of_evaluation_finish(e, &error), OF_OK);
    assert_null(of_evaluation_metrics(e, 2, 0));
    assert_true(isnan(of_evaluation_get_flags(e, 0, 0).share));
    char *page = text_of(e, write_page), *figure = text_of(e, write_figure);
    assert_well_formed(page);
    assert_well_formed(figure);
    assert_null(strstr(page, "none</th>"));
    assert_non_null(strstr(page, "noise"));
    cJSON *json = write_json(e, NULL);
    assert_number(find(json, "sets", "none", "unreadable", NULL), 3);
    assert_null(find(json, "out", NULL, NULL, NULL));
    cJSON_Delete(json);
    free(page);
    free(figure);
    of_evaluation_free(e);
    free_fixture(&f);
}

/* ---- Examples -----------------------------------------------------------------------------------
 */

/* Offers images with the values of a list, in turn. */
typedef struct offer {
    of_examples *most, *least;
    const double *values;
    size_t used;
} offer;

static of_status offer_batch(void *user, const of_scored_batch *batch, of_error *error) {
    offer *o = user;
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < of_scored_count(batch); i++) {
        double value = o->values[o->used++];
        status = of_examples_offer(o->most, "a source", batch, i, value, error);
        if (status == OF_OK)
            status = of_examples_offer(o->least, "a source", batch, i, value, error);
    }
    return status;
}

static void assert_paths(const of_examples *examples, const char *const *paths, size_t count) {
    assert_int_equal(of_examples_count(examples), count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(of_examples_get(examples, i).path, paths[i]);
}

static void test_examples_are_ordered(void **state) {
    (void)state;
    static const double values[] = {3, 1, NAN, 3, -2, 8, 1, -INFINITY};
    static const char *const highest[] = {"2", "7", "5", "0", "3"}; /* the earlier of equal ones */
    static const char *const lowest[] = {"4", "6", "1"};            /* from the other end */
    fixture f = make_fixture(2);
    of_stream_options stream = of_stream_options_default();
    offer o = {.values = values};
    of_error error;
    stream.limit = 8;
    stream.batch = 3;
    assert_int_equal(of_examples_create(f.detector, 5, false, &o.most, &error), OF_OK);
    assert_int_equal(of_examples_create(f.detector, SIZE_MAX, true, &o.least, &error), OF_OK);
    assert_int_equal(
        of_detector_stream(f.detector, "synthetic:noise", &stream, offer_batch, &o, NULL, &error),
        OF_OK);
    of_examples_sort(o.most);
    of_examples_sort(o.least);
    of_examples_sort(o.least); /* changes nothing */
    assert_paths(o.most, highest, 5);
    assert_int_equal(of_examples_count(o.least), 8);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(of_examples_get(o.least, i).path, lowest[i]);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(of_examples_get(o.least, 7 - i).path, highest[i]);
    assert_string_equal(of_examples_get(o.most, 0).source, "a source");
    assert_null(of_examples_get(o.most, 5).path);
    o.used = 0;
    assert_int_equal(
        of_detector_stream(f.detector, "synthetic:noise", &stream, offer_batch, &o, NULL, &error),
        OF_ERROR_ARGUMENT); /* sorted already */
    of_examples_free(o.most);
    of_examples_free(o.least);
    free_fixture(&f);
}

static void test_heat_of_examples_is_the_detectors(void **state) {
    (void)state;
    enum { KEPT = 40, PIXELS = 16 * 16 }; /* more than one part */
    fixture f = make_fixture(2);
    double values[KEPT], heat[PIXELS], limit;
    const of_score ratio = {OF_SCORE_RATIO, 0};
    of_stream_options stream = of_stream_options_default();
    offer o = {.values = values};
    of_error error;
    for (size_t i = 0; i < KEPT; i++)
        values[i] = (double)i;
    stream.limit = KEPT;
    assert_int_equal(of_examples_create(f.detector, SIZE_MAX, false, &o.most, &error), OF_OK);
    assert_int_equal(of_examples_create(f.detector, 0, true, &o.least, &error), OF_OK);
    assert_int_equal(
        of_detector_stream(f.detector, "synthetic:shapes", &stream, offer_batch, &o, NULL, &error),
        OF_OK);
    of_examples_sort(o.most);
    assert_int_equal(of_examples_count(o.least), 0);
    assert_null(of_examples_get(o.most, 0).heat);
    assert_int_equal(of_examples_heat(o.most, ratio, NULL, NULL, &error), OF_OK);
    for (size_t i = 0; i < KEPT; i++) {
        of_example example = of_examples_get(o.most, i);
        assert_true(example.value == (double)(KEPT - 1 - i));
        assert_int_equal(of_detector_relative_heat(f.detector, ratio, NULL,
                                                   &(of_batch){OF_PIXEL_U8, example.pixels, 1},
                                                   heat, &limit, &error),
                         OF_OK);
        assert_memory_equal(heat, example.heat, sizeof heat);
        assert_true(limit == example.limit && limit > 0);
    }
    of_examples_free(o.most);
    of_examples_free(o.least);
    free_fixture(&f);
}

/* ---- Refused ------------------------------------------------------------------------------------
 */

static void expect_refused(const of_detector *detector, const of_evaluation_options *options,
                           of_status status, const char *setting, const char *part_of_message) {
    of_evaluation *e = NULL;
    of_error error;
    assert_int_equal(of_evaluate(detector, options, &e, &error), status);
    assert_null(e);
    assert_string_equal(error.setting, setting);
    assert_non_null(strstr(error.message, part_of_message));
}

static void test_refuses(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_score typicality = {OF_SCORE_TYPICALITY, 0}, last = {OF_SCORE_LAST, 0};
    const of_evaluation_set_options twins[] = {two_sets[0], {"in", "synthetic:noise:3"}};
    const of_evaluation_set_options nameless[] = {two_sets[0], {NULL, "synthetic:noise:3"}};
    const of_evaluation_set_options lists[] = {{"a", "-"}, {"b", "-"}};
    const of_evaluation_set_options missing[] = {two_sets[0], {"b", "no/such/file"}};
    const double nan = NAN, zero = 0;
    of_evaluation_options options = options_for(NULL, 0);
    expect_refused(f.detector, NULL, OF_ERROR_ARGUMENT, "sets", "no set");
    expect_refused(f.detector, &options, OF_ERROR_ARGUMENT, "sets", "no set");
    options = options_for(twins, 2);
    expect_refused(f.detector, &options, OF_ERROR_ARGUMENT, "sets", "two sets are named 'in'");
    options = options_for(nameless, 2);
    expect_refused(f.detector, &options, OF_ERROR_ARGUMENT, "sets", "set 2 has no name");
    options = options_for(lists, 2);
    expect_refused(f.detector, &options, OF_ERROR_ARGUMENT, "sets", "standard input");
    options = options_for(missing, 2);
    expect_refused(f.detector, &options, OF_ERROR_IO, "", "no/such/file");
    options = options_for(two_sets, 2);
    options.size = 0;
    expect_refused(f.detector, &options, OF_ERROR_ARGUMENT, "", "size");
    options = options_for(two_sets, 2);
    options.rate = 1;
    expect_refused(f.detector, &options, OF_ERROR_ARGUMENT, "rate", "between 0 and 1");
    options.rate = 0;
    options.threshold = &zero;
    expect_refused(f.detector, &options, OF_ERROR_ARGUMENT, "asked", "threshold");
    options.asked = &last;
    options.threshold = &nan;
    expect_refused(f.detector, &options, OF_ERROR_ARGUMENT, "threshold", "not a number");
    options.threshold = NULL;
    options.asked = &typicality;
    expect_refused(f.detector, &options, OF_ERROR_ARGUMENT, "calibration", "typicality");
    expect_refused(NULL, &options, OF_ERROR_ARGUMENT, "", "detector");
    free_fixture(&f);
}

static void test_a_set_of_nothing_readable_is_refused(void **state) {
    (void)state;
    char folder[] = "/tmp/of_evaluate_XXXXXX", path[64];
    fixture f = make_fixture(2);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/bad.png", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("text", file) >= 0 && fclose(file) == 0);
    const of_evaluation_set_options sets[] = {two_sets[0], {"bad", folder}};
    const of_evaluation_options options = options_for(sets, 2);
    expect_refused(f.detector, &options, OF_ERROR_FORMAT, "", "no image could be read, 1 failed");
    (void)remove(path);
    (void)remove(folder);
    free_fixture(&f);
}

static void test_a_report_needs_images(void **state) {
    (void)state;
    fixture f = make_fixture(2);
    const of_evaluation_options options = options_for(two_sets, 2);
    of_evaluation *e = evaluate(f.detector, &options);
    of_error error;
    FILE *file = tmpfile();
    assert_int_equal(of_evaluation_write_report(e, NULL, file, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "keep_images");
    assert_int_equal(ftell(file), 0);
    assert_int_equal(of_evaluation_write_report(e, NULL, NULL, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_evaluation_write_json(e, NULL, NULL, &error), OF_ERROR_ARGUMENT);
    char *figure = text_of(e, write_figure); /* which shows none */
    assert_well_formed(figure);
    free(figure);
    (void)fclose(file);
    of_evaluation_free(e);
    of_evaluation_free(NULL);
    of_examples_free(NULL);
    free_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_are_those_of_the_detector),
        cmocka_unit_test(test_metrics_follow_from_the_values),
        cmocka_unit_test(test_sets_have_their_facts),
        cmocka_unit_test(test_parts_give_the_same),
        cmocka_unit_test(test_flags_at_a_rate),
        cmocka_unit_test(test_flags_at_a_threshold),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_json_has_all_numbers),
        cmocka_unit_test(test_report_shows_sets_and_images),
        cmocka_unit_test(test_report_with_a_threshold),
        cmocka_unit_test(test_heat_is_watched_and_made_once),
        cmocka_unit_test(test_sets_that_are_not_ended),
        cmocka_unit_test(test_uncompared_sets_without_images_are_left_out),
        cmocka_unit_test(test_examples_are_ordered),
        cmocka_unit_test(test_heat_of_examples_is_the_detectors),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_a_set_of_nothing_readable_is_refused),
        cmocka_unit_test(test_a_report_needs_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
