/* SPDX-License-Identifier: Apache-2.0 */
#include "server/infer_parse.h"

#include "server/lift.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static of_status wrong(of_error *error, const char *what) {
    return of_fail(error, OF_ERROR_FORMAT, "%s", what);
}

/* ---- Fields --------------------------------------------------------------------------------- */

static of_status read_text(const cJSON *object, const char *key, char *to, size_t size,
                           of_error *error) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    to[0] = '\0';
    if (item == NULL || cJSON_IsNull(item))
        return OF_OK;
    if (!cJSON_IsString(item) || strlen(item->valuestring) >= size)
        return of_fail(error, OF_ERROR_FORMAT, "'%s' must be a string of less than %zu bytes", key,
                       size);
    memcpy(to, item->valuestring, strlen(item->valuestring) + 1);
    return OF_OK;
}

static of_status read_flag(const cJSON *object, const char *key, bool *value, of_error *error) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (item == NULL)
        return OF_OK;
    if (!cJSON_IsBool(item))
        return of_fail(error, OF_ERROR_FORMAT, "'%s' must be true or false", key);
    *value = cJSON_IsTrue(item) != 0;
    return OF_OK;
}

/* A whole number that a double holds exactly. */
static bool is_whole(const cJSON *item, uint64_t *value) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 0x1p53))
        return false;
    *value = (uint64_t)item->valuedouble;
    return (double)*value == item->valuedouble;
}

/* ---- The input ------------------------------------------------------------------------------ */

static of_status read_shape(const cJSON *input, of_infer_call *call, uint64_t *count,
                            of_error *error) {
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(input, "shape"), *item;
    if (!cJSON_IsArray(shape))
        return wrong(error, "the input has no 'shape'");
    *count = 1;
    cJSON_ArrayForEach(item, shape) {
        uint64_t side;
        if (call->rank == OF_INFER_RANK || !is_whole(item, &side) ||
            (side > 0 && *count > UINT32_MAX / side))
            return wrong(error, "the input's 'shape' must be up to 4 whole numbers whose product "
                                "is below 2^32");
        call->shape[call->rank++] = side;
        *count *= side;
    }
    return OF_OK;
}

/* Where its values are: lifted out of the JSON, or behind it. */
static of_status find_values(const cJSON *input, const of_lift *lift, const uint8_t *binary,
                             size_t binary_size, of_infer_call *call, of_error *error) {
    const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(input, "parameters");
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(parameters, "binary_data_size");
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(input, "data");
    uint64_t bytes;
    if ((size != NULL) == (data != NULL))
        return wrong(error, "the input needs either 'data' or the parameter 'binary_data_size'");
    if (size != NULL) {
        if (!is_whole(size, &bytes) || bytes != binary_size)
            return of_fail(error, OF_ERROR_FORMAT,
                           "'binary_data_size' does not fit: %zu bytes follow the JSON",
                           binary_size);
        call->data = binary;
        call->data_size = binary_size;
        return OF_OK;
    }
    if (binary_size > 0)
        return wrong(error, "bytes follow the JSON that no input has announced");
    if (!is_whole(data, &bytes) || bytes >= lift->array_count)
        return wrong(error, "the input's 'data' must be an array of numbers");
    call->data = lift->arrays[bytes].values;
    call->data_size = lift->arrays[bytes].count;
    return OF_OK;
}

static of_status read_input(const cJSON *root, const of_lift *lift, const uint8_t *binary,
                            size_t binary_size, of_infer_call *call, of_error *error) {
    const cJSON *inputs = cJSON_GetObjectItemCaseSensitive(root, "inputs");
    uint64_t count = 0;
    if (!cJSON_IsArray(inputs) || cJSON_GetArraySize(inputs) != 1 || lift->array_count > 1)
        return wrong(error, "'inputs' must be an array of one tensor");
    const cJSON *input = cJSON_GetArrayItem(inputs, 0);
    of_status status = read_text(input, "name", call->input, sizeof call->input, error);
    if (status == OF_OK)
        status = read_text(input, "datatype", call->type, sizeof call->type, error);
    if (status == OF_OK && strcmp(call->type, "UINT8") != 0)
        status = wrong(error, "the input's 'datatype' must be UINT8");
    if (status == OF_OK)
        status = read_shape(input, call, &count, error);
    if (status == OF_OK)
        status = find_values(input, lift, binary, binary_size, call, error);
    if (status == OF_OK && call->data_size != count)
        status =
            of_fail(error, OF_ERROR_FORMAT, "the input has %zu values, and %zu after its shape",
                    call->data_size, (size_t)count);
    return status;
}

