/* SPDX-License-Identifier: Apache-2.0 */
/* golden_check [--isa NAME] PREFIX: compiles PREFIX.model.safetensors, runs the images of
 * PREFIX.expected.safetensors and prints a line per quantity with its error and its bound.
 * Without --isa it does so for every instruction set of this machine. Exit status 1 if a bound
 * is broken, 2 for wrong use. */
#include "../gradient_block.h"
#include "core/error.h"
#include "core/memory.h"
#include "kernels.h"
#include "model/model.h"
#include "model/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a run is held to. Networks in bfloat16 keep 8 bits of each number. */
typedef struct bounds {
    double logp;          /* nats */
    double bits;          /* a dimension */
    double latents;       /* relative L2 */
    double round_trip;    /* of a pixel's range 0..1, largest */
    double loss;          /* nats */
    double gradient;      /* relative L2 of a tensor: in bfloat16 some ReLUs near 0 change sides */
    double all_gradients; /* of all tensors as one */
} bounds;
static const bounds F32_BOUNDS = {0.02, 0.02, 1e-5, 1e-3, 0.05, 2e-4, 2e-4};
static const bounds BF16_BOUNDS = {2, 1e-3, 8e-3, 1e-3, 2, 0.2, 0.02};

typedef struct golden {
    of_model *model;
    of_safetensors expected;
    const uint8_t *images;
    size_t count, scales, dimensions, classes;
} golden;

typedef struct results {
    const bounds *bounds;
    double *logp, *contributions, *class_logp;
    float *latents, *images;
} results;

static double expected_value(const of_safetensor *tensor, size_t i) {
    if (tensor->dtype == OF_DTYPE_F64) {
        double value;
        memcpy(&value, tensor->data + i * sizeof value, sizeof value);
        return value;
    }
    float value;
    memcpy(&value, tensor->data + i * sizeof value, sizeof value);
    return (double)value;
}

static bool report(const char *isa, const char *what, double error, double bound) {
    bool passed = error <= bound; /* false for NaN */
    printf("%-7s %-22s error %.3e  bound %.0e  %s\n", isa, what, error, bound,
           passed ? "ok" : "FAILED");
    return passed;
}

/* Largest distance of got[i*stride] from the tensor's values; a missing tensor is no check. */
static bool check_nats(const golden *g, const char *isa, const char *name, double bound,
                       const double *got, size_t stride, size_t count) {
    const of_safetensor *tensor = of_safetensors_find(&g->expected, name);
    if (tensor == NULL)
        return true;
    double worst = tensor->count == count ? 0 : NAN;
    for (size_t i = 0; i < count && tensor->count == count; i++) {
        double error = fabs(got[i * stride] - expected_value(tensor, i));
        if (!(error <= worst))
            worst = error;
    }
    return report(isa, name, worst, bound);
}

static bool check_latents(const golden *g, const char *isa, size_t scale, size_t offset,
                          const results *r) {
    const float *got = r->latents;
    char name[32];
    (void)snprintf(name, sizeof name, "z.scale%zu", scale);
    const of_safetensor *tensor = of_safetensors_find(&g->expected, name);
    if (tensor == NULL)
        return true;
    size_t latents =
        of_architecture_scale(of_model_architecture(g->model), (uint32_t)scale).latents;
    double error = 0, norm = 0;
    if (tensor->count != g->count * latents)
        return report(isa, name, NAN, r->bounds->latents);
    for (size_t i = 0; i < g->count; i++)
        for (size_t j = 0; j < latents; j++) {
            double wanted = expected_value(tensor, i * latents + j);
            double difference = (double)got[i * g->dimensions + offset + j] - wanted;
            error += difference * difference;
            norm += wanted * wanted;
        }
    return report(isa, name, sqrt(error / norm), r->bounds->latents);
}

static bool check_round_trip(const golden *g, const char *isa, const results *r) {
    double worst = 0;
    for (size_t i = 0; i < g->count * g->dimensions; i++) {
        double error = fabs((double)r->images[i] - g->images[i] / 255.0);
        if (!(error <= worst))
            worst = error;
    }
    return report(isa, "inverse(forward(x))", worst, r->bounds->round_trip);
}

static bool check_bits_per_dim(const golden *g, const char *isa, const results *r) {
    double *bits = of_allocate(g->count, sizeof *bits);
    if (bits == NULL)
        return false;
    for (size_t i = 0; i < g->count; i++)
        bits[i] = of_bits_per_dim(of_model_architecture(g->model), r->logp[i]);
    bool passed = check_nats(g, isa, "bits_per_dim", r->bounds->bits, bits, 1, g->count);
    of_free(bits);
    return passed;
}

