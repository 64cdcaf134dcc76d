/* SPDX-License-Identifier: Apache-2.0 */
/* Networks in integers: convolutions against exact sums, rounding of weights, activation ranges in
 * the metadata, and whole plans. */
#define _POSIX_C_SOURCE 200809L
#include "core/memory.h"
#include "core/random.h"
#include "graph/convolution.h"
#include "graph/integer_convolution.h"
#include "graph/integer_rounding.h"
#include "graph/layer_choice.h"
#include "kernels.h"
#include "model/model.h"
#include "model/quantization.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compiled.h"
#include "outputs.h"
#include "random_model.h"

enum { IMAGES = 21 };

/* Tells why not when integers cannot run here. */
static bool has_int8(void) {
    of_precision precision;
    of_error error;
    if (of_precision_resolve(OF_PRECISION_INT8, OF_ISA_AUTO, &precision, &error) == OF_OK)
        return true;
    print_message("SKIPPED: %s\n", error.message);
    return false;
}

/* ---- Convolutions ---------------------------------------------------------------------------- */

static int source_number(const of_convolution_shape *shape, const void *source, size_t place) {
    return shape->source == OF_PRECISION_INT16 ? ((const int16_t *)source)[place]
                                               : ((const uint8_t *)source)[place];
}

/* The sum of one output, exact, with the zero padding of the shape. */
static double exact_output(const of_convolution_shape *shape, const void *source, size_t image,
                           uint32_t y, uint32_t x, uint32_t o, const float *weights, float bias) {
    size_t row = (size_t)shape->inputs * shape->kernel * shape->kernel;
    int16_t *integers = of_allocate(row, sizeof *integers);
    assert_non_null(integers);
    double scale = (double)of_integer_weights(shape, weights + o * row, integers);
    int64_t sum = 0;
    int rows = (int)(shape->height + shape->above + shape->below), edge = (int)shape->kernel / 2;
    for (int ky = 0; ky < (int)shape->kernel; ky++)
        for (int kx = 0; kx < (int)shape->kernel; kx++) {
            int sy = (int)y + ky - edge + shape->above, sx = (int)x + kx - edge;
            if (sy < 0 || sy >= rows || sx < 0 || sx >= (int)shape->width)
                continue;
            size_t place =
                ((image * (size_t)rows + (size_t)sy) * shape->width + (size_t)sx) * shape->inputs;
            for (uint32_t i = 0; i < shape->inputs; i++)
                sum += (int64_t)source_number(shape, source, place + i) *
                       integers[(i * shape->kernel + (uint32_t)ky) * shape->kernel + (uint32_t)kx];
        }
    of_free(integers);
    return scale * (double)sum + (double)bias;
}

static void fill_source(const of_convolution_shape *shape, of_random *random, void *source,
                        size_t count) {
    for (size_t i = 0; i < count; i++)
        if (shape->source == OF_PRECISION_INT16)
            ((int16_t *)source)[i] =
                (int16_t)((int)of_random_below(random, 2 * OF_INT16_MOST + 1) - OF_INT16_MOST);
        else
            ((uint8_t *)source)[i] = (uint8_t)of_random_below(random, 256);
}

static void check_outputs(const of_convolution_shape *shape, uint32_t images, const void *source,
                          const float *weights, const float *bias, const void *target) {
    size_t place = 0;
    for (size_t image = 0; image < images; image++)
        for (uint32_t y = 0; y < shape->height; y++)
            for (uint32_t x = 0; x < shape->width; x++)
                for (uint32_t o = 0; o < shape->outputs; o++, place++) {
                    double want = exact_output(shape, source, image, y, x, o, weights,
                                               shape->bias ? bias[o] : 0);
                    double got = shape->target == OF_PRECISION_F32
                                     ? (double)((const float *)target)[place]
                                     : ((const uint8_t *)target)[place];
                    if (shape->target == OF_PRECISION_F32)
                        assert_true(fabs(got - want) <= 1e-6 * (1 + fabs(want)) + 1e-4);
                    else
                        assert_true(fabs(got - fmax(0, fmin(255, want))) <= 0.501);
                }
}

