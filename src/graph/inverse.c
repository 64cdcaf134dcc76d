/* SPDX-License-Identifier: Apache-2.0 */
/* Latents to images, and sampling. */
#include "core/memory.h"
#include "core/random.h"
#include "graph/run.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Latents of a scale -> its last state: pass, and on the last scale rest. */
static void start_scale(const of_run *run, uint32_t s, uint32_t unit, const float *latents) {
    const of_plan *plan = run->plan;
    const of_scale_plan *scale = &plan->scales[s];
    const of_worker *worker = run->worker;
    size_t half = (size_t)scale->positions * scale->half;
    for (size_t i = 0; i < scale->shape.latents; i++)
        worker->latents[of_latent_place(scale, i)] = latents[i];
    (void)plan->kernels->scale_shift(worker->latents, scale->inverse_scale, scale->inverse_shift,
                                     worker->pass[s] + unit * half, half);
    if (scale->last)
        (void)plan->kernels->scale_shift(worker->latents + half, scale->inverse_scale + half,
                                         scale->inverse_shift + half, worker->rest[s] + unit * half,
                                         half);
}

static of_status undo_steps(const of_run *run, uint32_t s, uint32_t first, uint32_t count,
                            of_error *error) {
    bool dense = run->plan->architecture.block == OF_BLOCK_DENSE;
    for (uint32_t k = run->plan->architecture.steps; k-- > 0;) {
        of_status status = of_flow_network(run, s, k, first, count, error);
        if (status != OF_OK)
            return status;
        of_flow_tail(run, s, k, first, count, true);
        if (dense)
            status = of_flow_mix(run, s, k, first, count, true, error);
        if (status != OF_OK)
            return status;
    }
    return OF_OK;
}

/* Top left of a unit of an image, in floats. */
static float *unit_target(const of_plan *plan, float *images, size_t image, uint32_t unit) {
    of_batch batch = {OF_PIXEL_F32, images, 0};
    of_pixel_view view = of_pixel_unit(plan, &batch, image, unit);
    return images + ((const float *)view.pixels - images);
}

static of_status invert_group(const of_run *run, const float *latents, size_t first_image,
                              uint32_t images, float *target, of_error *error) {
    const of_plan *plan = run->plan;
    const of_architecture *a = &plan->architecture;
    size_t unit_latents = of_architecture_dimensions(a) / plan->units;
    uint32_t units = images * plan->units;
    size_t offset = unit_latents; /* of the scale in a unit's latents */
    for (uint32_t s = plan->scale_count; s-- > 0;) {
        offset -= plan->scales[s].shape.latents;
        for (uint32_t u = 0; u < units; u++)
            start_scale(run, s, u,
                        latents + (first_image * plan->units + u) * unit_latents + offset);
        for (uint32_t first = 0, count; first < units; first += count) {
            count = of_flow_chunk(&plan->scales[s], units - first);
            of_status status = undo_steps(run, s, first, count, error);
            if (status != OF_OK)
                return status;
        }
        for (uint32_t u = 0; u < units; u++)
            of_pixels_leave(
                run, s, u,
                unit_target(plan, target, first_image + u / plan->units, u % plan->units),
                (size_t)a->width * a->channels);
    }
    return OF_OK;
}

static of_status check_inverse(const of_session *session, of_error *error) {
    if (session->plan->has_inverse)
        return OF_OK;
    return of_fail_setting(error, OF_ERROR_ARGUMENT, "inverse",
                           "the plan was compiled without the way back, from latents to images");
}

of_status of_session_inverse(of_session *session, const float *latents, size_t count, float *images,
                             of_error *error) {
    if (session == NULL || ((latents == NULL || images == NULL) && count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_session_inverse: session, latents and images are all needed");
    of_status status = check_inverse(session, error);
    if (status != OF_OK || count == 0)
        return status;
    size_t size = of_forward_group_size(session, count), groups = (count + size - 1) / size;
    of_workers_clear(session->workers, session->threads);
#pragma omp parallel num_threads(session->threads)
    {
        of_worker *worker = &session->workers[omp_get_thread_num()];
        const of_run run = {.plan = session->plan, .worker = worker};
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1)
        for (size_t g = 0; g < groups; g++) {
            size_t left = count - g * size;
            if (worker->error.status == OF_OK)
                worker->error.status =
                    invert_group(&run, latents, g * size, (uint32_t)(left < size ? left : size),
                                 images, &worker->error);
        }
    }
    return of_workers_outcome(session->workers, session->threads, error);
}

of_status of_session_sample(of_session *session, size_t count, double temperature, uint64_t seed,
                            float *images, of_error *error) {
    if (session == NULL || (images == NULL && count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_session_sample: session and images are needed");
    if (!(temperature >= 0) || !isfinite(temperature))
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "temperature",
                               "of_session_sample: temperature must be finite and not negative");
    of_status status = check_inverse(session, error);
    if (status != OF_OK)
        return status;
    size_t dimensions = of_architecture_dimensions(&session->plan->architecture);
    size_t most = (size_t)session->plan->group_images * session->threads; /* a group a thread */
    float *latents = of_allocate(dimensions, sizeof(float) * most);
    if (latents == NULL)
        return of_fail_memory(error, "latents");
    for (size_t first = 0; status == OF_OK && first < count; first += most) {
        size_t left = count - first, now = left < most ? left : most;
        for (size_t i = 0; i < now; i++) {
            of_random random = of_random_stream(seed, first + i);
            for (size_t d = 0; d < dimensions; d++)
                latents[i * dimensions + d] = (float)(temperature * of_random_normal(&random));
        }
        status = of_session_inverse(session, latents, now, images + first * dimensions, error);
    }
    of_free(latents);
    return status;
}
