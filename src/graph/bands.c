/* SPDX-License-Identifier: Apache-2.0 */
/* Fewer images than threads: one image after the other, its rows divided among the threads in
 * bands. Every layer of a band is code for so many rows, run by its thread alone; threads meet
 * twice a step, before they read rows of their neighbours: the taps (or, where the last layer is a
 * 3x3 one, its input), and the state for the next 3x3 layer. Patches are independent: threads take
 * whole ones. */
#include "core/team.h"
#include "graph/run.h"

#include <assert.h>
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

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

/* One thread's part in an image. `worker` is the first one's, but for scratch memory. */
typedef struct part {
    const of_run *run;
    const of_plan *plan;
    const of_group *work;
    unsigned thread;
    atomic_bool *failed;
} part;

static of_band band_of(const part *p, const of_op *op) {
    return p->plan->scales[op->scale].bands[p->thread];
}

/* Does an op read what other threads have written? Those that take all rows do. */
static bool meets_others(const of_op *op) {
    if (op->kind == OF_OP_TAIL)
        return op->kernel == 3;
    /* a network of one layer writes taps that others may still read */
    bool alone = of_reads_state(op) && op->writes == OF_BUFFER_TAPS;
    return op->kind != OF_OP_CONVOLUTION || op->shape.kernel == 3 || alone;
}

static char *buffer_of(const part *p, const of_op *op, of_buffer buffer) {
    if (buffer < OF_BUFFER_STATE || of_copies_input(op)) /* a copy is kept up to date */
        return p->run->worker->buffers[buffer];
    const of_worker *worker = p->run->worker;
    return (char *)(buffer == OF_BUFFER_REST ? worker->rest : worker->pass)[op->scale];
}

static size_t row_bytes(const of_op *op, uint32_t values, of_precision precision) {
    return (size_t)op->shape.width * values * of_precision_bytes(precision);
}

/* A layer on the band's rows: source and target hold all rows. */
static of_status layer_rows(const part *p, const of_op *op, of_error *error) {
    const of_band_layer *mine = &op->bands[p->thread];
    const of_convolution_shape *shape = of_convolution_shape_of(mine->code);
    const void *weights = mine->weights ? mine->weights : op->packed.weights;
    size_t first = band_of(p, op).first;
    const char *from = buffer_of(p, op, op->reads) +
                       (first - shape->above) * row_bytes(op, shape->inputs, shape->source);
    char *to = buffer_of(p, op, op->writes) + first * row_bytes(op, shape->outputs, shape->target);
    return of_convolution_run(mine->code, 1, from, weights, op->packed.bias, to,
                              p->run->worker->convolution_scratch, error);
}

/* The band's rows of the state, if the next op reads a copy. */
static void copy_rows(const part *p, const of_op *next) {
    const of_band band = band_of(p, next);
    if (next->kind == OF_OP_CONVOLUTION && of_copies_input(next))
        of_copy_input(p->run, next, p->run->worker->pass[next->scale],
                      (size_t)band.first * next->shape.width,
                      (size_t)band.rows * next->shape.width);
}

static double *log_dets_of(const part *p, const of_op *op) {
    return p->run->worker->row_sums + (size_t)op->step * p->plan->scales[op->scale].rows;
}

static void tail_rows(const part *p, const of_op *op) {
    of_coupling_row row = of_tail_row(p->run, op, 0, 0, false);
    of_band band = band_of(p, op);
    for (uint32_t y = band.first; y < band.first + band.rows; y++) {
        row.taps.row = y;
        log_dets_of(p, op)[y] = p->plan->kernels->coupling_row(&row);
    }
    copy_rows(p, op + 1);
}

/* The log-determinants of all of a scale's steps, added as one thread adds them. */
static void add_log_dets(const part *p, const of_scale_plan *scale) {
    for (const of_op *op = scale->ops; op < scale->ops + scale->op_count; op++) {
        double sum = 0;
        for (uint32_t y = 0; op->kind == OF_OP_TAIL && y < scale->rows; y++)
            sum += log_dets_of(p, op)[y];
        p->run->worker->contributions[op->scale] += sum;
    }
}

/* What the first thread does for all: entering, and the latents. */
static of_status whole_op(const part *p, const of_op *op, of_error *error) {
    const of_units units = {p->work, 0, 1};
    if (op->kind == OF_OP_LATENTS)
        add_log_dets(p, &p->plan->scales[op->scale]);
    return of_forward_ops(p->run, op, op + 1, &units, error);
}

/* Every thread passes all barriers, also one that has failed or has no rows. */
static of_status run_op(const part *p, const of_op *op, of_status status, of_error *error) {
    bool whole = op->kind == OF_OP_ENTER || op->kind == OF_OP_LATENTS;
    bool active = status == OF_OK && (whole ? p->thread == 0 : band_of(p, op).rows > 0);
    if (meets_others(op)) {
#pragma omp barrier
    }
    if (active && whole)
        status = whole_op(p, op, error);
    else if (active && op->kind == OF_OP_TAIL)
        tail_rows(p, op);
    else if (active)
        status = layer_rows(p, op, error);
    if (op->kind == OF_OP_ENTER) {
#pragma omp barrier
        copy_rows(p, op + 1);
    }
    if (status != OF_OK)
        atomic_store(p->failed, true);
    return status;
}

/* A thread that fails says so before it meets the others: then nothing is stored. */
static of_status run_image(const part *p, of_error *error) {
    of_status status = OF_OK;
    if (p->thread == 0)
        of_forward_begin(p->run, p->work);
    for (size_t i = 0; i < p->plan->op_count; i++)
        status = run_op(p, &p->plan->ops[i], status, error);
    if (p->thread == 0 && !atomic_load(p->failed))
        of_forward_end(p->run, p->work);
    return status;
}

/* ---- Patches ----------------------------------------------------------------------------- */

static of_status run_patches(const part *p, unsigned threads, of_error *error) {
    size_t units = p->plan->units;
    assert(threads > 0);
    uint32_t first = (uint32_t)(units * p->thread / threads);
    uint32_t end = (uint32_t)(units * (p->thread + 1) / threads);
    if (p->thread == 0)
        of_forward_begin(p->run, p->work);
#pragma omp barrier
    of_status status = of_forward_units(p->run, p->work, first, end - first, error);
    if (status != OF_OK)
        atomic_store(p->failed, true);
#pragma omp barrier
    if (p->thread == 0 && !atomic_load(p->failed))
        of_forward_end(p->run, p->work);
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
        memcpy(lent.buffers, own->buffers, sizeof lent.buffers);
        lent.pixels = own->pixels;
        lent.latents = own->latents;
    }
    return lent;
}

of_status of_bands_forward(of_session *session, const of_batch *batch, const of_likelihoods *out,
                           of_error *error) {
    const of_plan *plan = session->plan;
    unsigned threads = session->threads;
    atomic_bool failed = false;
    of_status usable = of_team_check(threads, error);
    if (usable != OF_OK)
        return usable;
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
                const of_group work = {
                    .batch = batch, .out = out, .first = i, .stride = 1, .images = 1};
                const part p = {&run, plan, &work, thread, &failed};
                of_status status =
                    plan->units == 1 ? run_image(&p, mine) : run_patches(&p, team, mine);
                if (status != OF_OK)
                    mine->status = status;
            }
    }
    return of_workers_outcome(session->workers, threads, error);
}
