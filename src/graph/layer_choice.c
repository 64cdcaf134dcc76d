/* SPDX-License-Identifier: Apache-2.0 */
/* Layers differ widely in what their 8 bits cost: of the model cifar10 nearly all of the error
 * comes from the last layers of scale 0's networks. Each layer is tried alone in 16 bits; then
 * those that save most error for their multiplications are taken together, as few as make it small
 * enough. */
#include "graph/layer_choice.h"

#include "core/error.h"
#include "core/memory.h"
#include "model/quantization.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each try packs all weights, so steps of large models are tried together: with this many weights
 * of hidden layers in all tries of a scale's steps. */
static const double MOST_WEIGHTS = 8 * 24.0 * 128 * 128;

/* A layer of some steps, one after the other. */
typedef struct candidate {
    uint32_t scale, begin, end, layer;
    double saved; /* squared error, for each multiplication */
} candidate;

typedef struct choice {
    of_model *model;
    const of_batch *images;
    unsigned threads;
    double enough;
    of_quantization *layers; /* what is tried */
    size_t terms;            /* numbers of an image: contributions, and their sum */
    double *exact, *found;   /* [images][terms] */
    double *weights;         /* [terms]: 1/variance */
    candidate *candidates;   /* [count] */
    size_t count;
} choice;

/* ---- Errors -------------------------------------------------------------------------------- */

static of_status run_plan(const choice *c, of_precision precision, double *results,
                          of_error *error) {
    of_plan_options options = of_plan_options_default();
    of_plan *plan = NULL;
    of_session *session = NULL;
    size_t scales = c->terms - 1, count = c->images->count;
    double *logp = of_allocate(count, sizeof *logp);
    double *contributions = of_allocate(count * scales, sizeof *contributions);
    options.threads = c->threads;
    options.precision = precision;
    options.latency = false;
    of_status status = logp != NULL && contributions != NULL
                           ? of_plan_compile(c->model, &options, &plan, error)
                           : of_fail_memory(error, "likelihoods");
    if (status == OF_OK)
        status = of_session_create(plan, 0, &session, error);
    if (status == OF_OK) {
        const of_likelihoods out = {.logp = logp, .contributions = contributions};
        status = of_session_forward(session, c->images, &out, error);
    }
    for (size_t i = 0; status == OF_OK && i < count; i++) {
        memcpy(results + i * c->terms, contributions + i * scales, scales * sizeof *results);
        results[i * c->terms + scales] = logp[i];
    }
    of_session_free(session);
    of_plan_free(plan);
    of_free(logp);
    of_free(contributions);
    return status;
}

/* Images whose likelihood is not finite in either precision say nothing. */
static double squared_error(const choice *c) {
    double sum = 0;
    for (size_t i = 0; i < c->images->count; i++)
        for (size_t t = 0; t < c->terms; t++) {
            double difference = c->found[i * c->terms + t] - c->exact[i * c->terms + t];
            if (isfinite(difference))
                sum += c->weights[t] * difference * difference;
        }
    return sum / (double)(c->images->count * c->terms);
}

static void weigh_terms(choice *c) {
    for (size_t t = 0; t < c->terms; t++) {
        double sum = 0, squares = 0, count = 0;
        for (size_t i = 0; i < c->images->count; i++) {
            double value = c->exact[i * c->terms + t] - c->exact[t];
            if (!isfinite(value))
                continue;
            sum += value;
            squares += value * value;
            count++;
        }
        double variance = count > 1 ? (squares - sum * sum / count) / count : 0;
        c->weights[t] = variance > 0 ? 1 / variance : 0;
    }
}

/* That of the layers as they are now. */
static of_status measure(const choice *c, double *error_found, of_error *error) {
    char *text =
        of_quantization_print(c->layers, of_model_fingerprint(c->model), c->layers->source);
    of_status status = text != NULL
                           ? of_model_set_metadata(c->model, of_quantization_key, text, error)
                           : of_fail_memory(error, "the text of activation ranges");
    free(text);
    if (status == OF_OK)
        status = run_plan(c, OF_PRECISION_INT8, c->found, error);
    *error_found = status == OF_OK ? squared_error(c) : 0;
    return status;
}

/* ---- Candidates ---------------------------------------------------------------------------- */

static void set_layers(const choice *c, const candidate *one, of_precision precision) {
    for (uint32_t k = one->begin; k < one->end; k++)
        c->layers->networks[(size_t)one->scale * c->layers->steps + k].layers[one->layer] =
            precision;
}

static bool is_narrow(const choice *c, const candidate *one) {
    bool narrow = false;
    for (uint32_t k = one->begin; k < one->end; k++)
        narrow |=
            c->layers->networks[(size_t)one->scale * c->layers->steps + k].layers[one->layer] ==
            OF_PRECISION_INT8;
    return narrow;
}

