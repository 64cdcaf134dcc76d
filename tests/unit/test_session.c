/* SPDX-License-Identifier: Apache-2.0 */
/* Several callers over one plan, each with a session of its own: the bits that each would get
 * alone. What a session takes, and what a plan must have been compiled for. */
#include "core/memory.h"
#include "core/random.h"
#include "graph/plan.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"
#include "random_model.h"

enum { IMAGES = 9, CALLERS = 4, ROUNDS = 2, THREADS = 3, SEED = 5 };

static of_architecture small(uint32_t channels, uint32_t height, uint32_t width) {
    of_architecture a = of_architecture_default();
    a.channels = channels;
    a.height = height;
    a.width = width;
    a.scales = 2;
    a.steps = 2;
    a.hidden = 16;
    return a;
}

static of_plan *compile(const of_architecture *architecture, unsigned threads, bool inverse,
                        bool latency) {
    of_model *model = make_model(architecture);
    of_plan_options options = of_plan_options_default();
    of_plan *plan = NULL;
    of_error error;
    options.threads = threads;
    options.inverse = inverse;
    options.latency = latency;
    if (of_plan_compile(model, &options, &plan, &error) != OF_OK)
        fail_msg("%s", error.message);
    of_model_free(model);
    return plan;
}

/* ---- Callers at once ---------------------------------------------------------------------- */

/* All that a session can find out about IMAGES images, and what it draws. */
typedef struct results {
    double *logp, *maps;
    float *latents, *restored, *drawn;
    size_t dimensions, map_size;
} results;

static results make_results(const of_architecture *a) {
    results r = {.dimensions = of_architecture_dimensions(a),
                 .map_size = of_architecture_position_count(a)};
    r.logp = of_allocate_zeroed(IMAGES, sizeof(double));
    r.maps = of_allocate_zeroed(IMAGES * r.map_size, sizeof(double));
    r.latents = of_allocate_zeroed(IMAGES * r.dimensions, sizeof(float));
    r.restored = of_allocate_zeroed(IMAGES * r.dimensions, sizeof(float));
    r.drawn = of_allocate_zeroed(IMAGES * r.dimensions, sizeof(float));
    return r;
}

static void free_results(const results *r) {
    of_free(r->logp);
    of_free(r->maps);
    of_free(r->latents);
    of_free(r->restored);
    of_free(r->drawn);
}

/* Everything, in calls of so many images. */
static of_status find_out(of_session *session, const uint8_t *pixels, size_t at_once,
                          const results *r, of_error *error) {
    of_status status = OF_OK;
    for (size_t first = 0, count; status == OF_OK && first < IMAGES; first += count) {
        size_t place = first * r->dimensions;
        count = IMAGES - first < at_once ? IMAGES - first : at_once;
        const of_batch batch = {OF_PIXEL_U8, pixels + place, count};
        const of_likelihoods out = {.logp = r->logp + first, .latents = r->latents + place};
        status = of_session_forward(session, &batch, &out, error);
        if (status == OF_OK)
            status = of_session_position_contributions(session, &batch,
                                                       r->maps + first * r->map_size, error);
        if (status == OF_OK)
            status =
                of_session_inverse(session, r->latents + place, count, r->restored + place, error);
    }
    return status == OF_OK ? of_session_sample(session, IMAGES, 0.7, SEED, r->drawn, error)
                           : status;
}

static const char *difference(const results *a, const results *b) {
    size_t values = IMAGES * a->dimensions;
    if (memcmp(a->logp, b->logp, IMAGES * sizeof(double)) != 0)
        return "log-likelihoods";
    if (memcmp(a->latents, b->latents, values * sizeof(float)) != 0)
        return "latents";
    if (memcmp(a->maps, b->maps, IMAGES * a->map_size * sizeof(double)) != 0)
        return "maps";
    if (memcmp(a->restored, b->restored, values * sizeof(float)) != 0)
        return "images from latents";
    return memcmp(a->drawn, b->drawn, values * sizeof(float)) != 0 ? "samples" : NULL;
}

