/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "server/request.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char out_of_memory[] = "{\"error\": \"out of memory\"}\n";

static void drop(of_answer *answer) {
    if (answer->stream != NULL)
        (void)fclose(answer->stream);
    free(answer->bytes);
    *answer = (of_answer){.status = 0};
}

static void answer_without_memory(of_request *request) {
    drop(&request->answer);
    of_answer_fixed(request, "application/json", out_of_memory, sizeof out_of_memory - 1);
    request->answer.status = 503;
}

FILE *of_answer_begin(of_request *request, unsigned status, const char *type) {
    of_answer *answer = &request->answer;
    drop(answer);
    answer->status = status;
    answer->type = type;
    answer->stream = open_memstream(&answer->bytes, &answer->size);
    if (answer->stream == NULL)
        answer_without_memory(request);
    return answer->stream;
}

void of_answer_end(of_request *request) {
    FILE *stream = request->answer.stream;
    bool failed = ferror(stream) != 0;
    request->answer.stream = NULL;
    if (fclose(stream) != 0 || failed)
        answer_without_memory(request);
}

of_json *of_answer_json(of_request *request, unsigned status) {
    of_json *json = NULL;
    FILE *stream = of_answer_begin(request, status, "application/json");
    if (stream != NULL && of_json_create(stream, false, &json, NULL) != OF_OK)
        answer_without_memory(request);
    return json;
}

void of_answer_json_end(of_request *request, of_json *json) {
    of_json_free(json);
    of_answer_end(request);
}

void of_answer_fixed(of_request *request, const char *type, const void *bytes, size_t size) {
    drop(&request->answer);
    request->answer = (of_answer){.status = 200, .type = type, .fixed = bytes, .size = size};
}

void of_answer_fail(of_request *request, unsigned status, const char *format, ...) {
    char text[sizeof((of_error *)NULL)->message];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    of_json *json = of_answer_json(request, status);
    if (json == NULL)
        return;
    of_json_object(json, NULL);
    of_json_text(json, "error", text);
    of_json_end(json);
    of_answer_json_end(request, json);
}

unsigned of_answer_status_of(const of_error *error) {
    if (strncmp(error->setting, "max_", 4) == 0) /* max_pixels, max_bytes, max_images */
        return 413;
    switch (error->status) {
    case OF_ERROR_ARGUMENT:
    case OF_ERROR_FORMAT:
    case OF_ERROR_UNSUPPORTED:
    case OF_ERROR_MISMATCH:
        return 400;
    case OF_ERROR_MEMORY:
        return 503;
    default:
        return 500;
    }
}

enum { SHOWN_OF_FILE = 300 }; /* bytes of a file's name in the library's messages */

/* Clients know a model by its name, and need not know where its file lies. */
static void name_model(const of_served_model *model, const char *message, char *text, size_t size) {
    char file[SHOWN_OF_FILE + 1];
    (void)snprintf(file, sizeof file, "%s", of_detector_describe(model->detector).model->file);
    const char *at = file[0] != '\0' ? strstr(message, file) : NULL;
    if (at == NULL)
        (void)snprintf(text, size, "%s", message);
    else
        (void)snprintf(text, size, "%.*s%s%s", (int)(at - message), message, model->name,
                       at + strlen(file));
}

void of_answer_error(of_request *request, const of_error *error) {
    char text[sizeof error->message + OF_SERVED_NAME];
    if (request->served != NULL)
        name_model(request->served, error->message, text, sizeof text);
    else
        (void)snprintf(text, sizeof text, "%s", error->message);
    of_answer_fail(request, of_answer_status_of(error), "%s", text);
}

void of_answer_job(of_request *request, const of_job *job) {
    if (job->outcome == OF_JOB_LATE)
        of_answer_busy(request, "the request has waited too long to be scored");
    else
        of_answer_error(request, &job->error);
}

void of_answer_busy(of_request *request, const char *why) {
    of_answer_fail(request, 503, "%s; try again in a second", why);
}

void of_answer_limited(of_request *request, double seconds) {
    unsigned wait = (unsigned)fmin(ceil(seconds), UINT32_MAX);
    of_answer_fail(request, 429,
                   "you have sent more than the %g images a second that a client may; try again in "
                   "%u s",
                   request->service->options->client_rate, wait);
    request->answer.wait = wait;
}