static bool check_all(const golden *g, const char *isa, const results *r) {
    bool passed = check_nats(g, isa, "logp.float64", r->bounds->logp, r->logp, 1, g->count);
    passed &= check_nats(g, isa, "logp", r->bounds->logp, r->logp, 1, g->count);
    passed &= check_nats(g, isa, "logp.mixture", r->bounds->logp, r->logp, 1, g->count);
    if (of_safetensors_find(&g->expected, "bits_per_dim") != NULL)
        passed &= check_bits_per_dim(g, isa, r);
    if (g->classes > 0)
        passed &= check_nats(g, isa, "logp.class", r->bounds->logp, r->class_logp, 1,
                             g->count * g->classes);
    size_t offset = 0;
    for (size_t s = 0; s < g->scales; s++) {
        char name[32];
        (void)snprintf(name, sizeof name, "logp.scale%zu", s);
        passed &=
            check_nats(g, isa, name, r->bounds->logp, r->contributions + s, g->scales, g->count);
        passed &= check_latents(g, isa, s, offset, r);
        offset += of_architecture_scale(of_model_architecture(g->model), (uint32_t)s).latents;
    }
    return check_round_trip(g, isa, r) && passed;
}

static const bounds *bounds_of(of_precision precision) {
    return precision == OF_PRECISION_BF16 ? &BF16_BOUNDS : &F32_BOUNDS;
}

static const char *name_of(of_isa isa, of_precision precision) {
    return precision == OF_PRECISION_BF16 ? "bf16" : of_isa_name(isa);
}

static bool run(const golden *g, of_isa isa, of_precision precision, results *r) {
    const char *name = name_of(isa, precision);
    of_plan_options options = of_plan_options_default();
    of_plan *plan = NULL;
    of_session *session = NULL;
    of_error error;
    options.isa = isa;
    options.precision = precision;
    options.inverse = true;
    r->bounds = bounds_of(precision);
    of_status status = of_plan_compile(g->model, &options, &plan, &error);
    if (status == OF_OK)
        status = of_session_create(plan, 0, &session, &error);
    if (status == OF_OK)
        status =
            of_session_forward(session, &(of_batch){OF_PIXEL_U8, g->images, g->count},
                               &(of_likelihoods){.logp = r->logp,
                                                 .contributions = r->contributions,
                                                 .class_logp = g->classes ? r->class_logp : NULL,
                                                 .latents = r->latents},
                               &error);
    if (status == OF_OK)
        status = of_session_inverse(session, r->latents, g->count, r->images, &error);
    of_session_free(session);
    of_plan_free(plan);
    if (status != OF_OK)
        printf("%-7s %s\n", name, error.message);
    return status == OF_OK && check_all(g, name, r);
}

/* ---- Gradients ---- */

/* The three losses, each by its gradient with respect to an image's logp. */
typedef enum loss_kind { LOSS_NLL, LOSS_CLASS, LOSS_MARGIN } loss_kind;

typedef struct loss_data {
    const golden *g;
    loss_kind kind;
    size_t count;
    double inlier_nll[64]; /* for the margin */
    const of_safetensor *base_nll;
    double sum[64]; /* of the loss, an image each */
} loss_data;

/* An image's loss and its gradient with respect to logp. */
static double logp_gradient(loss_data *d, size_t image, double logp) {
    double nll = of_nll(of_model_architecture(d->g->model), logp), n = (double)d->count;
    if (d->kind == LOSS_CLASS) { /* w mean softplus((nll_general - nll)/t) */
        double x = (expected_value(d->base_nll, image) - nll) / 1000;
        d->sum[image] = 6000 * (fmax(x, 0) + log1p(exp(-fabs(x)))) / n;
        return 6000 / (1 + exp(-x)) / 1000 / n;
    }
    if (d->kind == LOSS_MARGIN) { /* mean relu(D + nll_in - nll_out), in pairs */
        double x = (double)d->g->dimensions + d->inlier_nll[image] - nll;
        d->sum[image] = fmax(x, 0) / n;
        return x > 0 ? 1 / n : 0;
    }
    d->sum[image] = nll / n;
    return -1 / n;
}

