/* SPDX-License-Identifier: Apache-2.0 */
/* What a model's file says that it was trained on: the user's images, not the files of OUT.work,
 * which are gone when somebody reads it. */
#include "core/error.h"
#include "fit/fitting.h"
#include "model/json_reader.h"
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

static const char own_general[] = "trained by fit";

/* A member that names `file` names `meant` instead. */
static bool rename_text(cJSON *object, const char *key, const char *file, const char *meant) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsString(item) || strcmp(item->valuestring, file) != 0)
        return true;
    return cJSON_ReplaceItemInObjectCaseSensitive(object, key, cJSON_CreateString(meant)) != 0;
}

static bool rename_files(const of_fitting *fitting, cJSON *training) {
    const char *source = fitting->options.source;
    cJSON *data = cJSON_GetObjectItemCaseSensitive(training, "data");
    if (!of_utf8_valid(source, strlen(source)))
        source = "(not UTF-8)";
    return (data == NULL || rename_text(data, "source", fitting->work.train, source)) &&
           rename_text(training, "init", fitting->work.general, own_general) &&
           rename_text(training, "general_model", fitting->work.general, own_general);
}

static of_status store(const of_fitting *fitting, cJSON *training, of_error *error) {
    const char *path = fitting->work.model;
    char *text = rename_files(fitting, training) ? cJSON_PrintUnformatted(training) : NULL;
    if (text == NULL)
        return of_fail_memory(error, "the description of a run");
    of_status status = of_safetensors_replace_metadata(path, path, "training", text, error);
    free(text);
    return status;
}

of_status of_fitting_name_origin(const of_fitting *fitting, of_error *error) {
    enum { MOST_VALUES = 10000 };
    of_model *model = NULL;
    cJSON *training = NULL;
    of_status status = of_model_open(fitting->work.model, &model, error);
    if (status != OF_OK)
        return status;
    const char *text = of_model_metadata(model, "training");
    if (text != NULL)
        status =
            of_json_parse_object(text, strlen(text), MOST_VALUES, "training", &training, error);
    if (status == OF_OK && training != NULL)
        status = store(fitting, training, error);
    cJSON_Delete(training);
    of_model_free(model);
    return status;
}
