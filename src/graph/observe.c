/* SPDX-License-Identifier: Apache-2.0 */
/* How large the numbers are that a network meets. */
#include "graph/run.h"

#include <float.h>
#include <math.h>

/* What is not finite says nothing: comparisons with NaN fail, infinity is left out. */
static void raise(float *most, float value) {
    if (value > *most && value <= FLT_MAX)
        *most = value;
}

void of_observe_layer(const of_run *run, const of_op *op, uint32_t count, const float *source) {
    float *ranges = run->ranges[op - run->plan->ops];
    const of_convolution_shape *shape = &op->shape;
    size_t positions = (size_t)count * shape->height * shape->width;
    const float *target = of_hidden(run, op, 0);
    if (ranges == NULL)
        return;
    for (size_t i = 0; of_reads_state(op) && i < positions * shape->inputs; i++)
        raise(&ranges[0], fabsf(source[i]));
    for (size_t p = 0; p < positions; p++)
        for (size_t o = 0; o < shape->outputs; o++)
            raise(&ranges[1 + o], target[p * shape->outputs + o]);
}
