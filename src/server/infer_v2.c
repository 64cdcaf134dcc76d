/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v2/models/NAME/infer */
#include "server/handlers.h"
#include "server/infer_parse.h"
#include "server/scoring.h"

#include <stdlib.h>
#include <string.h>

enum { LOGP = -1, P_VALUE = -2, FLAG = -3 };

/* Places of scores, or one of the above, and how they are sent. */
typedef struct output_list {
    int places[OF_INFER_OUTPUTS];
    bool binary[OF_INFER_OUTPUTS];
    size_t count;
} output_list;

/* What is kept until the images are scored. */
typedef struct pending_inference {
    of_scoring *scoring;
    char id[OF_INFER_ID];
    output_list outputs;
} pending_inference;

/* ---- Which outputs -------------------------------------------------------------------------- */

static void add_output(output_list *outputs, int place, bool binary) {
    outputs->places[outputs->count] = place;
    outputs->binary[outputs->count++] = binary;
}

static of_status find_output(const of_scoring *scoring, const char *name, int *place,
                             of_error *error) {
    size_t score;
    *place = strcmp(name, "logp") == 0 ? LOGP : strcmp(name, "p_value") == 0 ? P_VALUE : FLAG;
    if (*place == P_VALUE && !scoring->has_p)
        return of_fail(error, OF_ERROR_ARGUMENT, "output 'p_value' needs a calibrated model");
    if (*place != FLAG)
        return OF_OK;
    if (strcmp(name, "flag") == 0)
        return scoring->has_flag
                   ? OF_OK
                   : of_fail(error, OF_ERROR_ARGUMENT, "output 'flag' needs a calibrated model");
    of_status status = of_served_score(scoring->model, name, &score, error);
    if (status == OF_OK)
        *place = (int)score;
    return status;
}

/* All that are computed unless they are named. */
static void list_all(const of_scoring *scoring, bool binary, output_list *outputs) {
    add_output(outputs, LOGP, binary);
    for (size_t s = 0; s < scoring->model->score_count; s++)
        if ((scoring->model->usual >> s & 1) != 0)
            add_output(outputs, (int)s, binary);
    if (scoring->has_p)
        add_output(outputs, P_VALUE, binary);
    if (scoring->has_flag)
        add_output(outputs, FLAG, binary);
}

static of_status list_outputs(const of_scoring *scoring, const of_infer_call *call,
                              output_list *outputs, of_error *error) {
    of_status status = OF_OK;
    outputs->count = 0;
    if (call->output_count == 0)
        list_all(scoring, call->binary, outputs);
    for (size_t i = 0; status == OF_OK && i < call->output_count; i++) {
        int place;
        status = find_output(scoring, call->outputs[i].name, &place, error);
        add_output(outputs, place, call->outputs[i].binary);
    }
    return status;
}

static uint64_t scores_of(const of_scoring *scoring, const output_list *outputs) {
    uint64_t scores = 0;
    for (size_t i = 0; i < outputs->count; i++)
        if (outputs->places[i] != LOGP)
            scores |= (uint64_t)1 << (outputs->places[i] >= 0 ? (size_t)outputs->places[i]
                                                              : scoring->judged);
    return scores;
}

/* ---- The answer ----------------------------------------------------------------------------- */

static double value_of(const of_scoring *scoring, int place, size_t image) {
    switch (place) {
    case LOGP:
        return of_scoring_logp(scoring, image);
    case P_VALUE:
        return of_scoring_p_value(scoring, image);
    default:
        return of_scoring_value(scoring, image, (size_t)place);
    }
}

static void output_name(const of_scoring *scoring, int place, char *name, size_t size) {
    static const char *const names[] = {"flag", "p_value", "logp"};
    if (place >= 0)
        of_score_name(scoring->model->scores[place], name, size);
    else
        (void)snprintf(name, size, "%s", names[place - FLAG]);
}

static void write_numbers(of_json *json, const of_scoring *scoring, int place) {
    of_json_array(json, "data");
    for (size_t i = 0; i < scoring->job.count; i++)
        if (place == FLAG)
            of_json_flag(json, NULL, of_scoring_flag(scoring, i));
        else
            of_json_real(json, NULL, value_of(scoring, place, i));
    of_json_end(json);
}

static void write_output(of_json *json, const of_scoring *scoring, int place, bool binary) {
    char name[OF_INFER_NAME];
    size_t element = place == FLAG ? 1 : sizeof(double);
    output_name(scoring, place, name, sizeof name);
    of_json_object(json, NULL);
    of_json_text(json, "name", name);
    of_json_text(json, "datatype", place == FLAG ? "BOOL" : "FP64");
    of_json_array(json, "shape");
    of_json_count(json, NULL, scoring->job.count);
    of_json_end(json);
    if (binary) {
        of_json_object(json, "parameters");
        of_json_count(json, "binary_data_size", scoring->job.count * element);
        of_json_end(json);
    } else {
        write_numbers(json, scoring, place);
    }
    of_json_end(json);
}

