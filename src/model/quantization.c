/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "model/quantization.h"

#include "core/error.h"
#include "core/memory.h"
#include "model/json_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    NUMBER_BYTES = 32,
    NETWORK_VALUES = 16,
    OTHER_VALUES = 64,
    MOST_MEMBERS = 16,
    LAYER_ARRAYS = 3 + OF_MOST_OTHER_KINDS
};

const char of_quantization_key[] = "quantization";

/* Names of the arrays of the two hidden layers. */
static const char *const hidden_keys[][3] = {{"hidden1", "mean1", "deviation1"},
                                             {"hidden2", "mean2", "deviation2"}};
static const char *const other_keys[] = {"others1", "others2"};

static void list_arrays(const of_hidden_ranges *hidden, float *arrays[3]) {
    arrays[0] = hidden->largest;
    arrays[1] = hidden->mean;
    arrays[2] = hidden->deviation;
}

static size_t network_count(const of_quantization *q) {
    return (size_t)q->scales * q->steps;
}

of_status of_quantization_create(const of_architecture *architecture, of_quantization **result,
                                 of_error *error) {
    of_quantization *q = of_allocate_zeroed(1, sizeof *q);
    if (q == NULL)
        return of_fail_memory(error, "activation ranges");
    *q = (of_quantization){.scales = of_architecture_scale_count(architecture),
                           .steps = architecture->steps,
                           .hidden = architecture->hidden};
    size_t count = network_count(q);
    q->networks = of_allocate_zeroed(count, sizeof *q->networks);
    q->values = of_allocate_zeroed(count * LAYER_ARRAYS * 2, q->hidden * sizeof *q->values);
    if (q->networks == NULL || q->values == NULL) {
        of_quantization_free(q);
        return of_fail_memory(error, "activation ranges");
    }
    float *values = q->values;
    for (size_t i = 0; i < count; i++) {
        bool last = q->scales > 1 && i / q->steps + 1 == q->scales;
        of_precision hidden = last ? OF_PRECISION_INT16 : OF_PRECISION_INT8;
        of_network_ranges *network = &q->networks[i];
        *network = (of_network_ranges){.layers = {OF_PRECISION_INT16, hidden, hidden}};
        for (size_t layer = 0; layer + 1 < OF_NETWORK_LAYERS;
             layer++, values += (size_t)LAYER_ARRAYS * q->hidden)
            network->hidden[layer] =
                (of_hidden_ranges){values, values + q->hidden, values + (size_t)2 * q->hidden,
                                   values + (size_t)3 * q->hidden};
    }
    *result = q;
    return OF_OK;
}

void of_quantization_free(of_quantization *quantization) {
    if (quantization == NULL)
        return;
    of_free(quantization->networks);
    of_free(quantization->values);
    free(quantization->source);
    of_free(quantization);
}

/* ---- Printing ------------------------------------------------------------------------------ */

static bool add(cJSON *array, cJSON *item) {
    if (item != NULL && cJSON_AddItemToArray(array, item))
        return true;
    cJSON_Delete(item);
    return false;
}

/* Five digits are more than a range is worth. A locale's comma becomes a point. */
static cJSON *make_range(float value) {
    char text[NUMBER_BYTES];
    (void)snprintf(text, sizeof text, "%.5g", (double)value);
    char *comma = strchr(text, ',');
    if (comma != NULL)
        *comma = '.';
    return cJSON_CreateRaw(text);
}

static bool add_ranges(cJSON *object, const char *key, const float *values, size_t count) {
    cJSON *array = cJSON_AddArrayToObject(object, key);
    bool complete = array != NULL;
    for (size_t i = 0; complete && i < count; i++)
        complete = add(array, make_range(values[i]));
    return complete;
}

static bool add_layers(cJSON *object, const of_network_ranges *network) {
    cJSON *array = cJSON_AddArrayToObject(object, "layers");
    bool complete = array != NULL;
    for (size_t i = 0; complete && i < OF_NETWORK_LAYERS; i++)
        complete = add(array, cJSON_CreateString(of_precision_name(network->layers[i])));
    return complete;
}

