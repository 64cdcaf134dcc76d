/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled model. A "unit" is what goes through the flow: an image, or a patch of one.
 *
 * Flow geometry. Convolutional blocks act on `positions` = H*W positions of `channels` = C values;
 * dense blocks on one position of C*H*W values (channel-major). With half = channels/2, the state
 * of a scale is two arrays a unit, pass and rest, [positions][half] each (see simd/kernels.h).
 *
 * Forward, for each scale: enter (squeeze, and the map of step 0), then for each step the coupling
 * network layers[0..2] on pass, and the tail: coefficients, coupling, the next step's map. The
 * pass half of a scale's last state is its latents; the rest half is the next scale's image. */
#ifndef OF_GRAPH_PLAN_H
#define OF_GRAPH_PLAN_H

#include "core/arena.h"
#include "core/error.h"
#include "graph/convolution.h"
#include "kernels.h"
#include "model/model.h"

enum { OF_LAYER_FIRST, OF_LAYER_MIDDLE, OF_LAYER_LAST, OF_LAYER_MIX, OF_LAYERS };

typedef struct of_training of_training; /* training.h */

/* Weights of one convolution, packed for its of_convolution. */
typedef struct of_packed_layer {
    void *weights;
    float *bias; /* NULL where the bias is added elsewhere */
} of_packed_layer;

typedef struct of_step_plan {
    of_channel_map map, inverse_map;   /* convolutional blocks; inverse filled on demand */
    of_channel_map transposed_map;     /* training: A^T */
    of_packed_layer layers[OF_LAYERS]; /* MIX: the map of dense blocks */
    of_packed_layer inverse_mix;       /* dense blocks, filled on demand */
    of_packed_layer backward_mix;      /* training of dense blocks: the map's transpose */
    double log_det;                    /* of ActNorm and mixing, for one position */
    float *coefficient_bias;           /* [outputs] */
} of_step_plan;

/* Rows of an image that one thread takes, and code for them; none if there are fewer rows than
 * threads. */
typedef struct of_band {
    uint32_t first, rows;
    of_convolution *layers[OF_LAYER_MIX];
    bool owns[OF_LAYER_MIX];      /* or shares them with an earlier band */
    void **weights[OF_LAYER_MIX]; /* [steps] packed once more; NULL: the steps' own */
} of_band;

typedef struct of_scale_plan {
    of_scale_shape shape;
    uint32_t channels, positions, rows, columns, half; /* flow geometry */
    uint32_t outputs;    /* coefficients a position: half (additive) or 2*half (affine) */
    uint32_t kernel;     /* taps of the last layer: 3x3, or 1 if it sums them itself */
    uint32_t tap_stride; /* floats a position of the last layer's output */
    uint32_t chunk;      /* units a call of the network takes, a power of two */
    bool last;           /* no split: pass and rest are latents */
    /* F32 or BF16: what the network multiplies, and its hidden activations; taps are floats */
    of_precision precision;
    of_convolution *layers[OF_LAYERS], *backward_mix;
    of_band *bands;         /* [threads], made on demand */
    uint32_t gather_stride; /* training: floats a position of the first layer's 3x3 neighbourhood */
    of_step_plan *steps;
    of_channel_map entry_u8, entry_f32; /* scale 0: map of step 0 for pixels */
    /* prior ActNorm as scale*x + shift, for pass then rest, position-major */
    float *prior_scale, *prior_shift;
    float *inverse_scale, *inverse_shift; /* the way back */
    /* class densities on latents z: standardised = scale*z + shift; [classes][latents] */
    float *class_scale, *class_shift;
    double *class_constant; /* [classes] log-dets of class ActNorm and standard deviation */
    double constant;        /* nats a unit: constant log-dets and the Gaussian's normalisation */
} of_scale_plan;

