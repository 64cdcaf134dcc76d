/* SPDX-License-Identifier: Apache-2.0 */
#include "reference_flow.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PATCH = 8, NAME = 128 };

static const double LN_2PI = 1.8378770664093454836;

/* ---- Planes: a state of the flow, or activations, [channels][height][width] ---------------- */

typedef struct planes {
    size_t channels, height, width;
    double *values;
} planes;

static double *make_values(size_t count) {
    double *values = calloc(count, sizeof *values);
    assert_non_null(values);
    return values;
}

static planes make_planes(size_t channels, size_t height, size_t width) {
    return (planes){channels, height, width, make_values(channels * height * width)};
}

static size_t area(const planes *x) {
    return x->height * x->width;
}

static double *channel(const planes *x, size_t c) {
    return x->values + c * area(x);
}

/* Some of the channels of x, in place. */
static planes channels_of(const planes *x, size_t first, size_t count) {
    return (planes){count, x->height, x->width, channel(x, first)};
}

/* The values of x as channels of one position. */
static planes flattened(const planes *x) {
    return (planes){x->channels * area(x), 1, 1, x->values};
}

static bool is_inside(const planes *x, ptrdiff_t row, ptrdiff_t column) {
    return row >= 0 && column >= 0 && row < (ptrdiff_t)x->height && column < (ptrdiff_t)x->width;
}

/* ---- Tensors by name ----------------------------------------------------------------------- */

/* A name, of a tensor or of the tensors that belong together. */
OF_PRINTF(2, 3)
static void join(char name[NAME], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(name, NAME, format, arguments);
    va_end(arguments);
    assert_true(length > 0 && length < NAME);
}

/* All zero if the model has none of this name. */
static of_tensor_info find(const of_model *model, const char *prefix, const char *suffix) {
    char name[NAME];
    join(name, "%s.%s", prefix, suffix);
    for (size_t i = 0; i < of_model_tensor_count(model); i++) {
        of_tensor_info tensor = of_model_tensor(model, i);
        if (strcmp(tensor.name, name) == 0)
            return tensor;
    }
    return (of_tensor_info){0};
}

static const float *values_of(const of_model *model, const char *prefix, const char *suffix) {
    of_tensor_info tensor = find(model, prefix, suffix);
    if (tensor.values == NULL)
        fail_msg("the model has no %s.%s", prefix, suffix);
    return tensor.values;
}

/* ---- Maps ---------------------------------------------------------------------------------- */

/* y = exp(log_scale) (x + loc), in place; returns the log-determinant. */
static double actnorm(const of_model *model, const char *prefix, const planes *x) {
    const float *loc = values_of(model, prefix, "loc");
    const float *log_scale = values_of(model, prefix, "log_scale");
    double log_det = 0;
    for (size_t c = 0; c < x->channels; c++) {
        for (size_t p = 0; p < area(x); p++)
            channel(x, c)[p] = exp((double)log_scale[c]) * (channel(x, c)[p] + (double)loc[c]);
        log_det += (double)log_scale[c] * (double)area(x);
    }
    return log_det;
}

/* By elimination with the largest pivots. */
static double log_abs_det(const double *matrix, size_t n) {
    double *m = make_values(n * n), sum = 0;
    memcpy(m, matrix, n * n * sizeof *m);
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; i++)
            pivot = fabs(m[i * n + k]) > fabs(m[pivot * n + k]) ? i : pivot;
        for (size_t j = 0; j < n; j++) {
            double kept = m[k * n + j];
            m[k * n + j] = m[pivot * n + j];
            m[pivot * n + j] = kept;
        }
        sum += log(fabs(m[k * n + k]));
        for (size_t i = k + 1; i < n; i++) {
            double factor = m[i * n + k] / m[k * n + k];
            for (size_t j = k; j < n; j++)
                m[i * n + j] -= factor * m[k * n + j];
        }
    }
    free(m);
    return sum;
}

/* W = P (L + I)(U + diag(sign exp(log_diag))); of `lower` and `upper` only what lies below and
 * above the diagonal counts. */
