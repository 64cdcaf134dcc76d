/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a scale: its latents, the prior's ActNorm and their densities under the standard
 * normal and the classes. */
#include "core/memory.h"
#include "graph/training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double LN_2PI = 1.8378770664093454836;

size_t of_latent_place(const of_scale_plan *scale, size_t index) {
    size_t channel = index / scale->positions, position = index % scale->positions;
    size_t rest = (size_t)scale->positions * scale->half;
    return channel < scale->half ? position * scale->half + channel
                                 : rest + position * scale->half + (channel - scale->half);
}

/* ---- Folding ------------------------------------------------------------------------------ */

static bool take(of_arena *arena, size_t count, float **floats) {
    *floats = of_arena_take(arena, count, sizeof(float));
    return *floats != NULL;
}

static of_status allocate(of_plan *plan, of_op *op, of_error *error) {
    of_density *d = &op->density;
    of_arena *arena = &plan->arena;
    size_t latents = plan->scales[op->scale].shape.latents, classes = plan->architecture.classes;
    d->class_constant = of_arena_take(arena, classes, sizeof(double));
    if (take(arena, latents, &d->scale) && take(arena, latents, &d->shift) &&
        take(arena, latents, &d->inverse_scale) && take(arena, latents, &d->inverse_shift) &&
        take(arena, classes * latents, &d->class_scale) &&
        take(arena, classes * latents, &d->class_shift) && d->class_constant)
        return OF_OK;
    return of_fail_memory(error, "a prior");
}

static void fold_class(const of_plan *plan, const of_model *model, of_op *op, size_t c) {
    const of_scale_plan *scale = &plan->scales[op->scale];
    const of_class_parameters *p = &model->classes[c * plan->scale_count + op->scale];
    const float *loc = of_model_values(model, p->loc);
    const float *log_scale = of_model_values(model, p->log_scale);
    const float *mean = of_model_values(model, p->mean);
    const float *log_std = of_model_values(model, p->log_std);
    of_density *d = &op->density;
    d->class_constant[c] = 0;
    for (size_t i = 0; i < scale->shape.latents; i++) {
        /* (e^ls (z + loc) - mean) / std = a z + b */
        size_t place = c * scale->shape.latents + of_latent_place(scale, i);
        double ls = (double)log_scale[i], inverse_std = exp(-(double)log_std[i]);
        double shift = (exp(ls) * (double)loc[i] - (double)mean[i]) * inverse_std;
        d->class_scale[place] = (float)(exp(ls) * inverse_std);
        d->class_shift[place] = (float)shift;
        d->class_constant[c] += ls - (double)log_std[i];
    }
}

/* The scale's maps are packed by now: their log-determinants are the same everywhere. */
static of_status pack(const of_plan *plan, const of_model *model, of_op *op,
                      of_pack_buffers *buffers, of_error *error) {
    (void)buffers;
    (void)error;
    const of_scale_plan *scale = &plan->scales[op->scale];
    const float *loc = of_model_values(model, op->parameters.numbers[0]);
    const float *log_scale = of_model_values(model, op->parameters.numbers[1]);
    of_density *d = &op->density;
    d->constant = 0;
    for (const of_op *before = scale->ops; before < op; before++)
        d->constant += before->map.log_det * scale->positions;
    for (size_t i = 0; i < scale->shape.latents; i++) {
        /* z = e^s (x + loc), x = e^-s z - loc */
        size_t place = of_latent_place(scale, i);
        double log_factor = (double)log_scale[i], factor = exp(log_factor);
        d->scale[place] = (float)factor;
        d->shift[place] = (float)(factor * (double)loc[i]);
        d->inverse_scale[place] = (float)exp(-log_factor);
        d->inverse_shift[place] = -loc[i];
        d->constant += log_factor - 0.5 * LN_2PI;
    }
    for (size_t c = 0; c < plan->architecture.classes; c++)
        fold_class(plan, model, op, c);
    return OF_OK;
}

/* ---- Forward ------------------------------------------------------------------------------ */

/* The halves of a scale's last state that become latents: both on the last scale, else one. */
static size_t half_count(const of_scale_plan *scale) {
    return scale->last ? 2 : 1;
}

