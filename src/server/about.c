/* SPDX-License-Identifier: Apache-2.0 */
/* What the server and its models are: the GET routes of the Open Inference Protocol, and
 * /v1/models. */
#include "server/handlers.h"

#include <string.h>

/* ---- Health --------------------------------------------------------------------------------- */

static bool answer_flag(of_request *request, const char *key, bool value) {
    of_json *json = of_answer_json(request, value ? 200 : 503);
    if (json == NULL)
        return true;
    of_json_object(json, NULL);
    of_json_flag(json, key, value);
    of_json_end(json);
    of_answer_json_end(request, json);
    return true;
}

bool of_handle_live(of_request *request) {
    return answer_flag(request, "live", true);
}

bool of_handle_ready(of_request *request) {
    return answer_flag(request, "ready", !atomic_load(&request->service->draining));
}

bool of_handle_model_ready(of_request *request) {
    if (of_request_model(request) == NULL)
        return true;
    return answer_flag(request, "ready", !atomic_load(&request->service->draining));
}

/* ---- Metadata ------------------------------------------------------------------------------- */

static void write_server(of_json *json) {
    of_json_object(json, NULL);
    of_json_text(json, "name", "outflow");
    of_json_text(json, "version", of_version());
    of_json_array(json, "extensions");
    of_json_text(json, NULL, "binary_tensor_data");
    of_json_text(json, NULL, "model_repository(index)");
    of_json_end(json);
    of_json_end(json);
}

bool of_handle_server(of_request *request) {
    of_json *json = of_answer_json(request, 200);
    if (json == NULL)
        return true;
    write_server(json);
    of_answer_json_end(request, json);
    return true;
}

static void write_dynamic(of_json *json) {
    /* The protocol's -1, for "any number". */
    of_json_real(json, NULL, -1);
}

static void write_output(of_json *json, const char *name, const char *type) {
    of_json_object(json, NULL);
    of_json_text(json, "name", name);
    of_json_text(json, "datatype", type);
    of_json_array(json, "shape");
    write_dynamic(json);
    of_json_end(json);
    of_json_end(json);
}

static void write_input(of_json *json, const of_architecture *architecture) {
    of_json_array(json, "inputs");
    of_json_object(json, NULL);
    of_json_text(json, "name", "images");
    of_json_text(json, "datatype", "UINT8");
    of_json_array(json, "shape");
    write_dynamic(json);
    of_json_count(json, NULL, architecture->height);
    of_json_count(json, NULL, architecture->width);
    of_json_count(json, NULL, architecture->channels);
    of_json_end(json);
    of_json_end(json);
    of_json_end(json);
}

static bool can_flag(const of_request *request, const of_served_model *model) {
    const of_flag_rule rule = {.score = model->scores[model->judged],
                               .rate = request->service->options->rate};
    return of_detector_check_rule(model->detector, &rule, NULL) == OF_OK;
}

static void write_outputs(of_json *json, const of_request *request, const of_served_model *model) {
    of_json_array(json, "outputs");
    write_output(json, "logp", "FP64");
    for (size_t s = 0; s < model->score_count; s++) {
        char name[32];
        of_score_name(model->scores[s], name, sizeof name);
        write_output(json, name, "FP64");
    }
    if (model->calibrated)
        write_output(json, "p_value", "FP64");
    if (can_flag(request, model))
        write_output(json, "flag", "BOOL");
    of_json_end(json);
}

bool of_handle_model(of_request *request) {
    const of_served_model *model = of_request_model(request);
    if (model == NULL)
        return true;
    of_json *json = of_answer_json(request, 200);
    if (json == NULL)
        return true;
    of_json_object(json, NULL);
    of_json_text(json, "name", model->name);
    of_json_array(json, "versions");
    of_json_text(json, NULL, "1");
    of_json_end(json);
    of_json_text(json, "platform", "outflow");
    write_input(json, of_detector_architecture(model->detector));
    write_outputs(json, request, model);
    of_json_end(json);
    of_answer_json_end(request, json);
    return true;
}

/* Of the model repository extension. */
bool of_handle_index(of_request *request) {
    of_json *json = of_answer_json(request, 200);
    if (json == NULL)
        return true;
    of_json_array(json, NULL);
    for (size_t i = 0; i < of_model_set_count(request->models); i++) {
        of_json_object(json, NULL);
        of_json_text(json, "name", of_model_set_at(request->models, i)->name);
        of_json_text(json, "version", "1");
        of_json_text(json, "state", "READY");
        of_json_end(json);
    }
    of_json_end(json);
    of_answer_json_end(request, json);
    return true;
}

/* ---- /v1/models ----------------------------------------------------------------------------- */

static void write_model(of_json *json, const of_request *request, const of_served_model *model) {
    const of_architecture *a = of_detector_architecture(model->detector);
    char fingerprint[24], name[32];
    (void)snprintf(fingerprint, sizeof fingerprint, "%016llx",
                   (unsigned long long)of_detector_describe(model->detector).model->fingerprint);
    of_json_object(json, NULL);
    of_json_text(json, "name", model->name);
    of_json_text(json, "fingerprint", fingerprint);
    of_json_count(json, "channels", a->channels);
    of_json_count(json, "height", a->height);
    of_json_count(json, "width", a->width);
    of_json_array(json, "scores");
    for (size_t s = 0; s < model->score_count; s++) {
        of_score_name(model->scores[s], name, sizeof name);
        of_json_text(json, NULL, name);
    }
    of_json_end(json);
    of_score_name(model->scores[model->judged], name, sizeof name);
    of_json_text(json, "score", name);
    of_json_flag(json, "calibrated", model->calibrated);
    if (can_flag(request, model))
        of_json_real(json, "fpr", request->service->options->rate);
    of_json_end(json);
}

bool of_handle_models(of_request *request) {
    of_json *json = of_answer_json(request, 200);
    if (json == NULL)
        return true;
    of_json_object(json, NULL);
    of_json_array(json, "models");
    for (size_t i = 0; i < of_model_set_count(request->models); i++)
        write_model(json, request, of_model_set_at(request->models, i));
    of_json_end(json);
    of_json_end(json);
    of_answer_json_end(request, json);
    return true;
}