static double factored_matrix(const of_model *model, const char *prefix, size_t n, double *matrix) {
    const float *permutation = values_of(model, prefix, "permutation");
    const float *sign = values_of(model, prefix, "sign");
    const float *lower = values_of(model, prefix, "lower");
    const float *log_diag = values_of(model, prefix, "log_diag");
    const float *upper = values_of(model, prefix, "upper");
    double *product = make_values(n * n), log_det = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            for (size_t k = 0; k <= i && k <= j; k++) {
                double l = k < i ? (double)lower[i * n + k] : 1;
                double u =
                    k < j ? (double)upper[k * n + j] : (double)sign[k] * exp((double)log_diag[k]);
                product[i * n + j] += l * u;
            }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            for (size_t j = 0; permutation[i * n + k] != 0 && j < n; j++)
                matrix[i * n + j] += (double)permutation[i * n + k] * product[k * n + j];
    for (size_t i = 0; i < n; i++)
        log_det += (double)log_diag[i];
    free(product);
    return log_det;
}

/* W into zeroes; returns log|det W|. */
static double mixing_matrix(const of_model *model, const char *prefix, size_t n, double *matrix) {
    const int64_t *indices = find(model, prefix, "indices").indices;
    const float *weight = find(model, prefix, "weight").values;
    for (size_t i = 0; indices != NULL && i < n; i++)
        matrix[i * n + (size_t)indices[i]] = 1;
    for (size_t i = 0; weight != NULL && i < n * n; i++)
        matrix[i] = (double)weight[i];
    if (indices != NULL)
        return 0;
    return weight != NULL ? log_abs_det(matrix, n) : factored_matrix(model, prefix, n, matrix);
}

/* y = W x at every position, in place; returns the log-determinant. */
static double mix(const of_model *model, const char *prefix, const planes *x) {
    size_t n = x->channels;
    double *matrix = make_values(n * n), *mixed = make_values(n);
    double log_det = mixing_matrix(model, prefix, n, matrix);
    for (size_t p = 0; p < area(x); p++) {
        for (size_t i = 0; i < n; i++) {
            mixed[i] = 0;
            for (size_t j = 0; j < n; j++)
                mixed[i] += matrix[i * n + j] * channel(x, j)[p];
        }
        for (size_t i = 0; i < n; i++)
            channel(x, i)[p] = mixed[i];
    }
    free(matrix);
    free(mixed);
    return log_det * (double)area(x);
}

/* ActNorm and mixing: what a step begins with, and all of a closing map. */
static double apply_map(const of_model *model, const char *prefix, const planes *x) {
    char name[NAME];
    join(name, "%s.actnorm", prefix);
    double log_det = actnorm(model, name, x);
    join(name, "%s.mix", prefix);
    return log_det + mix(model, name, x);
}

/* ---- Coupling networks --------------------------------------------------------------------- */

/* Weight [outputs][inputs][side][side]; taps outside the image are zero, or add edge[o][tap]. */
static planes convolve(const planes *x, const float *weight, const float *edge, size_t outputs,
                       ptrdiff_t side) {
    planes y = make_planes(outputs, x->height, x->width);
    size_t taps = (size_t)(side * side);
    for (size_t o = 0; o < outputs; o++)
        for (size_t p = 0; p < area(x); p++)
            for (size_t tap = 0; tap < taps; tap++) {
                ptrdiff_t row = (ptrdiff_t)(p / x->width) + (ptrdiff_t)tap / side - side / 2;
                ptrdiff_t column = (ptrdiff_t)(p % x->width) + (ptrdiff_t)tap % side - side / 2;
                double *sum = &channel(&y, o)[p];
                if (!is_inside(x, row, column)) {
                    *sum += edge != NULL ? (double)edge[o * taps + tap] : 0;
                    continue;
                }
                size_t place = (size_t)row * x->width + (size_t)column;
                for (size_t c = 0; c < x->channels; c++)
                    *sum +=
                        (double)weight[(o * x->channels + c) * taps + tap] * channel(x, c)[place];
            }
    return y;
}

static void rectify(const planes *x, double leak) {
    for (size_t i = 0; i < x->channels * area(x); i++)
        x->values[i] = x->values[i] > 0 ? x->values[i] : leak * x->values[i];
}

/* h = (x + bias) exp(3 log_scale). */
static void scale_outputs(const of_model *model, const char *prefix, const planes *x) {
    const float *bias = values_of(model, prefix, "bias");
    const float *log_scale = values_of(model, prefix, "log_scale");
    for (size_t c = 0; c < x->channels; c++)
        for (size_t p = 0; p < area(x); p++)
            channel(x, c)[p] = (channel(x, c)[p] + (double)bias[c]) * exp(3 * (double)log_scale[c]);
}

