/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/quantizer.h"

#include "core/batch_check.h"
#include "core/error.h"
#include "core/memory.h"
#include "graph/run.h"
#include "model/quantization.h"

#include <math.h>
#include <stdlib.h>

struct of_quantizer {
    of_session *session;
    of_arena arena;
    of_layer_ranges ***ranges; /* [threads][ops of the plan], see of_observe_layer */
    uint64_t images;
};

/* Networks of steps, but for their last layer, whose outputs are no activations. */
static bool is_observed(const of_op *op) {
    return op->kind == OF_OP_CONVOLUTION && op->in_step && op->writes != OF_BUFFER_TAPS;
}

/* ---- Making and freeing --------------------------------------------------------------------- */

static of_layer_ranges *make_layer(of_arena *arena, size_t outputs) {
    of_layer_ranges *layer = of_arena_take(arena, 1, sizeof *layer);
    if (layer == NULL)
        return NULL;
    layer->largest = of_arena_take(arena, outputs, sizeof *layer->largest);
    layer->sums = of_arena_take(arena, outputs, sizeof *layer->sums);
    layer->squares = of_arena_take(arena, outputs, sizeof *layer->squares);
    return layer->largest != NULL && layer->sums != NULL && layer->squares != NULL ? layer : NULL;
}

static bool make_ranges(of_quantizer *q, const of_plan *plan, of_layer_ranges ***result) {
    of_layer_ranges **ranges = of_arena_take(&q->arena, plan->op_count, sizeof(of_layer_ranges *));
    bool complete = ranges != NULL;
    for (size_t i = 0; complete && i < plan->op_count; i++)
        if (is_observed(&plan->ops[i])) {
            ranges[i] = make_layer(&q->arena, plan->ops[i].shape.outputs);
            complete = ranges[i] != NULL;
        }
    *result = ranges;
    return complete;
}

of_status of_quantizer_create(const of_plan *plan, of_quantizer **result, of_error *error) {
    if (plan->precision != OF_PRECISION_F32)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "precision",
                               "activation ranges are measured in precision f32, not %s",
                               of_precision_name(plan->precision));
    if (plan->architecture.leak != 0)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "integers take networks whose ReLU does not leak");
    of_quantizer *q = of_allocate_zeroed(1, sizeof *q);
    if (q == NULL)
        return of_fail_memory(error, "a quantizer");
    q->ranges = of_allocate_zeroed(plan->threads, sizeof *q->ranges);
    of_status status = q->ranges != NULL ? of_session_create(plan, 0, &q->session, error)
                                         : of_fail_memory(error, "activation ranges");
    for (unsigned t = 0; status == OF_OK && t < plan->threads; t++)
        if (!make_ranges(q, plan, &q->ranges[t]))
            status = of_fail_memory(error, "activation ranges");
    if (status == OF_OK)
        *result = q;
    else
        of_quantizer_free(q);
    return status;
}

void of_quantizer_free(of_quantizer *quantizer) {
    if (quantizer == NULL)
        return;
    of_session_free(quantizer->session);
    of_arena_release(&quantizer->arena);
    of_free(quantizer->ranges);
    of_free(quantizer);
}

/* ---- Measuring ------------------------------------------------------------------------------ */

typedef struct observation {
    of_quantizer *quantizer;
    const of_batch *batch;
    uint32_t size; /* of a group */
} observation;

static of_status observe_group(const of_run *run, size_t number, void *user, of_error *error) {
    const observation *task = user;
    const of_likelihoods nothing = {0};
    of_run observed = *run;
    observed.ranges = task->quantizer->ranges[run->worker - task->quantizer->session->workers];
    size_t first = number * task->size, left = task->batch->count - first;
    const of_group group = {.batch = task->batch,
                            .out = &nothing,
                            .first = first,
                            .stride = 1,
                            .images = left < task->size ? (uint32_t)left : task->size};
    return of_forward_group(&observed, &group, error);
}

of_status of_quantizer_add(of_quantizer *quantizer, const of_batch *batch, of_error *error) {
    if (batch->count == 0)
        return OF_OK;
    observation task = {quantizer, batch, of_forward_group_size(quantizer->session, batch->count)};
    size_t groups = (batch->count + task.size - 1) / task.size;
    quantizer->images += batch->count;
    return of_session_each(quantizer->session, groups, observe_group, &task, error);
}

/* ---- Results -------------------------------------------------------------------------------- */

/* The moments of one output, over the threads. */
static void fill_unit(const of_quantizer *q, size_t op, uint32_t unit, of_hidden_ranges *hidden) {
    int64_t sum = 0, squares = 0;
    double positions = 0;
    for (unsigned t = 0; t < q->session->plan->threads; t++) {
        const of_layer_ranges *part = q->ranges[t][op];
        hidden->largest[unit] = fmaxf(hidden->largest[unit], part->largest[unit]);
        positions += (double)part->positions;
        sum += part->sums[unit];
        squares += part->squares[unit];
    }
    double mean = (double)sum * 0x1p-16 / positions;
    double variance = (double)squares * 0x1p-12 / positions - mean * mean;
    hidden->mean[unit] = (float)mean;
    hidden->deviation[unit] = (float)sqrt(fmax(variance, 0));
}

