/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of every architecture against finite differences of the likelihood, and their
 * independence of threads and memory. The values themselves are checked by golden_check. */
#include "../gradient_block.h"
#include "core/memory.h"
#include "core/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"
#include "random_model.h"

enum { IMAGES = 7 };

static of_architecture small(uint32_t channels, uint32_t size) {
    of_architecture a = of_architecture_default();
    a.channels = channels;
    a.height = a.width = size;
    a.scales = 2;
    a.steps = 2;
    a.hidden = 10;
    return a;
}

static float *make_images(const of_architecture *a) {
    size_t floats = IMAGES * of_architecture_dimensions(a);
    float *images = of_allocate(floats, sizeof(float));
    of_random random = of_random_stream(5, 0);
    assert_non_null(images);
    for (size_t i = 0; i < floats; i++)
        images[i] = of_random_uniform(&random);
    return images;
}

/* Weights of the images (and classes) in the loss. */
static double image_weight(size_t image) {
    return 0.5 + 0.25 * (double)(image % 3);
}

static double class_weight(size_t image, size_t class) {
    return class == image % 3 ? 1.0 : -0.25;
}

static double loss(void *user, size_t image, double logp, const double *class_logp,
                   double *class_gradient) {
    const of_architecture *a = user;
    (void)logp;
    (void)class_logp;
    for (size_t c = 0; c < a->classes; c++)
        class_gradient[c] = class_weight(image, c);
    return image_weight(image);
}

static double loss_value(const of_architecture *a, const double *logp, const double *class_logp) {
    double sum = 0;
    for (size_t i = 0; i < IMAGES; i++) {
        if (a->classes == 0)
            sum += image_weight(i) * logp[i];
        for (size_t c = 0; c < a->classes; c++)
            sum += class_weight(i, c) * class_logp[i * a->classes + c];
    }
    return sum;
}

static of_training_plan *compile(const of_model *model, unsigned threads, size_t memory) {
    const of_training_options options = {.threads = threads, .lanes = 4, .memory_bytes = memory};
    of_training_plan *plan = NULL;
    of_error error;
    if (of_training_compile(model, &options, &plan, &error) != OF_OK)
        fail_msg("%s", error.message);
    return plan;
}

static unsigned char *gradient_of(const of_model *model, const float *images, unsigned threads,
                                  size_t memory) {
    of_training_plan *plan = compile(model, threads, memory);
    unsigned char *block = of_allocate_zeroed(model->value_bytes, 1);
    of_architecture a = model->architecture;
    of_error error;
    const of_batch batch = {OF_PIXEL_F32, images, IMAGES};
    assert_non_null(block);
    if (gradient_block(plan, model, &batch, &(of_likelihoods){0}, loss, &a, block, &error) != OF_OK)
        fail_msg("%s", error.message);
    of_training_free(plan);
    return block;
}

static double value_of(of_training_plan *plan, const of_model *model, const float *images) {
    double logp[IMAGES], class_logp[IMAGES * 3];
    const of_architecture *a = &model->architecture;
    const of_likelihoods out = {.logp = logp, .class_logp = a->classes ? class_logp : NULL};
    const of_batch batch = {OF_PIXEL_F32, images, IMAGES};
    assert_int_equal(of_training_refresh(plan, model, NULL), OF_OK);
    assert_int_equal(of_session_forward(of_training_session(plan), &batch, &out, NULL), OF_OK);
    return loss_value(a, logp, class_logp);
}