static bool add_network(cJSON *networks, const of_network_ranges *network, size_t hidden,
                        size_t others) {
    cJSON *object = cJSON_CreateObject();
    if (object == NULL || !add(networks, object))
        return false;
    cJSON *input = make_range(network->input);
    if (input == NULL || !cJSON_AddItemToObject(object, "input", input)) {
        cJSON_Delete(input);
        return false;
    }
    for (size_t layer = 0; layer + 1 < OF_NETWORK_LAYERS; layer++) {
        float *arrays[3];
        list_arrays(&network->hidden[layer], arrays);
        for (size_t i = 0; i < 3; i++)
            if (!add_ranges(object, hidden_keys[layer][i], arrays[i], hidden))
                return false;
        if (others > 0 &&
            !add_ranges(object, other_keys[layer], network->hidden[layer].others, others * hidden))
            return false;
    }
    return add_layers(object, network);
}

char *of_quantization_print(const of_quantization *q, uint64_t fingerprint, const char *source) {
    char hex[24];
    (void)snprintf(hex, sizeof hex, "%016" PRIx64, fingerprint);
    if (source == NULL || !of_utf8_valid(source, strlen(source)))
        source = "";
    cJSON *object = cJSON_CreateObject();
    bool complete = object != NULL && cJSON_AddNumberToObject(object, "version", VERSION) &&
                    cJSON_AddStringToObject(object, "model", hex) &&
                    cJSON_AddNumberToObject(object, "images", (double)q->images) &&
                    cJSON_AddStringToObject(object, "source", source);
    if (complete && q->others > 0)
        complete = cJSON_AddNumberToObject(object, "others", q->others) != NULL;
    cJSON *networks = complete ? cJSON_AddArrayToObject(object, "networks") : NULL;
    complete = networks != NULL;
    for (size_t i = 0; complete && i < network_count(q); i++)
        complete = add_network(networks, &q->networks[i], q->hidden, q->others);
    char *text = complete ? cJSON_PrintUnformatted(object) : NULL;
    cJSON_Delete(object);
    return text;
}

/* ---- Reading: each reader says whether the item is what it must be -------------------------- */

static const cJSON *member(const cJSON *object, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* Zero: the unit was never active. */
static bool read_range(const cJSON *item, float *value) {
    *value = cJSON_IsNumber(item) ? (float)item->valuedouble : NAN;
    return isfinite(*value) && *value >= 0;
}

static bool read_ranges(const cJSON *array, float *values, size_t count) {
    const cJSON *item;
    size_t i = 0;
    if (!cJSON_IsArray(array))
        return false;
    cJSON_ArrayForEach(item, array) {
        if (i == count || !read_range(item, &values[i++]))
            return false;
    }
    return i == count;
}

/* The state has a sign, which numbers of INT8 have not. */
static bool read_layers(const cJSON *array, of_precision *layers) {
    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) != OF_NETWORK_LAYERS)
        return false;
    for (int i = 0; i < OF_NETWORK_LAYERS; i++) {
        const cJSON *item = cJSON_GetArrayItem(array, i);
        if (!cJSON_IsString(item))
            return false;
        bool wide = strcmp(item->valuestring, "int16") == 0;
        if (!wide && (i == 0 || strcmp(item->valuestring, "int8") != 0))
            return false;
        layers[i] = wide ? OF_PRECISION_INT16 : OF_PRECISION_INT8;
    }
    return true;
}

/* Returns the member that is no good, or NULL. */
static const char *read_network(const cJSON *object, size_t hidden, size_t others,
                                of_network_ranges *network) {
    if (!read_range(member(object, "input"), &network->input) || !(network->input > 0))
        return "input";
    for (size_t layer = 0; layer + 1 < OF_NETWORK_LAYERS; layer++) {
        float *arrays[3];
        list_arrays(&network->hidden[layer], arrays);
        for (size_t i = 0; i < 3; i++)
            if (!read_ranges(member(object, hidden_keys[layer][i]), arrays[i], hidden))
                return hidden_keys[layer][i];
        if (others > 0 && !read_ranges(member(object, other_keys[layer]),
                                       network->hidden[layer].others, others * hidden))
            return other_keys[layer];
    }
    return read_layers(member(object, "layers"), network->layers) ? NULL : "layers";
}