/* Is half number `half` of them pass, not rest? */
static bool is_pass(const of_plan *plan, const of_scale_plan *scale, size_t half) {
    return half == 0 && (scale->last || !of_pass_goes_on(plan));
}

static float *half_at(const of_run *run, const of_op *op, uint32_t unit, size_t half) {
    const of_scale_plan *scale = &run->plan->scales[op->scale];
    float *const *states = is_pass(run->plan, scale, half) ? run->worker->pass : run->worker->rest;
    return states[op->scale] + unit * of_state_floats(scale);
}

/* z of one unit, to `latents` [pass, rest] unless that is NULL; returns the sum of z^2. */
static double standardise(const of_run *run, const of_op *op, uint32_t unit, float *latents) {
    const of_scale_plan *scale = &run->plan->scales[op->scale];
    const of_density *d = &op->density;
    size_t n = of_state_floats(scale), at = 0;
    double square = 0;
    for (size_t half = 0; half < half_count(scale); half++, at += n)
        square += run->plan->kernels->scale_shift(half_at(run, op, unit, half), d->scale + at,
                                                  d->shift + at, latents ? latents + at : NULL, n);
    return square;
}

/* log-densities of the classes relative to the standard normal's: -(|a z + b|^2 - |z|^2)/2. */
static void add_classes(const of_run *run, const of_op *op, uint32_t unit, double square) {
    const of_plan *plan = run->plan;
    const of_density *d = &op->density;
    size_t latents = plan->scales[op->scale].shape.latents, classes = plan->architecture.classes;
    for (size_t c = 0; c < classes; c++) {
        double class_square =
            plan->kernels->scale_shift(run->worker->latents, d->class_scale + c * latents,
                                       d->class_shift + c * latents, NULL, latents);
        run->worker->class_sums[unit * classes + c] +=
            d->class_constant[c] - 0.5 * (class_square - square);
    }
}

/* Where a unit's latents of a scale stand, or come from. */
static size_t latents_offset(const of_plan *plan, const of_op *op, const of_group *group,
                             uint32_t unit) {
    size_t dimensions = of_architecture_dimensions(&plan->architecture);
    size_t number = of_group_image(plan, group, unit) * plan->units + unit % plan->units;
    size_t place = number * (dimensions / plan->units);
    for (uint32_t before = 0; before < op->scale; before++)
        place += plan->scales[before].shape.latents;
    return place;
}

static void finish_unit(const of_run *run, const of_op *op, const of_group *group, uint32_t unit) {
    const of_plan *plan = run->plan;
    const of_scale_plan *scale = &plan->scales[op->scale];
    of_worker *worker = run->worker;
    bool classes = plan->architecture.classes > 0, store = group->out->latents != NULL;
    double square = standardise(run, op, unit, classes || store ? worker->latents : NULL);
    size_t sum = (size_t)unit * plan->scale_count + op->scale;
    worker->contributions[sum] += op->density.constant - 0.5 * square;
    worker->squares[sum] = square;
    if (classes)
        add_classes(run, op, unit, square);
    float *target = store ? group->out->latents + latents_offset(plan, op, group, unit) : NULL;
    for (size_t i = 0; store && i < scale->shape.latents; i++)
        target[i] = worker->latents[of_latent_place(scale, i)];
}

static of_status forward(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    (void)error;
    for (uint32_t u = units->first; u < units->first + units->count; u++)
        finish_unit(run, op, units->group, u);
    return OF_OK;
}

/* Latents -> the scale's last state, or half of it: the other one is there. */
static of_status inverse(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error) {
    (void)error;
    const of_plan *plan = run->plan;
    const of_scale_plan *scale = &plan->scales[op->scale];
    const of_density *d = &op->density;
    float *z = run->worker->latents;
    size_t n = of_state_floats(scale);
    for (uint32_t u = units->first; u < units->first + units->count; u++) {
        const float *from = units->group->latents + latents_offset(plan, op, units->group, u);
        for (size_t i = 0; i < scale->shape.latents; i++)
            z[of_latent_place(scale, i)] = from[i];
        for (size_t half = 0; half < half_count(scale); half++)
            (void)plan->kernels->scale_shift(z + half * n, d->inverse_scale + half * n,
                                             d->inverse_shift + half * n, half_at(run, op, u, half),
                                             n);
    }
    return OF_OK;
}