/* What one thread works with. */
typedef struct of_worker {
    of_arena arena;
    float *pass[OF_MAX_SCALES], *rest[OF_MAX_SCALES]; /* [group units][positions][half] */
    void *hidden[2];                                  /* of one chunk, in the scale's precision */
    float *taps;                                      /* of one chunk */
    uint16_t *rounded;                                /* pass of one chunk in BF16 */
    float *mix[2];  /* dense: [chunk][channels] before and after the map */
    float *latents; /* of one unit, position-major */
    float *row_scratch;
    void *convolution_scratch;
    double *contributions; /* [group units][scales] */
    double *squares;       /* [group units][scales] of the latents */
    double *class_sums;    /* [group units][classes] */
    double *row_sums;      /* [steps][rows] log-dets, for bands */
    of_error error;
} of_worker;

struct of_plan {
    of_architecture architecture;
    const of_kernels *kernels;
    unsigned threads;
    uint32_t units;               /* a image */
    uint32_t group_images;        /* most images that a thread has in flight */
    uint32_t scale_count, hidden; /* hidden: padded */
    of_precision precision;       /* F32, or BF16 if any scale's network runs in it */
    bool has_inverse, has_bands, bands_are_uniform;
    of_scale_plan scales[OF_MAX_SCALES];
    of_arena arena;        /* weights and everything constant */
    of_training *training; /* NULL: forward and inverse only */
    of_worker *workers;    /* [threads] */
};

/* What the backward pass needs of the forward pass, for the units of a group: per scale
 * [steps][group units][positions][half], hidden activations of each step [group units][positions]
 * [hidden] where memory allows it. */
typedef struct of_kept {
    float *squeezed_pass[OF_MAX_SCALES], *squeezed_rest[OF_MAX_SCALES]; /* before step 0's map */
    float *pass[OF_MAX_SCALES], *rest[OF_MAX_SCALES], *scale[OF_MAX_SCALES];
    float **hidden[2][OF_MAX_SCALES];       /* [steps]; NULL: computed again */
    of_channel_map identity[OF_MAX_SCALES]; /* pixels or floats to the squeezed state */
} of_kept;

/* Where a group of units is being run. */
typedef struct of_run {
    of_plan *plan;
    of_worker *worker;
    of_kept *kept;         /* training, else NULL */
    bool without_map;      /* initialisation: tails leave out the next step's map */
    double *layer_seconds; /* profile: [layers, or training layers], added to; else NULL */
} of_run;

/* Images first, first + stride, ... of a batch, and where their results go. */
typedef struct of_group {
    const of_batch *batch;
    const of_likelihoods *out;
    size_t first, stride;
    uint32_t images;
} of_group;

/* ---- forward.c ---- */

/* Mixture of classes with equal weights: logsumexp over classes - ln(classes). */
double of_mixture(const double *class_logp, size_t classes);

/* Images a group so that every thread gets the same number of groups of about the same size. */
uint32_t of_forward_group_size(const of_plan *plan, size_t count);

/* Parts of it: clearing the worker's sums; units from `first` on through all scales; the priors of
 * a scale; storing the images' results. */
void of_forward_begin(const of_run *run, const of_group *group);
of_status of_forward_units(const of_run *run, const of_group *group, uint32_t first, uint32_t count,
                           of_error *error);
void of_forward_finish_units(const of_run *run, const of_group *group, uint32_t scale,
                             uint32_t first, uint32_t count);
void of_forward_end(const of_run *run, const of_group *group);

/* The forward pass of a group; contributions stay in the worker. */
of_status of_forward_group(const of_run *run, const of_group *group, of_error *error);

/* ---- fold.c: parameters to what the kernels take ---- */

/* A layer's folded weights before packing, see of_fold_layer. */
typedef struct of_folded_layer {
    float *weights; /* [outputs][inputs][kernel][kernel] of the convolution's shape */
    float *bias;    /* [outputs] */
} of_folded_layer;

/* Layer FIRST..LAST of a step: ActNorms and scales folded in, hidden units padded, coefficients
 * sorted into add then raw, and, for taps, the last convolution as a 1x1 product. For the last
 * layer `bias` gets the coefficients' bias, [outputs of the scale]. */
void of_fold_layer(const of_plan *plan, const of_model *model, uint32_t scale, uint32_t step,
                   int layer, of_folded_layer *folded);

/* ActNorm and mixing of a step as y = A x + b, A row-major in double [channels][channels], and
 * their log-determinant for one position. */
of_status of_fold_mixing(const of_model *model, uint32_t scale, uint32_t step, double *matrix,
                         double *bias, double *log_det, of_error *error);

