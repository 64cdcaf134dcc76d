/* SPDX-License-Identifier: Apache-2.0 */
/* Fewer images than threads: one image after the other, its rows divided among the threads in
 * bands. Every layer of a band is code for so many rows, run by its thread alone; threads meet
 * twice a step, before they read rows of their neighbours: the taps (or, where the last layer is a
 * 3x3 one, its input), and the state for the next 3x3 layer. Patches are independent: threads take
 * whole ones. Made on the first such call, and only used if it gives the same bits as one thread an
 * image. */
#include "core/memory.h"
#include "graph/plan.h"

#include <assert.h>
#include <omp.h>
#include <stdatomic.h>
#include <string.h>

/* ---- Preparation ------------------------------------------------------------------------- */

/* Does a layer of a network read the rows beside its own? */
static bool reads_neighbours(const of_convolution *layer) {
    return of_convolution_shape_of(layer)->kernel == 3;
}

static bool same_band_code(const of_scale_plan *scale, const of_band *a, const of_band *b,
                           const of_convolution *layer) {
    if (a->rows != b->rows)
        return false;
    bool a_above = a->first > 0, b_above = b->first > 0;
    bool a_below = a->first + a->rows < scale->rows, b_below = b->first + b->rows < scale->rows;
    return !reads_neighbours(layer) || (a_above == b_above && a_below == b_below);
}

static of_status pack_step_again(of_plan *plan, const of_scale_plan *scale, of_band *band,
                                 int layer, uint32_t k, float *plain, of_error *error) {
    const of_convolution *code = band->layers[layer];
    void *packed = of_arena_take(&plan->arena, of_convolution_weight_bytes(code), 1);
    if (packed == NULL)
        return of_fail_memory(error, "weights for bands of rows");
    band->weights[layer][k] = packed;
    of_status status = of_convolution_unpack(scale->layers[layer],
                                             scale->steps[k].layers[layer].weights, plain, error);
    return status == OF_OK ? of_convolution_pack(code, plain, packed, error) : status;
}

/* The weights of a layer of all steps once more, for code that wants them packed otherwise. */
static of_status pack_again(of_plan *plan, const of_scale_plan *scale, of_band *band, int layer,
                            of_error *error) {
    const of_convolution_shape *shape = of_convolution_shape_of(scale->layers[layer]);
    uint32_t steps = plan->architecture.steps;
    float *plain = of_allocate((size_t)shape->inputs * shape->outputs,
                               (size_t)shape->kernel * shape->kernel * sizeof(float));
    band->weights[layer] = of_arena_take(&plan->arena, steps, sizeof(void *));
    of_status status = plain != NULL && band->weights[layer] != NULL
                           ? OF_OK
                           : of_fail_memory(error, "weights for bands of rows");
    for (uint32_t k = 0; status == OF_OK && k < steps; k++)
        status = pack_step_again(plan, scale, band, layer, k, plain, error);
    of_free(plain);
    return status;
}

/* Code for a layer of a band: an earlier band's, or new; if possible for the weights as they are.
 */
static of_status make_layer(of_plan *plan, of_scale_plan *scale, of_band *band, int layer,
                            of_error *error) {
    const of_convolution *whole = scale->layers[layer];
    for (const of_band *other = scale->bands; other < band; other++)
        if (other->rows > 0 && same_band_code(scale, other, band, whole)) {
            band->layers[layer] = other->layers[layer];
            band->weights[layer] = other->weights[layer];
            return OF_OK;
        }
    of_convolution_shape shape = *of_convolution_shape_of(whole);
    shape.height = band->rows;
    shape.above = reads_neighbours(whole) && band->first > 0;
    shape.below = reads_neighbours(whole) && band->first + band->rows < scale->rows;
    of_status status = of_convolution_create(&shape, 1, whole, &band->layers[layer], error);
    bool alike = status == OF_OK;
    if (!alike)
        status = of_convolution_create(&shape, 1, NULL, &band->layers[layer], error);
    if (status != OF_OK)
        return status;
    band->owns[layer] = true;
    bool uniform = true;
    status = of_convolution_is_uniform(whole, band->layers[layer], band->first, &uniform, error);
    plan->bands_are_uniform = plan->bands_are_uniform && uniform;
    return status == OF_OK && !alike ? pack_again(plan, scale, band, layer, error) : status;
}

