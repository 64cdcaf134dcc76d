/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes -> container -> model, and the general model of a bundle. What is refused must have a
 * one-line reason; what is accepted must hold what the reader promises. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition)
        abort();
}

static void check_refusal(of_status status, const of_error *error) {
    require(error->status == status && error->message[0] != '\0');
    require(strncmp(error->message, "fuzz", 4) == 0 || status == OF_ERROR_MEMORY);
    require(strchr(error->message, '\n') == NULL);
}

static void check_container(const uint8_t *data, size_t size) {
    of_safetensors file;
    of_error error;
    of_status status = of_safetensors_parse(data, size, "fuzz", &file, &error);
    if (status != OF_OK) {
        check_refusal(status, &error);
        return;
    }
    size_t used = 0;
    for (size_t i = 0; i < file.count; i++) {
        const of_safetensor *tensor = &file.tensors[i];
        size_t bytes = tensor->count * of_dtype_size(tensor->dtype);
        require(tensor->data >= data && tensor->data + bytes <= data + size);
        require(of_safetensors_find(&file, tensor->name) == tensor);
        used += bytes;
    }
    require(used <= size - 8);
    of_safetensors_close(&file);
}

typedef of_status parse_model(const unsigned char *bytes, size_t length, const char *place,
                              of_model **model, of_error *error);

static void check_model(const uint8_t *data, size_t size, parse_model *parse) {
    of_model *model = NULL;
    of_error error;
    of_status status = parse(data, size, "fuzz", &model, &error);
    if (status != OF_OK) {
        require(model == NULL);
        check_refusal(status, &error);
        return;
    }
    require(model != NULL || parse == of_model_parse_general);
    for (size_t i = 0; model != NULL && i < of_model_tensor_count(model); i++) {
        of_tensor_info tensor = of_model_tensor(model, i);
        size_t count = model->parameters[i].count;
        for (size_t k = 0; k < count && tensor.values != NULL; k++)
            require(isfinite(tensor.values[k]));
        for (size_t k = 0; k < count && tensor.indices != NULL; k++)
            require(tensor.indices[k] >= 0 && (size_t)tensor.indices[k] < count);
    }
    of_model_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check_container(data, size);
    check_model(data, size, of_model_parse);
    check_model(data, size, of_model_parse_general);
    return 0;
}