static uint32_t steps_together(const of_quantization *q) {
    double weights = (double)q->scales * q->steps * q->hidden * q->hidden;
    double tries = fmax(MOST_WEIGHTS / fmax(weights, 1), 1); /* of the steps of a scale */
    return (uint32_t)fmax(ceil((double)q->steps / tries), 1);
}

static of_status list_candidates(choice *c, of_error *error) {
    const of_quantization *q = c->layers;
    uint32_t together = steps_together(q);
    size_t most = (size_t)q->scales * ((q->steps + together - 1) / together) * 2;
    c->candidates = of_allocate(most, sizeof *c->candidates);
    if (c->candidates == NULL)
        return of_fail_memory(error, "the layers of a model");
    for (uint32_t s = 0; s < q->scales; s++)
        for (uint32_t k = 0; k < q->steps; k += together)
            for (uint32_t layer = 1; layer < OF_NETWORK_LAYERS; layer++) {
                uint32_t end = k + together < q->steps ? k + together : q->steps;
                const candidate one = {.scale = s, .begin = k, .end = end, .layer = layer};
                if (is_narrow(c, &one))
                    c->candidates[c->count++] = one;
            }
    return OF_OK;
}

/* Multiplications for an image, in units that do not matter. */
static double cost_of(const choice *c, const candidate *one) {
    const of_scale_shape shape = of_architecture_scale(&c->model->architecture, one->scale);
    double positions = (double)shape.height * shape.width, hidden = c->layers->hidden;
    double outputs = one->layer == 1 ? hidden : 9.0 * shape.channels;
    return positions * hidden * outputs * (one->end - one->begin);
}

static of_status try_each(choice *c, double base, of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < c->count; i++) {
        candidate *one = &c->candidates[i];
        double left = 0;
        set_layers(c, one, OF_PRECISION_INT16);
        status = measure(c, &left, error);
        set_layers(c, one, OF_PRECISION_INT8);
        one->saved = (base - left) / cost_of(c, one);
    }
    return status;
}

static int by_saved(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->saved != y->saved)
        return x->saved < y->saved ? 1 : -1;
    if (x->scale != y->scale)
        return x->scale < y->scale ? -1 : 1;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->layer < y->layer ? -1 : 1;
}

/* ---- Choosing ------------------------------------------------------------------------------ */

static void take_first(const choice *c, size_t taken) {
    for (size_t i = 0; i < c->count; i++)
        set_layers(c, &c->candidates[i], i < taken ? OF_PRECISION_INT16 : OF_PRECISION_INT8);
}

/* The shortest beginning of the sorted list that is enough, by halving; all of it if none is. */
static of_status take_enough(choice *c, of_error *error) {
    size_t low = 0, high = c->count;
    of_status status = OF_OK;
    while (status == OF_OK && low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        double left = 0;
        take_first(c, middle);
        status = measure(c, &left, error);
        if (left <= c->enough * c->enough)
            high = middle;
        else
            low = middle;
    }
    take_first(c, high);
    return status;
}

static of_status choose(choice *c, of_error *error) {
    double base = 0;
    of_status status = run_plan(c, OF_PRECISION_F32, c->exact, error);
    if (status != OF_OK)
        return status;
    weigh_terms(c);
    status = measure(c, &base, error);
    if (status != OF_OK || base <= c->enough * c->enough)
        return status;
    status = list_candidates(c, error);
    if (status == OF_OK)
        status = try_each(c, base, error);
    if (status != OF_OK || c->count == 0)
        return status;
    qsort(c->candidates, c->count, sizeof *c->candidates, by_saved);
    return take_enough(c, error);
}

of_status of_layers_choose(of_model *model, const of_batch *images, double enough, unsigned threads,
                           char **text, of_error *error) {
    choice c = {.model = model, .images = images, .threads = threads, .enough = enough};
    c.terms = of_architecture_scale_count(&model->architecture) + 1;
    of_status status = of_quantization_read(model, &c.layers, error);
    if (status == OF_OK) {
        c.exact = of_allocate(images->count * c.terms, sizeof *c.exact);
        c.found = of_allocate(images->count * c.terms, sizeof *c.found);
        c.weights = of_allocate(c.terms, sizeof *c.weights);
        status = c.exact != NULL && c.found != NULL && c.weights != NULL
                     ? choose(&c, error)
                     : of_fail_memory(error, "likelihoods");
    }
    if (status == OF_OK) {
        *text = of_quantization_print(c.layers, of_model_fingerprint(model), c.layers->source);
        status = *text != NULL ? of_model_set_metadata(model, of_quantization_key, *text, error)
                               : of_fail_memory(error, "the text of activation ranges");
    }
    of_free(c.exact);
    of_free(c.found);
    of_free(c.weights);
    of_free(c.candidates);
    of_quantization_free(c.layers);
    return status;
}