/* ---- Outputs and parameters ----------------------------------------------------------------- */

static of_status read_output(const cJSON *item, of_infer_call *call, of_error *error) {
    const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(item, "parameters");
    of_infer_output *output = &call->outputs[call->output_count];
    output->binary = call->binary;
    of_status status = read_text(item, "name", output->name, sizeof output->name, error);
    if (status == OF_OK && output->name[0] == '\0')
        status = wrong(error, "an output has no 'name'");
    if (status == OF_OK)
        status = read_flag(parameters, "binary_data", &output->binary, error);
    call->output_count += status == OF_OK;
    return status;
}

static of_status read_outputs(const cJSON *root, of_infer_call *call, of_error *error) {
    const cJSON *outputs = cJSON_GetObjectItemCaseSensitive(root, "outputs"), *item;
    of_status status = OF_OK;
    if (outputs == NULL)
        return OF_OK;
    if (!cJSON_IsArray(outputs) || cJSON_GetArraySize(outputs) > OF_INFER_OUTPUTS)
        return wrong(error, "'outputs' must be an array, of no more than there are");
    cJSON_ArrayForEach(item, outputs) {
        if (status == OF_OK)
            status = read_output(item, call, error);
    }
    return status;
}

static of_status read_parameters(const cJSON *root, of_infer_call *call, of_error *error) {
    const cJSON *parameters = cJSON_GetObjectItemCaseSensitive(root, "parameters");
    const cJSON *rate = cJSON_GetObjectItemCaseSensitive(parameters, "fpr");
    of_status status = read_text(parameters, "score", call->score, sizeof call->score, error);
    if (status == OF_OK)
        status = read_flag(parameters, "binary_data_output", &call->binary, error);
    if (status != OF_OK || rate == NULL)
        return status;
    if (!cJSON_IsNumber(rate) || !(rate->valuedouble > 0 && rate->valuedouble < 1))
        return wrong(error, "the parameter 'fpr' lies between 0 and 1");
    call->rate = rate->valuedouble;
    return OF_OK;
}

static of_status read_call(const cJSON *root, const of_lift *lift, const uint8_t *binary,
                           size_t binary_size, of_infer_call *call, of_error *error) {
    if (!cJSON_IsObject(root))
        return wrong(error, "the request is no JSON object");
    of_status status = read_text(root, "id", call->id, sizeof call->id, error);
    if (status == OF_OK)
        status = read_parameters(root, call, error);
    if (status == OF_OK)
        status = read_input(root, lift, binary, binary_size, call, error);
    return status == OF_OK ? read_outputs(root, call, error) : status;
}

of_status of_infer_parse(uint8_t *body, size_t size, size_t json_size, of_infer_call *call,
                         of_error *error) {
    const char *end = NULL;
    *call = (of_infer_call){.rate = 0};
    if (json_size > size)
        return wrong(error, "Inference-Header-Content-Length is larger than the body");
    of_lift *lift = malloc(sizeof *lift);
    if (lift == NULL)
        return of_fail_memory(error, "a request");
    of_status status = of_lift_numbers(body, json_size, lift, error);
    if (status == OF_OK) {
        cJSON *root = cJSON_ParseWithLengthOpts(lift->rest, lift->rest_size + 1, &end, 1);
        status = root == NULL
                     ? wrong(error, "the request is no JSON")
                     : read_call(root, lift, body + json_size, size - json_size, call, error);
        cJSON_Delete(root);
    }
    free(lift);
    return status;
}