/* ---- Backward ----------------------------------------------------------------------------- */

/* The half of a unit's latents that starts at `offset` of the density's arrays. */
static void gaussian_half(const of_chunk *c, const of_density *d, double weight, const float *x,
                          float *g_x, size_t offset) {
    c->plan->kernels->scale_shift_backward(x, d->scale + offset, d->shift + offset, (float)weight,
                                           g_x, c->sums + d->scale_sums + offset,
                                           c->sums + d->shift_sums + offset,
                                           of_state_floats(c->scale));
}

/* Class densities: the loss has sum over classes of -g_c/2 |a_c z + b_c|^2 with z the latents
 * after the prior's ActNorm. */
static void class_half(const of_chunk *c, const of_density *d, const double *weights,
                       const float *x, float *g_x, size_t offset) {
    size_t n = of_state_floats(c->scale), latents = c->scale->shape.latents;
    float *z = c->buffers->latents, *g_z = c->buffers->g_latents;
    (void)c->plan->kernels->scale_shift(x, d->scale + offset, d->shift + offset, z, n);
    memset(g_x, 0, n * sizeof(float));
    for (size_t k = 0; k < c->plan->architecture.classes; k++) {
        size_t place = k * latents + offset;
        c->plan->kernels->scale_shift_backward(
            z, d->class_scale + place, d->class_shift + place, (float)weights[k], g_z,
            c->sums + d->class_scale_sums + place, c->sums + d->class_shift_sums + place, n);
        c->plan->kernels->accumulate(g_z, g_x, n);
    }
    float *g_scale = c->sums + d->scale_sums + offset;
    float *g_shift = c->sums + d->shift_sums + offset;
    for (size_t i = 0; i < n; i++) {
        g_scale[i] += g_x[i] * x[i];
        g_shift[i] += g_x[i];
        g_x[i] *= d->scale[offset + i];
    }
}

/* The last state's latents, and a closing map; the gradient of what goes on comes from the next
 * scale. */
static of_status backward(const of_chunk *c, const of_op *op, of_error *error) {
    const of_backward_buffers *b = c->buffers;
    size_t n = of_state_floats(c->scale), classes = c->plan->architecture.classes;
    double start = of_profile_start(c->run);
    for (size_t half = 0; half < half_count(c->scale); half++) {
        const float *x = half_at(c->run, op, c->first, half);
        bool pass = is_pass(c->plan, c->scale, half);
        float *g_x = of_chunk_state(c, (pass ? b->g_pass : b->g_rest)[c->s]);
        for (uint32_t u = 0; u < c->count; u++, x += n, g_x += n) {
            size_t image = (c->first + u) / c->plan->units;
            if (classes > 0)
                class_half(c, &op->density, b->class_gradients + image * classes, x, g_x, half * n);
            else
                gaussian_half(c, &op->density, b->logp_gradients[image], x, g_x, half * n);
        }
    }
    of_chunk_stop(c, start, 0, OF_STAGE_BACK_PRIOR);
    return op[-1].map.channels > 0 ? of_map_type.backward(c, op - 1, error) : OF_OK;
}

/* z = e^ls (x + loc) */
static void unfold_prior(const of_unfolding *t, const of_op *op, const of_scale_plan *scale) {
    const of_density *d = &op->density;
    const float *g_scale = t->sums + d->scale_sums, *g_shift = t->sums + d->shift_sums;
    float *g_loc = of_unfolding_gradient(t, op->parameters.numbers[0]);
    float *g_log_scale = of_unfolding_gradient(t, op->parameters.numbers[1]);
    for (size_t i = 0; i < scale->shape.latents; i++) {
        size_t place = of_latent_place(scale, i);
        double a = (double)d->scale[place], b = (double)d->shift[place];
        g_loc[i] += (float)(a * (double)g_shift[place]);
        g_log_scale[i] += (float)(a * (double)g_scale[place] + b * (double)g_shift[place] +
                                  t->lane->logp_gradient);
    }
}