/* Memory for a map of `channels` channels, unless it has some. */
of_status of_channel_map_allocate(of_arena *arena, uint32_t channels, of_channel_map *map,
                                  of_error *error);

/* Packs y = A (factor*x + offset) + b for the kernels; `transposed`: A^T for A. */
void of_fold_channel_map(const double *matrix, const double *bias, double factor, double offset,
                         bool transposed, of_channel_map *map);

/* A of a packed map, row-major in double. */
void of_unfold_channel_map(const of_channel_map *map, double *matrix, double *bias);

/* Memory for the prior and class densities of a scale, and their values; adds the prior's log-det
 * to the scale's constant. */
of_status of_prior_allocate(of_plan *plan, uint32_t scale, of_error *error);
void of_fold_prior(of_plan *plan, const of_model *model, uint32_t scale);

/* Number of the network's own output that holds coefficient `o` in the order add, raw. */
uint32_t of_coefficient_source(const of_plan *plan, const of_scale_plan *scale, uint32_t o);

/* ---- pack.c: parameters into the plan's memory ---- */

/* Memory for everything that of_pack_scale fills. */
of_status of_pack_allocate(of_plan *plan, uint32_t scale, of_error *error);

/* Folds and packs a scale's parameters, its steps shared among `threads` threads. */
of_status of_pack_scale(of_plan *plan, const of_model *model, uint32_t scale, unsigned threads,
                        of_error *error);

/* One step alone; leaves the scale's constant as it was. */
of_status of_pack_step(of_plan *plan, const of_model *model, uint32_t scale, uint32_t step,
                       of_error *error);

/* ---- compile.c ---- */

/* A plan, for training if `training` is given (then owned by the plan, also on failure). */
of_status of_plan_build(const of_model *model, const of_plan_options *options,
                        of_training *training, of_plan **plan, of_error *error);

/* training.c; accepts NULL */
void of_training_free(of_training *training);

/* Position-major place of channel-major latent element `index` in [pass, rest]. */
size_t of_latent_place(const of_scale_plan *scale, size_t index);

/* ---- workspace.c ---- */

/* Chooses chunks and group, and allocates every worker. */
void of_workspace_choose_chunks(of_plan *plan, unsigned micro_batch);
of_status of_workspace_create(of_plan *plan, of_error *error);
void of_workspace_free(of_plan *plan);
size_t of_workspace_bytes(const of_plan *plan);

/* ---- flow.c: building blocks of forward and inverse ---- */

/* Floats of a unit's pass, or rest. */
static inline size_t of_state_floats(const of_scale_plan *scale) {
    return (size_t)scale->positions * scale->half;
}

/* Where step k keeps what belongs to `unit`, in floats of `floats` a unit. */
static inline size_t of_kept_offset(const of_plan *plan, uint32_t k, uint32_t unit, size_t floats) {
    return ((size_t)k * plan->group_images * plan->units + unit) * floats;
}

/* Hidden activations of units from `first` on: the worker's, or where they are kept. */
void *of_flow_hidden(const of_run *run, uint32_t scale, uint32_t step, uint32_t first, int layer);

/* Layer FIRST or MIDDLE of a coupling network on units first..first+count, whose state is `pass`,
 * to of_flow_hidden. */
of_status of_flow_hidden_layer(const of_run *run, uint32_t scale, uint32_t step, int layer,
                               uint32_t first, uint32_t count, const float *pass, of_error *error);

/* Units from `first` on that one call takes when `left` remain: a power of two. */
uint32_t of_flow_chunk(const of_scale_plan *scale, uint32_t left);

/* The coupling network of a step on units first..first+count of the scale's pass; leaves taps in
 * the worker. */
of_status of_flow_network(const of_run *run, uint32_t scale, uint32_t step, uint32_t first,
                          uint32_t count, of_error *error);

/* What the coupling kernel needs for the rows of a unit, whose taps are number `place` of the
 * chunk's. */
of_coupling_row of_flow_coupling_row(const of_run *run, uint32_t scale, uint32_t step,
                                     uint32_t place, uint32_t unit, bool inverse);

