/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "train/checkpoint.h"

#include "core/error.h"
#include "core/memory.h"
#include "model/content_hash.h"
#include "model/floats.h"
#include "model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char format_name[] = "outflow-checkpoint", version_text[] = "1";

enum { NAME_SIZE = 128 };

/* ---- The list of tensors, for writing and for reading alike ------------------------------- */

typedef struct entry {
    char name[NAME_SIZE];
    of_dtype dtype;
    uint32_t rank;
    uint64_t shape[4];
    size_t bytes;
    void *values;
    bool fixed; /* not trained: the model already has the only right values */
} entry;

typedef struct entry_list {
    entry *items;
    size_t count;
} entry_list;

static void add_parameter(entry_list *list, const char *prefix, const of_parameter *parameter,
                          void *block) {
    bool index = parameter->kind == OF_PARAMETER_INDEX;
    entry *item = &list->items[list->count++];
    *item = (entry){.dtype = index ? OF_DTYPE_I64 : OF_DTYPE_F32,
                    .rank = parameter->rank,
                    .bytes = parameter->count * (index ? sizeof(int64_t) : sizeof(float)),
                    .values = (unsigned char *)block + parameter->offset,
                    .fixed = parameter->kind != OF_PARAMETER_TRAINED};
    memcpy(item->shape, parameter->shape, sizeof item->shape);
    (void)snprintf(item->name, sizeof item->name, "%s.%s", prefix, parameter->name);
}

static void add_array(entry_list *list, const char *name, of_dtype dtype, size_t count,
                      void *values) {
    entry *item = &list->items[list->count++];
    *item = (entry){.dtype = dtype,
                    .rank = 1,
                    .shape = {count},
                    .bytes = count * of_dtype_size(dtype),
                    .values = values};
    (void)snprintf(item->name, sizeof item->name, "%s", name);
}

static of_status list_entries(const of_checkpoint *checkpoint, entry_list *list, of_error *error) {
    const of_model *model = checkpoint->model;
    *list = (entry_list){0};
    list->items = of_allocate(model->parameter_count * (checkpoint->block_count + 1) + 2,
                              sizeof *list->items);
    if (list->items == NULL)
        return of_fail_memory(error, "a checkpoint's list of tensors");
    add_array(list, "state.counters", OF_DTYPE_U64, OF_TRAIN_COUNTERS,
              &checkpoint->state->counters);
    add_array(list, "state.figures", OF_DTYPE_F64, OF_TRAIN_FIGURES, &checkpoint->state->figures);
    for (size_t i = 0; i < model->parameter_count; i++)
        add_parameter(list, "model", &model->parameters[i], model->values);
    for (size_t b = 0; b < checkpoint->block_count; b++)
        for (size_t i = 0; i < model->parameter_count; i++)
            if (checkpoint->blocks[b].values != NULL &&
                model->parameters[i].kind == OF_PARAMETER_TRAINED)
                add_parameter(list, checkpoint->blocks[b].name, &model->parameters[i],
                              checkpoint->blocks[b].values);
    return OF_OK;
}

/* ---- Writing ------------------------------------------------------------------------------ */

of_status of_checkpoint_write(const char *path, const of_checkpoint *checkpoint, of_error *error) {
    entry_list list;
    of_status status = list_entries(checkpoint, &list, error);
    if (status != OF_OK)
        return status;
    of_safetensor_source *sources = of_allocate_zeroed(list.count, sizeof *sources);
    char *architecture = of_architecture_print(&checkpoint->model->architecture);
    if (sources == NULL || architecture == NULL) {
        status = of_fail_memory(error, "a checkpoint");
        goto cleanup;
    }
    for (size_t i = 0; i < list.count; i++) {
        const entry *item = &list.items[i];
        sources[i] = (of_safetensor_source){
            .name = item->name, .dtype = item->dtype, .rank = item->rank, .values = item->values};
        memcpy(sources[i].shape, item->shape, sizeof item->shape);
    }
    const of_metadata_source metadata[] = {{"format", format_name},
                                           {"version", version_text},
                                           {"architecture", architecture},
                                           {"identity", checkpoint->identity}};
    status = of_safetensors_write(path, sources, list.count, metadata,
                                  sizeof metadata / sizeof *metadata, error);
cleanup:
    free(architecture);
    of_free(sources);
    of_free(list.items);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------ */

static of_status check_format(const char *path, const of_safetensors *file, of_error *error) {
    const char *format = of_safetensors_metadata(file, "format");
    const char *version = of_safetensors_metadata(file, "version");
    if (format == NULL || strcmp(format, format_name) != 0)
        return of_fail(error, OF_ERROR_FORMAT, "%s: not a checkpoint: its format is '%.64s'", path,
                       format != NULL ? format : "");
    if (version == NULL || strcmp(version, version_text) != 0)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "%s: checkpoint version '%.64s'; this version reads %s", path,
                       version != NULL ? version : "", version_text);
    return OF_OK;
}