static void check_convolution(const of_convolution_shape *shape, uint32_t images) {
    size_t in = (size_t)(shape->height + 2) * shape->width * shape->inputs * images;
    size_t out = (size_t)shape->height * shape->width * shape->outputs * images;
    size_t row = (size_t)shape->inputs * shape->kernel * shape->kernel;
    of_random random = of_random_stream(5, shape->inputs);
    of_convolution *code = NULL;
    of_error error;
    assert_int_equal(of_convolution_create(shape, images, NULL, &code, &error), OF_OK);
    void *source = of_allocate_zeroed(in, 2), *target = of_allocate(out, sizeof(float));
    void *packed = of_allocate(of_convolution_weight_bytes(code), 1);
    float *weights = of_allocate(row * shape->outputs, sizeof(float));
    float *bias = of_allocate(shape->outputs, sizeof(float));
    assert_true(source && target && packed && weights && bias);
    fill_source(shape, &random, source, in);
    double size = (shape->source == OF_PRECISION_INT16 ? 0.01 : 0.3) / sqrt((double)row);
    for (size_t i = 0; i < row * shape->outputs; i++)
        weights[i] = (float)(size * of_random_normal(&random));
    for (uint32_t o = 0; o < shape->outputs; o++)
        bias[o] = (float)(30 * of_random_normal(&random));
    assert_int_equal(of_convolution_pack(code, weights, packed, &error), OF_OK);
    assert_int_equal(of_convolution_run(code, images, source, packed, bias, target, NULL, &error),
                     OF_OK);
    check_outputs(shape, images, source, weights, bias, target);
    of_free(bias);
    of_free(weights);
    of_free(packed);
    of_free(target);
    of_free(source);
    of_convolution_free(code);
}

static void convolutions_are_exact_sums(void **state) {
    (void)state;
    if (!has_int8())
        skip();
    of_convolution_shape shape = {
        .height = 5, .width = 3, .inputs = 32, .outputs = 48, .kernel = 3};
    shape.source = OF_PRECISION_INT8;
    check_convolution(&shape, 4);
    shape.above = true; /* bands */
    check_convolution(&shape, 1);
    shape.below = true;
    check_convolution(&shape, 1);
    shape =
        (of_convolution_shape){.height = 4, .width = 4, .inputs = 6, .outputs = 32, .kernel = 3};
    shape.source = OF_PRECISION_INT16;
    shape.target = OF_PRECISION_INT8;
    shape.bias = shape.relu = true;
    check_convolution(&shape, 2);
    shape.kernel = 1;
    shape.inputs = 16;
    check_convolution(&shape, 8);
    shape.source = OF_PRECISION_INT8;
    check_convolution(&shape, 8);
}

/* The scale leaves room for the largest sums of all, in 32 bits. */
static void no_sum_can_overflow(void **state) {
    enum { INPUTS = 600 };
    (void)state;
    const of_precision sources[] = {OF_PRECISION_INT8, OF_PRECISION_INT16};
    float weights[INPUTS * 9];
    int16_t integers[INPUTS * 9];
    for (size_t s = 0; s < 2; s++) {
        const of_convolution_shape shape = {.inputs = INPUTS, .kernel = 3, .source = sources[s]};
        int64_t sum = 0;
        for (size_t i = 0; i < INPUTS * 9; i++)
            weights[i] = i % 3 == 0 ? -1.0F : 1.0F;
        float scale = of_integer_weights(&shape, weights, integers);
        for (size_t i = 0; i < INPUTS * 9; i++)
            sum += abs(integers[i]);
        assert_true(sum * (s == 0 ? 255 : OF_INT16_MOST) <= INT32_MAX);
        assert_true(fabs((double)scale * integers[1] - 1) < (s == 0 ? 1e-6 : 0.02));
    }
    memset(weights, 0, sizeof weights);
    const of_convolution_shape shape = {.inputs = INPUTS, .kernel = 3, .source = sources[0]};
    assert_true(isfinite(of_integer_weights(&shape, weights, integers)));
    assert_int_equal(integers[5], 0);
}

/* ---- Rounding -------------------------------------------------------------------------------- */

/* The mean of the error that positions inside the image have. */
static double mean_error(const float *weights, const float *rounded, const float *mean,
                         size_t inputs) {
    double sum = 0;
    for (size_t i = 0; i < inputs * 9; i++)
        sum += (double)mean[i / 9] * ((double)rounded[i] - (double)weights[i]);
    return sum;
}

