/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of all that architectures' fields say, on every instruction set, against the equations in
 * double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"
#include "core/memory.h"
#include "flow_variants.h"
#include "model/model.h"
#include "outputs.h"
#include "reference_flow.h"

enum { IMAGES = 2 };

/* Squares of float latents are what grows with -logp. */
static const double nats_allowed = 2e-4, nats_allowed_relative = 5e-7, latents_allowed = 1e-5;

/* ---- How far an image is off --------------------------------------------------------------- */

typedef struct errors {
    double most;    /* |logp| of any image */
    double nats;    /* of logp, contributions and log-likelihoods of classes */
    double latents; /* relative to the larger of 1 and the latent; squares alike */
} errors;

static double larger(double a, double b) {
    return a > b || isnan(a) ? a : b;
}

static double relative(double got, double expected) {
    return fabs(got - expected) / larger(fabs(expected), 1);
}

static void add_errors(errors *worst, const outputs *out, size_t image,
                       const reference_result *expected) {
    worst->most = larger(worst->most, fabs(expected->logp));
    worst->nats = larger(worst->nats, fabs(out->logp[image] - expected->logp));
    for (size_t s = 0; s < out->scales; s++) {
        size_t place = image * out->scales + s;
        double error = fabs(out->contributions[place] - expected->contributions[s]);
        worst->nats = larger(worst->nats, error);
        worst->latents =
            larger(worst->latents, relative(out->squares[place], expected->latent_squares[s]));
    }
    for (size_t c = 0; c < out->classes; c++) {
        double got = out->class_logp[image * out->classes + c];
        worst->nats = larger(worst->nats, fabs(got - expected->class_logp[c]));
    }
    for (size_t i = 0; i < out->dimensions; i++) {
        double got = (double)out->latents[image * out->dimensions + i];
        worst->latents = larger(worst->latents, relative(got, expected->latents[i]));
    }
}

/* ---- A model ------------------------------------------------------------------------------- */

static compiled compile_for(const of_model *model, of_isa isa) {
    of_plan_options options = of_plan_options_default();
    options.threads = 1;
    options.isa = isa;
    return compile_with(model, &options);
}

/* What every instruction set that this machine has finds, in bytes and in floats between them. */
static errors check_pixels(const of_model *model, of_pixel_type type, const void *pixels) {
    const of_architecture *a = of_model_architecture(model);
    size_t size = type == OF_PIXEL_U8 ? sizeof(uint8_t) : sizeof(float);
    size_t bytes = of_architecture_dimensions(a) * size;
    outputs out = make_outputs(a, IMAGES);
    reference_result expected[IMAGES];
    errors worst = {0, 0, 0};
    for (size_t i = 0; i < IMAGES; i++) {
        expected[i].latents = of_allocate(out.dimensions, sizeof(double));
        assert_non_null(expected[i].latents);
        reference_flow(model, type, (const char *)pixels + i * bytes, &expected[i]);
    }
    for (int isa = OF_ISA_SCALAR; isa <= OF_ISA_AVX512; isa++) {
        of_isa resolved;
        if (of_isa_resolve((of_isa)isa, &resolved, NULL) != OF_OK)
            continue;
        compiled plan = compile_for(model, resolved);
        forward_pixels(&plan, type, pixels, &out, 0, IMAGES);
        for (size_t i = 0; i < IMAGES; i++)
            add_errors(&worst, &out, i, &expected[i]);
        free_compiled(&plan);
    }
    for (size_t i = 0; i < IMAGES; i++)
        of_free(expected[i].latents);
    free_outputs(&out);
    return worst;
}

static errors check_model(const of_model *model) {
    const of_architecture *a = of_model_architecture(model);
    size_t values = IMAGES * of_architecture_dimensions(a);
    uint8_t *bytes = make_flow_pixels(a, IMAGES);
    float *floats = of_allocate(values, sizeof *floats);
    assert_non_null(floats);
    for (size_t i = 0; i < values; i++)
        floats[i] = ((float)bytes[i] + 0.125F * (float)(i % 4)) / 256;
    errors of_bytes = check_pixels(model, OF_PIXEL_U8, bytes);
    errors of_floats = check_pixels(model, OF_PIXEL_F32, floats);
    of_free(bytes);
    of_free(floats);
    return (errors){larger(of_bytes.most, of_floats.most), larger(of_bytes.nats, of_floats.nats),
                    larger(of_bytes.latents, of_floats.latents)};
}

static bool is_right(const of_model *model, const char *name) {
    errors worst = check_model(model);
    bool right = worst.nats <= nats_allowed + nats_allowed_relative * worst.most &&
                 worst.latents <= latents_allowed;
    print_message("%-34s %.1e nats of %.0f, latents %.1e\n", name, worst.nats, worst.most,
                  worst.latents);
    return right;
}

