/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled model: constant once it is made, but for the weights of one that is trained
 * (training.h). A "unit" is what goes through the flow: an image, or a patch of one.
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

/* Weights of one convolution, packed for its of_convolution. */
typedef struct of_packed_layer {
    void *weights;
    float *bias; /* NULL where the bias is added elsewhere */
} of_packed_layer;

typedef struct of_step_plan {
    of_channel_map map, inverse_map;   /* convolutional blocks; inverse: for the way back */
    of_channel_map transposed_map;     /* training: A^T */
    of_packed_layer layers[OF_LAYERS]; /* MIX: the map of dense blocks */
    of_packed_layer inverse_mix;       /* dense blocks, for the way back */
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
    of_band *bands;         /* [threads]; NULL: threads share no image */
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

struct of_plan {
    of_architecture architecture;
    const of_kernels *kernels;
    unsigned threads;
    uint32_t units;               /* a image */
    uint32_t group_images;        /* most images that a thread has in flight */
    uint32_t scale_count, hidden; /* hidden: padded */
    of_precision precision;       /* F32, or BF16 if any scale's network runs in it */
    bool for_training;            /* it has what gradients need: taps, transposed maps */
    bool has_inverse;
    bool shares_images; /* threads can share one: its patches, or its rows in bands */
    of_scale_plan scales[OF_MAX_SCALES];
    of_arena arena; /* weights and everything constant */
};

/* Floats of a unit's pass, or rest. */
static inline size_t of_state_floats(const of_scale_plan *scale) {
    return (size_t)scale->positions * scale->half;
}

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

/* Position-major place of channel-major latent element `index` in [pass, rest]. */
size_t of_latent_place(const of_scale_plan *scale, size_t index);

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

/* of_plan_compile with complete options. */
of_status of_plan_build(const of_model *model, const of_plan_options *options, bool for_training,
                        of_plan **plan, of_error *error);

/* ---- band_code.c: fewer images than threads ---- */

/* Rows of an image for each thread, with code and weights for them. False if there is no code that
 * gives the same bits as one thread: then there are no bands. */
bool of_bands_compile(of_plan *plan);
void of_bands_free(of_scale_plan *scale, unsigned threads);

/* ---- inverse_maps.c ---- */

of_status of_plan_invert_maps(of_plan *plan, of_error *error);

/* ---- workspace.c ---- */

/* Chooses chunks and group. */
void of_workspace_choose_chunks(of_plan *plan, unsigned micro_batch);

/* Memory that so many threads of a session work in. */
size_t of_workspace_bytes(const of_plan *plan, unsigned threads);

/* ---- describe.c, describe_training.c: a layer's number in the order of of_plan_layer and
 * of_training_layer, which starts with the former ---- */

enum {
    OF_STAGE_ENTER,
    OF_STAGE_MIX,
    OF_STAGE_FIRST,
    OF_STAGE_MIDDLE,
    OF_STAGE_LAST,
    OF_STAGE_TAIL,
    OF_STAGE_PRIOR,
    /* backward, in every step */
    OF_STAGE_BACK_MAP,
    OF_STAGE_BACK_COUPLING, /* bias gradients and the scattering of taps included */
    OF_STAGE_BACK_FOLD,
    OF_STAGE_BACK_RECOMPUTE,
    OF_STAGE_BACK_WEIGHTS,                                     /* + FIRST, MIDDLE or LAST */
    OF_STAGE_BACK_DATA = OF_STAGE_BACK_WEIGHTS + OF_LAYER_MIX, /* likewise */
    OF_STAGE_BACK_RELU = OF_STAGE_BACK_DATA + OF_LAYER_MIX,
    OF_STAGE_BACK_GATHER,
    OF_STAGE_BACK_TAPS,
    /* in every scale */
    OF_STAGE_BACK_PRIOR,
    OF_STAGE_BACK_SPLIT,
    /* once a batch */
    OF_STAGE_SUMS,
    OF_STAGE_UNFOLD,
    OF_STAGES
};
size_t of_layer_number(const of_plan *plan, uint32_t scale, uint32_t step, int stage);
size_t of_training_layer_number(const of_plan *plan, uint32_t scale, uint32_t step, int stage);

/* Bytes of an image's pass and rest, and FLOP of a map on it. */
size_t of_describe_state_bytes(const of_plan *plan, const of_scale_plan *scale);
double of_describe_map_flops(const of_plan *plan, const of_scale_plan *scale);

/* "conv1".."conv3", in dense blocks "fc1".."fc3", and "mix". */
const char *of_describe_layer_name(const of_plan *plan, int layer);

#endif
