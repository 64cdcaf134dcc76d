/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions of the plan. convolution.c and onednn_call.c alone know oneDNN.
 *
 * Activations are [images][height][width][channels] numbers without gaps, floats or bfloat16. A
 * convolution has unit stride and zero padding that keeps height and width (kernel 3), or is a
 * product of each position's channels with a matrix (kernel 1). An of_convolution holds compiled
 * code for one shape; weights are packed apart from it, so that all steps of a scale share the
 * code. */
#ifndef OF_GRAPH_CONVOLUTION_H
#define OF_GRAPH_CONVOLUTION_H

#include <outflow/outflow.h>

typedef struct of_convolution_shape {
    uint32_t height, width;
    uint32_t inputs, outputs;
    uint32_t kernel;   /* 1 or 3 */
    bool bias, relu;   /* what follows the sum */
    float leak;        /* relu: x > 0 ? x : leak*x */
    bool above, below; /* kernel 3: the source has a row more there, in place of zeros */
    /* F32 or BF16: of the source with the weights, and of the target. Sums and bias are floats.
     * INT8 and INT16: see integer_convolution.h. */
    of_precision source, target;
} of_convolution_shape;

/* Largest number of images in one call is 2^(OF_CONVOLUTION_VARIANTS - 1). */
enum { OF_CONVOLUTION_VARIANTS = 8 };

/* Numbers in the weights of a shape, and bytes of a number. */
static inline size_t of_convolution_weights(const of_convolution_shape *shape) {
    return (size_t)shape->inputs * shape->outputs * shape->kernel * shape->kernel;
}
static inline size_t of_precision_bytes(of_precision precision) {
    if (precision == OF_PRECISION_INT8)
        return sizeof(uint8_t);
    return precision == OF_PRECISION_F32 ? sizeof(float) : sizeof(uint16_t);
}

typedef struct of_convolution of_convolution;

/* Compiles code for 1, 2, 4, ... up to `max_images` (a power of two) images a call, run by the
 * calling thread alone inside a parallel region or where OpenMP is set to one thread. With `alike`
 * it takes weights that were packed for `alike`, which has the same kernel, inputs and outputs;
 * OF_ERROR_UNSUPPORTED if it cannot. */
of_status of_convolution_create(const of_convolution_shape *shape, uint32_t max_images,
                                const of_convolution *alike, of_convolution **convolution,
                                of_error *error);
void of_convolution_free(of_convolution *convolution);

/* The shape it was made for; as long as it lives. */
const of_convolution_shape *of_convolution_shape_of(const of_convolution *convolution);

/* Images of its largest call. */
uint32_t of_convolution_most_images(const of_convolution *convolution);

/* True if the library's code uses the processor's bfloat16 instructions, so does not emulate them;
 * the environment may hold it back. */
bool of_convolution_has_bf16(void);

/* Name of the implementation, for people. */
const char *of_convolution_kernel(const of_convolution *convolution);

/* Bytes of packed weights, and of scratch memory that a call needs. */
size_t of_convolution_weight_bytes(const of_convolution *convolution);
size_t of_convolution_scratch_bytes(const of_convolution *convolution);

/* Packs weights [outputs][inputs][kernel][kernel] into `packed` (of_convolution_weight_bytes,
 * 64-byte aligned), or back. */
of_status of_convolution_pack(const of_convolution *convolution, const float *weights, void *packed,
                              of_error *error);
of_status of_convolution_unpack(const of_convolution *convolution, const void *packed,
                                float *weights, of_error *error);

/* The same for code of kernel 1 from weights [inputs][outputs]. */
of_status of_convolution_pack_transposed(const of_convolution *convolution, const float *weights,
                                         void *packed, of_error *error);

/* Runs `images` images, which must be a power of two up to the largest. `bias` is NULL for shapes
 * without one. Safe to call from several threads at once, each with its own scratch (64-byte
 * aligned). */
of_status of_convolution_run(const of_convolution *convolution, uint32_t images, const void *source,
                             const void *packed, const float *bias, void *target, void *scratch,
                             of_error *error);

/* uniformity.c: clears *uniform unless an image's result is the same, bit by bit, whatever the
 * number of images in the call, and in `band`, code for some rows of it from row `first` on (or
 * NULL). */
of_status of_convolution_is_uniform(const of_convolution *convolution, const of_convolution *band,
                                    uint32_t first, bool *uniform, of_error *error);

/* c[m][n] = sum over k of a[k][m] * b[k][n], or if `add` c += that: gradients of weights. Runs on
 * the calling thread inside a parallel region, as does the next one. */
of_status of_weight_product(size_t m, size_t n, size_t k, const float *a, const float *b, bool add,
                            float *c, of_error *error);

/* c[m][n] = sum over k of a[m][k] * b[k][n]: gradients of a layer's input. */
of_status of_data_product(size_t m, size_t n, size_t k, const float *a, const float *b, float *c,
                          of_error *error);

/* "oneDNN 2.6.3" */
const char *of_convolution_library(void);

#endif
