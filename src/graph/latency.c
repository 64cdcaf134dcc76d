/* SPDX-License-Identifier: Apache-2.0 */
/* Latency mode: for fewer images than threads, the threads share the work inside a layer. Made on
 * the first such call, and only used if it gives the same bits as one thread a image. */
#include "core/memory.h"
#include "graph/plan.h"

#include <string.h>

/* Packed weights for the shared layer: the same memory where it wants the same packing. */
static of_status pack_again(of_plan *plan, const of_convolution *from, const of_convolution *to,
                            const of_packed_layer *packed, float *plain, of_packed_layer *result,
                            of_error *error) {
    *result = *packed;
    if (of_convolution_same_packing(from, to))
        return OF_OK;
    result->weights = of_arena_take(&plan->arena, of_convolution_weight_bytes(to), 1);
    if (result->weights == NULL)
        return of_fail_memory(error, "weights for latency mode");
    of_status status = of_convolution_unpack(from, packed->weights, plain, error);
    if (status == OF_OK)
        status = of_convolution_pack(to, plain, result->weights, error);
    return status;
}

static of_status prepare_layer(of_plan *plan, of_scale_plan *scale, int layer, of_error *error) {
    const of_convolution *single = scale->layers[layer];
    if (single == NULL)
        return OF_OK;
    const of_convolution_shape *shape = of_convolution_shape_of(single);
    bool uniform = false;
    of_status status =
        of_convolution_create(shape, scale->chunk, plan->threads, &scale->latency[layer], error);
    if (status == OF_OK)
        status = of_convolution_is_uniform(single, scale->latency[layer], &uniform, error);
    if (status != OF_OK || !uniform) {
        plan->latency_is_uniform = false;
        return status;
    }
    float *plain = of_allocate((size_t)shape->inputs * shape->outputs,
                               (size_t)shape->kernel * shape->kernel * sizeof(float));
    if (plain == NULL)
        return of_fail_memory(error, "weights for latency mode");
    for (uint32_t k = 0; status == OF_OK && k < plan->architecture.steps; k++) {
        of_step_plan *step = &scale->steps[k];
        status = pack_again(plan, single, scale->latency[layer], &step->layers[layer], plain,
                            &step->latency[layer], error);
    }
    of_free(plain);
    return status;
}

of_status of_plan_prepare_latency(of_plan *plan, of_error *error) {
    if (plan->has_latency)
        return OF_OK;
    of_status status = OF_OK;
    plan->latency_is_uniform = true;
    for (uint32_t s = 0; s < plan->scale_count; s++)
        for (int layer = 0; layer < OF_LAYERS && plan->latency_is_uniform; layer++) {
            status = prepare_layer(plan, &plan->scales[s], layer, error);
            if (status != OF_OK)
                return status;
        }
    status = of_workspace_create(plan, error); /* scratch may have grown */
    plan->has_latency = status == OF_OK;
    return status;
}
