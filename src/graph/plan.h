/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled model: constant once it is made, but for the weights of one that is trained
 * (training.h). A "unit" is what goes through the flow: an image, or a patch of one.
 *
 * Flow geometry. Convolutional blocks act on `positions` = H*W positions of `channels` = C values;
 * dense blocks on one position of C*H*W values (channel-major). With half = channels/2, the state
 * of a scale is two arrays a unit, pass and rest, [positions][half] each (see simd/kernels.h).
 *
 * The plan runs a list of ops (ops.h). The pass half of a scale's last state is its latents; the
 * rest half is the next scale's image. */
#ifndef OF_GRAPH_PLAN_H
#define OF_GRAPH_PLAN_H

#include "core/arena.h"
#include "core/error.h"
#include "core/memory.h"
#include "graph/ops.h"

/* Layers of a network, as they are counted in profiles: by what they write. */
enum {
    OF_LAYER_FIRST = OF_BUFFER_HIDDEN_0,
    OF_LAYER_MIDDLE = OF_BUFFER_HIDDEN_1,
    OF_LAYER_LAST = OF_BUFFER_TAPS,
    OF_LAYERS
};

enum { OF_CHANNEL_MULTIPLE = 16 }; /* hidden units and taps are padded to whole vectors */

/* Rows of an image that one thread takes; none if there are fewer rows than threads. */
typedef struct of_band {
    uint32_t first, rows;
} of_band;

typedef struct of_scale_plan {
    of_scale_shape shape;
    uint32_t channels, positions, rows, columns, half; /* flow geometry */
    uint32_t chunk; /* units a call of the network takes, a power of two */
    bool last;      /* no split: pass and rest are latents */
    /* F32, BF16 or INT8: what the networks multiply, and their hidden activations; taps are floats
     */
    of_precision precision;
    of_op *ops; /* of the plan's */
    size_t op_count;
    of_band *bands; /* [threads]; NULL: threads share no image */
} of_scale_plan;

struct of_plan {
    of_architecture architecture;
    const of_kernels *kernels;
    unsigned threads;
    uint32_t units;               /* a image */
    uint32_t group_images;        /* most images that a thread has in flight */
    uint32_t scale_count, hidden; /* hidden: padded */
    of_precision precision;       /* F32, or BF16 or INT8 if any scale's network runs in it */
    struct of_quantization *quantization; /* INT8; else NULL */
    bool for_training;                    /* it has what gradients need: taps, transposed maps */
    bool has_inverse;
    bool shares_images; /* threads can share one: its patches, or its rows in bands */
    of_op *ops;         /* [op_count], those of scale 0 first */
    size_t op_count;
    of_scale_plan scales[OF_MAX_SCALES];
    of_arena arena; /* weights and everything constant */
};

/* The last scale makes both halves latents, the others the pass half or the rest half: the other
 * one goes on. */
static inline bool of_pass_goes_on(const of_plan *plan) {
    return plan->architecture.latents == OF_LATENTS_SECOND;
}

/* Positions of a unit's grid; a dense scale has one position as a flow, but latents have places. */
static inline size_t of_grid_positions(const of_scale_plan *scale) {
    return (size_t)scale->shape.height * scale->shape.width;
}

/* Levels q in a float of OF_PIXEL_F32, which holds v/255: q = v / 2^(8 - bits). */
static inline double of_input_levels(const of_input_map *input) {
    return 255.0 / (1 << (8 - input->bits));
}

/* Of sizes that serve several. */
static inline size_t of_larger(size_t a, size_t b) {
    return a > b ? a : b;
}
static inline void of_raise_to(size_t *value, size_t least) {
    *value = of_larger(*value, least);
}

/* Floats of a unit's pass, or rest. */
static inline size_t of_state_floats(const of_scale_plan *scale) {
    return (size_t)scale->positions * scale->half;
}

/* ---- ops of a scale ---- */