static void rounding_keeps_what_inputs_have_in_common(void **state) {
    enum { INPUTS = 64, COUNT = INPUTS * 9 };
    (void)state;
    float weights[COUNT], rounded[COUNT], nearest[COUNT], errors[COUNT];
    float mean[INPUTS], variance[INPUTS];
    const of_input_moments moments = {mean, variance, NULL, INPUTS, 9, 0};
    of_random random = of_random_stream(9, 1);
    double before = 0, after = 0;
    for (int repeat = 0; repeat < 20; repeat++) {
        float largest = 0;
        for (size_t i = 0; i < INPUTS; i++) {
            mean[i] = 20 * of_random_uniform(&random);
            variance[i] = 100 * of_random_uniform(&random);
        }
        for (size_t i = 0; i < COUNT; i++) {
            rounded[i] = weights[i] = (float)of_random_normal(&random);
            largest = fmaxf(largest, fabsf(weights[i]));
        }
        of_round_weights(&moments, rounded, errors);
        for (size_t i = 0; i < COUNT; i++) {
            nearest[i] = rintf(weights[i] / largest * 127) * largest / 127;
            assert_true(fabsf(rounded[i]) <= largest * 1.0001F);
        }
        before += fabs(mean_error(weights, nearest, mean, INPUTS));
        after += fabs(mean_error(weights, rounded, mean, INPUTS));
        /* a further rounding finds the same multiples */
        const of_convolution_shape shape = {
            .inputs = INPUTS, .kernel = 3, .source = OF_PRECISION_INT8};
        int16_t integers[COUNT];
        float scale = of_integer_weights(&shape, rounded, integers);
        for (size_t i = 0; i < COUNT; i++)
            assert_true(fabsf(scale * integers[i] - rounded[i]) <= 1e-5F * largest);
    }
    assert_true(after < 0.2 * before);
}

/* ---- Plans ----------------------------------------------------------------------------------- */

static of_architecture small(uint32_t channels, uint32_t height, uint32_t width) {
    of_architecture a = of_architecture_default();
    a.channels = channels;
    a.height = height;
    a.width = width;
    a.steps = 2;
    a.hidden = 24;
    return a;
}

static uint8_t *make_pixels(const of_architecture *a) {
    size_t count = IMAGES * of_architecture_dimensions(a);
    uint8_t *pixels = of_allocate(count, 1);
    of_random random = of_random_stream(3, 0);
    assert_non_null(pixels);
    for (size_t i = 0; i < count; i++)
        pixels[i] = (uint8_t)of_random_below(&random, 256);
    return pixels;
}

static void quantize(of_model *model, const uint8_t *pixels, size_t count, unsigned threads) {
    const of_batch batch = {OF_PIXEL_U8, pixels, count};
    of_error error;
    if (of_model_quantize(model, &batch, "random", threads, &error) != OF_OK)
        fail_msg("%s", error.message);
}

static compiled compile_in(of_precision precision, const of_model *model, unsigned threads,
                           unsigned micro_batch) {
    of_plan_options options = of_plan_options_default();
    options.threads = threads;
    options.micro_batch = micro_batch;
    options.precision = precision;
    return compile_with(model, &options);
}

static void check_bits(const of_architecture *a) {
    static const size_t batches[] = {1, 3, IMAGES};
    static const unsigned ways[][2] = {{1, 0}, {2, 0}, {3, 0}, {1, 1}, {2, 3}};
    of_model *model = make_model(a);
    uint8_t *pixels = make_pixels(a);
    quantize(model, pixels, IMAGES, 1);
    outputs expected = make_outputs(a, IMAGES), got = make_outputs(a, IMAGES);
    compiled plan = compile_in(OF_PRECISION_INT8, model, 1, 0);
    assert_int_equal(of_plan_describe(plan.plan).precision, OF_PRECISION_INT8);
    forward(&plan, pixels, &expected, 0, IMAGES);
    free_compiled(&plan);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        plan = compile_in(OF_PRECISION_INT8, model, ways[w][0], ways[w][1]);
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            memset(got.logp, 0, IMAGES * sizeof(double));
            for (size_t first = 0; first < IMAGES; first += batches[b])
                forward(&plan, pixels, &got, first, batches[b]);
            assert_same_bits(&expected, &got, IMAGES);
        }
        free_compiled(&plan);
    }
    free_outputs(&expected);
    free_outputs(&got);
    of_free(pixels);
    of_model_free(model);
}

static void bits_do_not_depend_on_batching(void **state) {
    (void)state;
    if (!has_int8())
        skip();
    of_architecture a = small(3, 32, 32);
    check_bits(&a);
    a.hidden = 128;
    check_bits(&a);
    a = small(1, 16, 16);
    a.scales = 2;
    a.classes = 3;
    check_bits(&a);
    a.block = OF_BLOCK_DENSE;
    check_bits(&a);
    a = small(3, 32, 16);
    a.family = OF_FAMILY_PATCH_GLOW;
    check_bits(&a);
    a = small(3, 16, 16);
    a.scales = 2;
    a.edges = OF_EDGES_CONV1 | OF_EDGES_CONV3;
    a.net_input = OF_NET_INPUT_AFFINE_RELU;
    a.split_prior = OF_SPLIT_PRIOR_CONV;
    a.closing = true;
    check_bits(&a);
}

