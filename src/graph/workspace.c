/* SPDX-License-Identifier: Apache-2.0 */
/* How much a thread takes through the graph at a time, and the memory for it. */
#include "core/memory.h"
#include "core/team.h"
#include "graph/run.h"

#include <omp.h>
#include <unistd.h>

enum {
    LEAST_POSITIONS = 256, /* enough to pay for streaming a layer's weights */
    MOST_POSITIONS = 1024,
    MOST_UNITS = 1 << (OF_CONVOLUTION_VARIANTS - 1)
};

/* Gradients are added chunk by chunk: training must not depend on the machine's cache. */
static size_t cache_bytes(const of_plan *plan) {
    long bytes = !plan->for_training ? sysconf(_SC_LEVEL2_CACHE_SIZE) : 0;
    return bytes > 0 ? (size_t)bytes : (size_t)1 << 20;
}

static uint32_t power_of_two_below(size_t value) {
    uint32_t power = 1;
    while ((size_t)power * 2 <= value)
        power *= 2;
    return power;
}

static size_t clamp(size_t value, size_t low, size_t high) {
    return value < low ? low : value > high ? high : value;
}

/* Hidden activations and taps of a chunk should stay in three quarters of a core's L2 cache. */
static uint32_t choose_chunk(const of_plan *plan, const of_scale_plan *scale) {
    size_t taps = 0;
    for (const of_op *op = scale->ops; op < scale->ops + scale->op_count; op++)
        of_raise_to(&taps, op->tap_stride);
    size_t bytes =
        (size_t)2 * plan->hidden * of_precision_bytes(scale->precision) + taps * sizeof(float);
    size_t positions = cache_bytes(plan) * 3 / 4 / bytes;
    positions = clamp(positions, LEAST_POSITIONS, MOST_POSITIONS);
    return power_of_two_below(clamp(positions / scale->positions, 1, MOST_UNITS));
}

void of_workspace_choose_chunks(of_plan *plan, unsigned micro_batch) {
    uint32_t group_units = 1;
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        of_scale_plan *scale = &plan->scales[s];
        scale->chunk = choose_chunk(plan, scale);
        if (micro_batch > 0 && scale->chunk > micro_batch * plan->units)
            scale->chunk = power_of_two_below((size_t)micro_batch * plan->units);
        if (scale->chunk > group_units)
            group_units = scale->chunk;
    }
    plan->group_images = (group_units + plan->units - 1) / plan->units;
    if (micro_batch > 0)
        plan->group_images = micro_batch;
}

/* Sizes in floats (buffers and convolution scratch: bytes) that serve every scale. */
typedef struct sizes {
    size_t buffers[OF_BUFFERS], pixels, mix, latents, row_scratch, rows, convolution_scratch;
} sizes;

static void measure_op(const of_plan *plan, const of_op *op, size_t positions, sizes *need) {
    const of_convolution_shape *shape = &op->shape;
    if (op->kind == OF_OP_ENTER && op->table != NULL)
        of_raise_to(&need->pixels, plan->scales[op->scale].shape.dimensions);
    if (op->code == NULL)
        return;
    of_raise_to(&need->convolution_scratch, of_convolution_scratch_bytes(op->code));
    if (op->transposed_code != NULL)
        of_raise_to(&need->convolution_scratch, of_convolution_scratch_bytes(op->transposed_code));
    for (unsigned t = 0; op->bands != NULL && t < plan->threads; t++)
        if (op->bands[t].code != NULL)
            of_raise_to(&need->convolution_scratch,
                        of_convolution_scratch_bytes(op->bands[t].code));
    if (op->kind == OF_OP_MAP) {
        of_raise_to(&need->mix, positions * op->map.channels);
        return;
    }
    of_raise_to(&need->buffers[op->writes],
                positions * shape->outputs * of_precision_bytes(shape->target));
    if (of_copies_input(op))
        of_raise_to(&need->buffers[op->reads],
                    positions * shape->inputs * of_precision_bytes(shape->source));
}

static sizes measure(const of_plan *plan) {
    sizes need = {.row_scratch = OF_SCRATCH_FLOATS};
    for (const of_op *op = plan->ops; op < plan->ops + plan->op_count; op++) {
        const of_scale_plan *scale = &plan->scales[op->scale];
        of_raise_to(&need.latents, scale->shape.latents);
        /* a split prior counts as one more step */
        of_raise_to(&need.rows, ((size_t)plan->architecture.steps + 1) * scale->rows);
        /* coefficients, or the padded outputs of a map; twice, see OF_SCRATCH_FLOATS */
        of_raise_to(&need.row_scratch, (size_t)4 * of_round_up(scale->half, OF_MAP_PADDING));
        measure_op(plan, op, (size_t)scale->chunk * scale->positions, &need);
    }
    need.row_scratch += OF_SCRATCH_EXTRA;
    return need;
}

