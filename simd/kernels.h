/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel table: hand-written flow kernels, one implementation per instruction set.
 *
 * Layout. The flow state of a scale with C channels (C even) on H x W positions is two dense
 * arrays per image, `pass` and `rest`, each [H*W][C/2] floats, position-major: channels 0..C/2-1
 * (the half that a coupling passes through, and that its network reads) and C/2..C-1.
 *
 * Kernels work on one row of positions of one image. What a row computes depends on that image
 * alone, in a fixed order, so results do not depend on batching or threads.
 *
 * Alignment: none is required, any pointer may be misaligned. Nothing is read or written outside
 * the arrays described. NaN in gives NaN out. No kernel keeps state or allocates. */
#ifndef OF_SIMD_KERNELS_H
#define OF_SIMD_KERNELS_H

#include <outflow/train.h>

/* An affine map of the C channels of a position, y = A x + b.
 * matrix: [C][2*half_padded]: row c is column c of A; outputs 0..C/2-1 stand at 0.., outputs
 * C/2..C-1 at half_padded..; the padding is zero. bias: [2*half_padded], padded alike. */
typedef struct of_channel_map {
    float *matrix;
    float *bias;
    uint32_t channels;    /* C */
    uint32_t half_padded; /* C/2 rounded up to OF_MAP_PADDING */
} of_channel_map;

enum {
    OF_MAP_PADDING = 8,
    /* Floats of scratch that a row kernel needs for N values per position (N = coefficients of
     * tap_sum and coupling, 2*half_padded of a map): the larger of this and 2*N, plus
     * OF_SCRATCH_EXTRA. */
    OF_SCRATCH_FLOATS = 4096,
    OF_SCRATCH_EXTRA = 64,
    OF_BURST_VALUES = 192
};

/* Sides at which the image ends beside a position, as bits. */
enum { OF_EDGE_TOP = 1, OF_EDGE_BOTTOM = 2, OF_EDGE_LEFT = 4, OF_EDGE_RIGHT = 8, OF_EDGES = 16 };

/* One row of the first map of a scale: squeeze 2x2, then y = A x + b.
 * Squeezed channel c*4 + dy*2 + dx at (row, column) is source channel c at
 * (2*row + dy, 2*column + dx); C = 4 * source_channels. */
typedef struct of_squeeze_row {
    const void *source;       /* the whole image, [2*height][...]: see row_stride */
    size_t row_stride;        /* elements from one source row to the next */
    uint32_t source_channels; /* 1, 3 or any even number */
    uint32_t width, row;      /* of the squeezed state */
    const of_channel_map *map;
    float *pass, *rest; /* the whole image's state; row `row` is written */
    float *scratch;
} of_squeeze_row;

/* The inverse of the squeeze alone: row `row` of the state -> two rows of `target`. */
typedef struct of_unsqueeze_row {
    const float *pass, *rest;
    float *target; /* the whole image, [2*height][...] */
    size_t row_stride;
    uint32_t source_channels;
    uint32_t width, row;
} of_unsqueeze_row;

/* Coefficients of a coupling from "taps". A 3x3 convolution with N outputs, taken as a 1x1
 * product with 9*N outputs, leaves at each position p and tap t = ky*3 + kx (N values each)
 * what that position contributes to the output at p - (ky-1, kx-1):
 *     out[y][x][o] = bias[o] + sum over t of taps[(y+ky-1)*W + x+kx-1][t*N + o],
 * terms outside the image left out (zero padding), added in the order of t. With kernel 1 there
 * is one tap, the position itself (dense networks, or convolutions already summed). With
 * `edge_bias` the bias of a position at the image's edge is row number TOP*[y = 0] +
 * BOTTOM*[y = height-1] + LEFT*[x = 0] + RIGHT*[x = width-1] of it (OF_EDGE_...), whatever the
 * kernel; row 0, for the positions inside, equals `bias`. */
