/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of random models: bits that do not depend on how images are batched, exact inverses for
 * every architecture, sampling, and misuse. */
#include "core/memory.h"
#include "core/random.h"
#include "model/model.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"
#include "outputs.h"
#include "random_model.h"

enum { IMAGES = 70 };

static of_architecture small(uint32_t channels, uint32_t height, uint32_t width) {
    of_architecture a = of_architecture_default();
    a.channels = channels;
    a.height = height;
    a.width = width;
    a.steps = 2;
    a.hidden = 24;
    return a;
}

static compiled compile_in(of_precision precision, const of_model *model, unsigned threads,
                           of_isa isa, unsigned micro_batch) {
    of_plan_options options = of_plan_options_default();
    options.threads = threads;
    options.isa = isa;
    options.micro_batch = micro_batch;
    options.precision = precision;
    options.inverse = true;
    return compile_with(model, &options);
}

static compiled compile(const of_model *model, unsigned threads, of_isa isa, unsigned micro_batch) {
    return compile_in(OF_PRECISION_F32, model, threads, isa, micro_batch);
}

static uint8_t *make_pixels(size_t count) {
    uint8_t *pixels = of_allocate(count, 1);
    of_random random = of_random_stream(3, 0);
    assert_non_null(pixels);
    for (size_t i = 0; i < count; i++)
        pixels[i] = (uint8_t)of_random_below(&random, 256);
    return pixels;
}

/* All images at once on one thread, against other batch sizes, threads and micro-batches. */
static void check_bits_in(of_precision precision, const of_architecture *architecture, of_isa isa) {
    of_model *model = make_model(architecture);
    uint8_t *pixels = make_pixels(IMAGES * of_architecture_dimensions(architecture));
    outputs expected = make_outputs(architecture, IMAGES), got = make_outputs(architecture, IMAGES);
    compiled plan = compile_in(precision, model, 1, isa, 0);
    forward(&plan, pixels, &expected, 0, IMAGES);
    free_compiled(&plan);
    static const size_t batches[] = {1, 3, 7, 64};
    static const struct {
        unsigned threads, micro_batch;
    } ways[] = {{1, 0}, {2, 0}, {3, 0}, {4, 0}, {20, 0}, {1, 1}, {2, 3}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        plan = compile_in(precision, model, ways[w].threads, isa, ways[w].micro_batch);
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            memset(got.logp, 0, IMAGES * sizeof(double));
            /* bands on more threads than CPUs are slow: a few images will do */
            size_t few = ways[w].threads > 4 ? 3 : 8;
            size_t images = batches[b] < ways[w].threads ? few : IMAGES;
            for (size_t first = 0; first < images; first += batches[b]) {
                size_t left = images - first;
                forward(&plan, pixels, &got, first, left < batches[b] ? left : batches[b]);
            }
            assert_same_bits(&expected, &got, images);
        }
        free_compiled(&plan);
    }
    free_outputs(&expected);
    free_outputs(&got);
    of_free(pixels);
    of_model_free(model);
}

static void check_bits(const of_architecture *architecture, of_isa isa) {
    check_bits_in(OF_PRECISION_F32, architecture, isa);
}

static void bits_do_not_depend_on_batching(void **state) {
    (void)state;
    of_architecture a = small(3, 32, 32);
    of_isa best;
    assert_int_equal(of_isa_resolve(OF_ISA_AUTO, &best, NULL), OF_OK);
    check_bits(&a, best);
    a.hidden = 128;
    check_bits(&a, best);
}

static void bits_do_not_depend_on_batching_other_forms(void **state) {
    (void)state;
    of_architecture a = small(1, 16, 16);
    a.scales = 2;
    check_bits(&a, OF_ISA_SCALAR);
    a.classes = 3;
    check_bits(&a, OF_ISA_AUTO);
    a.classes = 0;
    a.block = OF_BLOCK_DENSE;
    check_bits(&a, OF_ISA_AUTO);
    a = small(3, 32, 16);
    a.family = OF_FAMILY_PATCH_GLOW;
    check_bits(&a, OF_ISA_AUTO);
}