typedef struct caller {
    pthread_t thread;
    const of_plan *plan;
    unsigned threads; /* of its session */
    const uint8_t *pixels;
    const results *expected;
    results own;
    of_status status;
    of_error error;
    const char *different; /* NULL: nothing */
} caller;

/* Fails only where the test's own thread can tell of it. */
static void *call(void *user) {
    static const size_t batches[] = {1, 4, IMAGES};
    caller *c = user;
    of_session *session = NULL;
    c->status = of_session_create(c->plan, c->threads, &session, &c->error);
    for (size_t i = 0; c->status == OF_OK && c->different == NULL && i < 3 * (size_t)ROUNDS; i++) {
        c->status = find_out(session, c->pixels, batches[i % 3], &c->own, &c->error);
        if (c->status == OF_OK)
            c->different = difference(c->expected, &c->own);
    }
    of_session_free(session);
    return NULL;
}

static void run_callers(const of_plan *plan, const uint8_t *pixels, const results *expected) {
    caller callers[CALLERS] = {{.plan = plan}};
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = (caller){.plan = plan,
                              .threads = i % (THREADS + 1), /* 0: all */
                              .pixels = pixels,
                              .expected = expected,
                              .own = make_results(of_plan_architecture(plan))};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        if (callers[i].status != OF_OK)
            fail_msg("caller %u: %s", i, callers[i].error.message);
        if (callers[i].different != NULL)
            fail_msg("caller %u, %u threads: other %s", i, callers[i].threads,
                     callers[i].different);
        free_results(&callers[i].own);
    }
}

static uint8_t *make_pixels(size_t count) {
    uint8_t *pixels = of_allocate(count, 1);
    of_random random = of_random_stream(3, 0);
    assert_non_null(pixels);
    for (size_t i = 0; i < count; i++)
        pixels[i] = (uint8_t)of_random_below(&random, 256);
    return pixels;
}

/* What one thread finds out of all images at once, against callers that do not wait for each other;
 * and the plan is what it was before. */
static void check_callers(const of_architecture *a) {
    uint8_t *pixels = make_pixels(IMAGES * of_architecture_dimensions(a));
    of_plan *alone = compile(a, 1, true, false), *shared = compile(a, THREADS, true, true);
    of_session *session = NULL;
    of_error error;
    results expected = make_results(a);
    assert_int_equal(of_session_create(alone, 0, &session, &error), OF_OK);
    if (find_out(session, pixels, IMAGES, &expected, &error) != OF_OK)
        fail_msg("%s", error.message);
    of_session_free(session);
    const of_plan before = *shared;
    run_callers(shared, pixels, &expected);
    assert_memory_equal(&before, shared, sizeof before);
    free_results(&expected);
    of_plan_free(alone);
    of_plan_free(shared);
    of_free(pixels);
}

/* What other implementations of Glow do otherwise, at once. */
static of_architecture other(void) {
    of_architecture a = small(3, 16, 24);
    a.input = (of_input_map){6, 1.0 / 64, 1.0 / 128, 1.0 / 64, 0.1};
    a.latents = OF_LATENTS_SECOND;
    a.split_prior = OF_SPLIT_PRIOR_CONV;
    a.edges = OF_EDGES_CONV1 | OF_EDGES_CONV3 | OF_EDGES_SPLIT;
    a.scale_map = OF_SCALE_MAP_TANH;
    a.shift = OF_SHIFT_AFTER;
    a.net_input = OF_NET_INPUT_AFFINE_RELU;
    a.leak = 0.1;
    a.closing = true;
    return a;
}

static void callers_at_once_get_their_own_bits(void **state) {
    (void)state;
    of_architecture a = small(3, 32, 32);
    check_callers(&a);
    a = small(1, 16, 16);
    a.classes = 3;
    check_callers(&a);
    a.classes = 0;
    a.block = OF_BLOCK_DENSE;
    check_callers(&a);
    a = small(3, 16, 16);
    a.family = OF_FAMILY_PATCH_GLOW;
    check_callers(&a);
    a = other();
    check_callers(&a);
}

/* ---- Memory ------------------------------------------------------------------------------- */

