/* SPDX-License-Identifier: Apache-2.0 */
/* The optimizer against a plain implementation in double, and the learning rate's course. */
#include "core/random.h"
#include "graph/gradient.h"
#include "train/optimizers.h"
#include "train/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 12 };

/* Of 64 hidden channels, so that a parameter is cut into more than one piece. */
static of_model *make_model(void) {
    of_architecture architecture = of_architecture_default();
    of_model *model;
    architecture.height = architecture.width = 8;
    architecture.scales = 1;
    architecture.steps = 1;
    architecture.hidden = 160;
    assert_int_equal(of_model_create(&architecture, 7, &model, NULL), OF_OK);
    return model;
}

static const of_kernels *kernels(void) {
    of_isa isa;
    assert_int_equal(of_isa_resolve(OF_ISA_AUTO, &isa, NULL), OF_OK);
    return of_kernels_for(isa);
}

/* Gradients of a step, anything outside trained parameters included: it must not matter. */
static void fill(float *gradients, size_t floats, uint64_t step) {
    of_random random = of_random_stream(99, step);
    for (size_t i = 0; i < floats; i++)
        gradients[i] = (float)of_random_normal(&random) * (i % 7 == 0 ? 10.0F : 0.1F);
}

typedef struct reference {
    double *w, *m, *u;
    bool *trained;
    size_t floats;
} reference;

static reference make_reference(const of_model *model) {
    reference r = {.floats = model->value_bytes / sizeof(float)};
    r.w = calloc(r.floats, sizeof *r.w);
    r.m = calloc(r.floats, sizeof *r.m);
    r.u = calloc(r.floats, sizeof *r.u);
    r.trained = calloc(r.floats, sizeof *r.trained);
    assert_non_null(r.w);
    assert_non_null(r.m);
    assert_non_null(r.u);
    assert_non_null(r.trained);
    for (size_t p = 0; p < model->parameter_count; p++) {
        const of_parameter *parameter = &model->parameters[p];
        for (size_t i = 0; i < parameter->count && parameter->kind == OF_PARAMETER_TRAINED; i++) {
            size_t at = parameter->offset / sizeof(float) + i;
            r.trained[at] = true;
            r.w[at] = (double)of_model_values(model, (int)p)[i];
        }
    }
    return r;
}

static void free_reference(reference *r) {
    free(r->w);
    free(r->m);
    free(r->u);
    free(r->trained);
}

static double reference_norm(const reference *r, const float *gradients) {
    double sum = 0;
    for (size_t i = 0; i < r->floats; i++)
        if (r->trained[i])
            sum += (double)gradients[i] * (double)gradients[i];
    return sqrt(sum);
}

/* Algorithms 1 and 2 of Kingma and Ba, and decoupled decay of Loshchilov and Hutter. */
static void reference_step(reference *r, const of_optimizer_options *o, const float *gradients,
                           double rate, int t) {
    double norm = reference_norm(r, gradients);
    double scale = o->clip > 0 && norm > o->clip ? o->clip / norm : 1;
    for (size_t i = 0; i < r->floats; i++) {
        if (!r->trained[i])
            continue;
        double g = scale * (double)gradients[i];
        if (o->kind == OF_OPTIMIZER_ADAMW)
            r->w[i] -= rate * o->weight_decay * r->w[i];
        else
            g += o->weight_decay * r->w[i];
        r->m[i] = o->beta1 * r->m[i] + (1 - o->beta1) * g;
        double first = r->m[i] / (1 - pow(o->beta1, t));
        if (o->kind == OF_OPTIMIZER_ADAMAX) {
            r->u[i] = fmax(o->beta2 * r->u[i], fabs(g) + o->epsilon);
            r->w[i] -= rate * first / r->u[i];
        } else {
            r->u[i] = o->beta2 * r->u[i] + (1 - o->beta2) * g * g;
            r->w[i] -= rate * first / (sqrt(r->u[i] / (1 - pow(o->beta2, t))) + o->epsilon);
        }
    }
}

static void check_against(const of_model *model, const of_model *before, const reference *r) {
    const float *values = (const float *)(const void *)model->values;
    const float *old = (const float *)(const void *)before->values;
    for (size_t i = 0; i < r->floats; i++) {
        if (!r->trained[i])
            assert_memory_equal(&values[i], &old[i], sizeof *values);
        else if (fabs((double)values[i] - r->w[i]) > 2e-6 * (1 + fabs(r->w[i])))
            fail_msg("value %zu is %.9g instead of %.9g", i, (double)values[i], r->w[i]);
    }
}

