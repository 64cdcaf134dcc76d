/* SPDX-License-Identifier: Apache-2.0 */
/* How large the numbers are that a network meets. */
#include "graph/run.h"

#include <float.h>
#include <math.h>

static const float LARGEST = 0x1p20F; /* of what is added up; far from any activation */

/* What is not finite says nothing: comparisons with NaN fail, infinity is left out. */
static void raise(float *most, float value) {
    if (value > *most && value <= FLT_MAX)
        *most = value;
}

static void add(of_layer_ranges *ranges, size_t output, float value) {
    raise(&ranges->largest[output], value);
    if (!(value > 0))
        return;
    double limited = (double)fminf(value, LARGEST);
    ranges->sums[output] += (int64_t)(limited * 0x1p16);
    ranges->squares[output] += (int64_t)(limited * limited * 0x1p12);
}

void of_observe_layer(const of_run *run, const of_op *op, uint32_t count, const float *source,
                      const float *target) {
    of_layer_ranges *ranges = run->ranges[op - run->plan->ops];
    const of_convolution_shape *shape = &op->shape;
    size_t positions = (size_t)count * shape->height * shape->width;
    if (ranges == NULL)
        return;
    ranges->positions += positions;
    for (size_t i = 0; of_reads_state(op) && i < positions * shape->inputs; i++)
        raise(&ranges->input, fabsf(source[i]));
    for (size_t p = 0; p < positions; p++)
        for (size_t o = 0; o < shape->outputs; o++)
            add(ranges, o, target[p * shape->outputs + o]);
}
