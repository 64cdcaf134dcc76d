/* SPDX-License-Identifier: Apache-2.0 */
/* Inverses of the maps, for the way back. They invert the rounded maps that the forward pass uses,
 * so that a round trip closes. */
#include "core/memory.h"
#include "graph/plan.h"
#include "model/matrix.h"

/* Room for the largest map. */
typedef struct workspace {
    double *matrix, *bias, *inverse, *shift;
    float *plain;
} workspace;

/* x = A^-1 y - A^-1 b: `inverse` becomes A^-1, `shift` becomes -A^-1 b. */
static of_status invert(workspace *w, size_t n, of_error *error) {
    of_status status = of_matrix_inverse(w->matrix, n, w->inverse, error);
    for (size_t r = 0; status == OF_OK && r < n; r++) {
        w->shift[r] = 0;
        for (size_t c = 0; c < n; c++)
            w->shift[r] -= w->inverse[r * n + c] * w->bias[c];
    }
    return status;
}

static of_status invert_channel_map(of_plan *plan, of_step_map *map, workspace *w,
                                    of_error *error) {
    of_channel_map_unpack(&map->forward, w->matrix, w->bias);
    of_status status = invert(w, map->channels, error);
    if (status == OF_OK)
        status = of_channel_map_allocate(&plan->arena, map->channels, &map->inverse, error);
    if (status == OF_OK)
        of_channel_map_pack(w->inverse, w->shift, 1, 0, false, &map->inverse);
    return status;
}

static of_status invert_product(of_plan *plan, of_op *op, workspace *w, of_error *error) {
    of_packed_layer *packed = &op->map.inverse_product;
    size_t n = op->map.channels, count = n * n;
    of_status status = of_packed_allocate(plan, op->code, n, packed, error);
    if (status == OF_OK)
        status = of_convolution_unpack(op->code, op->packed.weights, w->plain, error);
    for (size_t i = 0; i < count; i++)
        w->matrix[i] = (double)w->plain[i];
    for (size_t i = 0; i < n; i++)
        w->bias[i] = (double)op->packed.bias[i];
    if (status == OF_OK)
        status = invert(w, n, error);
    for (size_t i = 0; status == OF_OK && i < count; i++)
        w->plain[i] = (float)w->inverse[i];
    for (size_t i = 0; status == OF_OK && i < n; i++)
        packed->bias[i] = (float)w->shift[i];
    return status == OF_OK ? of_convolution_pack(op->code, w->plain, packed->weights, error)
                           : status;
}

static of_status invert_maps(of_plan *plan, workspace *w, of_error *error) {
    of_status status = OF_OK;
    for (of_op *op = plan->ops; status == OF_OK && op < plan->ops + plan->op_count; op++) {
        of_error reason = {0};
        if (op->map.channels > 0)
            status = op->kind == OF_OP_MAP ? invert_product(plan, op, w, &reason)
                                           : invert_channel_map(plan, &op->map, w, &reason);
        if (status != OF_OK)
            (void)of_fail(error, status, "scales.%u.steps.%u: channel mixing: %s",
                          (unsigned)op->scale, (unsigned)op->map.step, reason.message);
    }
    return status;
}

of_status of_plan_invert_maps(of_plan *plan, of_error *error) {
    size_t n = 0;
    for (uint32_t s = 0; s < plan->scale_count; s++)
        of_raise_to(&n, plan->scales[s].channels);
    workspace w = {of_allocate(n * n, sizeof(double)), of_allocate(n, sizeof(double)),
                   of_allocate(n * n, sizeof(double)), of_allocate(n, sizeof(double)),
                   of_allocate(n * n, sizeof(float))};
    of_status status = w.matrix && w.bias && w.inverse && w.shift && w.plain
                           ? invert_maps(plan, &w, error)
                           : of_fail_memory(error, "inverse maps");
    of_free(w.matrix);
    of_free(w.bias);
    of_free(w.inverse);
    of_free(w.shift);
    of_free(w.plain);
    plan->has_inverse = status == OF_OK;
    return status;
}