/* Tells why not when bfloat16 cannot run here. */
static bool has_bf16(void) {
    of_precision precision;
    of_error error;
    if (of_precision_resolve(OF_PRECISION_BF16, OF_ISA_AUTO, &precision, &error) == OF_OK)
        return true;
    print_message("SKIPPED: %s\n", error.message);
    return false;
}

static void bits_do_not_depend_on_batching_in_bf16(void **state) {
    (void)state;
    if (!has_bf16())
        skip();
    of_architecture a = small(3, 32, 32);
    check_bits_in(OF_PRECISION_BF16, &a, OF_ISA_AUTO);
    a.hidden = 128;
    check_bits_in(OF_PRECISION_BF16, &a, OF_ISA_AUTO);
    a = small(1, 16, 16);
    a.scales = 2;
    a.classes = 3;
    check_bits_in(OF_PRECISION_BF16, &a, OF_ISA_AUTO);
    a.block = OF_BLOCK_DENSE;
    check_bits_in(OF_PRECISION_BF16, &a, OF_ISA_AUTO);
    a = small(3, 32, 16);
    a.family = OF_FAMILY_PATCH_GLOW;
    check_bits_in(OF_PRECISION_BF16, &a, OF_ISA_AUTO);
}

/* bfloat16 runs in the networks' layers, in each scale, and changes results a little. */
static void bf16_is_near_f32(void **state) {
    (void)state;
    enum { COUNT = 16 };
    if (!has_bf16())
        skip();
    of_architecture a = small(3, 32, 32);
    of_model *model = make_model(&a);
    compiled f32 = compile(model, 1, OF_ISA_AUTO, 0);
    compiled bf16 = compile_in(OF_PRECISION_BF16, model, 1, OF_ISA_AUTO, 0);
    uint8_t *pixels = make_pixels(COUNT * of_architecture_dimensions(&a));
    outputs exact = make_outputs(&a, COUNT), rounded = make_outputs(&a, COUNT);
    forward(&f32, pixels, &exact, 0, COUNT);
    forward(&bf16, pixels, &rounded, 0, COUNT);
    double worst = 0;
    for (size_t i = 0; i < COUNT; i++)
        worst = fmax(worst, fabs(exact.logp[i] - rounded.logp[i]));
    print_message("bf16: largest change of logp %.3f nats of about %.0f\n", worst, exact.logp[0]);
    assert_true(worst > 0 && worst < 2e-3 * fabs(exact.logp[0]));
    assert_int_equal(of_plan_describe(f32.plan).precision, OF_PRECISION_F32);
    assert_int_equal(of_plan_describe(bf16.plan).precision, OF_PRECISION_BF16);
    assert_true(of_plan_describe(bf16.plan).weight_bytes < of_plan_describe(f32.plan).weight_bytes);
    size_t layers = 0;
    for (size_t i = 0; i < of_plan_layer_count(bf16.plan); i++) {
        of_layer_info layer;
        assert_int_equal(of_plan_layer(bf16.plan, i, &layer, NULL), OF_OK);
        bool convolution = strstr(layer.name, ".conv") != NULL;
        assert_int_equal(layer.precision, convolution ? OF_PRECISION_BF16 : OF_PRECISION_F32);
        assert_null(strstr(layer.kernel, "ref"));
        layers += convolution;
    }
    assert_int_equal(layers, 3 * 3 * a.steps);
    free_outputs(&exact);
    free_outputs(&rounded);
    of_free(pixels);
    free_compiled(&f32);
    free_compiled(&bf16);
    of_model_free(model);
}

