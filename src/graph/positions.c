/* SPDX-License-Identifier: Apache-2.0 */
/* Where in an image its likelihood comes from: the contribution of every position of every scale.
 *
 * All terms of a contribution are sums over positions p of a scale:
 *     log-dets of couplings    sum over steps and channels of log sigmoid(raw(p) + 2)
 *     log-det of the prior     sum over channels of log a(p)                z = a x + b
 *     Gaussian                 sum over channels of -z(p)^2/2 - ln(2 pi)/2
 *     log-dets of the maps     the same everywhere
 * This is a slow path beside of_session_forward, in double and one unit after the other: it is for
 * the few images that somebody will look at. */
#include "core/batch_check.h"
#include "core/memory.h"
#include "graph/run.h"

#include <math.h>
#include <omp.h>
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
    of_pixel_view view;  /* the unit's pixels */
    size_t class;        /* the likeliest, for models with classes */
    double *unit;        /* [positions of the largest scale] */
    double *log_factors; /* the same */
    float *coefficients; /* of a row */
} recorder;

/* Positions of a unit's grid; a dense scale has one position as a flow, but latents have places. */
static size_t grid_positions(const of_scale_plan *scale) {
    return (size_t)scale->shape.height * scale->shape.width;
}

/* log sigmoid(raw + 2), also where the float of the sigmoid would not do. */
static double log_scale(float raw) {
    double t = (double)raw + 2;
    return t > 0 ? -log1p(exp(-t)) : t - log1p(exp(t));
}

/* Log-dets of a step's coupling, from the taps that its network has left in the worker. A dense
 * network looks at everything at once: what it does is spread over all positions. */
static void add_log_dets(const recorder *m, uint32_t s, uint32_t k) {
    const of_plan *plan = m->run.plan;
    const of_scale_plan *scale = &plan->scales[s];
    of_tap_row row = {.taps = m->run.worker->taps,
                      .stride = scale->tap_stride,
                      .bias = scale->steps[k].coefficient_bias,
                      .outputs = scale->outputs,
                      .kernel = scale->kernel,
                      .height = scale->rows,
                      .width = scale->columns};
    size_t positions = grid_positions(scale), spread = positions / scale->positions;
    for (row.row = 0; row.row < row.height; row.row++) {
        plan->kernels->tap_sum_row(&row, m->coefficients);
        for (size_t x = 0; x < row.width; x++) {
            const float *raw = m->coefficients + x * scale->outputs + scale->half;
            double sum = 0;
            for (uint32_t c = 0; c < scale->half; c++)
                sum += log_scale(raw[c]);
            double *first = m->unit + ((size_t)row.row * row.width + x) * spread;
            for (size_t i = 0; i < spread; i++)
                first[i] += sum / (double)spread;
        }
    }
}

static of_status run_steps(const recorder *m, uint32_t s, of_error *error) {
    const of_plan *plan = m->run.plan;
    of_status status = OF_OK;
    for (uint32_t k = 0; status == OF_OK && k < plan->architecture.steps; k++) {
        if (plan->architecture.block == OF_BLOCK_DENSE)
            status = of_flow_mix(&m->run, s, k, 0, 1, false, error);
        if (status == OF_OK)
            status = of_flow_network(&m->run, s, k, 0, 1, error);
        if (status != OF_OK)
            return status;
        if (plan->architecture.coupling == OF_COUPLING_AFFINE)
            add_log_dets(m, s, k);
        of_flow_tail(&m->run, s, k, 0, 1, false);
    }
    return status;
}

/* Adds ln of every factor where it belongs, and what the constant has beyond them evenly. */
static void add_factors(const recorder *m, const of_scale_plan *scale, const float *factors,
                        double constant) {
    size_t positions = grid_positions(scale);
    double sum = 0;
    memset(m->log_factors, 0, positions * sizeof *m->log_factors);
    for (size_t i = 0; i < scale->shape.latents; i++)
        m->log_factors[i % positions] += log((double)factors[of_latent_place(scale, i)]);
    for (size_t p = 0; p < positions; p++)
        sum += m->log_factors[p];
    bool usable = isfinite(sum); /* a factor may have become 0 as a float */
    for (size_t p = 0; p < positions; p++)
        m->unit[p] +=
            (usable ? m->log_factors[p] : 0) + (constant - (usable ? sum : 0)) / (double)positions;
}

