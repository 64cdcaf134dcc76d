/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters into a plan's memory: filled at compile time and again after every optimizer step. */
#include "core/memory.h"
#include "graph/plan.h"

#include <omp.h>

static void free_buffers(of_pack_buffers *b) {
    of_free(b->folded.weights);
    of_free(b->folded.bias);
    of_free(b->matrix);
    of_free(b->bias);
}

/* For any op of a scale. */
static of_status make_buffers(const of_scale_plan *scale, of_pack_buffers *b, of_error *error) {
    size_t weights = 0, outputs = 0, n = scale->channels;
    for (const of_op *op = scale->ops; op < scale->ops + scale->op_count; op++) {
        if (op->code == NULL)
            continue;
        of_raise_to(&weights, of_convolution_weights(&op->shape));
        of_raise_to(&outputs, op->shape.outputs);
    }
    b->folded.weights = of_allocate(weights, sizeof(float));
    b->folded.bias = of_allocate(outputs, sizeof(float));
    b->matrix = of_allocate(n * n, sizeof(double));
    b->bias = of_allocate(n, sizeof(double));
    if (b->folded.weights && b->folded.bias && b->matrix && b->bias)
        return OF_OK;
    return of_fail_memory(error, "folded weights");
}

of_status of_pack_op(of_plan *plan, const of_model *model, of_op *op, of_error *error) {
    of_pack_buffers own = {{0}, NULL, NULL};
    of_status status = make_buffers(&plan->scales[op->scale], &own, error);
    if (status == OF_OK)
        status = of_op_type_of(op->kind)->pack(plan, model, op, &own, error);
    free_buffers(&own);
    return status;
}

of_status of_pack_scale(of_plan *plan, const of_model *model, uint32_t s, unsigned threads,
                        of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    size_t last = scale->op_count - 1; /* adds up what the others have */
    of_error first_error = {0};
    omp_lock_t lock; /* a critical section would leave a symbol in the library */
    omp_init_lock(&lock);
#pragma omp parallel num_threads(threads)
    {
        of_pack_buffers own = {{0}, NULL, NULL};
        of_error mine = {0};
        of_status status = make_buffers(scale, &own, &mine);
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < last; i++)
            if (status == OF_OK)
                status = of_op_type_of(scale->ops[i].kind)
                             ->pack(plan, model, &scale->ops[i], &own, &mine);
        free_buffers(&own);
        if (status != OF_OK) {
            omp_set_lock(&lock);
            first_error = mine;
            omp_unset_lock(&lock);
        }
    }
    omp_destroy_lock(&lock);
    if (first_error.status != OF_OK)
        return of_error_copy(error, &first_error);
    return of_op_type_of(OF_OP_LATENTS)->pack(plan, model, &scale->ops[last], NULL, error);
}