static void precision_without_the_instructions_is_an_error(void **state) {
    (void)state;
    of_architecture a = small(1, 16, 16);
    of_model *model = make_model(&a);
    of_plan_options options = of_plan_options_default();
    of_plan *plan = NULL;
    of_error error;
    of_precision precision;
    options.isa = OF_ISA_SCALAR;
    options.precision = OF_PRECISION_BF16;
    assert_int_equal(of_plan_compile(model, &options, &plan, &error), OF_ERROR_UNSUPPORTED);
    assert_null(plan);
    assert_non_null(strstr(error.message, "precision bf16"));
    assert_non_null(strstr(error.message, "f32"));
    assert_string_equal(error.setting, of_cpu_bf16().avx512_bf16 ? "isa" : "precision");
    assert_null(strstr(error.message, "--"));
    options.precision = OF_PRECISION_AUTO;
    assert_int_equal(of_plan_compile(model, &options, &plan, &error), OF_OK);
    assert_int_equal(of_plan_describe(plan).precision, OF_PRECISION_F32);
    of_plan_free(plan);
    plan = NULL;
    options.precision = (of_precision)7;
    assert_int_equal(of_plan_compile(model, &options, &plan, &error), OF_ERROR_ARGUMENT);
    assert_null(plan);
    assert_int_equal(of_precision_parse("f16", &precision, &error), OF_ERROR_ARGUMENT);
    for (int i = OF_PRECISION_F32; i <= OF_PRECISION_AUTO; i++) {
        const char *name = of_precision_name((of_precision)i);
        assert_int_equal(of_precision_parse(name, &precision, &error), OF_OK);
        assert_int_equal(precision, i);
    }
    of_model_free(model);
}

static void check_round_trip(const of_architecture *a) {
    enum { COUNT = 5 };
    of_model *model = make_model(a);
    compiled plan = compile(model, 2, OF_ISA_AUTO, 0);
    size_t dimensions = of_architecture_dimensions(a);
    uint8_t *pixels = make_pixels(COUNT * dimensions);
    float *images = of_allocate(COUNT * dimensions, sizeof(float));
    outputs out = make_outputs(a, COUNT), again = make_outputs(a, COUNT);
    of_error error;
    assert_non_null(images);
    forward(&plan, pixels, &out, 0, COUNT);
    if (of_session_inverse(plan.session, out.latents, COUNT, images, &error) != OF_OK)
        fail_msg("%s", error.message);
    double worst = 0;
    for (size_t i = 0; i < COUNT * dimensions; i++)
        worst = fmax(worst, fabs((double)images[i] - pixels[i] / 255.0));
    print_message("round trip %ux%ux%u: largest error %.2e of the range\n", a->channels, a->height,
                  a->width, worst);
    assert_true(worst < 1e-4);
    /* floats that hold v/255 score like the bytes */
    for (size_t i = 0; i < COUNT * dimensions; i++)
        images[i] = (float)pixels[i] / 255.0F;
    const of_batch floats = {OF_PIXEL_F32, images, COUNT};
    assert_int_equal(
        of_session_forward(plan.session, &floats, &(of_likelihoods){.logp = again.logp}, &error),
        OF_OK);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(fabs(again.logp[i] - out.logp[i]) < 0.02);
    free_outputs(&out);
    free_outputs(&again);
    of_free(images);
    of_free(pixels);
    free_compiled(&plan);
    of_model_free(model);
}

static void inverse_closes_the_round_trip(void **state) {
    (void)state;
    of_architecture a = small(3, 64, 64);
    check_round_trip(&a);
    a = small(1, 48, 40);
    check_round_trip(&a);
    a.coupling = OF_COUPLING_ADDITIVE;
    a.permutation = OF_PERMUTATION_SHUFFLE;
    check_round_trip(&a);
    a = small(3, 16, 16);
    a.scales = 1;
    a.lu = false;
    check_round_trip(&a);
    a.block = OF_BLOCK_DENSE;
    a.permutation = OF_PERMUTATION_INVCONV_FIXED;
    a.scales = 2;
    check_round_trip(&a);
    a = small(3, 16, 24);
    a.family = OF_FAMILY_PATCH_GLOW;
    check_round_trip(&a);
}

/* logp is a density: the sum of the contributions, whatever the size of the image. */
static void contributions_sum_to_logp(void **state) {
    (void)state;
    of_architecture a = small(3, 48, 40);
    of_model *model = make_model(&a);
    compiled plan = compile(model, 1, OF_ISA_AUTO, 0);
    uint8_t *pixels = make_pixels(of_architecture_dimensions(&a));
    outputs out = make_outputs(&a, 1);
    forward(&plan, pixels, &out, 0, 1);
    assert_true(out.logp[0] == out.contributions[0] + out.contributions[1] + out.contributions[2]);
    assert_true(isfinite(out.logp[0]));
    free_outputs(&out);
    of_free(pixels);
    free_compiled(&plan);
    of_model_free(model);
}

