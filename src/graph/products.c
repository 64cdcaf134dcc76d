/* SPDX-License-Identifier: Apache-2.0 */
/* The products of a layer's way back, in the precision of its forward pass. In bfloat16 the weights
 * of the way back are packed once a step of the optimizer, beside those of the way forward. */
#include "core/memory.h"
#include "graph/training.h"

of_convolution_shape of_way_back_shape(const of_op *op) {
    of_convolution_shape shape = op->shape;
    shape.kernel = 1;
    shape.inputs = op->shape.outputs;
    shape.outputs = (uint32_t)of_product_inputs(op);
    shape.bias = shape.relu = false;
    shape.target = of_reads_state(op) ? OF_PRECISION_F32 : shape.source;
    return shape;
}

of_status of_layer_weight_product(const of_chunk *c, const of_op *op, const void *g, const void *x,
                                  of_error *error) {
    size_t outputs = op->shape.outputs, inputs = of_product_inputs(op);
    float *sums = c->sums + op->weight_sums;
    bool add = c->first > 0;
    if (!of_goes_back_in_bf16(op))
        return of_weight_product(outputs, inputs, c->positions, g, x, add, sums, error);
    const of_product_bf16 task = {.a = g,
                                  .b = x,
                                  .m = outputs,
                                  .n = inputs,
                                  .k = c->positions,
                                  .add = add,
                                  .c = sums,
                                  .scratch = c->buffers->product_scratch};
    c->plan->kernels->weight_product_bf16(&task);
    return OF_OK;
}

of_status of_layer_data_product(const of_chunk *c, const of_op *op, const void *g, void *g_x,
                                of_error *error) {
    if (of_goes_back_in_bf16(op))
        return of_convolution_run(op->transposed_code, c->count, g, op->way_back, NULL, g_x,
                                  c->run->worker->convolution_scratch, error);
    return of_data_product(c->positions, of_product_inputs(op), op->shape.outputs, g,
                           c->buffers->weights[op->writes], g_x, error);
}

void of_layer_relu(const of_chunk *c, const of_op *op, const void *activations, void *g) {
    const of_kernels *kernels = c->plan->kernels;
    float *sums = c->sums + op->bias_sums;
    if (of_goes_back_in_bf16(op))
        kernels->relu_backward_bf16(activations, g, c->positions, op->shape.outputs, op->shape.leak,
                                    sums);
    else
        kernels->relu_backward(activations, g, c->positions, op->shape.outputs, op->shape.leak,
                               sums);
}