typedef struct of_tap_row {
    const float *taps;      /* the whole image, [height*width][stride] */
    size_t stride;          /* floats from one position to the next, >= kernel*kernel*outputs */
    const float *bias;      /* [outputs] */
    const float *edge_bias; /* [OF_EDGES][outputs], or NULL: `bias` everywhere */
    uint32_t outputs;       /* N */
    uint32_t kernel;        /* 3 or 1 */
    uint32_t height, width, row;
} of_tap_row;

/* One row of the tail of a step. With C/2 = half:
 *   coefficients: N = half: add; or N = 2*half: add[half] then raw[half]   (tap sum above)
 *   affine:    s = exp(l) with l by `scale_map`
 *                SIGMOID          l = -log(1 + exp(-raw-2)), s = sigmoid(raw + 2)
 *                EXP              l = raw
 *                SIGMOID_INVERSE  l = log(1 + exp(-raw-2)), s = 1 / sigmoid(raw + 2)
 *                TANH             l = gain[channel] * tanh(raw)
 *     forward  rest' = (rest + add) * s         inverse  rest' = rest / s - add
 *     with `shift_after`
 *     forward  rest' = rest * s + add           inverse  rest' = (rest - add) / s
 *   additive:
 *     forward  rest' = rest + add               inverse  rest' = rest - add
 *   then, if `map` is set, [pass, rest'] is replaced by A [pass, rest'] + b, else rest by rest'.
 *
 * s is limited, so that both directions stay finite: EXP and TANH to [exp(-87), exp(87)], by
 * limiting l; the sigmoids by limiting |raw + 2| to 87, so SIGMOID to at least exp(-87) and its
 * inverse to at most about exp(87). s has a relative error below 6e-7 + 3e-8*|l limited|, plus what
 * the absolute error of l adds (TANH).
 *
 * Returns the sum over the row of l (natural logarithm; 0 for additive) in both directions: each in
 * float, without the limit of s (raw = -1e4 counts -9998 with SIGMOID, -inf counts -inf), with an
 * absolute error below
 *   5e-7 + 2e-7*|l|         SIGMOID, SIGMOID_INVERSE
 *   0                       EXP
 *   2e-7*|gain| + 1e-7*|l|  TANH, whose tanh(raw) is within 2e-7
 * and summed in double in an order that the row's shape alone determines. NaN in raw or gain makes
 * s and l NaN; tanh(+-inf) = +-1. */
typedef struct of_coupling_row {
    of_tap_row taps;
    uint32_t half;
    bool affine, inverse;
    of_scale_map scale_map; /* affine only, like the next two */
    bool shift_after;
    const float *gain;         /* [half], TANH only */
    float *pass, *rest;        /* the whole image's state; row `row` is read and written */
    const of_channel_map *map; /* or NULL */
    float *scratch;
    /* For training, each [height*width][half] or NULL: the row's pass, rest' (before the map) and
     * s (affine only) are stored here as well; tanh(raw) (TANH only); and, when the shift comes
     * after, rest*s, that is what the shift is added to. */
    float *kept_pass, *kept_rest, *kept_scale, *kept_tanh, *kept_scaled;
} of_coupling_row;

/* What a coupling network reads of a state, [positions][inputs] with inputs >= half:
 *   channel c < half  max(0, scale[c]*x + shift[c]), or x itself without `scale`
 *   channel half      1 if `ones` (then inputs > half): a channel that tells where the image is
 *   others            0
 * A scale may have any sign; 0 where scale*x + shift is not above 0, NaN where it is NaN. */
typedef struct of_network_input {
    const float *pass;          /* [positions][half] */
    const float *scale, *shift; /* [half] each, or both NULL */
    size_t positions;
    uint32_t half, inputs;
    bool ones;
} of_network_input;