/* Along its own gradient g, a tensor's loss changes by |g|^2 a unit of the step. */
static void check_tensor(of_training_plan *plan, of_model *model, size_t p,
                         const unsigned char *block, const float *images) {
    const of_parameter *parameter = &model->parameters[p];
    const float *g = (const float *)(const void *)(block + parameter->offset);
    float *values = of_model_values(model, (int)p);
    float *saved = of_allocate(parameter->count, sizeof(float));
    double square = 0, moved[2], value[2];
    assert_non_null(saved);
    memcpy(saved, values, parameter->count * sizeof(float));
    for (size_t i = 0; i < parameter->count; i++)
        square += (double)g[i] * (double)g[i];
    assert_true(square > 0);
    double step = fmin(0.05 / square, 0.002 / sqrt(square)); /* small in loss and in weights */
    for (int side = 0; side < 2; side++) {
        double along = 0;
        for (size_t i = 0; i < parameter->count; i++) {
            values[i] = (float)((double)saved[i] + (side ? step : -step) * (double)g[i]);
            along += ((double)values[i] - (double)saved[i]) * (double)g[i]; /* after rounding */
        }
        moved[side] = along;
        value[side] = value_of(plan, model, images);
    }
    memcpy(values, saved, parameter->count * sizeof(float));
    of_free(saved);
    double expected = moved[1] - moved[0], got = value[1] - value[0];
    /* the likelihood is computed in float: some 1e-3 nats of noise */
    if (!(fabs(got - expected) <= 0.01 * fabs(expected) + 4e-3))
        fail_msg("%s: the loss changes by %g, its gradient says %g", parameter->name, got,
                 expected);
}

static of_layer_info training_layer(const of_training_plan *plan, size_t index) {
    of_layer_info layer;
    assert_int_equal(of_training_layer(plan, index, &layer, NULL), OF_OK);
    return layer;
}