/* max(0, scale x + shift), or x itself. */
static planes network_input(const of_model *model, const char *net, const planes *x) {
    planes y = make_planes(x->channels, x->height, x->width);
    bool rectified = of_model_architecture(model)->net_input == OF_NET_INPUT_AFFINE_RELU;
    memcpy(y.values, x->values, x->channels * area(x) * sizeof(double));
    for (size_t c = 0; rectified && c < x->channels; c++) {
        double scale = (double)values_of(model, net, "in.scale")[c];
        double shift = (double)values_of(model, net, "in.shift")[c];
        for (size_t p = 0; p < area(x); p++)
            channel(&y, c)[p] = fmax(0, scale * channel(x, c)[p] + shift);
    }
    return y;
}

/* A 3x3 or 1x1 convolution with its ActNorm and ReLU; takes x. */
static planes hidden_layer(const of_model *model, const char *net, const char *layer, planes x,
                           ptrdiff_t side) {
    const of_architecture *a = of_model_architecture(model);
    char name[NAME];
    join(name, "%s.%s", net, layer);
    planes y = convolve(&x, values_of(model, name, "weight"), find(model, name, "edge").values,
                        a->hidden, side);
    join(name, "%s.%s.actnorm", net, layer);
    (void)actnorm(model, name, &y);
    rectify(&y, a->leak);
    free(x.values);
    return y;
}

static planes convolutional_network(const of_model *model, const char *net, const planes *x,
                                    size_t outputs) {
    char name[NAME];
    planes y = hidden_layer(model, net, "conv1", network_input(model, net, x), 3);
    y = hidden_layer(model, net, "conv2", y, 1);
    join(name, "%s.conv3", net);
    planes h = convolve(&y, values_of(model, name, "weight"), find(model, name, "edge").values,
                        outputs, 3);
    scale_outputs(model, name, &h);
    free(y.values);
    return h;
}

/* W x + b, in a vector of its own. */
static planes linear(const of_model *model, const char *net, const char *layer, const planes *x,
                     size_t outputs) {
    char name[NAME];
    join(name, "%s.%s", net, layer);
    const float *bias = values_of(model, name, "bias");
    planes y = convolve(x, values_of(model, name, "weight"), NULL, outputs, 1);
    for (size_t i = 0; i < outputs; i++)
        y.values[i] += (double)bias[i];
    return y;
}

static planes dense_network(const of_model *model, const char *net, const planes *x,
                            size_t outputs) {
    const of_architecture *a = of_model_architecture(model);
    planes first = linear(model, net, "fc1", x, a->hidden);
    rectify(&first, a->leak);
    planes second = linear(model, net, "fc2", &first, a->hidden);
    rectify(&second, a->leak);
    planes y = linear(model, net, "fc3", &second, outputs);
    free(first.values);
    free(second.values);
    return y;
}

/* ---- Steps --------------------------------------------------------------------------------- */

/* l of s = exp(l); r is the network's raw, c its channel. */
static double log_scale_of(const of_model *model, const char *net, double r, size_t c) {
    switch (of_model_architecture(model)->scale_map) {
    case OF_SCALE_MAP_EXP:
        return r;
    case OF_SCALE_MAP_SIGMOID_INVERSE:
        return log1p(exp(-r - 2));
    case OF_SCALE_MAP_TANH:
        return (double)values_of(model, net, "gain")[c] * tanh(r);
    default:
        return -log1p(exp(-r - 2));
    }
}

/* Of the second half of x; returns the log-determinant. */
static double couple(const of_model *model, const char *net, const planes *x) {
    const of_architecture *a = of_model_architecture(model);
    size_t half = x->channels / 2;
    bool affine = a->coupling == OF_COUPLING_AFFINE;
    planes pass = channels_of(x, 0, half), rest = channels_of(x, half, half);
    planes h = a->block == OF_BLOCK_DENSE
                   ? dense_network(model, net, &pass, affine ? 2 * half : half)
                   : convolutional_network(model, net, &pass, affine ? 2 * half : half);
    double log_det = 0;
    for (size_t c = 0; c < half; c++)
        for (size_t p = 0; p < area(x); p++) {
            double *value = &channel(&rest, c)[p];
            double add = channel(&h, affine ? 2 * c : c)[p];
            double l = affine ? log_scale_of(model, net, channel(&h, 2 * c + 1)[p], c) : 0;
            *value = a->shift == OF_SHIFT_AFTER ? *value * exp(l) + add : (*value + add) * exp(l);
            log_det += l;
        }
    free(h.values);
    return log_det;
}

