/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/score: one encoded image, or many as multipart/form-data. */
#define _POSIX_C_SOURCE 200809L
#include "server/handlers.h"
#include "server/multipart.h"
#include "server/scoring.h"
#include "server/tasks.h"

#include <stdlib.h>
#include <string.h>

/* An image of the request, in order. */
typedef struct upload {
    char name[OF_PART_NAME];
    of_decoded decoded;
    unsigned failure; /* HTTP status of `message`; 0: it was decoded */
    char message[256];
} upload;

typedef struct upload_list {
    uint64_t scores;
    size_t count;
    upload items[];
} upload_list;

/* ---- The answer ----------------------------------------------------------------------------- */

static void write_scores(of_json *json, const of_scoring *scoring, size_t image) {
    const of_served_model *model = scoring->model;
    of_json_object(json, "scores");
    for (size_t s = 0; s < model->score_count; s++) {
        char name[32];
        if ((scoring->job.scores >> s & 1) == 0)
            continue;
        of_score_name(model->scores[s], name, sizeof name);
        of_json_real(json, name, of_scoring_value(scoring, image, s));
    }
    of_json_end(json);
}

static void write_upload(of_json *json, const of_scoring *scoring, const upload *item,
                         size_t image) {
    of_json_text(json, "name", item->name);
    if (item->failure != 0) {
        of_json_text(json, "error", item->message);
        return;
    }
    of_json_count(json, "width", item->decoded.width);
    of_json_count(json, "height", item->decoded.height);
    of_json_flag(json, "reshaped", item->decoded.reshaped);
    of_json_real(json, "logp", of_scoring_logp(scoring, image));
    write_scores(json, scoring, image);
    if (scoring->has_p)
        of_json_real(json, "p_value", of_scoring_p_value(scoring, image));
    if (scoring->has_flag)
        of_json_flag(json, "flag", of_scoring_flag(scoring, image));
}

static void write_answer(of_request *request, const of_scoring *scoring,
                         const upload_list *uploads) {
    char judged[32];
    size_t image = 0;
    of_json *json = of_answer_json(request, 200);
    if (json == NULL)
        return;
    of_score_name(scoring->model->scores[scoring->judged], judged, sizeof judged);
    of_json_object(json, NULL);
    of_json_text(json, "model", scoring->model->name);
    of_json_text(json, "score", judged);
    if (scoring->has_flag)
        of_json_real(json, "fpr", scoring->rate);
    of_json_array(json, "images");
    for (size_t i = 0; i < uploads->count; i++) {
        of_json_object(json, NULL);
        write_upload(json, scoring, &uploads->items[i], image);
        of_json_end(json);
        image += uploads->items[i].failure == 0;
    }
    of_json_end(json);
    of_json_end(json);
    of_answer_json_end(request, json);
}

static void finish(of_job *job) {
    of_scoring *scoring = job->user;
    of_request *request = scoring->request;
    if (job->outcome == OF_JOB_SCORED)
        write_answer(request, scoring, scoring->details);
    else
        of_answer_job(request, job);
    request->answered(request);
}

/* ---- The images ----------------------------------------------------------------------------- */

static size_t decoded_count(const upload_list *uploads) {
    size_t count = 0;
    for (size_t i = 0; i < uploads->count; i++)
        count += uploads->items[i].failure == 0;
    return count;
}

static void decode(of_scoring *scoring, upload *item, const uint8_t *bytes, size_t size) {
    of_error error;
    size_t image = scoring->model->image_bytes;
    uint8_t *pixels = scoring->pixels.bytes + scoring->pixels.size;
    if (of_decoder_run(of_tasks_decoder(), bytes, size,
                       of_detector_architecture(scoring->model->detector), pixels, &item->decoded,
                       &error) == OF_OK) {
        scoring->pixels.size += image;
        return;
    }
    item->failure = of_answer_status_of(&error);
    (void)snprintf(item->message, sizeof item->message, "%.255s", error.message);
}

static upload_list *make_uploads(of_scoring *scoring, size_t most) {
    upload_list *made = calloc(1, sizeof *made + most * sizeof *made->items);
    scoring->details = made;
    if (made == NULL)
        of_answer_busy(scoring->request, "memory is exhausted");
    return made;
}