static float largest_input(const of_quantizer *q, size_t op) {
    float largest = 0;
    for (unsigned t = 0; t < q->session->plan->threads; t++)
        largest = fmaxf(largest, q->ranges[t][op]->input);
    return largest;
}

static of_network_ranges *network_of(const of_quantization *quantization, const of_op *op) {
    return &quantization->networks[(size_t)op->scale * quantization->steps + op->step];
}

static of_status fill(const of_quantizer *q, of_quantization *quantization, of_error *error) {
    const of_plan *plan = q->session->plan;
    quantization->images = q->images;
    for (size_t i = 0; i < plan->op_count; i++) {
        const of_op *op = &plan->ops[i];
        if (!is_observed(op))
            continue;
        of_network_ranges *network = network_of(quantization, op);
        for (uint32_t unit = 0; unit < quantization->hidden; unit++)
            fill_unit(q, i, unit, &network->hidden[op->writes]);
        if (of_reads_state(op))
            network->input = largest_input(q, i);
        if (!(network->input > 0))
            return of_fail(error, OF_ERROR_NUMERIC,
                           "the state that scale %u, step %u reads is zero or not finite in all "
                           "images",
                           (unsigned)op->scale, (unsigned)op->step);
    }
    return OF_OK;
}

static float mean_of(const of_quantizer *q, size_t op, uint32_t unit) {
    int64_t sum = 0;
    double positions = 0;
    for (unsigned t = 0; t < q->session->plan->threads; t++) {
        positions += (double)q->ranges[t][op]->positions;
        sum += q->ranges[t][op]->sums[unit];
    }
    return positions > 0 ? (float)((double)sum * 0x1p-16 / positions) : 0;
}

/* Means of unusual images. */
static void fill_others(const of_quantizer *q, of_quantizer *const *others, size_t count,
                        of_quantization *quantization) {
    const of_plan *plan = q->session->plan;
    quantization->others = (uint32_t)count;
    for (size_t i = 0; i < plan->op_count; i++) {
        const of_op *op = &plan->ops[i];
        if (!is_observed(op))
            continue;
        float *means = network_of(quantization, op)->hidden[op->writes].others;
        for (size_t k = 0; k < count; k++)
            for (uint32_t unit = 0; unit < quantization->hidden; unit++)
                means[k * quantization->hidden + unit] = mean_of(others[k], i, unit);
    }
}

of_status of_quantizer_finish(const of_quantizer *quantizer, of_quantizer *const *others,
                              size_t other_count, uint64_t fingerprint, const char *source,
                              char **text, of_error *error) {
    of_quantization *quantization = NULL;
    if (quantizer->images == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "activation ranges need at least one image");
    of_status status =
        of_quantization_create(&quantizer->session->plan->architecture, &quantization, error);
    if (status == OF_OK)
        status = fill(quantizer, quantization, error);
    if (status == OF_OK) {
        fill_others(quantizer, others, other_count, quantization);
        *text = of_quantization_print(quantization, fingerprint, source);
        if (*text == NULL)
            status = of_fail_memory(error, "the text of activation ranges");
    }
    of_quantization_free(quantization);
    return status;
}

/* ---- A model in memory ---------------------------------------------------------------------- */

static of_status quantize(const of_plan *plan, const of_batch *batch, const char *source,
                          of_model *model, of_error *error) {
    of_quantizer *quantizer = NULL;
    char *text = NULL;
    of_status status = of_quantizer_create(plan, &quantizer, error);
    if (status == OF_OK)
        status = of_quantizer_add(quantizer, batch, error);
    if (status == OF_OK)
        status = of_quantizer_finish(quantizer, NULL, 0, of_model_fingerprint(model), source, &text,
                                     error);
    if (status == OF_OK)
        status = of_model_set_metadata(model, of_quantization_key, text, error);
    free(text);
    of_quantizer_free(quantizer);
    return status;
}

of_status of_model_quantize(of_model *model, const of_batch *batch, const char *source,
                            unsigned threads, of_error *error) {
    of_plan_options options = of_plan_options_default();
    of_plan *plan = NULL;
    options.threads = threads;
    options.latency = false;
    if (model == NULL || batch == NULL || (batch->pixels == NULL && batch->count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_model_quantize: model and images are both needed");
    of_status status = of_batch_check(batch, "of_model_quantize", error);
    if (status == OF_OK)
        status = of_plan_compile(model, &options, &plan, error);
    if (status == OF_OK)
        status = quantize(plan, batch, source, model, error);
    of_plan_free(plan);
    return status;
}
