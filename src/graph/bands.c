/* SPDX-License-Identifier: Apache-2.0 */
/* Fewer images than threads: one image after the other, its rows divided among the threads in
 * bands. Every layer of a band is code for so many rows, run by its thread alone; threads meet
 * twice a step, before they read rows of their neighbours: the taps (or, where the last layer is a
 * 3x3 one, its input), and the state for the next 3x3 layer. Patches are independent: threads take
 * whole ones. */
#include "graph/run.h"

#include <assert.h>
#include <omp.h>
#include <stdatomic.h>

/* In units of the time of an image on one thread: bands take one image after the other, each scale
 * with as many threads as it has rows, and lose a little where they meet. Without them a thread
 * takes each image. */
bool of_bands_pay(const of_session *session, size_t images) {
    const double loss = 0.2;
    const of_plan *plan = session->plan;
    double positions = 0, shared = 0;
    if (plan->units > 1)
        return (double)images * (1 + loss) <
               (session->threads < plan->units ? session->threads : plan->units);
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        uint32_t threads = session->threads < scale->rows ? session->threads : scale->rows;
        positions += scale->positions;
        shared += (double)scale->positions / threads;
    }
    return (double)images * shared * (1 + loss) < positions;
}

/* ---- One image --------------------------------------------------------------------------- */

/* Does a layer of a network read the rows beside its own? */
static bool reads_neighbours(const of_convolution *layer) {
    return of_convolution_shape_of(layer)->kernel == 3;
}

/* One thread's part in a scale. `worker` is the first one's, but for scratch memory. */
typedef struct part {
    const of_run *run;
    const of_plan *plan;
    const of_scale_plan *scale;
    const of_band *band;
    uint32_t s;
} part;

static size_t row_bytes(const of_scale_plan *scale, uint32_t values, of_precision precision) {
    return (size_t)scale->columns * values *
           (precision == OF_PRECISION_BF16 ? sizeof(uint16_t) : sizeof(float));
}

/* A layer on the band's rows: `source` and `target` hold all rows. */
static of_status band_layer(const part *p, uint32_t k, int layer, const void *source, void *target,
                            of_error *error) {
    const of_convolution_shape *shape = of_convolution_shape_of(p->band->layers[layer]);
    const of_packed_layer *packed = &p->scale->steps[k].layers[layer];
    const void *weights = p->band->weights[layer] ? p->band->weights[layer][k] : packed->weights;
    size_t first = p->band->first - shape->above;
    const char *from =
        (const char *)source + first * row_bytes(p->scale, shape->inputs, shape->source);
    char *to = (char *)target + p->band->first * row_bytes(p->scale, shape->outputs, shape->target);
    return of_convolution_run(p->band->layers[layer], 1, from, weights, packed->bias, to,
                              p->run->worker->convolution_scratch, error);
}

/* What the first layer reads, in its precision: the state, or a copy that is kept up to date. */
static const void *network_input(const part *p) {
    return p->scale->precision == OF_PRECISION_F32 ? (const void *)p->run->worker->pass[p->s]
                                                   : p->run->worker->rounded;
}

static void round_rows(const part *p) {
    size_t row = (size_t)p->scale->columns * p->scale->half;
    if (p->scale->precision == OF_PRECISION_BF16)
        p->plan->kernels->round_to_bf16(p->run->worker->pass[p->s] + p->band->first * row,
                                        p->run->worker->rounded + p->band->first * row,
                                        p->band->rows * row);
}

static void tail_rows(const part *p, uint32_t k, double *log_dets) {
    of_coupling_row row = of_flow_coupling_row(p->run, p->s, k, 0, 0, false);
    for (uint32_t y = p->band->first; y < p->band->first + p->band->rows; y++) {
        row.taps.row = y;
        log_dets[y] = p->plan->kernels->coupling_row(&row);
    }
}

/* Every thread passes both barriers, also one that has failed or has no rows. */
static of_status band_step(const part *p, uint32_t k, of_status status, double *log_dets,
                           atomic_bool *failed, of_error *error) {
    of_worker *worker = p->run->worker;
    bool direct = reads_neighbours(p->scale->layers[OF_LAYER_LAST]);
    bool active = p->band->rows > 0;
    if (active && status == OF_OK)
        status = band_layer(p, k, OF_LAYER_FIRST, network_input(p), worker->hidden[0], error);
    if (active && status == OF_OK)
        status = band_layer(p, k, OF_LAYER_MIDDLE, worker->hidden[0], worker->hidden[1], error);
    if (active && status == OF_OK && !direct)
        status = band_layer(p, k, OF_LAYER_LAST, worker->hidden[1], worker->taps, error);
#pragma omp barrier
    if (active && status == OF_OK && direct)
        status = band_layer(p, k, OF_LAYER_LAST, worker->hidden[1], worker->taps, error);
    if (active && status == OF_OK) {
        tail_rows(p, k, log_dets);
        round_rows(p);
    }
    if (status != OF_OK)
        atomic_store(failed, true);
#pragma omp barrier
    return status;
}

