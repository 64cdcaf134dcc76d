/* SPDX-License-Identifier: Apache-2.0 */
/* Images to likelihoods: a thread takes a group of images through the whole graph. */
#include "graph/run.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static void enter_scale(const of_run *run, const of_group *work, uint32_t s, uint32_t first,
                        uint32_t count) {
    const of_plan *plan = run->plan;
    for (uint32_t u = first; u < first + count; u++) {
        if (s > 0) {
            of_pixels_enter(run, s, u, NULL);
            continue;
        }
        of_pixel_view view = of_pixel_unit(
            plan, work->batch, work->first + u / plan->units * work->stride, u % plan->units);
        of_pixels_enter(run, s, u, &view);
    }
}

static of_status run_steps(const of_run *run, uint32_t s, uint32_t first, uint32_t count,
                           of_error *error) {
    bool dense = run->plan->architecture.block == OF_BLOCK_DENSE;
    for (uint32_t k = 0; k < run->plan->architecture.steps; k++) {
        of_status status = OF_OK;
        if (dense)
            status = of_flow_mix(run, s, k, first, count, false, error);
        if (status == OF_OK)
            status = of_flow_network(run, s, k, first, count, error);
        if (status != OF_OK)
            return status;
        of_flow_tail(run, s, k, first, count, false);
    }
    return OF_OK;
}

/* Position-major latents -> the caller's channel-major array. */
static void store_latents(const of_scale_plan *scale, const float *latents, float *target) {
    for (size_t i = 0; i < scale->shape.latents; i++)
        target[i] = latents[of_latent_place(scale, i)];
}

/* log-densities of the classes relative to the standard normal's: -(|a z + b|^2 - |z|^2)/2. */
static void add_classes(const of_run *run, const of_scale_plan *scale, uint32_t unit,
                        double square) {
    const of_plan *plan = run->plan;
    size_t latents = scale->shape.latents, classes = plan->architecture.classes;
    for (size_t c = 0; c < classes; c++) {
        double class_square =
            plan->kernels->scale_shift(run->worker->latents, scale->class_scale + c * latents,
                                       scale->class_shift + c * latents, NULL, latents);
        run->worker->class_sums[unit * classes + c] +=
            scale->class_constant[c] - 0.5 * (class_square - square);
    }
}

/* Prior ActNorm, Gaussian and their sum for one unit, whose state has become latents. */
static void finish_unit(const of_run *run, const of_group *work, uint32_t s, uint32_t unit) {
    const of_plan *plan = run->plan;
    const of_scale_plan *scale = &plan->scales[s];
    of_worker *worker = run->worker;
    size_t half = (size_t)scale->positions * scale->half;
    bool classes = plan->architecture.classes > 0;
    bool keep = classes || work->out->latents != NULL;
    double square =
        plan->kernels->scale_shift(worker->pass[s] + unit * half, scale->prior_scale,
                                   scale->prior_shift, keep ? worker->latents : NULL, half);
    if (scale->last)
        square += plan->kernels->scale_shift(worker->rest[s] + unit * half,
                                             scale->prior_scale + half, scale->prior_shift + half,
                                             keep ? worker->latents + half : NULL, half);
    worker->contributions[unit * plan->scale_count + s] += scale->constant - 0.5 * square;
    worker->squares[unit * plan->scale_count + s] = square;
    if (classes)
        add_classes(run, scale, unit, square);
    if (work->out->latents != NULL) {
        size_t dimensions = of_architecture_dimensions(&plan->architecture);
        size_t image = work->first + unit / plan->units * work->stride;
        size_t place = (image * plan->units + unit % plan->units) * (dimensions / plan->units);
        for (uint32_t before = 0; before < s; before++)
            place += plan->scales[before].shape.latents;
        store_latents(scale, worker->latents, work->out->latents + place);
    }
}

double of_mixture(const double *class_logp, size_t classes) {
    double most = class_logp[0], sum = 0;
    for (size_t c = 1; c < classes; c++)
        most = fmax(most, class_logp[c]);
    if (!isfinite(most))
        return most;
    for (size_t c = 0; c < classes; c++)
        sum += exp(class_logp[c] - most);
    return most + log(sum) - log((double)classes);
}

