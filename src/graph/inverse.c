/* SPDX-License-Identifier: Apache-2.0 */
/* Latents to images, and sampling. */
#include "core/memory.h"
#include "core/random.h"
#include "graph/run.h"

#include <math.h>

typedef struct inverse_task {
    const float *latents;
    float *images;
    size_t count, size; /* of all, of a group */
} inverse_task;

/* All ops in reverse. What networks made of a step's input is made again by the tail. */
static of_status invert_group(const of_run *run, size_t number, void *user, of_error *error) {
    const of_plan *plan = run->plan;
    const inverse_task *task = user;
    size_t first = number * task->size, left = task->count - first;
    const of_group work = {.first = first,
                           .stride = 1,
                           .images = (uint32_t)(left < task->size ? left : task->size),
                           .latents = task->latents,
                           .made = task->images};
    uint32_t units = work.images * plan->units;
    of_status status = OF_OK;
    for (uint32_t s = plan->scale_count; s-- > 0;) {
        const of_scale_plan *scale = &plan->scales[s];
        of_units chunk = {&work, 0, 0};
        for (; status == OF_OK && chunk.first < units; chunk.first += chunk.count) {
            chunk.count = of_forward_chunk(scale, units - chunk.first);
            for (size_t i = scale->op_count; status == OF_OK && i-- > 0;) {
                const of_op_type *type = of_op_type_of(scale->ops[i].kind);
                if (type->inverse != NULL)
                    status = type->inverse(run, &scale->ops[i], &chunk, error);
            }
        }
    }
    return status;
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
    inverse_task task = {latents, images, count, of_forward_group_size(session, count)};
    return of_session_each(session, (count + task.size - 1) / task.size, invert_group, &task,
                           error);
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
