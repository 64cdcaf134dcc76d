/* SPDX-License-Identifier: Apache-2.0 */
/* What holds of every plan, whatever its architecture's fields say: bits that do not depend on
 * batches, threads and bands; the way back; maps of contributions; precisions; descriptions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"
#include "core/memory.h"
#include "flow_variants.h"
#include "graph/plan.h"
#include "outputs.h"

enum { IMAGES = 5 };

/* A variant's model and images, and what one thread finds out of all of them at once. */
typedef struct subject {
    const flow_variant *variant;
    const of_architecture *architecture;
    of_model *model;
    uint8_t *pixels;
    compiled plan; /* of one thread, with its way back */
    outputs found;
} subject;

static of_plan_options options_for(unsigned threads, bool inverse) {
    of_plan_options options = of_plan_options_default();
    options.threads = threads;
    options.inverse = inverse;
    return options;
}

static subject make_subject(const flow_variant *variant) {
    subject s = {.variant = variant, .architecture = &variant->architecture};
    const of_plan_options options = options_for(1, true);
    s.model = make_flow_model(s.architecture);
    s.pixels = make_flow_pixels(s.architecture, IMAGES);
    s.plan = compile_with(s.model, &options);
    s.found = make_outputs(s.architecture, IMAGES);
    forward(&s.plan, s.pixels, &s.found, 0, IMAGES);
    return s;
}

static void free_subject(subject *s) {
    free_outputs(&s->found);
    free_compiled(&s->plan);
    of_free(s->pixels);
    of_model_free(s->model);
}

/* Not a number is larger than any. */
static double larger_of(double a, double b) {
    return a > b || isnan(a) ? a : b;
}

/* Runs a check on every variant; a check returns whether the subject is as it should be, and gives
 * the largest value of what it measures. */
static void check_all(bool (*check)(const subject *s, double *worst), const char *measure) {
    flow_variant variants[FLOW_VARIANTS];
    size_t wrong = 0;
    double largest = 0;
    const char *where = "";
    make_flow_variants(variants);
    for (size_t i = 0; i < FLOW_VARIANTS; i++) {
        subject s = make_subject(&variants[i]);
        double worst = 0;
        bool right = check(&s, &worst);
        if (!right)
            print_message("WRONG (%g): %s\n", worst, describe_flow_variant(&variants[i]));
        where = worst > largest ? variants[i].name : where;
        largest = worst > largest ? worst : largest;
        wrong += !right;
        free_subject(&s);
    }
    if (measure != NULL)
        print_message("%s: at most %.2e (%s)\n", measure, largest, where);
    assert_int_equal(wrong, 0);
}

/* ---- Bits ---------------------------------------------------------------------------------- */

/* So many images at a time. */
static const char *difference_in_batches(const subject *s, const compiled *plan, size_t at_once) {
    outputs got = make_outputs(s->architecture, IMAGES);
    for (size_t first = 0; first < IMAGES; first += at_once)
        forward(plan, s->pixels, &got, first, IMAGES - first < at_once ? IMAGES - first : at_once);
    const char *different = difference_of_outputs(&s->found, &got, IMAGES);
    free_outputs(&got);
    if (different != NULL)
        print_message("%zu at once, %u threads: other %s\n", at_once,
                      of_plan_describe(plan->plan).threads, different);
    return different;
}

static bool bits_in_batches(const subject *s, double *worst) {
    (void)worst;
    const of_plan_options options = options_for(3, false);
    compiled three = compile_with(s->model, &options);
    bool same = difference_in_batches(s, &s->plan, 1) == NULL &&
                difference_in_batches(s, &s->plan, 2) == NULL &&
                difference_in_batches(s, &three, IMAGES) == NULL;
    free_compiled(&three);
    return same;
}

static void bits_do_not_depend_on_batches(void **state) {
    (void)state;
    check_all(bits_in_batches, NULL);
}

/* Single images divided among threads. */
static bool bits_in_bands(const subject *s, double *worst) {
    (void)worst;
    bool same = true;
    for (unsigned threads = 2; same && threads <= 4; threads++) {
        const of_plan_options options = options_for(threads, false);
        compiled plan = compile_with(s->model, &options);
        same = difference_in_batches(s, &plan, 1) == NULL;
        if (s->architecture->block == OF_BLOCK_CONV && !plan.plan->shares_images) {
            print_message("%u threads: no bands\n", threads);
            same = false;
        }
        free_compiled(&plan);
    }
    return same;
}

static void bits_do_not_depend_on_bands(void **state) {
    (void)state;
    check_all(bits_in_bands, NULL);
}

/* ---- Pixels -------------------------------------------------------------------------------- */