/* The tail of a step for the same units. Forward adds the log-dets to worker->contributions. */
void of_flow_tail(const of_run *run, uint32_t scale, uint32_t step, uint32_t first, uint32_t count,
                  bool inverse);

/* Dense blocks: the map of a step, or its inverse, on pass and rest. */
of_status of_flow_mix(const of_run *run, uint32_t scale, uint32_t step, uint32_t first,
                      uint32_t count, bool inverse, of_error *error);

/* ---- describe.c, describe_training.c: a layer's number in the order of of_plan_layer and
 * of_plan_training_layer, which starts with the former ---- */

enum {
    OF_PART_ENTER,
    OF_PART_MIX,
    OF_PART_FIRST,
    OF_PART_MIDDLE,
    OF_PART_LAST,
    OF_PART_TAIL,
    OF_PART_PRIOR,
    /* backward, in every step */
    OF_PART_BACK_MAP,
    OF_PART_BACK_COUPLING, /* bias gradients and the scattering of taps included */
    OF_PART_BACK_FOLD,
    OF_PART_BACK_RECOMPUTE,
    OF_PART_BACK_WEIGHTS,                                    /* + FIRST, MIDDLE or LAST */
    OF_PART_BACK_DATA = OF_PART_BACK_WEIGHTS + OF_LAYER_MIX, /* likewise */
    OF_PART_BACK_RELU = OF_PART_BACK_DATA + OF_LAYER_MIX,
    OF_PART_BACK_GATHER,
    OF_PART_BACK_TAPS,
    /* in every scale */
    OF_PART_BACK_PRIOR,
    OF_PART_BACK_SPLIT,
    /* once a batch */
    OF_PART_SUMS,
    OF_PART_UNFOLD,
    OF_PARTS
};
size_t of_layer_number(const of_plan *plan, uint32_t scale, uint32_t step, int part);
size_t of_training_layer_number(const of_plan *plan, uint32_t scale, uint32_t step, int part);

/* Bytes of an image's pass and rest, and FLOP of a map on it. */
size_t of_describe_state_bytes(const of_plan *plan, const of_scale_plan *scale);
double of_describe_map_flops(const of_plan *plan, const of_scale_plan *scale);

/* "conv1".."conv3", in dense blocks "fc1".."fc3", and "mix". */
const char *of_describe_layer_name(const of_plan *plan, int layer);

/* ---- profile.c ---- */

/* Time stamp in seconds if the run is profiled, and what has passed since added to a layer. */
double of_profile_start(const of_run *run);
void of_profile_stop(const of_run *run, double start, uint32_t scale, uint32_t step, int part);

/* ---- bands.c: fewer images than threads ---- */

/* Is a call with so many images faster in bands? */
bool of_bands_pay(const of_plan *plan, size_t images);

/* Made on first use; bands_are_uniform tells whether they can be used. */
void of_bands_prepare(of_plan *plan);
of_status of_bands_forward(of_plan *plan, const of_batch *batch, const of_likelihoods *out,
                           of_error *error);
void of_bands_free(of_scale_plan *scale, unsigned threads);

/* ---- inverse_maps.c: made on first use ---- */

of_status of_plan_prepare_inverse(of_plan *plan, of_error *error);

/* ---- pixels.c: squeezing between images and the first state of a scale ---- */

/* Pixels of one unit of one image, or the previous scale's rest. */
typedef struct of_pixel_view {
    of_pixel_type type;
    const void *pixels; /* of the unit's top left */
    size_t row_stride;  /* elements */
} of_pixel_view;

of_pixel_view of_pixel_unit(const of_plan *plan, const of_batch *batch, size_t image,
                            uint32_t unit);

/* Scale 0 from pixels, or a later scale (`view` NULL) from the previous one's rest; with the map
 * of step 0 for convolutional blocks. */
void of_pixels_enter(const of_run *run, uint32_t scale, uint32_t unit, const of_pixel_view *view);

/* The way back, without the map: from a scale's state to the previous scale's rest, or for scale 0
 * to floats in the units of OF_PIXEL_F32 at `target`. */
void of_pixels_leave(const of_run *run, uint32_t scale, uint32_t unit, float *target,
                     size_t row_stride);

#endif