/* All steps of a scale and its closing map. */
static double run_steps(const of_model *model, size_t scale, const planes *x) {
    const of_architecture *a = of_model_architecture(model);
    planes state = a->block == OF_BLOCK_DENSE ? flattened(x) : *x;
    char name[NAME];
    double log_det = 0;
    for (uint32_t step = 0; step < a->steps; step++) {
        join(name, "scales.%zu.steps.%u", scale, step);
        log_det += apply_map(model, name, &state);
        join(name, "scales.%zu.steps.%u.net", scale, step);
        log_det += couple(model, name, &state);
    }
    join(name, "scales.%zu.closing", scale);
    return a->closing ? log_det + apply_map(model, name, &state) : log_det;
}

/* ---- Scales -------------------------------------------------------------------------------- */

/* [C,H,W] to [4C,H/2,W/2]: channel c*4 + dy*2 + dx. */
static planes squeeze(const planes *x) {
    planes y = make_planes(4 * x->channels, x->height / 2, x->width / 2);
    for (size_t c = 0; c < y.channels; c++)
        for (size_t p = 0; p < area(&y); p++) {
            size_t row = 2 * (p / y.width) + c % 4 / 2, column = 2 * (p % y.width) + c % 2;
            channel(&y, c)[p] = channel(x, c / 4)[row * x->width + column];
        }
    return y;
}

/* z = (x - mean) exp(-log_std), both from the half that goes on; returns the log-determinant. */
static double split_prior(const of_model *model, size_t scale, const planes *on,
                          const planes *latents) {
    char name[NAME];
    double log_det = 0;
    join(name, "scales.%zu.split", scale);
    planes h = convolve(on, values_of(model, name, "weight"), find(model, name, "edge").values,
                        2 * latents->channels, 3);
    scale_outputs(model, name, &h);
    for (size_t c = 0; c < latents->channels; c++)
        for (size_t p = 0; p < area(on); p++) {
            double mean = channel(&h, 2 * c)[p], log_std = channel(&h, 2 * c + 1)[p];
            double *value = &channel(latents, c)[p];
            *value = (*value - mean) * exp(-log_std);
            log_det -= log_std;
        }
    free(h.values);
    return log_det;
}

static double sum_of_squares(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i] * values[i];
    return sum;
}

/* A class has an ActNorm and a diagonal Gaussian of its own on each scale's latents. */
static double class_density(const of_model *model, size_t class, size_t scale, const planes *z) {
    planes own = make_planes(z->channels, 1, 1);
    char name[NAME];
    memcpy(own.values, z->values, z->channels * sizeof(double));
    join(name, "classes.%zu.scales.%zu.actnorm", class, scale);
    double logp = actnorm(model, name, &own);
    join(name, "classes.%zu.scales.%zu", class, scale);
    const float *mean = values_of(model, name, "mean");
    const float *log_std = values_of(model, name, "log_std");
    for (size_t i = 0; i < own.channels; i++) {
        double normal = (own.values[i] - (double)mean[i]) * exp(-(double)log_std[i]);
        logp -= (double)log_std[i] + (normal * normal + LN_2PI) / 2;
    }
    free(own.values);
    return logp;
}

/* Adds what a scale contributes; `latents` gets its z. */
static void add_contribution(const of_model *model, size_t scale, const planes *latents,
                             double log_det, double *z, reference_result *result) {
    char name[NAME];
    planes flat = flattened(latents);
    join(name, "scales.%zu.prior", scale);
    log_det += actnorm(model, name, &flat);
    double square = sum_of_squares(flat.values, flat.channels);
    result->latent_squares[scale] += square;
    result->contributions[scale] += log_det - (square + LN_2PI * (double)flat.channels) / 2;
    for (size_t c = 0; c < of_model_architecture(model)->classes; c++)
        result->class_logp[c] += log_det + class_density(model, c, scale, &flat);
    memcpy(z, flat.values, flat.channels * sizeof(double));
}