/* The gradient of a mixture reaches each class by its posterior, exp(class_logp - logp)/classes. */
static double loss_gradient(void *user, size_t image, double logp, const double *class_logp,
                            double *class_gradient) {
    loss_data *d = user;
    double gradient = logp_gradient(d, image, logp);
    size_t classes = d->g->classes;
    for (size_t c = 0; c < classes; c++)
        class_gradient[c] = gradient * exp(class_logp[c] - logp) / (double)classes;
    return gradient;
}

static bool check_gradients(const golden *g, const char *isa, const char *prefix,
                            const bounds *limits, const unsigned char *block) {
    double worst = 0, all_errors = 0, all_norms = 0;
    size_t checked = 0;
    char name[128], worst_name[128] = "";
    for (size_t p = 0; p < g->model->parameter_count; p++) {
        const of_parameter *parameter = &g->model->parameters[p];
        (void)snprintf(name, sizeof name, "%s%s", prefix, parameter->name);
        const of_safetensor *tensor = of_safetensors_find(&g->expected, name);
        if (tensor == NULL)
            continue;
        const float *got = (const float *)(const void *)(block + parameter->offset);
        double error = 0, norm = 0;
        for (size_t i = 0; i < parameter->count; i++) {
            double wanted = expected_value(tensor, i), difference = (double)got[i] - wanted;
            error += difference * difference;
            norm += wanted * wanted;
        }
        double relative = norm > 0 ? sqrt(error / norm) : sqrt(error);
        all_errors += error;
        all_norms += norm;
        checked++;
        if (!(relative <= worst)) {
            worst = relative;
            (void)snprintf(worst_name, sizeof worst_name, "%s", parameter->name);
        }
    }
    (void)snprintf(name, sizeof name, "%s (%zu)", prefix, checked);
    bool passed = report(isa, name, checked > 0 ? worst : NAN, limits->gradient);
    if (checked > 0)
        printf("        worst tensor: %s\n", worst_name);
    (void)snprintf(name, sizeof name, "%s together", prefix);
    return report(isa, name, sqrt(all_errors / all_norms), limits->all_gradients) && passed;
}

static of_status run_gradient(const golden *g, of_isa isa, of_precision precision, size_t memory,
                              loss_data *data, const uint8_t *images, unsigned char *block,
                              of_error *error) {
    size_t floats = data->count * g->dimensions;
    float *pixels = of_allocate(floats, sizeof(float));
    double *logp = of_allocate(data->count, sizeof(double));
    const of_training_options options = {
        .threads = 2, .isa = isa, .precision = precision, .lanes = 3, .memory_bytes = memory};
    of_training_plan *plan = NULL;
    of_status status = of_training_compile(g->model, &options, &plan, error);
    for (size_t i = 0; status == OF_OK && i < floats; i++)
        pixels[i] = (float)images[i] / 255.0F;
    memset(block, 0, g->model->value_bytes);
    if (status == OF_OK)
        status = gradient_block(plan, g->model, &(of_batch){OF_PIXEL_F32, pixels, data->count},
                                &(of_likelihoods){.logp = logp}, loss_gradient, data, block, error);
    for (size_t i = 0; status == OF_OK && data->kind == LOSS_NLL && i < data->count; i++)
        data->inlier_nll[i] = of_nll(of_model_architecture(g->model), logp[i]);
    of_training_free(plan);
    of_free(pixels);
    of_free(logp);
    return status;
}

static bool check_loss(const golden *g, const char *isa, const char *name, double bound,
                       const loss_data *data) {
    const of_safetensor *tensor = of_safetensors_find(&g->expected, name);
    double sum = 0;
    for (size_t i = 0; i < data->count; i++)
        sum += data->sum[i];
    return tensor == NULL || report(isa, name, fabs(sum - expected_value(tensor, 0)), bound);
}

/* Gradients of every loss that the vectors have, with activations kept and computed again. */
static bool run_gradients(const golden *g, of_isa isa, of_precision precision, size_t memory) {
    static const char *const prefixes[] = {"grad.nll.", "grad.outlier_class.",
                                           "grad.outlier_margin."};
    static const char *const losses[] = {"loss.nll_mean_nats", "outlier.class_loss",
                                         "outlier.margin_loss"};
    const of_safetensor *outliers = of_safetensors_find(&g->expected, "outlier_images");
    loss_data data = {.g = g,
                      .count = g->count,
                      .base_nll = of_safetensors_find(&g->expected, "outlier.base_nll")};
    unsigned char *block = of_allocate(g->model->value_bytes, 1);
    bool passed = block != NULL && g->count <= 64;
    const char *way = name_of(isa, precision);
    const bounds *limits = bounds_of(precision);
    for (int kind = LOSS_NLL; passed && kind <= LOSS_MARGIN; kind++) {
        bool outlier = kind != LOSS_NLL;
        if (outlier ? outliers == NULL || data.base_nll == NULL
                    : of_safetensors_find(&g->expected, losses[kind]) == NULL)
            break;
        of_error error;
        data.kind = (loss_kind)kind;
        data.count = outlier ? outliers->count / g->dimensions : g->count;
        if (run_gradient(g, isa, precision, memory, &data, outlier ? outliers->data : g->images,
                         block, &error) != OF_OK) {
            printf("%-7s %s\n", way, error.message);
            passed = false;
            break;
        }
        passed = check_loss(g, way, losses[kind], limits->loss, &data);
        passed &= check_gradients(g, way, prefixes[kind], limits, block);
    }
    of_free(block);
    return passed;
}

