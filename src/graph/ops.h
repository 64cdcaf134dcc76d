/* SPDX-License-Identifier: Apache-2.0 */
/* The network as a list of ops. A model is built as the list of what it consists of (source.c);
 * passes over that list (pass_*.c) fold, fuse and choose; what is left is run. Ops of a scale stand
 * together, those of a step within them, in the order of execution:
 *     model      [input] squeeze { actnorm mix [network input] {convolution [actnorm] relu}..
 *                convolution [scale] coupling }.. [actnorm mix] [convolution scale coupling]
 * [split] prior [classes] gaussian that runs  enter { [map] convolution.. tail }.. [convolution
 * tail] latents A step's map is applied by the op before the step, enter or tail; in dense blocks
 * it is an op. The second convolution of a scale with its coupling is a learned split prior: what
 * becomes latents is shifted and scaled by a network of the half that goes on.
 *
 * Whatever is done for every part of a network walks this list and asks the op's type; a type has
 * one file (op_*.c). */
#ifndef OF_GRAPH_OPS_H
#define OF_GRAPH_OPS_H

#include "graph/convolution.h"
#include "kernels.h"
#include "model/model.h"

typedef enum of_op_kind {
    OF_OP_INPUT,
    OF_OP_SQUEEZE,
    OF_OP_ACTNORM, /* of the flow, or of hidden units */
    OF_OP_MIX,
    OF_OP_NETWORK_INPUT, /* max(0, scale x + shift) */
    OF_OP_CONVOLUTION,   /* in dense blocks with one position: a linear layer */
    OF_OP_RELU,
    OF_OP_SCALE, /* exp(3 log_scale) */
    OF_OP_COUPLING,
    OF_OP_SPLIT,
    OF_OP_PRIOR,
    OF_OP_CLASSES,
    OF_OP_GAUSSIAN,
    OF_OP_MAP, /* y = A x + b */
    OF_OP_ENTER,
    OF_OP_TAIL,
    OF_OP_LATENTS,
    OF_OP_KINDS
} of_op_kind;

/* What an op reads and writes: the flow's state of its scale, of which networks read the half that
 * passes, or the other one; or what a network leaves between its layers. */
typedef enum of_buffer {
    OF_BUFFER_HIDDEN_0,
    OF_BUFFER_HIDDEN_1,
    OF_BUFFER_TAPS,
    OF_BUFFER_STATE,
    OF_BUFFER_REST,
    OF_BUFFERS
} of_buffer;

/* Numbers of an op's parameters, in the order that their gradients stand in.
 * Map: ActNorm's loc, log_scale, then the mixing's. Latents: the prior's loc, log_scale; those of
 * classes are the model's. Tail: gain. Convolution: see below. */
enum { OF_OP_PARAMETERS = 6 };
enum {
    OF_CONVOLUTION_WEIGHT,
    OF_CONVOLUTION_SHIFT, /* ActNorm's loc, or bias */
    OF_CONVOLUTION_LOG_SCALE,
    OF_CONVOLUTION_EDGE,
    OF_CONVOLUTION_INPUT_SCALE, /* of the network input */
    OF_CONVOLUTION_INPUT_SHIFT
};
typedef struct of_parameter_list {
    uint32_t count;
    int numbers[OF_OP_PARAMETERS]; /* some may be OF_NO_PARAMETER */
} of_parameter_list;

/* Weights of one convolution, packed for its of_convolution. */
typedef struct of_packed_layer {
    void *weights;
    float *bias; /* of a network's last layer: the coefficients', which the tail adds */
    float
        *edge_bias; /* [OF_EDGES][outputs with parameters] of that layer, or NULL: see of_tap_row */
} of_packed_layer;

/* Training: where an op's sums, a tail's with those of its network and map, stand in a lane's
 * block, in floats; the gradients of the parameters take their place, so there is room for either.
 */
typedef struct of_gradient_part {
    size_t begin, room;
    size_t floats; /* of sums, of which `added` are added to, the rest is written */
    size_t added;
} of_gradient_part;

/* ActNorm and mixing of a step. */
typedef struct of_step_map {
    uint32_t channels; /* 0: there is none */
    uint32_t step;     /* whose parameters it has */
    of_parameter_list parameters;
    double log_det; /* for one position */
    of_channel_map forward, inverse, transposed;
    of_channel_map entry_u8, entry_f32;                  /* of scale 0's first step: takes pixels */
    of_packed_layer inverse_product, transposed_product; /* dense blocks */
    size_t matrix_sums, bias_sums;                       /* in the part of its step's tail */
} of_step_map;

/* Prior ActNorm as scale*x + shift, for pass then rest, position-major; the way back likewise.
 * Class densities on latents z: standardised = scale*z + shift; [classes][latents]. */
typedef struct of_density {
    float *scale, *shift, *inverse_scale, *inverse_shift;
    float *class_scale, *class_shift;
    double *class_constant; /* [classes] log-dets of class ActNorm and standard deviation */
    double constant;        /* nats a unit: constant log-dets and the Gaussian's normalisation */
    size_t scale_sums, shift_sums, class_scale_sums, class_shift_sums; /* in its part */
} of_density;

/* A thread's code for its rows of an image, see band_code.c. */
typedef struct of_band_layer {
    of_convolution *code;
    void *weights; /* NULL: the op's own */
    bool owns;     /* or shares the code with another op or band */
    bool alike;    /* takes weights packed for the whole image */
} of_band_layer;