/* Parts with a file name, and those called "image" or "file". */
static bool is_image(const of_part *part) {
    return part->file[0] != '\0' || strcmp(part->name, "image") == 0 ||
           strcmp(part->name, "file") == 0;
}

static of_status count_parts(of_multipart multipart, size_t most, size_t *count, of_error *error) {
    of_part part;
    bool found = true;
    of_status status = of_multipart_next(&multipart, &part, &found, error);
    for (*count = 0; status == OF_OK && found;) {
        *count += is_image(&part);
        if (*count > most)
            return of_fail_setting(error, OF_ERROR_ARGUMENT, "max_images",
                                   "more than %zu images in a request", most);
        status = of_multipart_next(&multipart, &part, &found, error);
    }
    if (status == OF_OK && *count == 0)
        return of_fail(error, OF_ERROR_FORMAT, "no part of the request is a file");
    return status;
}

static bool decode_parts(of_scoring *scoring, of_multipart multipart, size_t count) {
    of_part part;
    bool found = true;
    upload_list *uploads = make_uploads(scoring, count);
    double end = of_request_deadline(scoring->request);
    if (uploads == NULL || !of_scoring_reserve(scoring, count))
        return false;
    while (of_multipart_next(&multipart, &part, &found, NULL) == OF_OK && found) {
        if (!is_image(&part))
            continue;
        upload *item = &uploads->items[uploads->count++];
        memcpy(item->name, part.file, sizeof item->name);
        decode(scoring, item, part.bytes, part.size);
        if (of_seconds() > end) {
            of_answer_busy(scoring->request, "the images take too long to decode");
            return false;
        }
    }
    return true;
}

static bool decode_multipart(of_request *request, of_scoring *scoring) {
    of_multipart multipart;
    of_error error;
    size_t count = 0;
    of_status status = of_multipart_open(request->content_type, request->body.bytes,
                                         request->body.size, &multipart, &error);
    if (status == OF_OK)
        status = count_parts(multipart, request->service->options->max_images, &count, &error);
    if (status != OF_OK) {
        of_answer_error(request, &error);
        return false;
    }
    return decode_parts(scoring, multipart, count);
}

static bool decode_single(of_request *request, of_scoring *scoring) {
    upload_list *uploads = make_uploads(scoring, 1);
    if (uploads == NULL || !of_scoring_reserve(scoring, 1))
        return false;
    uploads->count = 1;
    decode(scoring, &uploads->items[0], request->body.bytes, request->body.size);
    if (uploads->items[0].failure == 0)
        return true;
    of_answer_fail(request, uploads->items[0].failure, "%s", uploads->items[0].message);
    return false;
}

/* ---- Which scores --------------------------------------------------------------------------- */

/* "nll,ratio"; "all"; without any, the one that is judged. */
static of_status choose_scores(const of_request *request, const of_scoring *scoring,
                               uint64_t *scores, of_error *error) {
    char names[OF_REQUEST_TEXT], *next = NULL;
    of_status status = OF_OK;
    *scores = (uint64_t)1 << scoring->judged;
    if (strcmp(request->scores, "all") == 0) {
        *scores |= scoring->model->usual;
        return OF_OK;
    }
    memcpy(names, request->scores, sizeof names);
    for (char *name = strtok_r(names, ",", &next); status == OF_OK && name != NULL;
         name = strtok_r(NULL, ",", &next)) {
        size_t place = 0;
        status = of_served_score(scoring->model, name, &place, error);
        *scores |= (uint64_t)1 << place;
    }
    return status;
}

bool of_handle_score(of_request *request) {
    of_error error;
    uint64_t scores;
    double rate;
    if (!of_scoring_read_rate(request, &rate))
        return true;
    of_scoring *scoring = of_scoring_open(request, request->score, rate);
    if (scoring == NULL)
        return true;
    if (choose_scores(request, scoring, &scores, &error) != OF_OK) {
        of_answer_error(request, &error);
        return true;
    }
    bool decoded = of_multipart_is(request->content_type) ? decode_multipart(request, scoring)
                                                          : decode_single(request, scoring);
    if (!decoded)
        return true;
    size_t count = decoded_count(scoring->details);
    if (count > 0)
        return !of_scoring_submit(scoring, scoring->pixels.bytes, count, scores, finish);
    write_answer(request, scoring, scoring->details);
    return true;
}