/* The first op of a scale enters it, the last one makes its latents; the others belong to steps. */
static inline const of_op *of_scale_enter(const of_scale_plan *scale) {
    return &scale->ops[0];
}
static inline const of_op *of_scale_latents(const of_scale_plan *scale) {
    return &scale->ops[scale->op_count - 1];
}

/* The first op of the network whose taps a tail sums; the op before that has the step's map. */
static inline const of_op *of_tail_network(const of_op *tail) {
    return tail - tail->network;
}

/* Inputs of a layer in its 1x1 form, as gradients see it: G [positions][outputs], X
 * [positions][inputs]. A 3x3 layer's X are neighbourhoods of its input. */
static inline size_t of_product_inputs(const of_op *op) {
    if (!of_reads_state(op))
        return op->shape.inputs;
    return of_round_up((size_t)op->shape.kernel * op->shape.kernel * op->shape.inputs,
                       OF_CHANNEL_MULTIPLE);
}

/* ---- op_convolution.c: layers of a network, and products of dense blocks ---- */

/* A layer's folded weights before packing. */
typedef struct of_folded_layer {
    float *weights; /* [outputs][inputs][kernel][kernel] of the op's shape */
    float *bias;    /* [outputs] */
} of_folded_layer;

/* Plain arrays for one thread that packs ops of a scale. */
struct of_pack_buffers {
    of_folded_layer folded;
    float *mirrored;       /* [outputs][of_product_inputs], training in bfloat16 */
    double *matrix, *bias; /* [channels][channels], [channels] */
};

/* Values of a convolution as its kernels take them: ActNorm and scales folded in, hidden units
 * padded, coefficients sorted into add then raw, and, for taps, as a 1x1 product. */
void of_fold_convolution(const of_model *model, const of_op *op, of_folded_layer *folded);

/* The product from gradients of what a layer writes to those of what it reads, in bfloat16. */
of_convolution_shape of_way_back_shape(const of_op *op);

/* Memory for packed weights and `bias_count` values. */
of_status of_packed_allocate(of_plan *plan, const of_convolution *code, size_t bias_count,
                             of_packed_layer *packed, of_error *error);

/* FLOP of an image, bytes and kernel of what a convolution runs. */
void of_convolution_describe(const of_plan *plan, const of_op *op, of_layer_info *info);

/* ---- integer_layers.c: networks in integers ---- */

/* Can a plan of this model have them? */
of_status of_integer_check(const of_model *model, bool for_training, of_error *error);

/* Widens the ranges of hidden units: see integer_layers.c. */
of_status of_integer_balance(const of_model *model, struct of_quantization *quantization,
                             of_error *error);

/* What layer 0, 1 or 2 of an op's network multiplies; F32 beyond, where floats go on. */
of_precision of_integer_precision(const of_plan *plan, const of_op *op, uint32_t layer);

/* Folded weights and bias in units of the layer's source and target; sets the op's input_factor. */
of_status of_integer_fold(const of_plan *plan, of_op *op, of_folded_layer *folded, of_error *error);

/* ---- op_map.c: ActNorm and mixing ---- */

/* Memory for a step's map, unless it has some; and its values. */
of_status of_map_allocate(of_plan *plan, of_step_map *map, bool pixels, of_error *error);
of_status of_map_pack(const of_model *model, uint32_t scale, of_step_map *map,
                      of_pack_buffers *buffers, of_error *error);

/* Memory for a map of `channels` channels, unless it has some. */
of_status of_channel_map_allocate(of_arena *arena, uint32_t channels, of_channel_map *map,
                                  of_error *error);

/* Packs y = A (factor*x + offset) + b for the kernels; `transposed`: A^T for A. And A of a packed
 * map, row-major in double. */
void of_channel_map_pack(const double *matrix, const double *bias, double factor, double offset,
                         bool transposed, of_channel_map *map);
void of_channel_map_unpack(const of_channel_map *map, double *matrix, double *bias);

/* y = A x + b at so many positions, in place and in double: for the few that need no kernel.
 * `sums`: room for 2*half_padded. */