/* a = e^(ls - lstd), b = (e^ls loc - mean) e^-lstd. */
static void unfold_class(const of_unfolding *t, const of_op *op, const of_scale_plan *scale,
                         size_t c) {
    const of_class_parameters *p = &t->model->classes[c * t->plan->scale_count + op->scale];
    const of_density *d = &op->density;
    const float *log_std = of_model_values(t->model, p->log_std);
    const float *loc = of_model_values(t->model, p->loc);
    float *g_loc = of_unfolding_gradient(t, p->loc);
    float *g_log_scale = of_unfolding_gradient(t, p->log_scale);
    float *g_mean = of_unfolding_gradient(t, p->mean);
    float *g_log_std = of_unfolding_gradient(t, p->log_std);
    double weight = t->lane->class_gradients[c];
    for (size_t i = 0; i < scale->shape.latents; i++) {
        size_t place = c * scale->shape.latents + of_latent_place(scale, i);
        double g_a = (double)t->sums[d->class_scale_sums + place];
        double g_b = (double)t->sums[d->class_shift_sums + place];
        double a = (double)d->class_scale[place], b = (double)d->class_shift[place];
        g_loc[i] += (float)(a * g_b);
        g_log_scale[i] += (float)(a * g_a + a * (double)loc[i] * g_b + weight);
        g_mean[i] -= (float)(g_b * exp(-(double)log_std[i]));
        g_log_std[i] -= (float)(a * g_a + b * g_b + weight);
    }
}

static of_status unfold(const of_unfolding *t, const of_op *op, of_error *error) {
    const of_scale_plan *scale = &t->plan->scales[op->scale];
    unfold_prior(t, op, scale);
    for (size_t c = 0; c < t->plan->architecture.classes; c++)
        unfold_class(t, op, scale, c);
    return op[-1].map.channels > 0 ? of_map_type.unfold(t, op - 1, error) : OF_OK;
}

/* ---- Where the density comes from --------------------------------------------------------- */

/* Adds ln of every factor where it belongs, and what the constant has beyond them evenly. */
static void add_factors(const of_scale_plan *scale, const float *factors, double constant,
                        double *log_factors, double *contributions) {
    size_t positions = of_grid_positions(scale);
    double sum = 0;
    memset(log_factors, 0, positions * sizeof *log_factors);
    for (size_t i = 0; i < scale->shape.latents; i++)
        log_factors[i % positions] += log((double)factors[of_latent_place(scale, i)]);
    for (size_t p = 0; p < positions; p++)
        sum += log_factors[p];
    bool usable = isfinite(sum); /* a factor may have become 0 as a float */
    for (size_t p = 0; p < positions; p++)
        contributions[p] +=
            (usable ? log_factors[p] : 0) + (constant - (usable ? sum : 0)) / (double)positions;
}

void of_latents_contributions(const of_run *run, const of_op *op, uint32_t unit, size_t likeliest,
                              double *log_factors, double *contributions) {
    const of_plan *plan = run->plan;
    const of_scale_plan *scale = &plan->scales[op->scale];
    const of_density *d = &op->density;
    size_t positions = of_grid_positions(scale), latents = scale->shape.latents;
    float *z = run->worker->latents;
    (void)standardise(run, op, unit, z);
    add_factors(scale, d->scale, d->constant, log_factors, contributions);
    if (plan->architecture.classes > 0) {
        const float *factors = d->class_scale + likeliest * latents;
        (void)plan->kernels->scale_shift(z, factors, d->class_shift + likeliest * latents, z,
                                         latents);
        add_factors(scale, factors, d->class_constant[likeliest], log_factors, contributions);
    }
    for (size_t i = 0; i < latents; i++) {
        double value = (double)z[of_latent_place(scale, i)];
        contributions[i % positions] -= 0.5 * value * value;
    }
}

/* ---- For people --------------------------------------------------------------------------- */

static void describe(const of_plan *plan, const of_op *op, of_layer_info *info) {
    const of_scale_plan *scale = &plan->scales[op->scale];
    size_t state = of_describe_state_bytes(plan, scale);
    (void)snprintf(info->operation, sizeof info->operation, "ActNorm, Gaussian");
    info->input_bytes = scale->last ? state : state / 2;
}

const of_op_type of_latents_type = {.allocate = allocate,
                                    .pack = pack,
                                    .forward = forward,
                                    .inverse = inverse,
                                    .backward = backward,
                                    .unfold = unfold,
                                    .describe = describe};