/* A part of an integer convolution: all outputs of up to OF_TILE_ROWS positions. Of the numbers
 * that a tap reads at a position, 4 bytes are a group: 4 numbers u8 (`wide`: 2 numbers s16).
 *     sum[r][o]  = sum over taps t, groups g and their numbers i of
 *                  sources[t*OF_TILE_ROWS + r][g][i] * weights[o][t][g][i]       in 32 bits
 *     y[r][o]    = scale[o] * sum[r][o] + bias[o]                              in float
 *     target     y itself; or y rounded to the nearest integer, ties to even, and limited to
 *                0..255 (u8) or 0..OF_INT16_MOST (s16): so negative values, too, become 0
 * The caller sees to it that no sum leaves 32 bits, then its order does not matter. Weights are s8
 * (wide: s16) in panels of 32 outputs, the last one of 16 if they are odd multiples of 16:
 * [panel][t][g][output][i]. Rows from `rows` on are read, but not written. */
enum { OF_TILE_ROWS = 8, OF_PANEL_OUTPUTS = 32, OF_INT16_MOST = 8191 };
typedef enum of_tile_target { OF_TILE_F32, OF_TILE_U8, OF_TILE_S16 } of_tile_target;
typedef struct of_integer_tile {
    const void *const *sources; /* [taps][OF_TILE_ROWS], groups of each */
    size_t taps, groups;
    bool wide;
    const void *weights; /* which may have more taps: those read begin with first_tap */
    size_t first_tap, all_taps;
    const float *scale, *bias; /* [outputs] */
    uint32_t outputs;          /* a multiple of 16 */
    uint32_t rows;             /* 1..OF_TILE_ROWS */
    of_tile_target to;
    void *target; /* [rows][stride bytes] */
    size_t stride;
} of_integer_tile;

/* ---- Backward. Gradients of a loss with respect to X are called g_X; those of parameters are
 * added to what stands there, in float, in the order of positions. ---- */

/* y = A x + b over `positions` positions, x = [pass, rest], y of the same layout. In: gradients
 * with respect to y in g_pass, g_rest. Out: with respect to x, in the same place, through
 * `transposed` (a map of A^T; its bias is not used). matrix_gradient[C][C] (row r of A first) +=
 * sum of g_y[r] * x[c]; bias_gradient[C] += sum of g_y. Padding as for scratch of the row kernels:
 * scratch holds OF_SCRATCH_FLOATS or 4*half_padded floats, plus OF_SCRATCH_EXTRA. */
typedef struct of_map_backward {
    const float *pass, *rest;
    float *g_pass, *g_rest;
    size_t positions;
    const of_channel_map *transposed;
    float *matrix_gradient, *bias_gradient;
    float *scratch;
} of_map_backward;

/* The coupling of `positions` positions, from what the forward kernel kept: rest' (`rest_after`)
 * and s; for TANH tanh(raw) (`tanh_kept`), when the shift comes after rest*s (`scaled`).
 * `log_det_gradient` is g of the image's log-determinant. In: g_rest holds the gradient of rest'.
 * Out: g_rest of rest, g_coefficients[positions][N] of the coefficients; TANH adds to
 * gain_gradient[half]. As though s had no limit:
 *   affine:   g_l = g_rest' * rest' + log_det_gradient        shift after: rest*s for rest'
 *             g_raw = g_l * slope, with slope = dl / d raw
 *               SIGMOID 1 - s; EXP 1; SIGMOID_INVERSE 1/s - 1; TANH gain * (1 - tanh^2)
 *             TANH: gain_gradient += g_l * tanh
 *             g_rest = g_add = g_rest' * s                    shift after: g_add = g_rest'
 *   additive: g_add = g_rest' */
typedef struct of_coupling_backward {
    const float *rest_after, *scale; /* rest_after is not read when the shift comes after */
    float log_det_gradient;
    float *g_rest, *g_coefficients;
    size_t positions;
    uint32_t half;
    bool affine;
    of_scale_map scale_map; /* affine only, like all that follow */
    bool shift_after;
    const float *gain, *tanh_kept; /* TANH */
    const float *scaled;           /* shift after */
    float *gain_gradient;          /* TANH */
} of_coupling_backward;

