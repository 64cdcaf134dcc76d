/* SPDX-License-Identifier: Apache-2.0 */
/* Running a plan. Files of this folder that run it use each other one way, from the top down:
 *     positions, inverse            where likelihoods come from, latents to images
 *     session                       the callers' handle, and which way a batch goes
 *     bands, forward                threads share an image; a thread takes images
 *     ops, op_*                     what each op does
 *     profile, workspace            the clock; memory */
#ifndef OF_GRAPH_RUN_H
#define OF_GRAPH_RUN_H

#include "graph/plan.h"

/* What one thread works with. */
typedef struct of_worker {
    of_arena arena;
    float *pass[OF_MAX_SCALES], *rest[OF_MAX_SCALES]; /* [group units][positions][half] */
    void *buffers[OF_BUFFERS]; /* of one chunk; STATE: what networks read, if it is a copy */
    float *pixels;             /* of one unit, where they are no linear map of bytes or floats */
    float *mix[2];             /* dense: [chunk][channels] before and after the map */
    float *latents;            /* of one unit, position-major */
    float *row_scratch;
    void *convolution_scratch;
    double *contributions; /* [group units][scales] */
    double *squares;       /* [group units][scales] of the latents */
    double *class_sums;    /* [group units][classes] */
    double *row_sums;      /* [steps][rows] log-dets, for bands */
    of_error error;
} of_worker;

struct of_session {
    const of_plan *plan;
    unsigned threads;
    of_worker *workers; /* [threads] */
};

/* What the backward pass needs of the forward pass, for the units of a group: per scale
 * [steps][group units][positions][half], one step more for a split prior, hidden activations of an
 * op [group units][positions] [hidden] where memory allows it. */
typedef struct of_kept {
    float *squeezed_pass[OF_MAX_SCALES], *squeezed_rest[OF_MAX_SCALES]; /* before step 0's map */
    float *pass[OF_MAX_SCALES], *rest[OF_MAX_SCALES], *scale[OF_MAX_SCALES];
    float *tanh[OF_MAX_SCALES], *scaled[OF_MAX_SCALES]; /* where couplings need them */
    void **hidden; /* [ops of the plan], in the layer's precision; NULL: computed again */
    of_channel_map identity[OF_MAX_SCALES]; /* pixels or floats to the squeezed state */
} of_kept;

/* What an observed layer meets: the largest |x| that it has read, and of each output the largest
 * one, its sum and that of its squares, as integers whose order of addition does not matter. */
typedef struct of_layer_ranges {
    uint64_t positions;
    float input;
    float *largest;          /* [outputs] */
    int64_t *sums, *squares; /* [outputs], in 2^-16 and 2^-12 */
} of_layer_ranges;

/* Where a group of units is being run. */
struct of_run {
    const of_plan *plan;
    of_worker *worker;
    of_kept *kept;            /* training, else NULL */
    bool without_map;         /* initialisation: tails leave out the next step's map */
    of_layer_ranges **ranges; /* [ops of the plan], NULL for most; or NULL: nobody observes */
    double *layer_seconds;    /* profile: [layers, or training layers], added to; else NULL */
};

/* Images first, first + stride, ... of a batch, and where their results go. */
typedef struct of_group {
    const of_batch *batch;
    const of_likelihoods *out;
    size_t first, stride;
    uint32_t images;
    /* the way back: latents of all images, and the images made of them */
    const float *latents;
    float *made;
} of_group;

/* Units first..first+count of a group, in one call of a network at most. */
struct of_units {
    const of_group *group;
    uint32_t first, count;
};

/* The half of a scale's last state that goes on to the next one. */
static inline float *of_onward(const of_run *run, uint32_t scale) {
    return of_pass_goes_on(run->plan) ? run->worker->pass[scale] : run->worker->rest[scale];
}

/* The image of a batch that a group's unit belongs to. */
static inline size_t of_group_image(const of_plan *plan, const of_group *group, uint32_t unit) {
    return group->first + unit / plan->units * group->stride;
}

/* Where step k keeps what belongs to `unit`, in floats of `floats` a unit. */
static inline size_t of_kept_offset(const of_plan *plan, uint32_t k, uint32_t unit, size_t floats) {
    return ((size_t)k * plan->group_images * plan->units + unit) * floats;
}

/* ---- workspace.c ---- */

of_status of_workers_create(const of_plan *plan, unsigned threads, of_worker **workers,
                            of_error *error);
void of_workers_free(of_worker *workers, unsigned threads);

/* Before threads begin: none has failed. And when they have ended: the first one's error, if any
 * has. */
void of_workers_clear(of_worker *workers, unsigned threads);
of_status of_workers_outcome(const of_worker *workers, unsigned threads, of_error *error);

