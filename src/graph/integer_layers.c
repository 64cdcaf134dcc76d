/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of a plan in integers: from the ranges that a model's numbers have to the units of its
 * activations, which become part of the weights. A hidden unit has a unit of its own, since ReLU
 * keeps the sign of what it is multiplied by: relu(x/u) u = relu(x) (as in SmoothQuant, Xiao et al.
 * 2023, arXiv 2211.10438, but without loss). */
#include "core/error.h"
#include "graph/integer_convolution.h"
#include "graph/plan.h"
#include "model/quantization.h"

#include <math.h>

/* Images unlike those that were measured have larger numbers: the state's INT16 has bits to spare
 * for them, INT8 has none. */
static const double INPUT_ROOM = 4, WIDE_ROOM = 4, NARROW_ROOM = 1;

/* Units that were active only a little, or never, might be with other images. */
static const double LEAST_SHARE = 1.0 / 64;

static const of_network_ranges *ranges_of(const of_plan *plan, const of_op *op) {
    const of_quantization *q = plan->quantization;
    return &q->networks[(size_t)op->scale * q->steps + op->step];
}

of_precision of_integer_precision(const of_plan *plan, const of_op *op, uint32_t layer) {
    return layer < OF_NETWORK_LAYERS ? ranges_of(plan, op)->layers[layer] : OF_PRECISION_F32;
}

static double input_unit(const of_network_ranges *ranges) {
    return INPUT_ROOM * (double)ranges->input / OF_INT16_MOST;
}

static double largest_of(const float *values, size_t count) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, (double)values[i]);
    return largest > 0 ? largest : 1;
}

/* Units of the hidden activations that layer `layer` writes for the next one. */
typedef struct hidden_units {
    const float *ranges;
    size_t count;
    double least, factor;
} hidden_units;

static hidden_units units_of(const of_plan *plan, const of_network_ranges *network,
                             uint32_t layer) {
    const float *ranges = network->hidden[layer];
    size_t count = plan->quantization->hidden;
    bool wide = network->layers[layer + 1] == OF_PRECISION_INT16;
    return (hidden_units){.ranges = ranges,
                          .count = count,
                          .least = LEAST_SHARE * largest_of(ranges, count),
                          .factor = wide ? WIDE_ROOM / OF_INT16_MOST : NARROW_ROOM / 255};
}

static double unit_of(const hidden_units *units, size_t channel) {
    if (channel >= units->count) /* padding */
        return 1;
    return units->factor * fmax((double)units->ranges[channel], units->least);
}

void of_integer_fold(const of_plan *plan, of_op *op, of_folded_layer *folded) {
    const of_network_ranges *network = ranges_of(plan, op);
    const of_convolution_shape *shape = &op->shape;
    uint32_t layer = (uint32_t)op->writes;
    bool first = of_reads_state(op), last = shape->target == OF_PRECISION_F32;
    size_t taps = (size_t)shape->kernel * shape->kernel;
    hidden_units in = {0}, out = {0};
    if (!first)
        in = units_of(plan, network, layer - 1);
    if (!last)
        out = units_of(plan, network, layer);
    for (uint32_t o = 0; o < shape->outputs; o++) {
        double target = last ? 1 : unit_of(&out, o);
        folded->bias[o] = (float)((double)folded->bias[o] / target);
        for (uint32_t i = 0; i < shape->inputs; i++) {
            double factor = (first ? input_unit(network) : unit_of(&in, i)) / target;
            float *weights = folded->weights + ((size_t)o * shape->inputs + i) * taps;
            for (size_t t = 0; t < taps; t++)
                weights[t] = (float)(factor * (double)weights[t]);
        }
    }
    if (first)
        op->input_factor = (float)(1 / input_unit(network));
}

/* Numbers below zero, as a leaking ReLU leaves them, have no place in INT8. */
of_status of_integer_check(const of_model *model, bool for_training, of_error *error) {
    if (for_training)
        return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "precision",
                               "precision int8 is for scoring: training runs in floats");
    if (model->architecture.leak != 0)
        return of_fail_setting(error, OF_ERROR_UNSUPPORTED, "precision",
                               "precision int8: it takes networks whose ReLU does not leak; use "
                               "precision f32 or bf16");
    return OF_OK;
}