static void check_optimizer(of_optimizer_kind kind, double clip) {
    of_model *model = make_model(), *before = make_model();
    of_optimizer optimizer;
    of_optimizer_options options = of_optimizer_defaults();
    reference r = make_reference(model);
    float *gradients = calloc(r.floats, sizeof *gradients);
    assert_non_null(gradients);
    options.kind = kind;
    options.clip = clip;
    options.weight_decay = 0.01;
    assert_int_equal(of_optimizer_open(&options, model, NULL, kernels(), 2, &optimizer, NULL),
                     OF_OK);
    for (int step = 0; step < STEPS; step++) {
        double rate = 0.01 / (step + 1);
        fill(gradients, r.floats, (uint64_t)step);
        double norm = of_optimizer_norm(&optimizer, gradients);
        double expected = reference_norm(&r, gradients);
        assert_true(fabs(norm - expected) <= 1e-9 * expected);
        of_optimizer_apply(&optimizer, model, gradients, of_clip_scale(options.clip, norm), rate,
                           (uint64_t)step);
        reference_step(&r, &options, gradients, rate, step + 1);
    }
    check_against(model, before, &r);
    of_optimizer_close(&optimizer);
    free(gradients);
    free_reference(&r);
    of_model_free(model);
    of_model_free(before);
}

static void steps_match_plain_implementation(void **state) {
    (void)state;
    check_optimizer(OF_OPTIMIZER_ADAMAX, 0);
    check_optimizer(OF_OPTIMIZER_ADAM, 0);
    check_optimizer(OF_OPTIMIZER_ADAMW, 0);
}

static void clipping_scales_the_whole_gradient(void **state) {
    (void)state;
    check_optimizer(OF_OPTIMIZER_ADAMAX, 3);
    check_optimizer(OF_OPTIMIZER_ADAM, 1e9);
}

static void threads_change_no_bit(void **state) {
    (void)state;
    of_model *models[2];
    double norms[2];
    float *averages[2];
    size_t bytes = 0;
    for (unsigned i = 0; i < 2; i++) {
        of_optimizer optimizer;
        of_optimizer_options options = of_optimizer_defaults();
        options.ema = 0.99;
        models[i] = make_model();
        bytes = models[i]->value_bytes;
        float *gradients = calloc(bytes, 1);
        assert_non_null(gradients);
        fill(gradients, bytes / sizeof(float), 0);
        assert_int_equal(of_optimizer_open(&options, models[i], NULL, kernels(), i == 0 ? 1 : 3,
                                           &optimizer, NULL),
                         OF_OK);
        norms[i] = of_optimizer_norm(&optimizer, gradients);
        of_optimizer_apply(&optimizer, models[i], gradients, of_clip_scale(options.clip, norms[i]),
                           1e-3, 0);
        of_optimizer_average(&optimizer, models[i], 0);
        averages[i] = malloc(bytes);
        assert_non_null(averages[i]);
        memcpy(averages[i], optimizer.average, bytes);
        of_optimizer_close(&optimizer);
        free(gradients);
    }
    assert_true(norms[0] == norms[1]);
    assert_memory_equal(models[0]->values, models[1]->values, bytes);
    assert_memory_equal(averages[0], averages[1], bytes);
    assert_memory_not_equal(averages[0], models[0]->values, bytes);
    for (int i = 0; i < 2; i++) {
        of_model_free(models[i]);
        free(averages[i]);
    }
}

static void norm_shows_what_is_not_finite(void **state) {
    (void)state;
    of_model *model = make_model();
    of_optimizer optimizer;
    of_optimizer_options options = of_optimizer_defaults();
    float *gradients = calloc(model->value_bytes, 1);
    assert_non_null(gradients);
    assert_int_equal(of_optimizer_open(&options, model, NULL, kernels(), 1, &optimizer, NULL),
                     OF_OK);
    gradients[optimizer.pieces[0].begin] = NAN;
    assert_true(!isfinite(of_optimizer_norm(&optimizer, gradients)));
    gradients[optimizer.pieces[0].begin] = INFINITY;
    assert_true(!isfinite(of_optimizer_norm(&optimizer, gradients)));
    of_optimizer_close(&optimizer);
    free(gradients);
    of_model_free(model);
}

