/* SPDX-License-Identifier: Apache-2.0 */
/* Where in an image its likelihood comes from: the contribution of every position of every scale.
 *
 * All terms of a contribution are sums over positions p of a scale:
 *     log-det of the input     sum over its pixels (a logit's)
 *     log-dets of couplings    sum over steps, split prior and channels of log s(p)
 *     log-det of the prior     sum over channels of log a(p)                z = a x + b
 *     Gaussian                 sum over channels of -z(p)^2/2 - ln(2 pi)/2
 *     log-dets of the maps     the same everywhere
 * This is a slow path beside of_session_forward, in double and one unit after the other: it is for
 * the few images that somebody will look at. */
#include "core/batch_check.h"
#include "core/memory.h"
#include "graph/run.h"

#include <string.h>

void of_architecture_position_shape(const of_architecture *architecture, uint32_t scale,
                                    uint32_t *height, uint32_t *width) {
    *height = architecture->height >> (scale + 1);
    *width = architecture->width >> (scale + 1);
}

size_t of_architecture_position_count(const of_architecture *architecture) {
    size_t size = 0;
    for (uint32_t s = 0; s < of_architecture_scale_count(architecture); s++) {
        uint32_t height, width;
        of_architecture_position_shape(architecture, s, &height, &width);
        size += (size_t)height * width;
    }
    return size;
}

/* One image on one thread. */
typedef struct recorder {
    of_run run;
    of_group image;
    size_t class;        /* the likeliest, for models with classes */
    double *unit;        /* [positions of the largest scale] */
    double *log_factors; /* the same */
    float *coefficients; /* of a row */
} recorder;

/* What an op contributes is asked before it changes what it reads. */
static void ask(const recorder *m, const of_op *op, uint32_t unit) {
    if (op->kind == OF_OP_TAIL)
        of_tail_log_dets(&m->run, op, m->coefficients, m->unit);
    if (op->kind == OF_OP_ENTER)
        of_enter_log_dets(&m->run, op, &m->image, unit, m->unit);
}

/* A scale's ops on one unit. */
static of_status run_scale(const recorder *m, const of_scale_plan *scale, uint32_t unit,
                           of_error *error) {
    const of_units units = {&m->image, unit, 1};
    const of_op *end = of_scale_latents(scale);
    of_status status = OF_OK;
    for (const of_op *op = scale->ops; status == OF_OK && op < end; op++) {
        ask(m, op, unit);
        status = of_forward_ops(&m->run, op, op + 1, &units, error);
    }
    if (status == OF_OK)
        of_latents_contributions(&m->run, end, unit, m->class, m->log_factors, m->unit);
    return status;
}

/* The unit's grid into the image's, where patches tile. */
static void place_unit(const recorder *m, uint32_t s, uint32_t unit, double *grid) {
    const of_plan *plan = m->run.plan;
    const of_scale_shape *shape = &plan->scales[s].shape;
    uint32_t height, width;
    of_architecture_position_shape(&plan->architecture, s, &height, &width);
    size_t across = width / shape->width;
    double *corner = grid + unit / across * shape->height * width + unit % across * shape->width;
    for (size_t y = 0; y < shape->height; y++)
        memcpy(corner + y * width, m->unit + y * shape->width, shape->width * sizeof *grid);
}

static of_status record_unit(const recorder *m, uint32_t unit, double *grids, of_error *error) {
    const of_plan *plan = m->run.plan;
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        memset(m->unit, 0, of_grid_positions(scale) * sizeof *m->unit);
        of_status status = run_scale(m, scale, unit, error);
        if (status != OF_OK)
            return status;
        place_unit(m, s, unit, grids);
        grids += of_grid_positions(scale) * plan->units;
    }
    return OF_OK;
}

static bool open_recorder(recorder *m) {
    size_t positions = 1, coefficients = 1;
    for (uint32_t s = 0; s < m->run.plan->scale_count; s++) {
        const of_scale_plan *scale = &m->run.plan->scales[s];
        of_raise_to(&positions, of_grid_positions(scale));
        of_raise_to(&coefficients, (size_t)scale->columns * scale->channels);
    }
    m->unit = of_allocate(positions, sizeof *m->unit);
    m->log_factors = of_allocate(positions, sizeof *m->log_factors);
    m->coefficients = of_allocate(coefficients, sizeof *m->coefficients);
    return m->unit != NULL && m->log_factors != NULL && m->coefficients != NULL;
}

typedef struct position_task {
    const of_batch *batch;
    const double *class_logp; /* [images][classes] */
    double *grids;
} position_task;

static of_status record_image(const of_run *run, size_t image, void *user, of_error *error) {
    const of_plan *plan = run->plan;
    const position_task *task = user;
    size_t size = of_architecture_position_count(&plan->architecture);
    size_t classes = plan->architecture.classes;
    recorder m = {.run = *run,
                  .image = {.batch = task->batch, .first = image, .stride = 1, .images = 1}};
    for (size_t c = 1; c < classes; c++)
        if (task->class_logp[image * classes + c] > task->class_logp[image * classes + m.class])
            m.class = c;
    of_status status =
        open_recorder(&m) ? OF_OK : of_fail_memory(error, "the contributions of positions");
    for (uint32_t unit = 0; status == OF_OK && unit < plan->units; unit++)
        status = record_unit(&m, unit, task->grids + image * size, error);
    of_free(m.unit);
    of_free(m.log_factors);
    of_free(m.coefficients);
    return status;
}

of_status of_session_position_contributions(of_session *session, const of_batch *batch,
                                            double *grids, of_error *error) {
    if (session == NULL || batch == NULL || grids == NULL ||
        (batch->pixels == NULL && batch->count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_session_position_contributions: session, images and a place for the "
                       "result are all needed");
    of_status status = of_batch_check(batch, "of_session_position_contributions", error);
    if (status != OF_OK)
        return status;
    size_t classes = session->plan->architecture.classes, count;
    position_task task = {batch, NULL, grids};
    if (classes == 0 || batch->count == 0)
        return of_session_each(session, batch->count, record_image, &task, error);
    double *class_logp =
        of_multiply(batch->count, classes, &count) ? of_allocate(count, sizeof(double)) : NULL;
    if (class_logp == NULL)
        return of_fail_memory(error, "log-likelihoods of classes");
    task.class_logp = class_logp;
    status = of_session_forward(session, batch, &(of_likelihoods){.class_logp = class_logp}, error);
    if (status == OF_OK)
        status = of_session_each(session, batch->count, record_image, &task, error);
    of_free(class_logp);
    return status;
}