static void check_near_f32(const of_architecture *a) {
    of_model *model = make_model(a);
    uint8_t *pixels = make_pixels(a);
    quantize(model, pixels, IMAGES, 2);
    compiled f32 = compile_in(OF_PRECISION_F32, model, 1, 0);
    compiled int8 = compile_in(OF_PRECISION_INT8, model, 1, 0);
    outputs exact = make_outputs(a, IMAGES), rounded = make_outputs(a, IMAGES);
    forward(&f32, pixels, &exact, 0, IMAGES);
    forward(&int8, pixels, &rounded, 0, IMAGES);
    double worst = 0;
    for (size_t i = 0; i < IMAGES; i++)
        worst = fmax(worst, fabs(exact.logp[i] - rounded.logp[i]));
    print_message("int8: largest change of logp %.3f nats of about %.0f\n", worst, exact.logp[0]);
    assert_true(worst > 0 && worst < 5e-3 * fabs(exact.logp[0]));
    for (size_t i = 0; i < of_plan_layer_count(int8.plan); i++) {
        of_layer_info layer;
        assert_int_equal(of_plan_layer(int8.plan, i, &layer, NULL), OF_OK);
        bool last_scale = strncmp(layer.name, "scales.2.", 9) == 0;
        bool first = strstr(layer.name, ".conv1") != NULL;
        bool other = strstr(layer.name, ".conv2") != NULL || strstr(layer.name, ".conv3") != NULL;
        of_precision hidden = last_scale ? OF_PRECISION_INT16 : OF_PRECISION_INT8;
        assert_int_equal(layer.precision, first   ? OF_PRECISION_INT16
                                          : other ? hidden
                                                  : OF_PRECISION_F32);
    }
    free_outputs(&exact);
    free_outputs(&rounded);
    of_free(pixels);
    free_compiled(&f32);
    free_compiled(&int8);
    of_model_free(model);
}

static void int8_is_near_f32(void **state) {
    (void)state;
    if (!has_int8())
        skip();
    of_architecture a = small(3, 32, 32);
    check_near_f32(&a);
    a.edges = OF_EDGES_CONV1 | OF_EDGES_CONV3;
    check_near_f32(&a);
}

/* ---- Activation ranges ----------------------------------------------------------------------- */

static of_model *make_quantized(const of_architecture *a) {
    of_model *model = make_model(a);
    uint8_t *pixels = make_pixels(a);
    quantize(model, pixels, IMAGES, 1);
    of_free(pixels);
    return model;
}

static void ranges_do_not_depend_on_threads(void **state) {
    (void)state;
    of_architecture a = small(3, 16, 16);
    a.scales = 2;
    of_model *model = make_quantized(&a);
    char *first = strdup(of_model_metadata(model, "quantization"));
    uint8_t *pixels = make_pixels(&a);
    quantize(model, pixels, IMAGES, 3);
    assert_string_equal(first, of_model_metadata(model, "quantization"));
    free(first);
    of_free(pixels);
    of_model_free(model);
}

static of_status read_text(of_model *model, const char *text, of_error *error) {
    of_quantization *read = NULL;
    assert_int_equal(of_model_set_metadata(model, "quantization", text, error), OF_OK);
    of_status status = of_quantization_read(model, &read, error);
    of_quantization_free(read);
    return status;
}

