/* SPDX-License-Identifier: Apache-2.0 */
/* The passes in their order, and what each leaves, for people. */
#include "core/memory.h"
#include "graph/plan.h"
#include "model/parameters.h"

#include <stdio.h>

static const struct {
    const char *name;
    of_pass *run;
} passes[] = {{"fold", of_pass_fold},
              {"fuse", of_pass_fuse},
              {"taps", of_pass_taps},
              {"choose", of_pass_choose}};

static const char *const kinds[OF_OP_KINDS] = {[OF_OP_INPUT] = "input",
                                               [OF_OP_SQUEEZE] = "squeeze",
                                               [OF_OP_ACTNORM] = "actnorm",
                                               [OF_OP_NETWORK_INPUT] = "network input",
                                               [OF_OP_MIX] = "mix",
                                               [OF_OP_RELU] = "relu",
                                               [OF_OP_CONVOLUTION] = "convolution",
                                               [OF_OP_SCALE] = "scale",
                                               [OF_OP_COUPLING] = "coupling",
                                               [OF_OP_SPLIT] = "split",
                                               [OF_OP_PRIOR] = "prior",
                                               [OF_OP_CLASSES] = "classes",
                                               [OF_OP_GAUSSIAN] = "gaussian",
                                               [OF_OP_MAP] = "map",
                                               [OF_OP_ENTER] = "enter",
                                               [OF_OP_TAIL] = "tail",
                                               [OF_OP_LATENTS] = "latents"};

void of_op_full_name(const of_op *op, char *name, size_t size) {
    if (op->in_step)
        (void)snprintf(name, size, "scales.%u.steps.%u.%s", (unsigned)op->scale, (unsigned)op->step,
                       op->name);
    else
        (void)snprintf(name, size, "scales.%u.%s", (unsigned)op->scale, op->name);
}

static void tell(const of_op_list *list, const char *pass, of_op_visitor visit, void *user) {
    for (const of_op *op = list->ops; op < list->ops + list->count; op++) {
        const of_convolution_shape *shape = &op->shape;
        of_op_info info = {.pass = pass, .kind = kinds[op->kind]};
        of_op_full_name(op, info.name, sizeof info.name);
        (void)snprintf(
            info.operation, sizeof info.operation, "%s%u->%u%s%s%s%s at %ux%u%s%s",
            shape->kernel == 3 ? "3x3 " : "", (unsigned)shape->inputs, (unsigned)shape->outputs,
            shape->relu ? " +relu" : "", op->taps ? " taps" : "", op->kernel == 3 ? " tap sum" : "",
            op->map.channels > 0 && op->kind != OF_OP_MAP ? " +map" : "", (unsigned)shape->height,
            (unsigned)shape->width, shape->source != OF_PRECISION_F32 ? ", " : "",
            shape->source != OF_PRECISION_F32 ? of_precision_name(shape->source) : "");
        visit(user, &info);
    }
}

void of_ops_run_passes(const of_plan *plan, of_op_list *list, of_op_visitor visit, void *user) {
    if (visit != NULL)
        tell(list, "model", visit, user);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        passes[i].run(plan, list);
        if (visit != NULL)
            tell(list, passes[i].name, visit, user);
    }
}

/* The passes once more, over the list of a model without values. */
of_status of_plan_ops(const of_plan *plan, of_op_visitor visit, void *user, of_error *error) {
    of_model *model = NULL;
    of_op_list list = {NULL, 0};
    if (plan == NULL || visit == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_plan_ops: plan and visitor are needed");
    of_status status = of_model_describe(&plan->architecture, &model, error);
    if (status == OF_OK)
        status = of_ops_build(plan, model, &list, error);
    if (status == OF_OK)
        of_ops_run_passes(plan, &list, visit, user);
    of_free(list.ops);
    of_model_free(model);
    return status;
}