static of_status check_architecture(const char *path, const of_safetensors *file,
                                    const of_model *model, of_error *error) {
    const char *stored = of_safetensors_metadata(file, "architecture");
    char *wanted = of_architecture_print(&model->architecture);
    of_status status = OF_OK;
    if (wanted == NULL)
        return of_fail_memory(error, "an architecture's text");
    if (stored == NULL || strcmp(stored, wanted) != 0)
        status = of_fail(error, OF_ERROR_MISMATCH,
                         "%s: the checkpoint is of another architecture: %.400s instead of %.400s",
                         path, stored != NULL ? stored : "none", wanted);
    free(wanted);
    return status;
}

/* Names the first line that differs. Both texts are lines "name=value". */
static of_status check_identity(const char *path, const of_safetensors *file, const char *wanted,
                                of_error *error) {
    const char *stored = of_safetensors_metadata(file, "identity");
    stored = stored != NULL ? stored : "";
    while (*stored != '\0' || *wanted != '\0') {
        size_t a = strcspn(stored, "\n"), b = strcspn(wanted, "\n");
        if (a != b || memcmp(stored, wanted, a) != 0) {
            size_t name = strcspn(wanted, "=\n");
            bool same_name = strncmp(stored, wanted, name + 1) == 0;
            return of_fail_setting(
                error, OF_ERROR_MISMATCH, "resume",
                "%s: the checkpoint belongs to another run: '%.*s' there, '%.*s' here; "
                "the same options go on with it, others start a new run",
                path, (int)a, stored, (int)(same_name ? b - name - 1 : b),
                same_name ? wanted + name + 1 : wanted);
        }
        stored += a + (stored[a] == '\n');
        wanted += b + (wanted[b] == '\n');
    }
    return OF_OK;
}

static bool same_shape(const entry *item, const of_safetensor *tensor) {
    bool same = tensor->dtype == item->dtype && tensor->rank == item->rank;
    for (uint32_t axis = 0; same && axis < item->rank; axis++)
        same = tensor->shape[axis] == item->shape[axis];
    return same;
}

static of_status check_entries(const char *path, const of_safetensors *file, const entry_list *list,
                               of_error *error) {
    for (size_t i = 0; i < list->count; i++) {
        const of_safetensor *tensor = of_safetensors_find(file, list->items[i].name);
        if (tensor == NULL || !same_shape(&list->items[i], tensor))
            return of_fail(error, OF_ERROR_FORMAT, "%s: tensor '%s' %s", path, list->items[i].name,
                           tensor == NULL ? "is missing" : "has another type or shape");
    }
    if (file->count != list->count)
        return of_fail(error, OF_ERROR_FORMAT, "%s: %zu tensors instead of %zu", path, file->count,
                       list->count);
    return OF_OK;
}

static of_status fill_entries(const char *path, const of_safetensors *file, const entry_list *list,
                              of_error *error) {
    for (size_t i = 0; i < list->count; i++) {
        const entry *item = &list->items[i];
        const unsigned char *data = of_safetensors_find(file, item->name)->data;
        if (item->fixed && memcmp(item->values, data, item->bytes) != 0)
            return of_fail(error, OF_ERROR_MISMATCH,
                           "%s: tensor '%s' is fixed and differs from the model that training "
                           "starts from",
                           path, item->name);
        memcpy(item->values, data, item->bytes);
        size_t count = item->bytes / sizeof(float);
        if (item->dtype == OF_DTYPE_F32 && of_first_non_finite(item->values, count) != count)
            return of_fail(error, OF_ERROR_FORMAT,
                           "%s: tensor '%s' holds a value that is not finite", path, item->name);
    }
    return OF_OK;
}

of_status of_checkpoint_setting(const char *path, const char *name, char *value, size_t size,
                                of_error *error) {
    of_safetensors file;
    size_t length = strlen(name);
    of_status status = of_safetensors_open(path, &file, error);
    value[0] = '\0';
    if (status != OF_OK)
        return status;
    const char *line = of_safetensors_metadata(&file, "identity");
    while (line != NULL && *line != '\0') {
        size_t end = strcspn(line, "\n");
        if (strncmp(line, name, length) == 0 && line[length] == '=')
            (void)snprintf(value, size, "%.*s", (int)(end - length - 1), line + length + 1);
        line += end + (line[end] == '\n');
    }
    of_safetensors_close(&file);
    return OF_OK;
}

of_status of_checkpoint_read(const char *path, const of_checkpoint *checkpoint, of_error *error) {
    of_safetensors file;
    entry_list list = {0};
    of_status status = of_safetensors_open(path, &file, error);
    if (status != OF_OK)
        return status;
    status = check_format(path, &file, error);
    if (status == OF_OK)
        status = check_architecture(path, &file, checkpoint->model, error);
    if (status == OF_OK)
        status = check_identity(path, &file, checkpoint->identity, error);
    if (status == OF_OK)
        status = list_entries(checkpoint, &list, error);
    if (status == OF_OK)
        status = check_entries(path, &file, &list, error);
    if (status == OF_OK)
        status = of_content_hash_check(&file, path, error);
    if (status == OF_OK)
        status = fill_entries(path, &file, &list, error);
    of_free(list.items);
    of_safetensors_close(&file);
    return status;
}
