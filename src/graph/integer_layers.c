/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of a plan in integers: from the ranges that a model's numbers have to the units of its
 * activations, which become part of the weights. A hidden unit has a unit of its own, since ReLU
 * keeps the sign of what it is multiplied by: relu(x/u) u = relu(x). Larger units than a range
 * needs make for weights that are more alike, and those lose less when they are rounded
 * (SmoothQuant, Xiao et al. 2023, arXiv 2211.10438, without its need of a layer that takes the
 * units in). Measured on the model cifar10, mean change of the log-likelihood: -16 nats with ranges
 * alone, -7.4 in balance, -6.3 with weights rounded by moments as well. */
#include "core/error.h"
#include "core/memory.h"
#include "graph/integer_convolution.h"
#include "graph/integer_rounding.h"
#include "graph/plan.h"
#include "model/quantization.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Images unlike those that were measured have larger numbers: the state's INT16 has bits to spare
 * for them, INT8 has none. */
static const double INPUT_ROOM = 4, WIDE_ROOM = 4, NARROW_ROOM = 1;

/* Units that were active only a little, or never, might be with other images; and weights that are
 * all small do not matter. */
static const double LEAST_RANGE = 1.0 / 16, LEAST_SHARE = 1.0 / 64;

/* Of a unit's range in its scale, the rest is the weights' (SmoothQuant's alpha). */
static const double BALANCE = 0.5;

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

/* ---- Ranges in balance ----------------------------------------------------------------------- */

/* The largest share that input `channel` has in any output's weights, of that output's largest. */
typedef struct next_layer {
    const float *weights; /* [outputs][inputs][taps] */
    size_t outputs, inputs, taps;
} next_layer;

static next_layer next_layer_of(const of_model *model, const of_step_parameters *step, int layer) {
    bool dense = model->architecture.block == OF_BLOCK_DENSE;
    int number = layer == 0 ? (dense ? step->fc2_weight : step->conv2_weight)
                            : (dense ? step->fc3_weight : step->conv3_weight);
    size_t inputs = model->architecture.hidden, taps = layer == 1 && !dense ? 9 : 1;
    return (next_layer){.weights = of_model_values(model, number),
                        .outputs = model->parameters[number].count / (inputs * taps),
                        .inputs = inputs,
                        .taps = taps};
}

static double row_largest(const float *row, size_t count) {
    double largest = FLT_MIN;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)row[i]));
    return largest;
}

static void find_shares(const next_layer *next, float *shares) {
    memset(shares, 0, next->inputs * sizeof *shares);
    for (size_t o = 0; o < next->outputs; o++) {
        const float *row = next->weights + o * next->inputs * next->taps;
        double largest = row_largest(row, next->inputs * next->taps);
        for (size_t i = 0; i < next->inputs; i++) {
            float share = (float)(row_largest(row + i * next->taps, next->taps) / largest);
            shares[i] = fmaxf(shares[i], share);
        }
    }
}

static double range_of(const float *ranges, size_t i, double largest) {
    return fmax((double)ranges[i], LEAST_RANGE * largest);
}

/* range^a share^(a - 1), times what makes it no smaller than any range. */
static void balance(const next_layer *next, float *shares, float *ranges) {
    double largest = row_largest(ranges, next->inputs), most = 0;
    find_shares(next, shares);
    for (size_t i = 0; i < next->inputs; i++) {
        shares[i] = fmaxf(shares[i], (float)LEAST_SHARE);
        most = fmax(most, pow(range_of(ranges, i, largest) * (double)shares[i], 1 - BALANCE));
    }
    for (size_t i = 0; i < next->inputs; i++)
        ranges[i] = (float)(most * pow(range_of(ranges, i, largest), BALANCE) *
                            pow((double)shares[i], BALANCE - 1));
}

of_status of_integer_balance(const of_model *model, of_quantization *q, of_error *error) {
    float *shares = of_allocate(q->hidden, sizeof *shares);
    if (shares == NULL)
        return of_fail_memory(error, "activation ranges");
    for (uint32_t s = 0; s < q->scales; s++)
        for (uint32_t k = 0; k < q->steps; k++)
            for (int layer = 0; layer < OF_NETWORK_LAYERS - 1; layer++) {
                next_layer next = next_layer_of(model, &model->scales[s].steps[k], layer);
                balance(&next, shares, q->networks[(size_t)s * q->steps + k].hidden[layer].largest);
            }
    of_free(shares);
    return OF_OK;
}

/* ---- Layers ------------------------------------------------------------------------------------
 */

/* Units of the hidden activations that layer `layer` writes for the next one. */
typedef struct hidden_units {
    const float *ranges;
    size_t count;
    double factor;
} hidden_units;

static hidden_units units_of(const of_plan *plan, const of_network_ranges *network,
                             uint32_t layer) {
    bool wide = network->layers[layer + 1] == OF_PRECISION_INT16;
    return (hidden_units){.ranges = network->hidden[layer].largest,
                          .count = plan->quantization->hidden,
                          .factor = wide ? WIDE_ROOM / OF_INT16_MOST : NARROW_ROOM / 255};
}

static double unit_of(const hidden_units *units, size_t channel) {
    if (channel >= units->count) /* padding */
        return 1;
    return units->factor * (double)units->ranges[channel];
}

/* Padding has mean and variance 0. */
static of_status round_layer(const hidden_units *units, const of_hidden_ranges *hidden,
                             size_t others, const of_convolution_shape *shape, float *weights,
                             of_error *error) {
    size_t taps = (size_t)shape->kernel * shape->kernel, row = shape->inputs * taps;
    size_t inputs = shape->inputs;
    float *mean = of_allocate_zeroed((2 + others) * inputs + row, sizeof *mean);
    float *variance = mean + inputs, *other_means = variance + inputs;
    float *errors = other_means + others * inputs;
    const of_input_moments moments = {mean, variance, other_means, inputs, taps, others};
    if (mean == NULL)
        return of_fail_memory(error, "integer weights");
    for (size_t i = 0; i < units->count; i++) {
        double deviation = (double)hidden->deviation[i] / unit_of(units, i);
        mean[i] = (float)((double)hidden->mean[i] / unit_of(units, i));
        variance[i] = (float)(deviation * deviation);
        for (size_t k = 0; k < others; k++)
            other_means[k * inputs + i] =
                (float)((double)hidden->others[k * units->count + i] / unit_of(units, i));
    }
    for (uint32_t o = 0; o < shape->outputs; o++)
        of_round_weights(&moments, weights + o * row, errors);
    of_free(mean);
    return OF_OK;
}

of_status of_integer_fold(const of_plan *plan, of_op *op, of_folded_layer *folded,
                          of_error *error) {
    const of_network_ranges *network = ranges_of(plan, op);
    const of_convolution_shape *shape = &op->shape;
    uint32_t layer = (uint32_t)op->writes;
    bool first = layer == OF_LAYER_FIRST, last = shape->target == OF_PRECISION_F32;
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
    else if (shape->source == OF_PRECISION_INT8)
        return round_layer(&in, &network->hidden[layer - 1], plan->quantization->others, shape,
                           folded->weights, error);
    return OF_OK;
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
