/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients with networks in bfloat16: close to those in floats for every kind of flow, the same
 * bits for any threads and memory, refused where the processor lacks it. */
#include "../gradient_block.h"
#include "core/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "flow_variants.h"

enum { IMAGES = 11 };

static double loss(void *user, size_t image, double logp, const double *class_logp,
                   double *class_gradient) {
    const of_architecture *a = user;
    (void)logp;
    (void)class_logp;
    for (size_t c = 0; c < a->classes; c++)
        class_gradient[c] = c == image % 3 ? 1.0 : 0.25;
    return 0.5 + 0.25 * (double)(image % 3);
}

static of_training_plan *compile(const of_model *model, of_precision precision, unsigned threads,
                                 size_t memory) {
    const of_training_options options = {
        .threads = threads, .precision = precision, .lanes = 3, .memory_bytes = memory};
    of_training_plan *plan = NULL;
    of_error error;
    if (of_training_compile(model, &options, &plan, &error) != OF_OK)
        fail_msg("%s", error.message);
    return plan;
}

static float *make_images(const of_architecture *a) {
    size_t floats = IMAGES * of_architecture_dimensions(a);
    uint8_t *bytes = make_flow_pixels(a, IMAGES);
    float *images = of_allocate(floats, sizeof(float));
    assert_non_null(images);
    for (size_t i = 0; i < floats; i++)
        images[i] = (float)bytes[i] / 255.0F;
    of_free(bytes);
    return images;
}

