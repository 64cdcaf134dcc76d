/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/heatmap: one encoded image in, a PNG out that shows where its score comes from. */
#include "server/handlers.h"
#include "server/scoring.h"
#include "server/tasks.h"

#include <stdlib.h>

enum { SIDE = 256 };

typedef struct heat_picture {
    of_counted heat; /* [height][width] doubles */
    uint8_t *png;    /* freed with of_free */
    size_t size;
} heat_picture;

static of_status draw(const of_scoring *scoring, heat_picture *picture, of_error *error) {
    const of_detector *detector = scoring->model->detector;
    const of_batch image = {OF_PIXEL_U8, scoring->pixels.bytes, 1};
    const of_score score = scoring->model->scores[scoring->judged];
    of_heat_picture_options options = of_heat_picture_options_default();
    double *heat = (double *)(void *)picture->heat.bytes, limit;
    options.side = SIDE;
    options.with_image = false;
    of_status status = of_detector_relative_heat(detector, of_detector_heat_score(detector, score),
                                                 NULL, &image, heat, &limit, error);
    return status == OF_OK ? of_heat_picture(of_detector_architecture(detector), image.pixels, heat,
                                             limit, &options, &picture->png, &picture->size, error)
                           : status;
}

static of_status run(of_job *job, of_error *error) {
    const of_scoring *scoring = job->user;
    const of_architecture *a = of_detector_architecture(scoring->model->detector);
    heat_picture picture = {.heat = of_counted_of(&scoring->request->service->budget)};
    if (!of_counted_reserve(&picture.heat, (size_t)a->height * a->width * sizeof(double)))
        return of_fail_memory(error, "a heat map");
    of_status status = draw(scoring, &picture, error);
    if (status == OF_OK) {
        FILE *stream = of_answer_begin(scoring->request, 200, "image/png");
        if (stream != NULL) {
            (void)fwrite(picture.png, 1, picture.size, stream);
            of_answer_end(scoring->request);
        }
    }
    of_free(picture.png);
    of_counted_free(&picture.heat);
    return status;
}

static void finish(of_job *job) {
    const of_scoring *scoring = job->user;
    if (job->outcome != OF_JOB_SCORED)
        of_answer_job(scoring->request, job);
    scoring->request->answered(scoring->request);
}

static bool decode(of_request *request, of_scoring *scoring) {
    of_decoded decoded;
    of_error error;
    if (!of_scoring_reserve(scoring, 1))
        return false;
    if (of_decoder_run(of_tasks_decoder(), request->body.bytes, request->body.size,
                       of_detector_architecture(scoring->model->detector), scoring->pixels.bytes,
                       &decoded, &error) == OF_OK)
        return true;
    of_answer_error(request, &error);
    return false;
}

bool of_handle_heatmap(of_request *request) {
    of_scoring *scoring = of_scoring_open(request, request->score, 0);
    if (scoring == NULL || !decode(request, scoring))
        return true;
    scoring->job = (of_job){.model = scoring->model,
                            .count = 1,
                            .alone = run,
                            .deadline = of_request_deadline(request),
                            .finished = finish,
                            .user = scoring};
    request->images = 1;
    if (of_scorer_submit(request->service->scorer, &scoring->job))
        return false;
    of_answer_busy(request, "too many images wait to be scored");
    return true;
}