static of_status read_networks(const cJSON *array, of_quantization *q, of_error *error) {
    const cJSON *item;
    size_t i = 0;
    if (!cJSON_IsArray(array) || (size_t)cJSON_GetArraySize(array) != network_count(q))
        return of_fail(error, OF_ERROR_FORMAT,
                       "quantization: 'networks' are not the %zu of the model: quantize it again",
                       network_count(q));
    cJSON_ArrayForEach(item, array) {
        const char *bad = read_network(item, q->hidden, q->others, &q->networks[i]);
        if (bad != NULL)
            return of_fail(error, OF_ERROR_FORMAT,
                           "quantization: '%s' of network %zu is missing or not usable: quantize "
                           "the model again",
                           bad, i);
        i++;
    }
    return OF_OK;
}

static of_status check_head(const cJSON *object, uint64_t fingerprint, of_quantization *q,
                            of_error *error) {
    uint64_t version;
    char hex[24];
    const cJSON *model = member(object, "model");
    (void)snprintf(hex, sizeof hex, "%016" PRIx64, fingerprint);
    if (!of_json_whole_number(member(object, "version"), UINT32_MAX, &version) || version < 1)
        return of_fail(error, OF_ERROR_FORMAT, "quantization: 'version' is missing or not usable");
    if (version > VERSION)
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "quantization: version %" PRIu64 " is unknown; this library reads %d: "
                       "quantize the model again",
                       version, VERSION);
    uint64_t others = 0;
    if (member(object, "others") != NULL &&
        !of_json_whole_number(member(object, "others"), OF_MOST_OTHER_KINDS, &others))
        return of_fail(error, OF_ERROR_FORMAT, "quantization: 'others' is not usable");
    q->others = (uint32_t)others;
    const cJSON *source = member(object, "source");
    q->source = cJSON_IsString(source) ? strdup(source->valuestring) : NULL;
    if (!of_json_whole_number(member(object, "images"), (uint64_t)1 << 53, &q->images))
        return of_fail(error, OF_ERROR_FORMAT, "quantization: 'images' is missing or not usable");
    if (!cJSON_IsString(model) || strcmp(model->valuestring, hex) != 0)
        return of_fail_setting(error, OF_ERROR_MISMATCH, "quantization",
                               "quantization: the model's activation ranges were measured with "
                               "other weights: quantize it again");
    return OF_OK;
}

static of_status parse(const char *text, uint64_t fingerprint, of_quantization *q,
                       of_error *error) {
    size_t numbers =
        network_count(q) * ((size_t)2 * LAYER_ARRAYS * q->hidden + NETWORK_VALUES) + OTHER_VALUES;
    size_t most = numbers * NUMBER_BYTES, length = strnlen(text, most + 1);
    cJSON *object = NULL;
    if (length > most)
        return of_fail(error, OF_ERROR_FORMAT, "quantization: text is longer than %zu bytes", most);
    of_status status = of_json_parse_object(text, length, numbers, "quantization", &object, error);
    if (status != OF_OK)
        return status;
    if (cJSON_GetArraySize(object) > MOST_MEMBERS)
        status = of_fail(error, OF_ERROR_FORMAT, "quantization: too many members");
    else if (of_json_repeated_key(object) != NULL)
        status = of_fail(error, OF_ERROR_FORMAT, "quantization: '%.64s' appears twice",
                         of_json_repeated_key(object));
    if (status == OF_OK)
        status = check_head(object, fingerprint, q, error);
    if (status == OF_OK)
        status = read_networks(member(object, "networks"), q, error);
    cJSON_Delete(object);
    return status;
}

of_status of_quantization_read(const of_model *model, of_quantization **result, of_error *error) {
    const char *text = of_model_metadata(model, of_quantization_key);
    of_quantization *q = NULL;
    if (text == NULL)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "quantization",
                               "precision int8: the model does not say how large its activations "
                               "are: quantize it with images like those it was trained on");
    of_status status = of_quantization_create(&model->architecture, &q, error);
    if (status == OF_OK)
        status = parse(text, of_model_fingerprint(model), q, error);
    if (status == OF_OK)
        *result = q;
    else
        of_quantization_free(q);
    return status;
}