/* Little-endian, as the machines are that this runs on. */
static void write_binary(FILE *stream, const of_scoring *scoring, int place) {
    for (size_t i = 0; i < scoring->job.count; i++) {
        if (place == FLAG) {
            (void)fputc(of_scoring_flag(scoring, i), stream);
            continue;
        }
        double value = value_of(scoring, place, i);
        (void)fwrite(&value, sizeof value, 1, stream);
    }
}

static void write_json(of_json *json, const pending_inference *inference) {
    const of_scoring *scoring = inference->scoring;
    of_json_object(json, NULL);
    of_json_text(json, "model_name", scoring->model->name);
    of_json_text(json, "model_version", "1");
    if (inference->id[0] != '\0')
        of_json_text(json, "id", inference->id);
    of_json_array(json, "outputs");
    for (size_t i = 0; i < inference->outputs.count; i++)
        write_output(json, scoring, inference->outputs.places[i], inference->outputs.binary[i]);
    of_json_end(json);
    of_json_end(json);
}

static bool has_binary(const output_list *outputs) {
    bool any = false;
    for (size_t i = 0; i < outputs->count; i++)
        any |= outputs->binary[i];
    return any;
}

static void write_answer(of_request *request, const pending_inference *inference) {
    const output_list *outputs = &inference->outputs;
    of_json *json = of_answer_json(request, 200);
    if (json == NULL)
        return;
    write_json(json, inference);
    if (has_binary(outputs)) {
        (void)fflush(request->answer.stream);
        request->answer.json_size = request->answer.size;
        request->answer.type = "application/octet-stream";
        for (size_t i = 0; i < outputs->count; i++)
            if (outputs->binary[i])
                write_binary(request->answer.stream, inference->scoring, outputs->places[i]);
    }
    of_answer_json_end(request, json);
}

static void finish(of_job *job) {
    const of_scoring *scoring = job->user;
    of_request *request = scoring->request;
    if (job->outcome == OF_JOB_SCORED)
        write_answer(request, scoring->details);
    else
        of_answer_job(request, job);
    request->answered(request);
}

/* ---- The request ---------------------------------------------------------------------------- */

/* Is it [N,H,W,C] of the model? */
static of_status check_shape(const of_scoring *scoring, const of_infer_call *call,
                             of_error *error) {
    const of_architecture *a = of_detector_architecture(scoring->model->detector);
    size_t most = scoring->request->service->options->max_images;
    if (strcmp(call->input, "images") != 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "the input is called 'images'");
    if (call->rank != 4 || call->shape[0] == 0 || call->shape[1] != a->height ||
        call->shape[2] != a->width || call->shape[3] != a->channels)
        return of_fail(error, OF_ERROR_ARGUMENT, "the input's shape must be [N,%u,%u,%u]",
                       a->height, a->width, a->channels);
    if (call->shape[0] > most)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "max_images",
                               "%zu images in a request: no more than %zu are taken",
                               (size_t)call->shape[0], most);
    return OF_OK;
}

static of_status prepare(pending_inference *made, const of_infer_call *call, of_error *error) {
    of_status status = check_shape(made->scoring, call, error);
    memcpy(made->id, call->id, sizeof made->id);
    return status == OF_OK ? list_outputs(made->scoring, call, &made->outputs, error) : status;
}

static bool submit(of_request *request, of_scoring *scoring, const of_infer_call *call) {
    of_error error;
    pending_inference *made = scoring->details = calloc(1, sizeof *made);
    if (made == NULL) {
        of_answer_busy(request, "memory is exhausted");
        return false;
    }
    made->scoring = scoring;
    if (prepare(made, call, &error) != OF_OK) {
        of_answer_error(request, &error);
        return false;
    }
    return of_scoring_submit(scoring, call->data, (size_t)call->shape[0],
                             scores_of(scoring, &made->outputs), finish);
}

bool of_handle_infer(of_request *request) {
    of_error error;
    of_infer_call call;
    size_t json_size = request->has_json_size ? request->json_size : request->body.size;
    if (of_request_model(request) == NULL)
        return true;
    if (of_infer_parse(request->body.bytes, request->body.size, json_size, &call, &error) !=
        OF_OK) {
        of_answer_error(request, &error);
        return true;
    }
    of_scoring *scoring = of_scoring_open(request, call.score, call.rate);
    return scoring == NULL || !submit(request, scoring, &call);
}