/* Half of the channels become latents, the other half goes on, as a copy; on the last scale all are
 * latents. Returns what goes on. */
static planes end_scale(const of_model *model, size_t scale, const planes *x, double log_det,
                        double *z, reference_result *result) {
    const of_architecture *a = of_model_architecture(model);
    size_t half = x->channels / 2;
    if (scale + 1 == of_architecture_scale_count(a)) {
        add_contribution(model, scale, x, log_det, z, result);
        return (planes){0};
    }
    bool second = a->latents == OF_LATENTS_SECOND;
    planes latents = channels_of(x, second ? half : 0, half);
    planes on = channels_of(x, second ? 0 : half, half);
    if (a->split_prior == OF_SPLIT_PRIOR_CONV)
        log_det += split_prior(model, scale, &on, &latents);
    add_contribution(model, scale, &latents, log_det, z, result);
    planes next = make_planes(half, x->height, x->width);
    memcpy(next.values, on.values, half * area(x) * sizeof(double));
    return next;
}

/* An image, or a patch; takes x. */
static void run_unit(const of_model *model, planes x, double log_det, double *z,
                     reference_result *result) {
    for (size_t scale = 0; x.values != NULL; scale++) {
        planes state = squeeze(&x);
        free(x.values);
        log_det += run_steps(model, scale, &state);
        x = end_scale(model, scale, &state, log_det, z, result);
        z += state.channels * area(&state) - x.channels * area(&x);
        free(state.values);
        log_det = 0;
    }
}

/* ---- Images -------------------------------------------------------------------------------- */

/* x of one value of an image; adds its log-determinant. */
static double input_value(const of_input_map *input, of_pixel_type type, const void *pixels,
                          size_t place, double *log_det) {
    double width = exp2(8 - (double)input->bits);
    double level = type == OF_PIXEL_U8 ? floor(((const uint8_t *)pixels)[place] / width)
                                       : 255 * (double)((const float *)pixels)[place] / width;
    double x = input->scale * level + input->shift;
    if (input->logit == 0)
        return x;
    double p = input->logit + (1 - 2 * input->logit) * x;
    *log_det += log(1 - 2 * input->logit) - log(p) - log(1 - p);
    return log(p) - log(1 - p);
}

/* The part of an image from (top, left) on. */
static planes read_pixels(const of_architecture *a, of_pixel_type type, const void *pixels,
                          size_t top, size_t left, double *log_det) {
    bool patches = a->family == OF_FAMILY_PATCH_GLOW;
    planes x = make_planes(a->channels, patches ? PATCH : a->height, patches ? PATCH : a->width);
    for (size_t c = 0; c < x.channels; c++)
        for (size_t p = 0; p < area(&x); p++) {
            size_t row = top + p / x.width, column = left + p % x.width;
            size_t place = (row * a->width + column) * a->channels + c;
            channel(&x, c)[p] = input_value(&a->input, type, pixels, place, log_det);
        }
    return x;
}

/* logsumexp of the classes - ln(classes), or the sum of the contributions. */
static double total(const of_architecture *a, const reference_result *result) {
    double sum = 0, best = result->class_logp[0];
    for (uint32_t s = 0; a->classes == 0 && s < of_architecture_scale_count(a); s++)
        sum += result->contributions[s];
    for (uint32_t c = 1; c < a->classes; c++)
        best = fmax(best, result->class_logp[c]);
    for (uint32_t c = 0; c < a->classes; c++)
        sum += exp(result->class_logp[c] - best);
    return a->classes == 0 ? sum : best + log(sum) - log(a->classes);
}

void reference_flow(const of_model *model, of_pixel_type type, const void *pixels,
                    reference_result *result) {
    const of_architecture *a = of_model_architecture(model);
    bool patches = a->family == OF_FAMILY_PATCH_GLOW;
    size_t height = patches ? PATCH : a->height, width = patches ? PATCH : a->width;
    double *z = result->latents;
    assert_true(a->classes <= REFERENCE_CLASSES);
    *result = (reference_result){.latents = z};
    for (size_t top = 0; top < a->height; top += height)
        for (size_t left = 0; left < a->width; left += width) {
            double log_det = 0;
            planes x = read_pixels(a, type, pixels, top, left, &log_det);
            run_unit(model, x, log_det, z, result);
            z += a->channels * height * width;
        }
    result->logp = total(a, result);
}