static void store_image(const of_run *run, const of_group *work, uint32_t image) {
    const of_plan *plan = run->plan;
    const of_likelihoods *out = work->out;
    size_t scales = plan->scale_count, classes = plan->architecture.classes;
    double contributions[OF_MAX_SCALES] = {0}, squares[OF_MAX_SCALES] = {0}, logp = 0;
    double *class_sums = run->worker->class_sums + (size_t)image * plan->units * classes;
    for (size_t u = 0; u < plan->units; u++) {
        size_t unit = ((size_t)image * plan->units + u) * scales;
        for (size_t s = 0; s < scales; s++) {
            contributions[s] += run->worker->contributions[unit + s];
            squares[s] += run->worker->squares[unit + s];
        }
        for (size_t c = 0; u > 0 && c < classes; c++)
            class_sums[c] += class_sums[u * classes + c];
    }
    for (size_t s = 0; s < scales; s++)
        logp += contributions[s];
    if (classes > 0) {
        for (size_t c = 0; c < classes; c++)
            class_sums[c] += logp;
        logp = of_mixture(class_sums, classes);
    }
    size_t place = work->first + image * work->stride;
    if (out->logp != NULL)
        out->logp[place] = logp;
    if (out->contributions != NULL)
        memcpy(out->contributions + place * scales, contributions, scales * sizeof(double));
    if (out->latent_squares != NULL)
        memcpy(out->latent_squares + place * scales, squares, scales * sizeof(double));
    if (out->class_logp != NULL)
        memcpy(out->class_logp + place * classes, class_sums, classes * sizeof(double));
}

void of_forward_begin(const of_run *run, const of_group *work) {
    const of_plan *plan = run->plan;
    size_t units = (size_t)work->images * plan->units;
    memset(run->worker->contributions, 0, units * plan->scale_count * sizeof(double));
    memset(run->worker->class_sums, 0, units * plan->architecture.classes * sizeof(double));
}

void of_forward_finish_units(const of_run *run, const of_group *work, uint32_t s, uint32_t first,
                             uint32_t count) {
    double start = of_profile_start(run);
    for (uint32_t u = first; u < first + count; u++)
        finish_unit(run, work, s, u);
    of_profile_stop(run, start, s, 0, OF_STAGE_PRIOR);
}

of_status of_forward_units(const of_run *run, const of_group *work, uint32_t begin, uint32_t units,
                           of_error *error) {
    const of_plan *plan = run->plan;
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        for (uint32_t first = begin, count; first < begin + units; first += count) {
            count = of_flow_chunk(&plan->scales[s], begin + units - first);
            double start = of_profile_start(run);
            enter_scale(run, work, s, first, count);
            of_profile_stop(run, start, s, 0, OF_STAGE_ENTER);
            of_status status = run_steps(run, s, first, count, error);
            if (status != OF_OK)
                return status;
            of_forward_finish_units(run, work, s, first, count);
        }
    }
    return OF_OK;
}

void of_forward_end(const of_run *run, const of_group *work) {
    for (uint32_t image = 0; image < work->images; image++)
        store_image(run, work, image);
}

of_status of_forward_group(const of_run *run, const of_group *work, of_error *error) {
    of_forward_begin(run, work);
    of_status status = of_forward_units(run, work, 0, work->images * run->plan->units, error);
    if (status == OF_OK)
        of_forward_end(run, work);
    return status;
}

uint32_t of_forward_group_size(const of_session *session, size_t count) {
    size_t at_once = (size_t)session->threads * session->plan->group_images;
    size_t rounds = (count + at_once - 1) / at_once;
    size_t shares = rounds * session->threads;
    return (uint32_t)((count + shares - 1) / shares);
}

of_status of_forward_batch(of_session *session, const of_batch *batch, const of_likelihoods *out,
                           of_error *error) {
    uint32_t size = of_forward_group_size(session, batch->count);
    size_t groups = (batch->count + size - 1) / size;
    of_workers_clear(session->workers, session->threads);
#pragma omp parallel num_threads(session->threads)
    {
        of_worker *worker = &session->workers[omp_get_thread_num()];
        const of_run run = {.plan = session->plan, .worker = worker};
        /* also with one thread, where no region is active, the layers must not spread out */
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1)
        for (size_t g = 0; g < groups; g++) {
            size_t first = g * size, left = batch->count - first;
            const of_group work = {batch, out, first, 1, left < size ? (uint32_t)left : size};
            if (worker->error.status == OF_OK)
                worker->error.status = of_forward_group(&run, &work, &worker->error);
        }
    }
    return of_workers_outcome(session->workers, session->threads, error);
}