/* The gradients of of_network_input's values, from those of what the network read. With
 * v = scale*x + shift and g = g_inputs, but 0 where v <= 0:
 *   g_pass += g * scale   scale_gradient += g * x   shift_gradient += g      (sums over positions)
 * Without `scale`: g_pass += g_inputs, and there are no other gradients. Channels from `half` on
 * are not looked at. */
typedef struct of_network_input_backward {
    const float *pass;                      /* [positions][half]; not read without `scale` */
    const float *scale, *shift;             /* [half] each, or both NULL */
    const float *g_inputs;                  /* [positions][inputs] */
    float *g_pass;                          /* [positions][half] */
    float *scale_gradient, *shift_gradient; /* [half] each */
    size_t positions;
    uint32_t half, inputs;
} of_network_input_backward;

/* C = A^T B over k positions, of bfloat16 numbers: c[m][n] = sum of a[position][m] *
 * b[position][n], with `add` added to what stands there. m and n are multiples of 16. Products are
 * exact, sums are floats in an order that m, n and k alone determine: within k*FLT_EPSILON of the
 * sum of the products' magnitudes. Subnormal numbers may count as zero. */
typedef struct of_product_bf16 {
    const uint16_t *a, *b; /* [k][m], [k][n] */
    size_t m, n, k;
    bool add;
    float *c;
    void *scratch; /* OF_PRODUCT_SCRATCH_BYTES(m), 64-byte aligned */
} of_product_bf16;

enum { OF_PRODUCT_PAIRS = 128 /* of positions that a kernel lays out at a time */ };

/* All of A and 32 columns of B of so many pairs. */
#define OF_PRODUCT_SCRATCH_BYTES(m) (((size_t)(m) + 32) * OF_PRODUCT_PAIRS * 2 * sizeof(uint16_t))

/* One optimizer step on n values, in place. With g = gradient_scale * gradients[i]:
 *   adam, adamax: g += weight_decay * w
 *   m = beta1 m + (1-beta1) g
 *   adamax: u = max(beta2 u, |g| + epsilon);      w -= step * m / u
 *   adam:   u = beta2 u + (1-beta2) g^2;          w -= step * m / (sqrt(u * second_correction) +
 * epsilon) adamw:  as adam, after w -= rate * weight_decay * w with step = rate / (1 - beta1^t),
 * second_correction = 1 / (1 - beta2^t), computed by the caller. Kingma and Ba 2015, arXiv
 * 1412.6980, algorithms 1 and 2; Loshchilov and Hutter 2019, arXiv 1711.05101. */
typedef struct of_optimizer_update {
    of_optimizer_kind kind;
    float *values, *first, *second; /* w, m, u */
    const float *gradients;
    size_t n;
    float gradient_scale, rate, step, beta1, beta2, epsilon, weight_decay, second_correction;
} of_optimizer_update;