/* Calls `work` for 0 to count-1, each on one of the session's threads, until one fails. */
typedef of_status of_session_work(const of_run *run, size_t number, void *user, of_error *error);
of_status of_session_each(of_session *session, size_t count, of_session_work *work, void *user,
                          of_error *error);

/* ---- observe.c ---- */

/* Adds what a layer in floats has read and written for so many units to the op's ranges, if it has
 * some. */
void of_observe_layer(const of_run *run, const of_op *op, uint32_t count, const float *source,
                      const float *target);

/* ---- profile.c ---- */

/* Time stamp in seconds if the run is profiled, and what has passed since added to a layer. */
double of_profile_start(const of_run *run);
void of_profile_stop(const of_run *run, double start, size_t layer);

/* ---- op_enter.c: squeezing between images and the first state of a scale ---- */

/* The way back, without the map: from a scale's state to what the previous one left, or for scale 0
 * to floats in the units of OF_PIXEL_F32 at `target`. */
void of_pixels_leave(const of_run *run, const of_op *op, uint32_t unit, float *target,
                     size_t row_stride);

/* Adds the log-determinants that the input map has at each grid position of a unit. */
void of_enter_log_dets(const of_run *run, const of_op *op, const of_group *group, uint32_t unit,
                       double *contributions);

/* ---- op_convolution.c ---- */

/* Hidden activations of units from `first` on that a layer writes: the worker's, or where they are
 * kept. */
void *of_hidden(const of_run *run, const of_op *op, uint32_t first);

/* Does a network not read the state itself, but a copy in its precision, rectified, or with a
 * channel of ones? And the copy of positions first..first+positions, in the worker. */
bool of_copies_input(const of_op *op);
void of_copy_input(const of_run *run, const of_op *op, const float *state, size_t first,
                   size_t positions);

/* What a network reads for so many units: their state, or a copy of it. */
const void *of_network_input_of(const of_run *run, const of_op *op, uint32_t count,
                                const float *state);

/* A layer on units first..first+count, whose state is `state` if the layer reads that. */
of_status of_run_layer(const of_run *run, const of_op *op, uint32_t first, uint32_t count,
                       const float *state, of_error *error);

/* ---- op_tail.c ---- */

/* What the coupling kernel needs for the rows of a unit, whose taps are number `place` of the
 * chunk's. */
of_coupling_row of_tail_row(const of_run *run, const of_op *op, uint32_t place, uint32_t unit,
                            bool inverse);

/* Adds the log-determinants that the coupling has at each of a unit's grid positions, from the taps
 * that its network has left in the worker. A dense network looks at everything at once: what it
 * does is spread over all positions. `coefficients`: room for a row of them. */
void of_tail_log_dets(const of_run *run, const of_op *op, float *coefficients,
                      double *contributions);

/* ---- op_latents.c ---- */

/* Adds what the densities of a unit's latents, under a class if there are any, and the constant
 * log-determinants have at each grid position. `log_factors`: room for as many. */
void of_latents_contributions(const of_run *run, const of_op *op, uint32_t unit, size_t likeliest,
                              double *log_factors, double *contributions);

/* ---- forward.c ---- */

/* Mixture of classes with equal weights: logsumexp over classes - ln(classes). */
double of_mixture(const double *class_logp, size_t classes);

/* Images a group so that every thread gets the same number of groups of about the same size. */
uint32_t of_forward_group_size(const of_session *session, size_t count);

/* Parts of it: clearing the worker's sums; units from `first` on through all scales; storing the
 * images' results. */
void of_forward_begin(const of_run *run, const of_group *group);
of_status of_forward_units(const of_run *run, const of_group *group, uint32_t first, uint32_t count,
                           of_error *error);
void of_forward_end(const of_run *run, const of_group *group);

/* Sum of an image's contributions, which go to `contributions` [scales], by the worker's units. */
double of_forward_logp(const of_run *run, uint32_t image, double *contributions);

/* Ops from `begin` to before `end` of a scale, each forward on these units. */
of_status of_forward_ops(const of_run *run, const of_op *begin, const of_op *end,
                         const of_units *units, of_error *error);

/* The largest power of two up to a scale's chunk and `left` units. */
uint32_t of_forward_chunk(const of_scale_plan *scale, uint32_t left);

/* The forward pass of a group; contributions stay in the worker. */
of_status of_forward_group(const of_run *run, const of_group *group, of_error *error);

/* A batch of at least one image: a thread takes a group of them at a time. */
of_status of_forward_batch(of_session *session, const of_batch *batch, const of_likelihoods *out,
                           of_error *error);

/* ---- bands.c: fewer images than threads ---- */

/* Is a call with so many images faster where threads share them? */
bool of_bands_pay(const of_session *session, size_t images);

/* OF_ERROR_UNSUPPORTED if fewer threads were given than asked for. */
of_status of_bands_forward(of_session *session, const of_batch *batch, const of_likelihoods *out,
                           of_error *error);

#endif