static size_t bytes_of(const of_plan *plan, unsigned threads) {
    of_session *session = NULL;
    assert_int_equal(of_session_create(plan, threads, &session, NULL), OF_OK);
    size_t bytes = of_session_bytes(session);
    of_session_free(session);
    return bytes;
}

/* Weights grow with the steps, sessions do not: eight of them are small beside 32 wide steps. */
static void sessions_are_small_beside_the_weights(void **state) {
    (void)state;
    of_architecture a = of_architecture_default();
    a.hidden = 512;
    a.steps = 2;
    of_plan *two = compile(&a, 2, false, false);
    a.steps = 4;
    of_plan *four = compile(&a, 2, false, false);
    double weights = (double)of_plan_describe(two).weight_bytes;
    double step = ((double)of_plan_describe(four).weight_bytes - weights) / 2;
    size_t one = bytes_of(four, 1);
    print_message("a session of 1 thread: %.1f MB; weights of 32 steps: %.0f MB\n",
                  (double)one / 1e6, (weights + 30 * step) / 1e6);
    assert_true(one > 0 && 8 * (double)one <= 0.3 * (weights + 30 * step));
    assert_true(one - bytes_of(two, 1) < 4096);
    assert_int_equal(bytes_of(four, 2), 2 * one);
    assert_int_equal(bytes_of(four, 0), 2 * one);
    assert_int_equal(of_plan_describe(four).workspace_bytes, 2 * one);
    of_plan_free(two);
    of_plan_free(four);
}

/* ---- What a plan was compiled for --------------------------------------------------------- */

static void code_for_parts_of_images_is_made_by_compiling(void **state) {
    (void)state;
    of_architecture a = small(3, 32, 32);
    of_plan *without = compile(&a, 2, false, false), *with = compile(&a, 2, false, true);
    assert_false(without->shares_images);
    assert_null(without->scales[0].bands);
    assert_true(with->shares_images == (with->scales[0].bands != NULL));
    assert_true(with->arena.bytes >= without->arena.bytes);
    of_plan_free(without);
    of_plan_free(with);
}

static void the_way_back_must_be_asked_for(void **state) {
    (void)state;
    of_architecture a = small(1, 16, 16);
    of_plan *plan = compile(&a, 1, false, true);
    of_session *session = NULL;
    of_error error;
    float values[256] = {0};
    assert_int_equal(of_session_create(plan, 0, &session, &error), OF_OK);
    assert_ptr_equal(of_session_plan(session), plan);
    assert_int_equal(of_session_inverse(session, values, 1, values, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "inverse");
    assert_int_equal(of_session_sample(session, 1, 1, SEED, values, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "inverse");
    of_session_free(session);
    of_plan_free(plan);
}

static void misuse_is_an_error(void **state) {
    (void)state;
    of_architecture a = small(1, 16, 16);
    of_plan *plan = compile(&a, 2, false, false);
    of_session *session = NULL;
    of_error error;
    assert_int_equal(of_session_create(plan, 3, &session, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "threads");
    assert_int_equal(of_session_create(NULL, 0, &session, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "");
    assert_int_equal(of_session_create(plan, 0, NULL, &error), OF_ERROR_ARGUMENT);
    assert_null(session);
    assert_int_equal(of_session_create(plan, 0, &session, &error), OF_OK);
    const uint8_t pixels[16 * 16] = {0};
    double values[1024];
    const of_batch unknown = {(of_pixel_type)7, pixels, 1};
    assert_true(of_plan_layer_count(plan) <= 1024);
    assert_int_equal(of_session_forward(session, &unknown, &(of_likelihoods){.logp = values}, NULL),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_session_profile(session, &unknown, values, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_session_position_contributions(session, &unknown, values, NULL),
                     OF_ERROR_ARGUMENT);
    of_session_free(session);
    of_session_free(NULL);
    of_plan_free(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_at_once_get_their_own_bits),
        cmocka_unit_test(sessions_are_small_beside_the_weights),
        cmocka_unit_test(code_for_parts_of_images_is_made_by_compiling),
        cmocka_unit_test(the_way_back_must_be_asked_for),
        cmocka_unit_test(misuse_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