static void ranges_read_back(void **state) {
    (void)state;
    of_architecture a = small(3, 16, 16);
    a.scales = 2;
    of_model *model = make_quantized(&a);
    of_quantization *read = NULL;
    of_error error;
    assert_int_equal(of_quantization_read(model, &read, &error), OF_OK);
    assert_int_equal(read->images, IMAGES);
    for (size_t i = 0; i < (size_t)a.scales * a.steps; i++) {
        const of_network_ranges *network = &read->networks[i];
        assert_true(network->input > 0);
        assert_int_equal(network->layers[0], OF_PRECISION_INT16);
        assert_int_equal(network->layers[2], i < a.steps ? OF_PRECISION_INT8 : OF_PRECISION_INT16);
        for (size_t unit = 0; unit < a.hidden; unit++) {
            const of_hidden_ranges *hidden = &network->hidden[1];
            assert_true(hidden->mean[unit] <= hidden->largest[unit]);
        }
    }
    read->networks[0].layers[2] = OF_PRECISION_INT16;
    char *text = of_quantization_print(read, of_model_fingerprint(model), "x");
    assert_non_null(text);
    assert_int_equal(read_text(model, text, &error), OF_OK);
    if (has_int8()) { /* a layer's own choice */
        of_layer_info layer;
        compiled plan = compile_in(OF_PRECISION_INT8, model, 1, 0);
        for (size_t i = 0; i < of_plan_layer_count(plan.plan); i++) {
            assert_int_equal(of_plan_layer(plan.plan, i, &layer, NULL), OF_OK);
            if (strcmp(layer.name, "scales.0.steps.0.conv3") == 0)
                assert_int_equal(layer.precision, OF_PRECISION_INT16);
        }
        free_compiled(&plan);
    }
    free(text);
    of_quantization_free(read);
    of_model_free(model);
}

static size_t count_wide(const of_model *model) {
    of_quantization *read = NULL;
    size_t wide = 0;
    assert_int_equal(of_quantization_read(model, &read, NULL), OF_OK);
    for (size_t i = 0; i < (size_t)read->scales * read->steps; i++)
        for (size_t layer = 1; layer < OF_NETWORK_LAYERS; layer++)
            wide += read->networks[i].layers[layer] == OF_PRECISION_INT16;
    of_quantization_free(read);
    return wide;
}

/* How many layers of 16 bits make the error this small; the text, too, where it is asked for. */
static size_t choose(const of_architecture *a, double enough, unsigned threads, char **kept) {
    of_model *model = make_quantized(a);
    uint8_t *pixels = make_pixels(a);
    const of_batch batch = {OF_PIXEL_U8, pixels, IMAGES};
    char *text = NULL;
    of_error error;
    if (of_layers_choose(model, &batch, enough, threads, &text, &error) != OF_OK)
        fail_msg("%s", error.message);
    assert_string_equal(text, of_model_metadata(model, "quantization"));
    size_t wide = count_wide(model);
    if (kept != NULL)
        *kept = text;
    else
        free(text);
    of_free(pixels);
    of_model_free(model);
    return wide;
}

static void layers_are_chosen_by_their_error(void **state) {
    (void)state;
    if (!has_int8())
        skip();
    of_architecture a = small(3, 16, 16);
    a.scales = 2;
    size_t least = (size_t)2 * a.steps, all = 2 * least; /* the last scale's are wide already */
    char *first, *second;
    assert_int_equal(choose(&a, 1e9, 1, NULL), least);
    assert_int_equal(choose(&a, 0, 1, NULL), all);
    double enough = 1;
    size_t some = least;
    while (some == least && enough > 1e-9) {
        enough /= 1.25;
        some = choose(&a, enough, 1, NULL);
    }
    assert_int_equal(choose(&a, enough, 1, &first), some);
    assert_true(some > least && some < all);
    assert_int_equal(choose(&a, enough, 3, &second), some);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

/* Replaces the first `old` of a text by `new`. */
static char *replaced(const char *text, const char *old, const char *new) {
    const char *place = strstr(text, old);
    size_t size = strlen(text) + strlen(new) + 1;
    char *made = malloc(size);
    assert_true(place != NULL && made != NULL);
    (void)snprintf(made, size, "%.*s%s%s", (int)(place - text), text, new, place + strlen(old));
    return made;
}

static void damaged_ranges_are_refused(void **state) {
    static const struct {
        const char *old, *new;
        of_status status;
        const char *reason;
    } cases[] = {{"\"version\":1", "\"version\":2", OF_ERROR_UNSUPPORTED, "version 2"},
                 {"\"version\":1", "\"version\":\"1\"", OF_ERROR_FORMAT, "version"},
                 {"\"images\":21", "\"images\":-1", OF_ERROR_FORMAT, "images"},
                 {"\"model\":\"", "\"model\":\"0", OF_ERROR_MISMATCH, "other weights"},
                 {"\"input\":", "\"input\":-", OF_ERROR_FORMAT, "'input' of network 0"},
                 {"\"input\":", "\"input\":0,\"was\":", OF_ERROR_FORMAT, "'input'"},
                 {"\"input\":", "\"input\":1e99,\"was\":", OF_ERROR_FORMAT, "'input'"},
                 {"\"hidden1\":[", "\"hidden1\":[1,", OF_ERROR_FORMAT, "'hidden1'"},
                 {"\"hidden2\":[", "\"hidden2\":[\"1\",", OF_ERROR_FORMAT, "'hidden2'"},
                 {"\"mean2\":[", "\"mean2\":[-1,", OF_ERROR_FORMAT, "'mean2'"},
                 {"\"deviation1\"", "\"other\"", OF_ERROR_FORMAT, "'deviation1'"},
                 {"[\"int16\",", "[\"int8\",", OF_ERROR_FORMAT, "'layers'"},
                 {"\"int8\"]", "\"f32\"]", OF_ERROR_FORMAT, "'layers'"},
                 {"\"int8\"]", "\"int8\",\"int8\"]", OF_ERROR_FORMAT, "'layers'"},
                 {"\"networks\":[", "\"networks\":[{},", OF_ERROR_FORMAT, "'networks'"},
                 {"{", "", OF_ERROR_FORMAT, "quantization"},
                 {"\"source\"", "\"version\":1,\"source\"", OF_ERROR_FORMAT, "twice"}};
    (void)state;
    of_architecture a = small(3, 16, 16);
    a.scales = 2;
    of_model *model = make_quantized(&a);
    char *whole = strdup(of_model_metadata(model, "quantization"));
    of_error error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = replaced(whole, cases[i].old, cases[i].new);
        of_status status = read_text(model, text, &error);
        if (status != cases[i].status || strstr(error.message, cases[i].reason) == NULL)
            fail_msg("%s: %s", cases[i].new, status == OF_OK ? "accepted" : error.message);
        free(text);
    }
    free(whole);
    of_model_free(model);
}