void of_channel_map_apply(const of_channel_map *map, size_t positions, double *sums, float *pass,
                          float *rest);

/* The maps of all ops for the way back; inverse_maps.c. */
of_status of_plan_invert_maps(of_plan *plan, of_error *error);

/* ---- op_latents.c ---- */

/* Position-major place of channel-major latent element `index` in [pass, rest]. */
size_t of_latent_place(const of_scale_plan *scale, size_t index);

/* ---- pack.c: parameters into the plan's memory ---- */

/* Calls `work` for each of some ops, shared among threads, each with memory of its own. */
typedef of_status of_op_work(const void *user, of_op *op, void *own, of_error *error);
of_status of_ops_each(of_op *ops, size_t count, unsigned threads, size_t own_bytes,
                      of_op_work *work, const void *user, of_error *error);

/* Packs a scale's ops, shared among `threads` threads. */
of_status of_pack_scale(of_plan *plan, const of_model *model, uint32_t scale, unsigned threads,
                        of_error *error);

/* One op alone; leaves the scale's constant as it was. */
of_status of_pack_op(of_plan *plan, const of_model *model, of_op *op, of_error *error);

/* ---- compile.c ---- */

/* of_plan_compile with complete options. */
of_status of_plan_build(const of_model *model, const of_plan_options *options, bool for_training,
                        of_plan **plan, of_error *error);

/* ---- band_code.c: fewer images than threads ---- */

/* Rows of an image for each thread, with code and weights for them. False if there is no code that
 * gives the same bits as one thread: then there are no bands. */
bool of_bands_compile(of_plan *plan);
void of_bands_free(of_plan *plan);

/* ---- workspace.c ---- */

/* Chooses chunks and group. */
void of_workspace_choose_chunks(of_plan *plan, unsigned micro_batch);

/* Memory that so many threads of a session work in. */
size_t of_workspace_bytes(const of_plan *plan, unsigned threads);

/* ---- profile.c: a layer's number in the order of of_plan_layer, which is an
 * op's in the list, and of of_training_layer, which starts with the former ---- */

enum {
    /* backward, in every step */
    OF_STAGE_BACK_MAP,
    OF_STAGE_BACK_COUPLING, /* bias gradients and the scattering of taps included */
    OF_STAGE_BACK_FOLD,
    OF_STAGE_BACK_RECOMPUTE,
    OF_STAGE_BACK_WEIGHTS,                                  /* + FIRST, MIDDLE or LAST */
    OF_STAGE_BACK_DATA = OF_STAGE_BACK_WEIGHTS + OF_LAYERS, /* likewise */
    OF_STAGE_BACK_RELU = OF_STAGE_BACK_DATA + OF_LAYERS,
    OF_STAGE_BACK_GATHER,
    OF_STAGE_BACK_TAPS,
    /* in every scale */
    OF_STAGE_BACK_PRIOR,
    OF_STAGE_BACK_SPLIT,
    /* once a batch */
    OF_STAGE_SUMS,
    OF_STAGE_UNFOLD,
    OF_STAGES,
    OF_STEP_STAGES = OF_STAGE_BACK_PRIOR,
    OF_SCALE_STAGES = OF_STAGE_SUMS - OF_STAGE_BACK_PRIOR,
    OF_BATCH_STAGES = OF_STAGES - OF_STAGE_SUMS
};
size_t of_training_layer_number(const of_plan *plan, uint32_t scale, uint32_t step, int stage);

/* Bytes of an image's pass and rest, and FLOP of a map on it. */
static inline size_t of_describe_state_bytes(const of_plan *plan, const of_scale_plan *scale) {
    return (size_t)plan->units * scale->positions * scale->channels * sizeof(float);
}
static inline double of_describe_map_flops(const of_plan *plan, const of_scale_plan *scale) {
    return 2.0 * plan->units * scale->positions * scale->channels * scale->channels;
}

#endif