/* A profile gives the same gradient, and every layer that has work its own time. */
static void check_profile(const of_model *model, const float *images, size_t memory,
                          const unsigned char *expected) {
    of_training_plan *plan = compile(model, 1, memory);
    of_architecture a = model->architecture;
    const of_batch batch = {OF_PIXEL_F32, images, IMAGES};
    size_t layers = of_training_layer_count(plan);
    unsigned char *block = of_allocate_zeroed(model->value_bytes, 1);
    double *seconds = of_allocate(layers, sizeof(double));
    of_error error;
    assert_true(block && seconds);
    memset(seconds, 0, layers * sizeof(double));
    assert_int_equal(of_training_profile(plan, seconds, &error), OF_OK);
    if (gradient_block(plan, model, &batch, &(of_likelihoods){0}, loss, &a, block, &error) != OF_OK)
        fail_msg("%s", error.message);
    assert_memory_equal(block, expected, model->value_bytes);
    for (size_t i = 0; i < layers; i++) {
        of_layer_info layer = training_layer(plan, i);
        bool work = layer.flops > 0 || layer.output_bytes > 0 || layer.images_per_call == 0;
        bool kept = strstr(layer.name, "recompute") != NULL && layer.flops == 0;
        if ((work && !(seconds[i] > 0)) || (kept && seconds[i] > 0))
            fail_msg("%s: %g s", layer.name, seconds[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(layer.name, training_layer(plan, j).name);
    }
    assert_int_equal(of_training_layer(plan, layers, &(of_layer_info){.flops = 0}, &error),
                     OF_ERROR_ARGUMENT);
    of_free(seconds);
    of_free(block);
    of_training_free(plan);
}

static void check_architecture(const of_architecture *a) {
    of_model *model = make_model(a);
    float *images = make_images(a);
    unsigned char *block = gradient_of(model, images, 1, 0);
    unsigned char *other = gradient_of(model, images, 3, 0);
    assert_memory_equal(block, other, model->value_bytes);
    of_free(other);
    other = gradient_of(model, images, 2, 1); /* a budget of 1 byte: computed again */
    assert_memory_equal(block, other, model->value_bytes);
    of_free(other);
    check_profile(model, images, 0, block);
    check_profile(model, images, 1, block);
    of_training_plan *plan = compile(model, 1, 0);
    for (size_t p = 0; p < model->parameter_count; p++)
        if (model->parameters[p].kind == OF_PARAMETER_TRAINED)
            check_tensor(plan, model, p, block, images);
    of_training_free(plan);
    of_free(block);
    of_free(images);
    of_model_free(model);
}

static void convolutional(void **state) {
    (void)state;
    of_architecture a = small(3, 8);
    check_architecture(&a);
    a.coupling = OF_COUPLING_ADDITIVE;
    a.permutation = OF_PERMUTATION_SHUFFLE;
    check_architecture(&a);
    a = small(1, 16);
    a.lu = false;
    check_architecture(&a);
}

static void dense(void **state) {
    (void)state;
    of_architecture a = small(1, 8);
    a.block = OF_BLOCK_DENSE;
    check_architecture(&a);
    a.permutation = OF_PERMUTATION_INVCONV_FIXED;
    a.coupling = OF_COUPLING_ADDITIVE;
    check_architecture(&a);
}

static void patches(void **state) {
    (void)state;
    of_architecture a = small(3, 16);
    a.family = OF_FAMILY_PATCH_GLOW;
    check_architecture(&a);
}

static void classes(void **state) {
    (void)state;
    of_architecture a = small(1, 8);
    a.classes = 3;
    check_architecture(&a);
}

/* What other implementations do otherwise, each alone, where C is 3 and the image is 8x8 or 1 and
 * 16x8; and all of it at once. */
static void edges_and_priors(void **state) {
    (void)state;
    of_architecture a = small(3, 8);
    a.latents = OF_LATENTS_SECOND;
    check_architecture(&a);
    a.split_prior = OF_SPLIT_PRIOR_CONV;
    check_architecture(&a);
    a.latents = OF_LATENTS_FIRST;
    check_architecture(&a);
    a.edges = OF_EDGES_SPLIT;
    check_architecture(&a);
    a = small(1, 8);
    a.width = 16;
    a.edges = OF_EDGES_CONV1;
    check_architecture(&a);
    a.edges = OF_EDGES_CONV3;
    check_architecture(&a);
}

static void couplings(void **state) {
    (void)state;
    of_architecture a = small(1, 8);
    for (int map = OF_SCALE_MAP_SIGMOID; map <= OF_SCALE_MAP_TANH; map++)
        for (int shift = OF_SHIFT_BEFORE; shift <= OF_SHIFT_AFTER; shift++) {
            a.scale_map = (of_scale_map)map;
            a.shift = (of_shift)shift;
            check_architecture(&a);
        }
}

static void inputs_and_closing(void **state) {
    (void)state;
    of_architecture a = small(3, 8);
    a.closing = true;
    check_architecture(&a);
    a = small(1, 8);
    a.leak = 0.1;
    check_architecture(&a);
    a.leak = 0;
    a.net_input = OF_NET_INPUT_AFFINE_RELU;
    check_architecture(&a);
    a.net_input = OF_NET_INPUT_NONE;
    a.input = of_input_map_of_bits(5);
    check_architecture(&a);
    a.input = (of_input_map){8, 1.0 / 256, 1.0 / 512, 1.0 / 256, 0.05};
    check_architecture(&a);
}

static of_architecture everything(uint32_t channels, uint32_t size) {
    of_architecture a = small(channels, size);
    a.input = of_input_map_of_bits(5); /* logits are too wild for differences in float */
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

static void all_at_once(void **state) {
    (void)state;
    of_architecture a = everything(3, 8);
    check_architecture(&a);
    a.latents = OF_LATENTS_FIRST;
    a.classes = 3;
    a.scale_map = OF_SCALE_MAP_EXP;
    check_architecture(&a);
    a = everything(1, 16);
    a.scales = 3;
    a.coupling = OF_COUPLING_ADDITIVE;
    a.scale_map = OF_SCALE_MAP_SIGMOID;
    a.shift = OF_SHIFT_BEFORE;
    check_architecture(&a);
}

/* After initialisation every latent has mean 0 and variance 1 over the images it was made from. */
static void check_initialisation(const of_architecture *a) {
    enum { COUNT = 40 };
    of_model *model = NULL;
    of_error error;
    if (of_model_create(a, 7, &model, &error) != OF_OK)
        fail_msg("%s", error.message);
    size_t dimensions = of_architecture_dimensions(a);
    float *images = of_allocate(COUNT * dimensions, sizeof(float));
    float *latents = of_allocate(COUNT * dimensions, sizeof(float));
    of_random random = of_random_stream(5, 0);
    assert_true(images && latents);
    for (size_t i = 0; i < COUNT * dimensions; i++) /* the first row of pixels is constant */
        images[i] = i % dimensions < a->width * a->channels ? 0.25F : of_random_uniform(&random);
    of_training_plan *plan = compile(model, 2, 0);
    const of_batch batch = {OF_PIXEL_F32, images, COUNT};
    if (of_training_initialise(plan, model, &batch, &error) != OF_OK)
        fail_msg("%s", error.message);
    const compiled plain = compile_with(model, NULL);
    assert_int_equal(
        of_session_forward(plain.session, &batch, &(of_likelihoods){.latents = latents}, &error),
        OF_OK);
    for (size_t d = 0; d < dimensions; d++) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < COUNT; i++) {
            sum += (double)latents[i * dimensions + d];
            square += (double)latents[i * dimensions + d] * (double)latents[i * dimensions + d];
        }
        double mean = sum / COUNT, variance = square / COUNT - mean * mean;
        assert_true(fabs(mean) < 1e-2 && variance < 1.01);
        assert_true(variance > 0.99 || variance < 1e-2);
    }
    free_compiled(&plain);
    of_training_free(plan);
    of_free(images);
    of_free(latents);
    of_model_free(model);
}

static void initialisation_normalises_latents(void **state) {
    (void)state;
    of_architecture a = small(3, 8);
    check_initialisation(&a);
    a = small(1, 8);
    a.block = OF_BLOCK_DENSE;
    check_initialisation(&a);
    a = everything(3, 8);
    check_initialisation(&a);
    a.latents = OF_LATENTS_FIRST;
    check_initialisation(&a);
}

static void misuse_is_an_error(void **state) {
    (void)state;
    of_architecture a = small(1, 8);
    of_model *model = make_model(&a);
    of_training_options options = {.threads = 1, .lanes = 0};
    of_training_plan *plan = NULL;
    of_error error;
    assert_int_equal(of_training_compile(model, &options, &plan, &error), OF_ERROR_ARGUMENT);
    options.lanes = 65;
    assert_int_equal(of_training_compile(model, &options, &plan, &error), OF_ERROR_ARGUMENT);
    assert_null(plan);
    options.lanes = options.threads = 2;
    double seconds = 0;
    assert_int_equal(of_training_compile(model, &options, &plan, &error), OF_OK);
    const of_batch bytes = {OF_PIXEL_U8, &a, 1}, none = {OF_PIXEL_F32, &a, 0};
    assert_int_equal(
        of_training_gradient(plan, model, &bytes, &(of_likelihoods){0}, loss, &a, false, &error),
        OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "floating-point"));
    assert_int_equal(
        of_training_gradient(plan, model, &none, &(of_likelihoods){0}, loss, &a, false, &error),
        OF_ERROR_ARGUMENT);
    assert_int_equal(of_training_finish_gradient(plan, model, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_training_profile(plan, &seconds, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "one thread"));
    of_training_free(plan);
    of_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutional),
        cmocka_unit_test(dense),
        cmocka_unit_test(patches),
        cmocka_unit_test(classes),
        cmocka_unit_test(edges_and_priors),
        cmocka_unit_test(couplings),
        cmocka_unit_test(inputs_and_closing),
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(initialisation_normalises_latents),
        cmocka_unit_test(misuse_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