/* Latents of the unit, position-major, in the worker. */
static void make_latents(const recorder *m, uint32_t s) {
    const of_scale_plan *scale = &m->run.plan->scales[s];
    const of_worker *worker = m->run.worker;
    const of_kernels *kernels = m->run.plan->kernels;
    size_t half = of_state_floats(scale);
    (void)kernels->scale_shift(worker->pass[s], scale->prior_scale, scale->prior_shift,
                               worker->latents, half);
    if (scale->last)
        (void)kernels->scale_shift(worker->rest[s], scale->prior_scale + half,
                                   scale->prior_shift + half, worker->latents + half, half);
}

static void add_density(const recorder *m, uint32_t s) {
    const of_plan *plan = m->run.plan;
    const of_scale_plan *scale = &plan->scales[s];
    size_t positions = grid_positions(scale), latents = scale->shape.latents;
    float *z = m->run.worker->latents;
    add_factors(m, scale, scale->prior_scale, scale->constant);
    if (plan->architecture.classes > 0) {
        const float *factors = scale->class_scale + m->class * latents;
        (void)plan->kernels->scale_shift(z, factors, scale->class_shift + m->class * latents, z,
                                         latents);
        add_factors(m, scale, factors, scale->class_constant[m->class]);
    }
    for (size_t i = 0; i < latents; i++) {
        double value = (double)z[of_latent_place(scale, i)];
        m->unit[i % positions] -= 0.5 * value * value;
    }
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
        uint32_t height, width;
        memset(m->unit, 0, grid_positions(&plan->scales[s]) * sizeof *m->unit);
        of_pixels_enter(&m->run, s, 0, s == 0 ? &m->view : NULL);
        of_status status = run_steps(m, s, error);
        if (status != OF_OK)
            return status;
        make_latents(m, s);
        add_density(m, s);
        place_unit(m, s, unit, grids);
        of_architecture_position_shape(&plan->architecture, s, &height, &width);
        grids += (size_t)height * width;
    }
    return OF_OK;
}

static bool open_recorder(recorder *m) {
    size_t positions = 1, coefficients = 1;
    for (uint32_t s = 0; s < m->run.plan->scale_count; s++) {
        const of_scale_plan *scale = &m->run.plan->scales[s];
        size_t row = (size_t)scale->columns * scale->outputs;
        positions = positions < grid_positions(scale) ? grid_positions(scale) : positions;
        coefficients = coefficients < row ? row : coefficients;
    }
    m->unit = of_allocate(positions, sizeof *m->unit);
    m->log_factors = of_allocate(positions, sizeof *m->log_factors);
    m->coefficients = of_allocate(coefficients, sizeof *m->coefficients);
    return m->unit != NULL && m->log_factors != NULL && m->coefficients != NULL;
}

static of_status record_image(recorder *m, const of_batch *batch, size_t image, double *grids,
                              of_error *error) {
    of_status status =
        open_recorder(m) ? OF_OK : of_fail_memory(error, "the contributions of positions");
    for (uint32_t unit = 0; status == OF_OK && unit < m->run.plan->units; unit++) {
        m->view = of_pixel_unit(m->run.plan, batch, image, unit);
        status = record_unit(m, unit, grids, error);
    }
    of_free(m->unit);
    of_free(m->log_factors);
    of_free(m->coefficients);
    return status;
}

static of_status record_images(of_session *session, const of_batch *batch, const double *class_logp,
                               double *grids, of_error *error) {
    size_t size = of_architecture_position_count(&session->plan->architecture);
    size_t classes = session->plan->architecture.classes;
    of_workers_clear(session->workers, session->threads);
#pragma omp parallel num_threads(session->threads)
    {
        of_worker *worker = &session->workers[omp_get_thread_num()];
        omp_set_num_threads(1); /* the layers must not spread out */
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < batch->count; i++) {
            recorder m = {.run = {.plan = session->plan, .worker = worker}};
            for (size_t c = 1; c < classes; c++)
                if (class_logp[i * classes + c] > class_logp[i * classes + m.class])
                    m.class = c;
            if (worker->error.status == OF_OK)
                worker->error.status = record_image(&m, batch, i, grids + i * size, &worker->error);
        }
    }
    return of_workers_outcome(session->workers, session->threads, error);
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
    if (classes == 0 || batch->count == 0)
        return record_images(session, batch, NULL, grids, error);
    double *class_logp =
        of_multiply(batch->count, classes, &count) ? of_allocate(count, sizeof(double)) : NULL;
    if (class_logp == NULL)
        return of_fail_memory(error, "log-likelihoods of classes");
    status = of_session_forward(session, batch, &(of_likelihoods){.class_logp = class_logp}, error);
    if (status == OF_OK)
        status = record_images(session, batch, class_logp, grids, error);
    of_free(class_logp);
    return status;
}