/* Takes a worker's pieces from its arena, or only counts their bytes. */
typedef struct taker {
    of_arena *arena; /* NULL: only count */
    size_t bytes;    /* SIZE_MAX: more than there can be */
    bool failed;
} taker;

static void *take(taker *from, size_t count, size_t size) {
    size_t bytes;
    if (!of_multiply(count, size, &bytes) || !of_add(bytes, OF_ALIGNMENT - 1, &bytes) ||
        !of_add(from->bytes, bytes / OF_ALIGNMENT * OF_ALIGNMENT, &from->bytes)) {
        from->bytes = SIZE_MAX;
        from->failed = true;
    }
    if (from->arena == NULL || from->failed)
        return NULL;
    void *piece = of_arena_take(from->arena, count, size);
    from->failed = piece == NULL;
    return piece;
}

static void take_worker(const of_plan *plan, const sizes *need, taker *from, of_worker *worker) {
    size_t units = (size_t)plan->group_images * plan->units;
    for (int i = 0; i < OF_BUFFERS; i++)
        worker->buffers[i] = take(from, need->buffers[i], 1);
    worker->pixels = take(from, need->pixels, sizeof(float));
    worker->convolution_scratch = take(from, need->convolution_scratch, 1);
    worker->contributions = take(from, units * plan->scale_count, sizeof(double));
    worker->squares = take(from, units * plan->scale_count, sizeof(double));
    worker->class_sums = take(from, units * plan->architecture.classes, sizeof(double));
    worker->row_sums = take(from, need->rows, sizeof(double));
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        size_t bytes = of_state_floats(&plan->scales[s]) * sizeof(float);
        worker->pass[s] = take(from, units, bytes);
        worker->rest[s] = take(from, units, bytes);
    }
    worker->mix[0] = take(from, need->mix, sizeof(float));
    worker->mix[1] = take(from, need->mix, sizeof(float));
    worker->latents = take(from, need->latents, sizeof(float));
    worker->row_scratch = take(from, need->row_scratch, sizeof(float));
}

static size_t worker_bytes(const of_plan *plan, const sizes *need) {
    taker counter = {.arena = NULL};
    of_worker nobody;
    take_worker(plan, need, &counter, &nobody);
    return counter.bytes;
}

size_t of_workspace_bytes(const of_plan *plan, unsigned threads) {
    sizes need = measure(plan);
    return threads * (worker_bytes(plan, &need) + sizeof(of_worker));
}

/* One block that is just large enough: pages of an arena that has room to grow would add up where
 * there are many sessions. */
static bool make_worker(const of_plan *plan, const sizes *need, of_worker *worker) {
    taker from = {.arena = &worker->arena};
    if (!of_arena_reserve(&worker->arena, worker_bytes(plan, need)))
        return false;
    take_worker(plan, need, &from, worker);
    return !from.failed;
}

void of_workers_free(of_worker *workers, unsigned threads) {
    for (unsigned t = 0; workers != NULL && t < threads; t++)
        of_arena_release(&workers[t].arena);
    of_free(workers);
}

of_status of_workers_create(const of_plan *plan, unsigned threads, of_worker **result,
                            of_error *error) {
    sizes need = measure(plan);
    of_worker *workers = of_allocate_zeroed(threads, sizeof *workers);
    bool complete = workers != NULL;
    for (unsigned t = 0; complete && t < threads; t++)
        complete = make_worker(plan, &need, &workers[t]);
    if (!complete) {
        of_workers_free(workers, threads);
        return of_fail_memory(error, "the threads' workspace");
    }
    *result = workers;
    return OF_OK;
}

void of_workers_clear(of_worker *workers, unsigned threads) {
    for (unsigned t = 0; t < threads; t++)
        workers[t].error.status = OF_OK;
}

of_status of_workers_outcome(const of_worker *workers, unsigned threads, of_error *error) {
    for (unsigned t = 0; t < threads; t++)
        if (workers[t].error.status != OF_OK)
            return of_error_copy(error, &workers[t].error);
    return OF_OK;
}

of_status of_session_each(of_session *session, size_t count, of_session_work *work, void *user,
                          of_error *error) {
    of_status status = of_team_check(session->threads, error);
    if (status != OF_OK)
        return status;
    of_workers_clear(session->workers, session->threads);
#pragma omp parallel num_threads(session->threads)
    {
        of_worker *worker = &session->workers[omp_get_thread_num()];
        const of_run run = {.plan = session->plan, .worker = worker};
        /* also with one thread, where no region is active, the layers must not spread out */
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < count; i++)
            if (worker->error.status == OF_OK)
                worker->error.status = work(&run, i, user, &worker->error);
    }
    return of_workers_outcome(session->workers, session->threads, error);
}