static void sampling_depends_on_seed_and_index_alone(void **state) {
    (void)state;
    enum { COUNT = 37 };
    of_architecture a = small(1, 16, 16);
    of_model *model = make_model(&a);
    compiled one = compile(model, 1, OF_ISA_AUTO, 0), two = compile(model, 2, OF_ISA_AUTO, 3);
    size_t dimensions = of_architecture_dimensions(&a), bytes = COUNT * dimensions * sizeof(float);
    float *first = of_allocate(bytes, 1), *second = of_allocate(bytes, 1);
    assert_true(first && second);
    assert_int_equal(of_session_sample(one.session, COUNT, 0.7, 5, first, NULL), OF_OK);
    assert_int_equal(of_session_sample(two.session, COUNT, 0.7, 5, second, NULL), OF_OK);
    assert_memory_equal(first, second, bytes);
    assert_int_equal(of_session_sample(two.session, COUNT, 0.7, 6, second, NULL), OF_OK);
    assert_memory_not_equal(first, second, bytes);
    assert_int_equal(of_session_sample(one.session, 2, 0, 5, first, NULL), OF_OK);
    assert_memory_equal(first, first + dimensions, dimensions * sizeof(float));
    assert_int_equal(of_session_sample(one.session, 1, NAN, 5, first, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_session_sample(one.session, 1, -1, 5, first, NULL), OF_ERROR_ARGUMENT);
    of_free(first);
    of_free(second);
    free_compiled(&one);
    free_compiled(&two);
    of_model_free(model);
}

static void callers_thread_settings_stay(void **state) {
    (void)state;
    of_architecture a = small(1, 16, 16);
    of_model *model = make_model(&a);
    omp_set_num_threads(3);
    compiled plan = compile(model, 2, OF_ISA_AUTO, 0);
    uint8_t *pixels = make_pixels(8 * of_architecture_dimensions(&a));
    outputs out = make_outputs(&a, 8);
    forward(&plan, pixels, &out, 0, 8);
    forward(&plan, pixels, &out, 0, 1);
    assert_int_equal(of_session_inverse(plan.session, out.latents, 1, out.latents, NULL), OF_OK);
    assert_int_equal(omp_get_max_threads(), 3);
    free_compiled(&plan);
    plan = compile(model, 1, OF_ISA_AUTO, 0);
    forward(&plan, pixels, &out, 0, 8);
    assert_int_equal(omp_get_max_threads(), 3);
    free_compiled(&plan);
    free_outputs(&out);
    of_free(pixels);
    of_model_free(model);
}

static void nan_pixels_give_nan_for_that_image_only(void **state) {
    (void)state;
    enum { COUNT = 3 };
    of_architecture a = small(3, 16, 16);
    of_model *model = make_model(&a);
    compiled plan = compile(model, 1, OF_ISA_AUTO, 0);
    size_t dimensions = of_architecture_dimensions(&a);
    float *images = of_allocate_zeroed(COUNT * dimensions, sizeof(float));
    double logp[COUNT];
    assert_non_null(images);
    images[dimensions + 5] = NAN;
    const of_batch batch = {OF_PIXEL_F32, images, COUNT};
    assert_int_equal(
        of_session_forward(plan.session, &batch, &(of_likelihoods){.logp = logp}, NULL), OF_OK);
    assert_true(isfinite(logp[0]) && isnan(logp[1]) && isfinite(logp[2]));
    of_free(images);
    free_compiled(&plan);
    of_model_free(model);
}

/* What of_plan_ops tells of the list that runs, against the layers; and of the first list. */
typedef struct heard {
    const of_plan *plan;
    size_t stored, run;
} heard;

static void hear(void *user, const of_op_info *op) {
    heard *so_far = user;
    of_layer_info layer;
    if (strcmp(op->pass, "model") == 0) {
        so_far->stored++;
        assert_null(strstr("enter tail latents map", op->kind));
    } else if (strcmp(op->pass, "choose") == 0) {
        assert_int_equal(of_plan_layer(so_far->plan, so_far->run++, &layer, NULL), OF_OK);
        assert_string_equal(op->name, layer.name);
        assert_non_null(strstr("enter map convolution tail latents", op->kind));
    }
}

static void the_last_list_of_ops_is_what_runs(void **state) {
    (void)state;
    of_architecture conv = small(3, 32, 32), dense = small(1, 16, 16);
    dense.block = OF_BLOCK_DENSE;
    const of_architecture *const both[] = {&conv, &dense};
    for (int i = 0; i < 2; i++) {
        const of_architecture *a = both[i];
        uint32_t scales = of_architecture_scale_count(a), in_step = i == 0 ? 11 : 8;
        of_model *model = make_model(a);
        compiled made = compile(model, 1, OF_ISA_AUTO, 0);
        heard so_far = {made.plan, 0, 0};
        assert_int_equal(of_plan_ops(made.plan, hear, &so_far, NULL), OF_OK);
        assert_int_equal(so_far.run, of_plan_layer_count(made.plan));
        /* input once, all splits but the last one; squeeze, prior and Gaussian */
        assert_int_equal(so_far.stored, scales * (in_step * a->steps + 4));
        free_compiled(&made);
        of_model_free(model);
    }
}

static void misuse_is_an_error(void **state) {
    (void)state;
    of_architecture a = small(1, 16, 16);
    of_model *model = make_model(&a);
    compiled plan = compile(model, 1, OF_ISA_AUTO, 0);
    of_error error;
    double classes[4];
    uint8_t pixels[256] = {0};
    const of_batch batch = {OF_PIXEL_U8, pixels, 1};
    assert_int_equal(of_session_forward(NULL, &batch, &(of_likelihoods){0}, &error),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(
        of_session_forward(plan.session, &batch, &(of_likelihoods){.class_logp = classes}, &error),
        OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "class"));
    assert_int_equal(of_session_forward(plan.session, &(of_batch){OF_PIXEL_U8, NULL, 0},
                                        &(of_likelihoods){0}, &error),
                     OF_OK);
    of_plan_options options = of_plan_options_default();
    options.threads = 1000000;
    of_plan *none = NULL;
    assert_int_equal(of_plan_compile(model, &options, &none, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "threads");
    assert_null(none);
    options.threads = 1;
    options.micro_batch = 1000000;
    assert_int_equal(of_plan_compile(model, &options, &none, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "micro_batch");
    const of_plan_options unset = {.threads = 1};
    assert_int_equal(of_plan_compile(model, &unset, &none, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "size"));
    assert_null(none);
    free_compiled(&plan);
    of_model_free(model);
}

static void singular_mixing_is_named(void **state) {
    (void)state;
    of_architecture a = small(1, 16, 16);
    a.lu = false;
    of_model *model = make_model(&a);
    int weight = of_model_find(model, "scales.1.steps.1.mix.weight");
    assert_true(weight >= 0);
    memset(of_model_values(model, weight), 0, model->parameters[weight].count * sizeof(float));
    of_plan *plan = NULL;
    of_error error;
    assert_int_equal(of_plan_compile(model, NULL, &plan, &error), OF_ERROR_NUMERIC);
    assert_non_null(strstr(error.message, "scales.1.steps.1"));
    of_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_do_not_depend_on_batching),
        cmocka_unit_test(bits_do_not_depend_on_batching_other_forms),
        cmocka_unit_test(bits_do_not_depend_on_batching_in_bf16),
        cmocka_unit_test(bf16_is_near_f32),
        cmocka_unit_test(precision_without_the_instructions_is_an_error),
        cmocka_unit_test(inverse_closes_the_round_trip),
        cmocka_unit_test(contributions_sum_to_logp),
        cmocka_unit_test(sampling_depends_on_seed_and_index_alone),
        cmocka_unit_test(callers_thread_settings_stay),
        cmocka_unit_test(nan_pixels_give_nan_for_that_image_only),
        cmocka_unit_test(the_last_list_of_ops_is_what_runs),
        cmocka_unit_test(misuse_is_an_error),
        cmocka_unit_test(singular_mixing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