static bool check_variant(const flow_variant *variant) {
    of_model *model = make_flow_model(&variant->architecture);
    bool right = is_right(model, variant->name);
    of_model_free(model);
    if (!right)
        print_message("WRONG: %s\n", describe_flow_variant(variant));
    return right;
}

/* Whether variants [first, end) are right; all are tried. */
static void check_variants(size_t first, size_t end) {
    flow_variant variants[FLOW_VARIANTS];
    size_t wrong = 0;
    make_flow_variants(variants);
    for (size_t i = first; i < end; i++)
        wrong += !check_variant(&variants[i]);
    assert_int_equal(wrong, 0);
}

static void each_field_alone(void **state) {
    (void)state;
    check_variants(0, FLOW_FIELDS);
}

static void combinations_of_fields(void **state) {
    (void)state;
    check_variants(FLOW_FIELDS, FLOW_VARIANTS);
}

static void set_value(of_model *model, const char *name, size_t index, float value) {
    int parameter = of_model_find(model, name);
    assert_true(parameter >= 0 && index < model->parameters[parameter].count);
    of_model_values(model, parameter)[index] = value;
}

/* Scales that no float holds: the log-determinant is there all the same. One channel is enough. */
static void couplings_far_from_zero(void **state) {
    (void)state;
    static const struct {
        const char *variant, *layer, *tensor;
        size_t channel;
        float value;
    } cases[] = {{"no field", "scales.0.steps.1.net.conv3", "bias", 5, -300},
                 {"shift after", "scales.0.steps.1.net.conv3", "bias", 5, -300},
                 {"exp, shift before", "scales.0.steps.1.net.conv3", "bias", 5, -300},
                 {"exp, shift after", "scales.0.steps.1.net.conv3", "bias", 5, -300},
                 {"sigmoid_inverse, shift before", "scales.0.steps.1.net.conv3", "bias", 5, 300},
                 {"tanh, shift before", "scales.0.steps.1.net", "gain", 2, 300},
                 {"split_prior conv", "scales.0.split", "bias", 5, 300}};
    flow_variant variants[FLOW_VARIANTS];
    char name[128];
    size_t found = 0;
    make_flow_variants(variants);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (size_t i = 0; i < FLOW_FIELDS; i++) {
            if (strcmp(variants[i].name, cases[c].variant) != 0)
                continue;
            of_model *model = make_flow_model(&variants[i].architecture);
            (void)snprintf(name, sizeof name, "%s.%s", cases[c].layer, cases[c].tensor);
            set_value(model, name, cases[c].channel, cases[c].value);
            assert_true(is_right(model, name));
            of_model_free(model);
            found++;
        }
    assert_int_equal(found, sizeof cases / sizeof *cases);
}

/* The larger change of a class' logp. */
static double largest_change(const reference_result *a, const reference_result *b) {
    return larger(fabs(a->class_logp[0] - b->class_logp[0]),
                  fabs(a->class_logp[1] - b->class_logp[1]));
}

/* So that agreement says something: without any one of its tensors the model is another. */
static void every_tensor_counts(void **state) {
    (void)state;
    flow_variant variants[FLOW_VARIANTS];
    make_flow_variants(variants);
    const of_architecture *a = &variants[FLOW_FIELDS - 1].architecture;
    of_model *model = make_flow_model(a);
    uint8_t *pixels = make_flow_pixels(a, 1);
    double *latents = of_allocate(of_architecture_dimensions(a), sizeof *latents);
    assert_non_null(latents);
    reference_result before = {.latents = latents}, after = {.latents = latents};
    reference_flow(model, OF_PIXEL_U8, pixels, &before);
    for (size_t p = 0; p < model->parameter_count; p++) {
        const of_parameter *parameter = &model->parameters[p];
        float *values = of_model_values(model, (int)p);
        for (size_t i = 0; i < parameter->count; i++)
            values[i] *= 1.0625F; /* and back again, exactly but for a bit */
        reference_flow(model, OF_PIXEL_U8, pixels, &after);
        for (size_t i = 0; i < parameter->count; i++)
            values[i] /= 1.0625F;
        double change = largest_change(&before, &after);
        if (!(change > 10 * nats_allowed))
            fail_msg("%s changes logp by %g nats only", parameter->name, change);
    }
    of_free(latents);
    of_free(pixels);
    of_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_counts),
        cmocka_unit_test(each_field_alone),
        cmocka_unit_test(combinations_of_fields),
        cmocka_unit_test(couplings_far_from_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