/* The log-determinants of all steps, added as one thread adds them. */
static void add_log_dets(const part *p, const double *log_dets) {
    for (uint32_t k = 0; k < p->plan->architecture.steps; k++) {
        double sum = 0;
        for (uint32_t y = 0; y < p->scale->rows; y++)
            sum += log_dets[(size_t)k * p->scale->rows + y];
        p->run->worker->contributions[p->s] += sum;
    }
}

static void enter_scale(const part *p, const of_group *work) {
    of_pixel_view view = of_pixel_unit(p->plan, work->batch, work->first, 0);
    of_pixels_enter(p->run, p->s, 0, p->s == 0 ? &view : NULL);
}

/* A thread that fails says so before it meets the others: then nothing is stored. */
static of_status run_image(const of_run *run, const of_group *work, unsigned thread,
                           atomic_bool *failed, of_error *error) {
    const of_plan *plan = run->plan;
    double *log_dets = run->worker->row_sums;
    of_status status = OF_OK;
    if (thread == 0)
        of_forward_begin(run, work);
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        const part p = {run, plan, scale, &scale->bands[thread], s};
        if (thread == 0)
            enter_scale(&p, work);
#pragma omp barrier
        round_rows(&p);
#pragma omp barrier
        for (uint32_t k = 0; k < plan->architecture.steps; k++)
            status = band_step(&p, k, status, log_dets + (size_t)k * scale->rows, failed, error);
        if (thread == 0) {
            add_log_dets(&p, log_dets);
            of_forward_finish_units(run, work, s, 0, 1);
        }
    }
    if (thread == 0 && !atomic_load(failed))
        of_forward_end(run, work);
    return status;
}

/* ---- Patches ----------------------------------------------------------------------------- */

static of_status run_patches(const of_run *run, const of_group *work, unsigned thread,
                             unsigned threads, atomic_bool *failed, of_error *error) {
    size_t units = run->plan->units;
    assert(threads > 0);
    uint32_t first = (uint32_t)(units * thread / threads);
    uint32_t end = (uint32_t)(units * (thread + 1) / threads);
    if (thread == 0)
        of_forward_begin(run, work);
#pragma omp barrier
    of_status status = of_forward_units(run, work, first, end - first, error);
    if (status != OF_OK)
        atomic_store(failed, true);
#pragma omp barrier
    if (thread == 0 && !atomic_load(failed))
        of_forward_end(run, work);
    return status;
}

/* ---- All --------------------------------------------------------------------------------- */

/* The first worker's results and, for bands, its state; scratch memory of the thread's own. */
static of_worker lend(const of_session *session, unsigned thread) {
    of_worker lent = session->workers[0];
    const of_worker *own = &session->workers[thread];
    lent.row_scratch = own->row_scratch;
    lent.convolution_scratch = own->convolution_scratch;
    if (session->plan->units > 1) {
        lent.hidden[0] = own->hidden[0];
        lent.hidden[1] = own->hidden[1];
        lent.rounded = own->rounded;
        lent.taps = own->taps;
        lent.latents = own->latents;
    }
    return lent;
}

of_status of_bands_forward(of_session *session, const of_batch *batch, const of_likelihoods *out,
                           of_error *error) {
    const of_plan *plan = session->plan;
    unsigned threads = session->threads;
    atomic_bool failed = false;
    of_workers_clear(session->workers, threads);
#pragma omp parallel num_threads(threads)
    {
        unsigned thread = (unsigned)omp_get_thread_num(), team = (unsigned)omp_get_num_threads();
        of_error *mine = &session->workers[thread].error;
        of_worker worker = lend(session, thread);
        const of_run run = {.plan = plan, .worker = &worker};
        omp_set_num_threads(1);
        /* a smaller team than was asked for would leave rows undone */
        if (plan->units == 1 && team != threads)
            mine->status =
                of_fail(mine, OF_ERROR_UNSUPPORTED, "%u of %u threads were given", team, threads);
        else
            for (size_t i = 0; i < batch->count; i++) {
                const of_group work = {batch, out, i, 1, 1};
                of_status status = plan->units == 1
                                       ? run_image(&run, &work, thread, &failed, mine)
                                       : run_patches(&run, &work, thread, team, &failed, mine);
                if (status != OF_OK)
                    mine->status = status;
            }
    }
    return of_workers_outcome(session->workers, threads, error);
}