typedef struct of_kernels {
    of_isa isa;

    void (*squeeze_row_u8)(const of_squeeze_row *row);  /* source: uint8_t */
    void (*squeeze_row_f32)(const of_squeeze_row *row); /* source: float */
    void (*unsqueeze_row)(const of_unsqueeze_row *row);

    /* coefficients: [width][outputs] of row `row`. */
    void (*tap_sum_row)(const of_tap_row *row, float *coefficients);

    double (*coupling_row)(const of_coupling_row *row);

    /* z[i] = scale[i]*x[i] + shift[i]; returns the sum of z[i]^2 in double. z may be x, or NULL
     * when only the sum is wanted. The prior ActNorm with its Gaussian, a class's density, and,
     * with inverted coefficients, the way back. */
    double (*scale_shift)(const float *x, const float *scale, const float *shift, float *z,
                          size_t n);

    /* target[i] = values[i] rounded to bfloat16, the upper 16 bits of a float, to the nearest and
     * ties to even; beyond the largest it becomes infinite; NaN stays NaN (quiet, sign and upper
     * bits of its payload kept). Subnormal numbers are rounded like others. */
    void (*round_to_bf16)(const float *values, uint16_t *target, size_t n);

    /* values[i] = table[pixels[i]]: for input maps that are no affine map of the byte (fewer bits,
     * logit). table: [256]. */
    void (*look_up)(const uint8_t *pixels, const float *table, float *values, size_t n);

    /* target: [positions][inputs]. */
    void (*network_input)(const of_network_input *input, float *target);
    /* The same, rounded as round_to_bf16 does. */
    void (*network_input_bf16)(const of_network_input *input, uint16_t *target);
    /* The same times `factor`, rounded to the nearest integer, ties to even, and limited to
     * -OF_INT16_MOST..OF_INT16_MOST; NaN becomes a number inside these limits. */
    void (*network_input_s16)(const of_network_input *input, float factor, int16_t *target);

    /* For processors with AVX512_VNNI only in the table of OF_ISA_AVX512: see of_cpu_int8. */
    void (*integer_tile)(const of_integer_tile *tile);

    /* ---- backward ---- */

    /* The transpose of tap_sum_row: for every position p of row `row` and tap t,
     *     taps[p][t*N + o] = values[p - shift_t][o], 0 where that lies outside the image,
     * shift_t = (ky-1, kx-1), or -shift_t if `mirrored` (which makes it the gathering of a 3x3
     * neighbourhood, values[p + shift_t]). values: the whole image, [height*width][outputs];
     * `target`: the whole image, [height*width][stride]; what lies between 9*N and stride is set
     * to 0. `row->taps` and the biases are not used. */
    void (*tap_scatter_row)(const of_tap_row *row, const float *values, bool mirrored,
                            float *target);

    void (*map_backward)(const of_map_backward *task);
    void (*coupling_backward)(const of_coupling_backward *task);

    /* gradient[p][c] *= leak where activation[p][c] <= 0, or = 0 when leak is 0 (NaN activations
     * keep the gradient); then bias_gradient[c] += the sum over positions of gradient[p][c].
     * activation may be NULL: then only the sums are added. leak >= 0. */
    void (*relu_backward)(const float *activation, float *gradient, size_t positions,
                          size_t channels, float leak, float *bias_gradient);

    /* The same in bfloat16, with activations, but for the sums; what leaks is rounded. */
    void (*relu_backward_bf16)(const uint16_t *activation, uint16_t *gradient, size_t positions,
                               size_t channels, float leak, float *bias_gradient);

    /* Gradients of weights. Slow without AVX512_BF16. */
    void (*weight_product_bf16)(const of_product_bf16 *task);

    void (*network_input_backward)(const of_network_input_backward *task);

    /* The loss has -weight/2 * sum of z^2 with z = scale*x + shift. With g_z = -weight * z:
     * g_x = g_z * scale (NULL: not wanted), g_scale += g_z * x, g_shift += g_z. */
    void (*scale_shift_backward)(const float *x, const float *scale, const float *shift,
                                 float weight, float *g_x, float *g_scale, float *g_shift,
                                 size_t n);

    void (*optimizer_update)(const of_optimizer_update *update);

    /* Nothing but multiply-adds: `rounds` times OF_BURST_VALUES of them, on independent values in
     * registers. For measuring what the machine can do at most; `result` gets some float. */
    void (*multiply_add_burst)(size_t rounds, float *result);

    /* target[i] += values[i]; returns nothing. */
    void (*accumulate)(const float *values, float *target, size_t n);
    /* Sum of squares in double; NaN or infinite where a value is. */
    double (*square_sum)(const float *values, size_t n);
} of_kernels;

/* The table of an instruction set, or NULL if this machine cannot run it. `isa` is not AUTO. */
const of_kernels *of_kernels_for(of_isa isa);

/* The implementations; reach them through of_kernels_for. */
extern const of_kernels of_kernels_scalar, of_kernels_avx2, of_kernels_avx512;
/* AVX-512 with AVX512_BF16; its `isa` is AVX512. */
extern const of_kernels of_kernels_avx512_bf16;

#endif