/* Floats that hold v/255 score like the bytes v, unless these have fewer bits. */
static bool floats_are_bytes(const subject *s, double *worst) {
    size_t values = IMAGES * s->found.dimensions;
    float *floats = of_allocate(values, sizeof *floats);
    outputs got = make_outputs(s->architecture, IMAGES);
    assert_non_null(floats);
    for (size_t i = 0; i < values; i++)
        floats[i] = (float)s->pixels[i] / 255.0F;
    forward_pixels(&s->plan, OF_PIXEL_F32, floats, &got, 0, IMAGES);
    for (size_t i = 0; i < IMAGES; i++)
        *worst = larger_of(*worst, fabs(got.logp[i] - s->found.logp[i]) / fabs(s->found.logp[i]));
    of_free(floats);
    free_outputs(&got);
    bool eight = s->architecture->input.bits == 8;
    bool right = eight ? *worst < 2e-6 : *worst > 1e-5;
    *worst = eight ? *worst : 0;
    return right;
}

static void bytes_and_their_floats_score_alike(void **state) {
    (void)state;
    check_all(floats_are_bytes, "change of logp, relative");
}

/* v/255 of what a byte's lower bits leave. */
static double seen_pixel(const of_architecture *a, uint8_t v) {
    unsigned lost = 8 - a->input.bits;
    return (double)(v >> lost << lost) / 255;
}

static bool goes_back(const subject *s, double *worst) {
    size_t values = IMAGES * s->found.dimensions;
    float *images = of_allocate(values, sizeof *images);
    of_error error;
    assert_non_null(images);
    if (of_session_inverse(s->plan.session, s->found.latents, IMAGES, images, &error) != OF_OK)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < values; i++) {
        double off = fabs((double)images[i] - seen_pixel(s->architecture, s->pixels[i]));
        *worst = larger_of(*worst, off);
    }
    of_free(images);
    return *worst < 1e-4;
}

static void latents_go_back_to_pixels(void **state) {
    (void)state;
    check_all(goes_back, "round trip, of the range of pixels");
}

/* Samples are finite, and score as what they were drawn as: latents of temperature 0 are zero. */
static bool samples(const subject *s, double *worst) {
    enum { COUNT = 3 };
    size_t values = COUNT * s->found.dimensions;
    float *images = of_allocate(values, sizeof *images);
    outputs zero = make_outputs(s->architecture, COUNT);
    bool finite = true;
    of_error error;
    assert_non_null(images);
    if (of_session_sample(s->plan.session, COUNT, 0.7, 5, images, &error) != OF_OK)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < values; i++)
        finite = finite && isfinite(images[i]);
    if (of_session_sample(s->plan.session, COUNT, 0, 5, images, &error) != OF_OK)
        fail_msg("%s", error.message);
    forward_pixels(&s->plan, OF_PIXEL_F32, images, &zero, 0, COUNT);
    for (size_t i = 0; i < values; i++)
        *worst = larger_of(*worst, fabs((double)zero.latents[i]));
    of_free(images);
    free_outputs(&zero);
    return finite && *worst < 1e-3;
}

static void samples_are_images(void **state) {
    (void)state;
    check_all(samples, "latents of the image of zero latents");
}

/* ---- Maps ---------------------------------------------------------------------------------- */

static double sum_of(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

/* Largest relative error of an image's sums; `map` is its positions. */
static double error_of_sums(const subject *s, size_t image, const double *map) {
    const of_architecture *a = s->architecture;
    double worst = 0, all = 0, expected = s->found.logp[image];
    for (uint32_t scale = 0; scale < s->found.scales; scale++) {
        uint32_t height, width;
        of_architecture_position_shape(a, scale, &height, &width);
        double sum = sum_of(map, (size_t)height * width);
        double contribution = s->found.contributions[image * s->found.scales + scale];
        if (a->classes == 0)
            worst = larger_of(worst, fabs(sum - contribution) / fmax(fabs(contribution), 100));
        map += (size_t)height * width;
        all += sum;
    }
    for (uint32_t c = 0; c < a->classes; c++) /* the likeliest class */
        expected = c == 0 ? s->found.class_logp[image * a->classes]
                          : fmax(expected, s->found.class_logp[image * a->classes + c]);
    return larger_of(worst, fabs(all - expected) / fmax(fabs(expected), 100));
}

static bool maps_sum(const subject *s, double *worst) {
    size_t positions = of_architecture_position_count(s->architecture);
    double *maps = of_allocate(IMAGES * positions, sizeof *maps);
    const of_batch batch = {OF_PIXEL_U8, s->pixels, IMAGES};
    of_error error;
    assert_non_null(maps);
    if (of_session_position_contributions(s->plan.session, &batch, maps, &error) != OF_OK)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < IMAGES; i++)
        *worst = larger_of(*worst, error_of_sums(s, i, maps + i * positions));
    of_free(maps);
    return *worst < 1e-6;
}

static void maps_sum_to_contributions(void **state) {
    (void)state;
    check_all(maps_sum, "sums of maps, relative");
}

/* ---- Precision ----------------------------------------------------------------------------- */