static of_status try_compile(const of_model *model, of_isa isa, of_error *error) {
    of_plan_options options = of_plan_options_default();
    of_plan *plan = NULL;
    options.threads = 1;
    options.isa = isa;
    options.precision = OF_PRECISION_INT8;
    of_status status = of_plan_compile(model, &options, &plan, error);
    assert_true((status == OF_OK) == (plan != NULL));
    of_plan_free(plan);
    return status;
}

static void what_cannot_run_says_so(void **state) {
    (void)state;
    of_architecture a = small(3, 16, 16);
    a.scales = 2;
    of_model *model = make_model(&a);
    of_error error;
    assert_int_equal(try_compile(model, OF_ISA_SCALAR, &error), OF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "precision int8"));
    assert_null(strstr(error.message, "--"));
    const of_batch none = {OF_PIXEL_U8, NULL, 0};
    assert_int_equal(of_model_quantize(model, &none, NULL, 1, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_model_quantize(NULL, &none, NULL, 1, &error), OF_ERROR_ARGUMENT);
    of_precision precision;
    assert_int_equal(of_precision_resolve(OF_PRECISION_INT16, OF_ISA_AUTO, &precision, &error),
                     OF_ERROR_ARGUMENT);
    of_model_free(model);
    if (!has_int8())
        skip();
    model = make_model(&a);
    assert_int_equal(try_compile(model, OF_ISA_AUTO, &error), OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "quantization");
    uint8_t *pixels = make_pixels(&a);
    quantize(model, pixels, IMAGES, 1);
    assert_int_equal(try_compile(model, OF_ISA_AUTO, &error), OF_OK);
    of_model_values(model, 0)[0] += 1; /* trained on */
    assert_int_equal(try_compile(model, OF_ISA_AUTO, &error), OF_ERROR_MISMATCH);
    assert_string_equal(error.setting, "quantization");
    of_model_free(model);
    a.leak = 0.1;
    model = make_model(&a);
    const of_batch batch = {OF_PIXEL_U8, pixels, 1};
    assert_int_equal(of_model_quantize(model, &batch, NULL, 1, &error), OF_ERROR_UNSUPPORTED);
    assert_int_equal(try_compile(model, OF_ISA_AUTO, &error), OF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "leak"));
    of_free(pixels);
    of_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_are_exact_sums),
        cmocka_unit_test(no_sum_can_overflow),
        cmocka_unit_test(rounding_keeps_what_inputs_have_in_common),
        cmocka_unit_test(bits_do_not_depend_on_batching),
        cmocka_unit_test(int8_is_near_f32),
        cmocka_unit_test(ranges_do_not_depend_on_threads),
        cmocka_unit_test(ranges_read_back),
        cmocka_unit_test(layers_are_chosen_by_their_error),
        cmocka_unit_test(damaged_ranges_are_refused),
        cmocka_unit_test(what_cannot_run_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
