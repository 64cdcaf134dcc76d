/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan consists of, for people. */
#include "graph/plan.h"

const char *of_convolutions(void) {
    return of_convolution_library();
}

of_plan_info of_plan_describe(const of_plan *plan) {
    of_plan_info info = {.isa = plan->kernels->isa,
                         .precision = plan->precision,
                         .threads = plan->threads,
                         .micro_batch = plan->group_images,
                         .flops_per_image = of_architecture_flops(&plan->architecture),
                         .weight_bytes = plan->arena.bytes,
                         .workspace_bytes = of_workspace_bytes(plan, plan->threads),
                         .convolutions = of_convolution_library()};
    return info;
}

size_t of_plan_layer_count(const of_plan *plan) {
    return plan->op_count;
}

of_status of_plan_layer(const of_plan *plan, size_t index, of_layer_info *info, of_error *error) {
    if (plan == NULL || info == NULL || index >= plan->op_count)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_plan_layer: no layer %zu", index);
    const of_op *op = &plan->ops[index];
    *info = (of_layer_info){.kernel = of_isa_name(plan->kernels->isa), .images_per_call = 1};
    of_op_full_name(op, info->name, sizeof info->name);
    of_op_type_of(op->kind)->describe(plan, op, info);
    return OF_OK;
}