static unsigned char *gradient_of(const of_model *model, const float *images,
                                  of_precision precision, unsigned threads, size_t memory) {
    of_training_plan *plan = compile(model, precision, threads, memory);
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

/* |a - b| / |b| of all trained tensors as one, and of the worst alone. */
static double distance(const of_model *model, const unsigned char *a, const unsigned char *b,
                       double *worst) {
    double all_errors = 0, all_norms = 0;
    *worst = 0;
    for (size_t p = 0; p < model->parameter_count; p++) {
        const of_parameter *parameter = &model->parameters[p];
        const float *x = (const float *)(const void *)(a + parameter->offset);
        const float *y = (const float *)(const void *)(b + parameter->offset);
        double errors = 0, norm = 0;
        if (parameter->kind != OF_PARAMETER_TRAINED)
            continue;
        for (size_t i = 0; i < parameter->count; i++) {
            errors += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            norm += (double)y[i] * (double)y[i];
        }
        if (norm > 0)
            *worst = fmax(*worst, sqrt(errors / norm));
        all_errors += errors;
        all_norms += norm;
    }
    return sqrt(all_errors / all_norms);
}

/* True, and says so, where this machine has no bfloat16. */
static bool left_out(void) {
    of_precision precision;
    of_error error;
    if (of_precision_resolve(OF_PRECISION_BF16, OF_ISA_AUTO, &precision, &error) == OF_OK)
        return false;
    print_message("SKIPPED: %s\n", error.message);
    return true;
}

/* A tensor's gradient may have some noise where a few small images open few of 8 hidden units and a
 * ReLU near 0 changes sides. */
static void every_flow_comes_close(void **state) {
    (void)state;
    flow_variant variants[FLOW_VARIANTS];
    double all = 0, tensors = 0;
    if (left_out())
        skip();
    make_flow_variants(variants);
    for (size_t v = 0; v < FLOW_VARIANTS; v++) {
        of_model *model = make_flow_model(&variants[v].architecture);
        float *images = make_images(&variants[v].architecture);
        unsigned char *floats = gradient_of(model, images, OF_PRECISION_F32, 1, 0);
        unsigned char *rounded = gradient_of(model, images, OF_PRECISION_BF16, 1, 0);
        double worst, together = distance(model, rounded, floats, &worst);
        if (!(together > 0 && together <= 0.02 && worst <= 0.3))
            fail_msg("%s: gradients differ by %g, of one tensor by %g",
                     describe_flow_variant(&variants[v]), together, worst);
        all = fmax(all, together);
        tensors = fmax(tensors, worst);
        of_free(floats);
        of_free(rounded);
        of_free(images);
        of_model_free(model);
    }
    print_message("largest distance %.3g, of a tensor %.3g\n", all, tensors);
}

static void threads_and_memory_change_no_bit(void **state) {
    (void)state;
    flow_variant variants[FLOW_VARIANTS];
    if (left_out())
        skip();
    make_flow_variants(variants);
    for (size_t v = 0; v < FLOW_VARIANTS; v += 5) {
        of_model *model = make_flow_model(&variants[v].architecture);
        float *images = make_images(&variants[v].architecture);
        unsigned char *one = gradient_of(model, images, OF_PRECISION_BF16, 1, 0);
        for (unsigned threads = 1; threads <= 3; threads++) {
            unsigned char *other =
                gradient_of(model, images, OF_PRECISION_BF16, threads, threads == 2 ? 0 : 1);
            assert_memory_equal(one, other, model->value_bytes);
            of_free(other);
        }
        of_free(one);
        of_free(images);
        of_model_free(model);
    }
}

static of_architecture wide(void) {
    of_architecture a = of_architecture_default();
    a.height = a.width = 16;
    a.scales = 2;
    a.steps = 2;
    a.hidden = 64;
    return a;
}

static void activations_take_half_the_memory(void **state) {
    (void)state;
    of_architecture a = wide();
    of_model *model = NULL;
    size_t bytes[2];
    a.hidden = 512;
    if (left_out())
        skip();
    assert_int_equal(of_model_create(&a, 1, &model, NULL), OF_OK);
    for (int precision = 0; precision < 2; precision++) {
        of_training_plan *plan = compile(model, (of_precision)precision, 1, 0);
        of_training_memory memory = of_training_memory_use(plan);
        assert_true(memory.kept_share == 1);
        bytes[precision] = memory.activations;
        of_training_free(plan);
    }
    assert_true((double)bytes[1] < 0.7 * (double)bytes[0]); /* states are floats */
    of_model_free(model);
}

/* Products are said to be bfloat16's, and what is in floats is not. */
static void layers_say_what_they_multiply(void **state) {
    (void)state;
    const of_architecture a = wide();
    of_model *model = NULL;
    size_t networks = 0;
    if (left_out())
        skip();
    assert_int_equal(of_model_create(&a, 1, &model, NULL), OF_OK);
    of_training_plan *plan = compile(model, OF_PRECISION_BF16, 1, 0);
    for (size_t i = 0; i < of_training_layer_count(plan); i++) {
        of_layer_info layer;
        assert_int_equal(of_training_layer(plan, i, &layer, NULL), OF_OK);
        bool network = strstr(layer.name, ".conv") != NULL;
        assert_int_equal(layer.precision == OF_PRECISION_BF16, network);
        assert_true(!network || strstr(layer.kernel, "bf16") != NULL ||
                    strstr(layer.kernel, "amx") != NULL);
        networks += network;
    }
    assert_int_equal(networks, 2 * 2 * 3 * 3); /* forward, weights and inputs of every layer */
    of_training_free(plan);
    of_model_free(model);
}

static void kernels_that_lack_it_are_refused(void **state) {
    (void)state;
    const of_architecture a = wide();
    of_model *model = NULL;
    of_training_plan *plan = NULL;
    of_error error;
    assert_int_equal(of_model_create(&a, 1, &model, NULL), OF_OK);
    for (of_isa isa = OF_ISA_SCALAR; isa <= OF_ISA_AVX2; isa++) {
        const of_training_options options = {
            .threads = 1, .isa = isa, .precision = OF_PRECISION_BF16, .lanes = 1};
        assert_int_equal(of_training_compile(model, &options, &plan, &error), OF_ERROR_UNSUPPORTED);
        assert_null(plan);
        assert_true(strlen(error.setting) > 0);
    }
    of_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flow_comes_close),
        cmocka_unit_test(threads_and_memory_change_no_bit),
        cmocka_unit_test(activations_take_half_the_memory),
        cmocka_unit_test(layers_say_what_they_multiply),
        cmocka_unit_test(kernels_that_lack_it_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