/* One by one, on so many threads. */
static bool same_in_bf16(const subject *s, const outputs *expected, unsigned threads) {
    of_plan_options options = options_for(threads, false);
    options.precision = OF_PRECISION_BF16;
    compiled plan = compile_with(s->model, &options);
    outputs got = make_outputs(s->architecture, IMAGES);
    for (size_t i = 0; i < IMAGES; i++)
        forward(&plan, s->pixels, &got, i, 1);
    const char *different = difference_of_outputs(&got, expected, IMAGES);
    if (different != NULL)
        print_message("one by one in bf16, %u threads: other %s\n", threads, different);
    free_outputs(&got);
    free_compiled(&plan);
    return different == NULL;
}

/* In bfloat16, whose bits do not depend on batches and bands either. */
static bool bf16_is_near(const subject *s, double *worst) {
    of_plan_options options = options_for(1, false);
    options.precision = OF_PRECISION_BF16;
    compiled rounded = compile_with(s->model, &options);
    outputs got = make_outputs(s->architecture, IMAGES);
    forward(&rounded, s->pixels, &got, 0, IMAGES);
    for (size_t i = 0; i < IMAGES; i++)
        *worst = larger_of(*worst, fabs(got.logp[i] - s->found.logp[i]) / (double)got.dimensions);
    bool rounds = difference_of_outputs(&got, &s->found, IMAGES) != NULL;
    bool same = same_in_bf16(s, &got, 1) && same_in_bf16(s, &got, 3);
    free_outputs(&got);
    free_compiled(&rounded);
    return *worst < 5e-3 && rounds && same;
}

static void bf16_is_near_f32(void **state) {
    (void)state;
    of_precision precision;
    of_error error;
    if (of_precision_resolve(OF_PRECISION_BF16, OF_ISA_AUTO, &precision, &error) != OF_OK) {
        print_message("SKIPPED: %s\n", error.message);
        skip();
    }
    check_all(bf16_is_near, "bf16: change of logp, nats a dimension");
}

/* ---- Descriptions -------------------------------------------------------------------------- */

/* Whether a layer's description makes sense; counts those of split priors. */
static bool is_sensible(const of_architecture *a, const of_layer_info *layer, size_t *splits) {
    bool prior = strstr(layer->name, ".prior") != NULL;
    bool split = strstr(layer->name, ".split_prior") != NULL;
    *splits += split;
    bool coupling = split || strstr(layer->name, ".coupling") != NULL;
    bool affine = split || a->coupling == OF_COUPLING_AFFINE;
    bool told = !coupling || strstr(layer->operation, affine ? "affine" : "additive") != NULL;
    return strncmp(layer->name, "scales.", 7) == 0 && told && layer->kernel[0] != '\0' &&
           layer->images_per_call > 0 && layer->input_bytes > 0 &&
           (layer->output_bytes > 0) != prior;
}

/* FLOP of all layers. */
static double layer_flops(const of_plan *plan, bool *sensible) {
    const of_architecture *a = of_plan_architecture(plan);
    size_t splits = 0;
    double flops = 0;
    *sensible = true;
    for (size_t i = 0; i < of_plan_layer_count(plan); i++) {
        of_layer_info layer;
        assert_int_equal(of_plan_layer(plan, i, &layer, NULL), OF_OK);
        *sensible = *sensible && is_sensible(a, &layer, &splits);
        flops += layer.flops;
    }
    bool conv = a->split_prior == OF_SPLIT_PRIOR_CONV;
    *sensible = *sensible && splits == (conv ? of_architecture_scale_count(a) - 1 : 0);
    return flops;
}

/* Of narrow networks most is padding. */
static bool is_described(const subject *s, double *worst) {
    double direct = of_architecture_flops(s->architecture);
    bool sensible;
    *worst = layer_flops(s->plan.plan, &sensible) / direct;
    return sensible && *worst >= 1 && of_plan_describe(s->plan.plan).flops_per_image == direct;
}

static void layers_are_described(void **state) {
    (void)state;
    check_all(is_described, "FLOP of layers over those of the network");
}

/* Of wider ones hardly anything is. */
static void layers_cost_what_the_network_does(void **state) {
    (void)state;
    flow_variant variants[FLOW_VARIANTS];
    make_flow_variants(variants);
    for (size_t i = 0; i < FLOW_FIELDS; i++) {
        of_architecture a = variants[i].architecture;
        a.hidden = 64;
        of_model *model = make_flow_model(&a);
        compiled plan = compile_with(model, NULL);
        bool sensible;
        double ratio = layer_flops(plan.plan, &sensible) / of_architecture_flops(&a);
        if (!(ratio >= 1 && ratio < 1.08))
            fail_msg("%s: the layers have %g of the network's FLOP", variants[i].name, ratio);
        free_compiled(&plan);
        of_model_free(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_do_not_depend_on_batches),
        cmocka_unit_test(bits_do_not_depend_on_bands),
        cmocka_unit_test(bytes_and_their_floats_score_alike),
        cmocka_unit_test(latents_go_back_to_pixels),
        cmocka_unit_test(samples_are_images),
        cmocka_unit_test(maps_sum_to_contributions),
        cmocka_unit_test(bf16_is_near_f32),
        cmocka_unit_test(layers_are_described),
        cmocka_unit_test(layers_cost_what_the_network_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