static void assert_rate(const of_schedule *schedule, uint64_t step, double expected) {
    double rate = of_schedule_rate(schedule, step);
    if (!(fabs(rate - expected) <= 1e-12))
        fail_msg("rate of step %llu is %.17g instead of %.17g", (unsigned long long)step, rate,
                 expected);
}

static void rates_follow_the_schedule(void **state) {
    (void)state;
    of_schedule constant = {OF_SCHEDULE_CONSTANT, 0.4, 4, 0, 0};
    of_schedule cosine = {OF_SCHEDULE_COSINE, 0.4, 4, 104, 0};
    assert_rate(&constant, 0, 0.1);
    assert_rate(&constant, 3, 0.4);
    assert_rate(&constant, 1000000, 0.4);
    assert_rate(&cosine, 1, 0.2);
    assert_rate(&cosine, 4, 0.4);
    assert_rate(&cosine, 54, 0.2);
    assert_rate(&cosine, 29, 0.2 * (1 + sqrt(0.5)));
    assert_rate(&cosine, 104, 0);
    assert_rate(&cosine, 500, 0);
    assert_rate(&(of_schedule){OF_SCHEDULE_CONSTANT, 0.4, 0, 0, 0}, 0, 0.4);
    /* time ends the run: the wave is that of the time that has passed, after the warm-up */
    assert_rate(&(of_schedule){OF_SCHEDULE_COSINE, 0.4, 4, 0, 0.5}, 1, 0.2);
    assert_rate(&(of_schedule){OF_SCHEDULE_COSINE, 0.4, 4, 0, 0.5}, 1000, 0.2);
    assert_rate(&(of_schedule){OF_SCHEDULE_COSINE, 0.4, 0, 0, 0}, 7, 0.4);
    assert_rate(&(of_schedule){OF_SCHEDULE_COSINE, 0.4, 0, 0, 1.5}, 7, 0);
}

/* ---- Where gradients stand ---------------------------------------------------------------- */

static bool overlap(size_t a, size_t a_count, size_t b, size_t b_count) {
    return a < b + b_count && b < a + a_count;
}

static void check_places(const of_architecture *architecture) {
    const of_training_options options = {.threads = 1, .lanes = 1};
    of_model *model = NULL;
    of_training_plan *plan = NULL;
    float *block;
    assert_int_equal(of_model_create(architecture, 7, &model, NULL), OF_OK);
    assert_int_equal(of_training_compile(model, &options, &plan, NULL), OF_OK);
    const size_t *places = of_training_gradient_view(plan).places;
    size_t floats = of_training_lane_blocks(plan, &block);
    for (size_t p = 0; p < model->parameter_count; p++) {
        const of_parameter *one = &model->parameters[p];
        if (one->kind != OF_PARAMETER_TRAINED) {
            assert_true(places[p] == OF_NO_PLACE);
            continue;
        }
        assert_true(places[p] != OF_NO_PLACE && places[p] + one->count <= floats);
        for (size_t q = 0; q < p; q++)
            assert_false(places[q] != OF_NO_PLACE &&
                         overlap(places[p], one->count, places[q], model->parameters[q].count));
    }
    of_training_free(plan);
    of_model_free(model);
}

static void trained_parameters_have_places_of_their_own(void **state) {
    (void)state;
    of_architecture a = of_architecture_default();
    a.height = a.width = 8;
    a.scales = 2;
    a.steps = 2;
    a.hidden = 8;
    a.classes = 3;
    for (int permutation = 0; permutation <= OF_PERMUTATION_SHUFFLE; permutation++)
        for (int block = 0; block <= OF_BLOCK_DENSE; block++)
            for (int lu = 0; lu < 2; lu++) {
                a.permutation = (of_permutation)permutation;
                a.block = (of_block)block;
                a.lu = lu == 1 && permutation == OF_PERMUTATION_INVCONV;
                check_places(&a);
            }
    a.family = OF_FAMILY_PATCH_GLOW;
    a.block = OF_BLOCK_CONV;
    check_places(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_match_plain_implementation),
        cmocka_unit_test(clipping_scales_the_whole_gradient),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(norm_shows_what_is_not_finite),
        cmocka_unit_test(rates_follow_the_schedule),
        cmocka_unit_test(trained_parameters_have_places_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
