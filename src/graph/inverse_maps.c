/* SPDX-License-Identifier: Apache-2.0 */
/* Inverses of the channel maps, for the way back. They invert the rounded maps that the forward
 * pass uses, so that a round trip closes. */
#include "core/memory.h"
#include "graph/plan.h"
#include "model/matrix.h"

#include <stdlib.h>

/* x = A^-1 y - A^-1 b: `matrix` becomes A^-1 (through `inverse`), `bias` becomes -A^-1 b. */
static of_status invert(double *matrix, double *bias, size_t n, double *inverse, double *shift,
                        of_error *error) {
    of_status status = of_matrix_inverse(matrix, n, inverse, error);
    if (status != OF_OK)
        return status;
    for (size_t r = 0; r < n; r++) {
        shift[r] = 0;
        for (size_t c = 0; c < n; c++)
            shift[r] -= inverse[r * n + c] * bias[c];
    }
    return OF_OK;
}

static of_status invert_channel_map(of_plan *plan, of_step_plan *step, double *matrix, double *bias,
                                    double *inverse, double *shift, of_error *error) {
    of_unfold_channel_map(&step->map, matrix, bias);
    of_status status = invert(matrix, bias, step->map.channels, inverse, shift, error);
    if (status == OF_OK)
        status =
            of_channel_map_allocate(&plan->arena, step->map.channels, &step->inverse_map, error);
    if (status == OF_OK)
        of_fold_channel_map(inverse, shift, 1, 0, false, &step->inverse_map);
    return status;
}

static of_status invert_mix(of_plan *plan, of_scale_plan *scale, of_step_plan *step, double *matrix,
                            double *bias, double *inverse, double *shift, of_error *error) {
    const of_convolution *layer = scale->layers[OF_LAYER_MIX];
    size_t n = scale->channels, count = n * n;
    float *plain = of_allocate(count, sizeof(float));
    float *packed = of_arena_take(&plan->arena, of_convolution_weight_bytes(layer), 1);
    float *packed_bias = of_arena_take(&plan->arena, n, sizeof(float));
    if (plain == NULL || packed == NULL || packed_bias == NULL) {
        of_free(plain);
        return of_fail_memory(error, "an inverse map");
    }
    of_status status =
        of_convolution_unpack(layer, step->layers[OF_LAYER_MIX].weights, plain, error);
    for (size_t i = 0; i < count; i++)
        matrix[i] = (double)plain[i];
    for (size_t i = 0; i < n; i++)
        bias[i] = (double)step->layers[OF_LAYER_MIX].bias[i];
    if (status == OF_OK)
        status = invert(matrix, bias, n, inverse, shift, error);
    for (size_t i = 0; status == OF_OK && i < count; i++)
        plain[i] = (float)inverse[i];
    for (size_t i = 0; status == OF_OK && i < n; i++)
        packed_bias[i] = (float)shift[i];
    if (status == OF_OK)
        status = of_convolution_pack(layer, plain, packed, error);
    step->inverse_mix = (of_packed_layer){packed, packed_bias};
    of_free(plain);
    return status;
}

static of_status invert_scale(of_plan *plan, uint32_t s, of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    size_t n = scale->channels;
    double *matrix = of_allocate(n * n, sizeof(double)), *bias = of_allocate(n, sizeof(double));
    double *inverse = of_allocate(n * n, sizeof(double)), *shift = of_allocate(n, sizeof(double));
    of_status status = OF_OK;
    if (!matrix || !bias || !inverse || !shift)
        status = of_fail_memory(error, "inverse maps");
    bool dense = plan->architecture.block == OF_BLOCK_DENSE;
    for (uint32_t k = 0; status == OF_OK && k < plan->architecture.steps; k++) {
        of_error reason = {0};
        status =
            dense
                ? invert_mix(plan, scale, &scale->steps[k], matrix, bias, inverse, shift, &reason)
                : invert_channel_map(plan, &scale->steps[k], matrix, bias, inverse, shift, &reason);
        if (status != OF_OK)
            (void)of_fail(error, status, "scales.%u.steps.%u: channel mixing: %s", (unsigned)s,
                          (unsigned)k, reason.message);
    }
    of_free(matrix);
    of_free(bias);
    of_free(inverse);
    of_free(shift);
    return status;
}

of_status of_plan_invert_maps(of_plan *plan, of_error *error) {
    of_status status = OF_OK;
    for (uint32_t s = 0; status == OF_OK && s < plan->scale_count; s++)
        status = invert_scale(plan, s, error);
    plan->has_inverse = status == OF_OK;
    return status;
}