typedef struct of_op {
    of_op_kind kind;
    uint32_t scale, step;
    bool in_step;     /* or stands before or after a scale's steps */
    const char *name; /* "conv1": the end of it */
    of_parameter_list parameters;
    of_convolution_shape shape; /* channels in and out, also of what is no convolution */

    /* convolutions, and maps of dense blocks */
    of_buffer reads, writes;
    double log_factor; /* of log_scale */
    uint32_t units;    /* outputs that have parameters; the others are padding */
    bool interleaved;  /* outputs are sorted: the even ones, then the odd ones */
    bool negated;      /* outputs are multiplied by -1 */
    bool edges;        /* a constant for taps outside the image */
    bool rectified;    /* what it reads is max(0, scale x + shift) of the state */
    bool taps;         /* a 3x3 layer as a 1x1 product, output t*units + o */
    bool owns_code;    /* or shares it with an earlier op of the scale */
    of_convolution *code, *transposed_code; /* transposed: of the way back, or NULL */
    of_packed_layer packed;
    void *way_back;                   /* training in bfloat16: weights packed for transposed_code */
    float *input_scale, *input_shift; /* [half] of the network input */
    float input_factor;               /* INT16: from what it reads to integers */
    of_band_layer *bands;             /* [threads], or NULL */
    /* in its tail's part; edge_sums [OF_EDGES][units] */
    size_t weight_sums, bias_sums, edge_sums, input_scale_sums, input_shift_sums;

    /* tails: of the `network` ops before it */
    uint32_t network;
    bool affine, shift_after;
    bool on_pass; /* the half that passes is what it changes, and the other one is read */
    of_scale_map scale_map;
    float *gain; /* [half], TANH */
    size_t gain_sums;
    uint32_t outputs;    /* coefficients a position: half (additive) or 2*half (affine) */
    uint32_t kernel;     /* taps that it sums: 3x3, or 1 */
    uint32_t tap_stride; /* floats a position of what it reads */

    float *table;     /* enter: [256] what a byte becomes, if that is no linear map; else NULL */
    double *log_dets; /* [256] of it, with a logit; else NULL */

    of_step_map map;       /* enter, tail: the next step's, applied as well; map: itself */
    of_density density;    /* latents */
    of_gradient_part sums; /* tails and latents */
} of_op;

/* Does a network begin with it? Its input is one half of the state, not hidden activations. */
static inline bool of_reads_state(const of_op *op) {
    return op->reads == OF_BUFFER_STATE || op->reads == OF_BUFFER_REST;
}

/* Inputs that have weights, without the channel of ones (see op_convolution.c). */
static inline bool of_has_ones(const of_op *op) {
    return op->edges && of_reads_state(op) && op->writes != OF_BUFFER_TAPS;
}

/* Training: are its gradients products of bfloat16 numbers? */
static inline bool of_goes_back_in_bf16(const of_op *op) {
    return op->transposed_code != NULL && op->shape.source == OF_PRECISION_BF16;
}

typedef struct of_op_list {
    of_op *ops;
    size_t count;
} of_op_list;

/* A pass over a whole plan's list, in place. */
typedef void of_pass(const of_plan *plan, of_op_list *list);

/* ---- source.c ---- */

/* The list of a plan's model; its memory is of_free'd by the caller. */
of_status of_ops_build(const of_plan *plan, const of_model *model, of_op_list *list,
                       of_error *error);

/* ---- The passes, in their order ---- */

of_pass of_pass_fold, of_pass_fuse, of_pass_taps, of_pass_choose;

/* pass_fold.c: leaves out every op that `absorb` makes part of the one before it in its scale. */
void of_ops_absorb(const of_plan *plan, of_op_list *list,
                   bool (*absorb)(const of_plan *plan, of_op *op, const of_op *next));

/* passes.c: all of them; `visit`, if there is one, is told of the list before and after each. */
void of_ops_run_passes(const of_plan *plan, of_op_list *list, of_op_visitor visit, void *user);

/* An op's whole name: "scales.0.steps.3.conv1". */
void of_op_full_name(const of_op *op, char *name, size_t size);

/* ---- ops.c ---- */

typedef struct of_run of_run;
typedef struct of_units of_units;
typedef struct of_pack_buffers of_pack_buffers;
typedef struct of_chunk of_chunk;
typedef struct of_unfolding of_unfolding;

/* What there is to know about a kind of op that runs. NULL: nothing is done. */
typedef struct of_op_type {
    /* memory of the plan; and parameters into it, again after every optimizer step */
    of_status (*allocate)(of_plan *plan, of_op *op, of_error *error);
    of_status (*pack)(const of_plan *plan, const of_model *model, of_op *op,
                      of_pack_buffers *buffers, of_error *error);
    of_status (*forward)(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error);
    of_status (*inverse)(const of_run *run, const of_op *op, const of_units *units,
                         of_error *error);
    /* training: gradients with respect to what it reads, sums of those to what it has, for a chunk
     * of units; and sums to gradients of the stored parameters. A tail's include its network's and
     * the step's map's, the latents' a closing map's. */
    of_status (*backward)(const of_chunk *chunk, const of_op *op, of_error *error);
    of_status (*unfold)(const of_unfolding *unfolding, const of_op *op, of_error *error);
    /* operation, FLOP and bytes of an image */
    void (*describe)(const of_plan *plan, const of_op *op, of_layer_info *info);
} of_op_type;

extern const of_op_type of_enter_type, of_map_type, of_convolution_type, of_tail_type,
    of_latents_type;

const of_op_type *of_op_type_of(of_op_kind kind);

#endif