static bool run_bf16(const golden *g, of_isa isa, results *r) {
    of_precision precision;
    of_error reason;
    if (of_precision_resolve(OF_PRECISION_BF16, isa, &precision, &reason) == OF_OK)
        return run(g, OF_ISA_AVX512, precision, r) &&
               run_gradients(g, OF_ISA_AVX512, precision, 0) &&
               run_gradients(g, OF_ISA_AVX512, precision, 1);
    printf("bf16    left out: %s\n", reason.message);
    return true;
}

static bool run_isas(const golden *g, of_isa only) {
    results r = {.logp = of_allocate(g->count, sizeof(double)),
                 .contributions = of_allocate(g->count * g->scales, sizeof(double)),
                 .class_logp = of_allocate(g->count * (g->classes + 1), sizeof(double)),
                 .latents = of_allocate(g->count * g->dimensions, sizeof(float)),
                 .images = of_allocate(g->count * g->dimensions, sizeof(float))};
    bool passed = r.logp && r.contributions && r.class_logp && r.latents && r.images;
    for (int isa = OF_ISA_SCALAR; passed && isa <= OF_ISA_AVX512; isa++)
        if (only == OF_ISA_AUTO ? of_kernels_for((of_isa)isa) != NULL : only == (of_isa)isa)
            passed = run(g, (of_isa)isa, OF_PRECISION_F32, &r) &&
                     run_gradients(g, (of_isa)isa, OF_PRECISION_F32, 0) &&
                     run_gradients(g, (of_isa)isa, OF_PRECISION_F32, 1);
    passed = passed && run_bf16(g, only, &r);
    of_free(r.logp);
    of_free(r.contributions);
    of_free(r.class_logp);
    of_free(r.latents);
    of_free(r.images);
    return passed;
}

static bool load(const char *prefix, golden *g, of_error *error) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s.model.safetensors", prefix);
    if (of_model_load(path, &g->model, error) != OF_OK)
        return false;
    (void)snprintf(path, sizeof path, "%s.expected.safetensors", prefix);
    if (of_safetensors_open(path, &g->expected, error) != OF_OK)
        return false;
    const of_architecture *a = of_model_architecture(g->model);
    const of_safetensor *images = of_safetensors_find(&g->expected, "images");
    g->dimensions = of_architecture_dimensions(a);
    g->scales = of_architecture_scale_count(a);
    g->classes = a->classes;
    if (images == NULL || images->dtype != OF_DTYPE_U8 || images->count % g->dimensions != 0) {
        (void)of_fail(error, OF_ERROR_MISMATCH, "%s: no images of the model's size", path);
        return false;
    }
    g->images = images->data;
    g->count = images->count / g->dimensions;
    return true;
}

int main(int argc, char **argv) {
    of_isa isa = OF_ISA_AUTO;
    of_error error = {0};
    if (argc == 4 && strcmp(argv[1], "--isa") == 0) {
        if (of_isa_parse(argv[2], &isa, &error) != OF_OK ||
            of_isa_resolve(isa, &isa, &error) != OF_OK) {
            (void)fprintf(stderr, "golden_check: %s\n", error.message);
            return 2;
        }
    } else if (argc != 2) {
        (void)fprintf(stderr, "usage: golden_check [--isa scalar|avx2|avx512] PREFIX\n");
        return 2;
    }
    golden g = {0};
    bool passed = load(argv[argc - 1], &g, &error);
    if (!passed)
        (void)fprintf(stderr, "golden_check: %s\n", error.message);
    else
        passed = run_isas(&g, isa);
    of_safetensors_close(&g.expected);
    of_model_free(g.model);
    return passed ? 0 : 1;
}
