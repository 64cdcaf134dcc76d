/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters into a plan's memory: filled at compile time and again after every optimizer step. */
#include "core/memory.h"
#include "core/team.h"
#include "graph/plan.h"

#include <omp.h>

of_status of_ops_each(of_op *ops, size_t count, unsigned threads, size_t own_bytes,
                      of_op_work *work, const void *user, of_error *error) {
    of_error first_error = {0};
    of_status usable = of_team_check(threads, error);
    if (usable != OF_OK)
        return usable;
    omp_lock_t lock; /* a critical section would leave a symbol in the library */
    omp_init_lock(&lock);
#pragma omp parallel num_threads(threads)
    {
        of_error mine = {0};
        void *own = of_allocate(own_bytes, 1);
        of_status status = own ? OF_OK : of_fail_memory(&mine, "folded weights");
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < count; i++)
            if (status == OF_OK)
                status = work(user, &ops[i], own, &mine);
        of_free(own);
        if (status != OF_OK) {
            omp_set_lock(&lock);
            first_error = mine;
            omp_unset_lock(&lock);
        }
    }
    omp_destroy_lock(&lock);
    return first_error.status == OF_OK ? OF_OK : of_error_copy(error, &first_error);
}

typedef struct pack_task {
    const of_plan *plan;
    const of_model *model;
    size_t weights, outputs, mirrored, channels; /* of the largest op */
} pack_task;

static pack_task measure(const of_plan *plan, const of_model *model, const of_scale_plan *scale) {
    pack_task task = {plan, model, 0, 0, 0, scale->channels};
    for (const of_op *op = scale->ops; op < scale->ops + scale->op_count; op++) {
        if (op->code == NULL)
            continue;
        of_raise_to(&task.weights, of_convolution_weights(&op->shape));
        of_raise_to(&task.outputs, op->shape.outputs);
        if (of_goes_back_in_bf16(op))
            of_raise_to(&task.mirrored, op->shape.outputs * of_product_inputs(op));
    }
    return task;
}

static size_t buffer_bytes(const pack_task *task) {
    return (task->channels + 1) * task->channels * sizeof(double) +
           (task->weights + task->outputs + task->mirrored) * sizeof(float);
}

static of_status pack(const void *user, of_op *op, void *own, of_error *error) {
    const pack_task *task = user;
    of_pack_buffers buffers = {.matrix = own};
    buffers.bias = buffers.matrix + task->channels * task->channels;
    buffers.folded.weights = (float *)(buffers.bias + task->channels);
    buffers.folded.bias = buffers.folded.weights + task->weights;
    buffers.mirrored = buffers.folded.bias + task->outputs;
    return of_op_type_of(op->kind)->pack(task->plan, task->model, op, &buffers, error);
}

of_status of_pack_op(of_plan *plan, const of_model *model, of_op *op, of_error *error) {
    pack_task task = measure(plan, model, &plan->scales[op->scale]);
    return of_ops_each(op, 1, 1, buffer_bytes(&task), pack, &task, error);
}

/* The latents, last, add up what the others have. */
of_status of_pack_scale(of_plan *plan, const of_model *model, uint32_t s, unsigned threads,
                        of_error *error) {
    of_scale_plan *scale = &plan->scales[s];
    size_t last = scale->op_count - 1;
    pack_task task = measure(plan, model, scale);
    of_status status =
        of_ops_each(scale->ops, last, threads, buffer_bytes(&task), pack, &task, error);
    return status == OF_OK ? of_pack_op(plan, model, &scale->ops[last], error) : status;
}
