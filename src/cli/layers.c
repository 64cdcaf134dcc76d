/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/layers.h"

#include "cli/terminal/words.h"

#include <stdlib.h>
#include <string.h>

/* Layers of equal kind in consecutive steps. */
typedef struct layer_group {
    of_layer_info layer; /* the first one */
    size_t head;         /* characters of its name before the step's number, 0: not in a step */
    size_t tail;         /* where the name goes on after the number */
    unsigned long first, last;
    size_t count;
} layer_group;

static layer_group make_group(const of_layer_info *layer) {
    static const char marker[] = ".steps.";
    layer_group group = {.layer = *layer, .count = 1};
    const char *steps = strstr(group.layer.name, marker);
    if (steps != NULL) {
        char *end;
        const char *number = steps + strlen(marker);
        group.first = group.last = strtoul(number, &end, 10);
        group.head = (size_t)(number - group.layer.name);
        group.tail = (size_t)(end - group.layer.name);
    }
    return group;
}

static bool continues(const layer_group *group, const layer_group *next) {
    const of_layer_info *a = &group->layer, *b = &next->layer;
    return group->head != 0 && group->head == next->head && next->first == group->last + 1 &&
           strncmp(a->name, b->name, group->head) == 0 &&
           strcmp(a->name + group->tail, b->name + next->tail) == 0 &&
           strcmp(a->operation, b->operation) == 0 && strcmp(a->kernel, b->kernel) == 0 &&
           a->precision == b->precision && a->images_per_call == b->images_per_call &&
           a->flops == b->flops && a->weight_bytes == b->weight_bytes &&
           a->output_bytes == b->output_bytes;
}

static void add_layer(layer_group *groups, size_t *count, const layer_group *next, bool all) {
    for (size_t i = *count; !all && i-- > 0;) {
        if (continues(&groups[i], next)) {
            groups[i].last = next->first;
            groups[i].count++;
            return;
        }
    }
    groups[(*count)++] = *next;
}

static void write_name(const layer_group *group, char *name, size_t size) {
    const of_layer_info *layer = &group->layer;
    (void)snprintf(name, size, "%s", layer->name);
    if (group->count > 1)
        (void)snprintf(name, size, "%.*s%lu-%lu%s", (int)group->head, layer->name, group->first,
                       group->last, layer->name + group->tail);
}

static void print_group(const layer_group *group, FILE *file) {
    const of_layer_info *layer = &group->layer;
    char name[128], weights[OF_NUMBER_SIZE], output[OF_NUMBER_SIZE];
    write_name(group, name, sizeof name);
    (void)fprintf(file, "%-34s %-26s %-36s %-9s %5u %10.3f %11s %11s\n", name, layer->operation,
                  layer->kernel, of_precision_name(layer->precision), layer->images_per_call,
                  1e-6 * layer->flops * (double)group->count,
                  of_bytes_text(layer->weight_bytes * group->count, weights),
                  of_bytes_text(layer->output_bytes, output));
}

of_status of_layers_print(const of_plan *plan, bool all, FILE *file, of_error *error) {
    size_t layers = of_plan_layer_count(plan), count = 0;
    layer_group *groups = calloc(layers > 0 ? layers : 1, sizeof *groups);
    if (groups == NULL)
        return of_fail_memory(error, "the list of layers");
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < layers; i++) {
        of_layer_info layer;
        status = of_plan_layer(plan, i, &layer, error);
        if (status == OF_OK) {
            layer_group next = make_group(&layer);
            add_layer(groups, &count, &next, all);
        }
    }
    if (status == OF_OK)
        (void)fprintf(file, "%-34s %-26s %-36s %-9s %5s %10s %11s %11s\n", "layer", "operation",
                      "kernel", "precision", "batch", "MFLOP", "weights", "output");
    for (size_t i = 0; status == OF_OK && i < count; i++)
        print_group(&groups[i], file);
    free(groups);
    return status;
}

/* ---- Ops ---------------------------------------------------------------------------------- */

/* Groups of all lists; an op is a layer whose "kernel" is the pass. */
typedef struct op_groups {
    layer_group *groups; /* NULL: ops are only counted */
    size_t count;
    bool all;
} op_groups;

static void add_op(void *user, const of_op_info *op) {
    op_groups *list = user;
    of_layer_info layer = {.kernel = op->pass};
    if (list->groups == NULL) {
        list->count++;
        return;
    }
    memcpy(layer.name, op->name, sizeof layer.name);
    (void)snprintf(layer.operation, sizeof layer.operation, "%-13.13s %.33s", op->kind,
                   op->operation);
    layer_group next = make_group(&layer);
    add_layer(list->groups, &list->count, &next, list->all);
}

static void print_ops(const op_groups *list, FILE *file) {
    const char *pass = "";
    for (size_t i = 0; i < list->count; i++) {
        const layer_group *group = &list->groups[i];
        char name[128];
        if (strcmp(pass, group->layer.kernel) != 0)
            (void)fprintf(file, "%s%s\n", i > 0 ? "\n" : "", group->layer.kernel);
        pass = group->layer.kernel;
        write_name(group, name, sizeof name);
        (void)fprintf(file, "  %-32s %s\n", name, group->layer.operation);
    }
}

of_status of_ops_print(const of_plan *plan, bool all, FILE *file, of_error *error) {
    op_groups list = {NULL, 0, all};
    of_status status = of_plan_ops(plan, add_op, &list, error);
    if (status != OF_OK)
        return status;
    list.groups = calloc(list.count, sizeof *list.groups);
    if (list.groups == NULL)
        return of_fail_memory(error, "the lists of ops");
    list.count = 0;
    status = of_plan_ops(plan, add_op, &list, error);
    if (status == OF_OK)
        print_ops(&list, file);
    free(list.groups);
    return status;
}