static of_status prepare_scale(of_plan *plan, of_scale_plan *scale, of_error *error) {
    uint32_t threads = plan->threads < scale->rows ? plan->threads : scale->rows;
    scale->bands = of_arena_take(&plan->arena, plan->threads, sizeof *scale->bands);
    if (scale->bands == NULL)
        return of_fail_memory(error, "bands of rows");
    for (uint32_t t = 0, first = 0; t < threads; t++) {
        of_band *band = &scale->bands[t];
        band->first = first;
        band->rows = scale->rows / threads + (t < scale->rows % threads);
        first += band->rows;
        for (int layer = 0; layer < OF_LAYER_MIX && plan->bands_are_uniform; layer++) {
            of_status status = make_layer(plan, scale, band, layer, error);
            if (status != OF_OK)
                return status;
        }
    }
    return OF_OK;
}

void of_bands_free(of_scale_plan *scale, unsigned threads) {
    for (unsigned t = 0; scale->bands != NULL && t < threads; t++)
        for (int layer = 0; layer < OF_LAYER_MIX; layer++)
            if (scale->bands[t].owns[layer])
                of_convolution_free(scale->bands[t].layers[layer]);
    scale->bands = NULL;
}

static of_status prepare_bands(of_plan *plan, of_error *error) {
    of_status status = OF_OK;
    for (uint32_t s = 0; status == OF_OK && s < plan->scale_count && plan->bands_are_uniform; s++)
        status = prepare_scale(plan, &plan->scales[s], error);
    if (status == OF_OK && plan->bands_are_uniform)
        status = of_workspace_create(plan, error); /* scratch may have grown */
    return status;
}

/* What cannot be made is done without. */
void of_bands_prepare(of_plan *plan) {
    of_error reason;
    if (plan->has_bands)
        return;
    plan->has_bands = true;
    plan->bands_are_uniform = plan->architecture.block != OF_BLOCK_DENSE;
    if (plan->units > 1) /* patches need no code of their own */
        return;
    if (prepare_bands(plan, &reason) != OF_OK)
        plan->bands_are_uniform = false;
    for (uint32_t s = 0; !plan->bands_are_uniform && s < plan->scale_count; s++)
        of_bands_free(&plan->scales[s], plan->threads);
}

/* In units of the time of an image on one thread: bands take one image after the other, each scale
 * with as many threads as it has rows, and lose a little where they meet. Without them a thread
 * takes each image. */
bool of_bands_pay(const of_plan *plan, size_t images) {
    const double loss = 0.2;
    double positions = 0, shared = 0;
    if (plan->units > 1)
        return (double)images * (1 + loss) <
               (plan->threads < plan->units ? plan->threads : plan->units);
    for (uint32_t s = 0; s < plan->scale_count; s++) {
        const of_scale_plan *scale = &plan->scales[s];
        uint32_t threads = plan->threads < scale->rows ? plan->threads : scale->rows;
        positions += scale->positions;
        shared += (double)scale->positions / threads;
    }
    return (double)images * shared * (1 + loss) < positions;
}

/* ---- One image --------------------------------------------------------------------------- */

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
static of_worker lend(const of_plan *plan, unsigned thread) {
    of_worker lent = plan->workers[0];
    const of_worker *own = &plan->workers[thread];
    lent.row_scratch = own->row_scratch;
    lent.convolution_scratch = own->convolution_scratch;
    if (plan->units > 1) {
        lent.hidden[0] = own->hidden[0];
        lent.hidden[1] = own->hidden[1];
        lent.rounded = own->rounded;
        lent.taps = own->taps;
        lent.latents = own->latents;
    }
    return lent;
}

of_status of_bands_forward(of_plan *plan, const of_batch *batch, const of_likelihoods *out,
                           of_error *error) {
    atomic_bool failed = false;
    for (unsigned t = 0; t < plan->threads; t++)
        plan->workers[t].error.status = OF_OK;
#pragma omp parallel num_threads(plan->threads)
    {
        unsigned thread = (unsigned)omp_get_thread_num(), team = (unsigned)omp_get_num_threads();
        of_error *mine = &plan->workers[thread].error;
        of_worker worker = lend(plan, thread);
        const of_run run = {.plan = plan, .worker = &worker};
        omp_set_num_threads(1);
        /* a smaller team than was asked for would leave rows undone */
        if (plan->units == 1 && team != plan->threads)
            mine->status = of_fail(mine, OF_ERROR_UNSUPPORTED, "%u of %u threads were given", team,
                                   plan->threads);
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
    for (unsigned t = 0; t < plan->threads; t++)
        if (plan->workers[t].error.status != OF_OK)
            return of_error_copy(error, &plan->workers[t].error);
    return OF_OK;
}
