/* SPDX-License-Identifier: Apache-2.0 */
#include "score/stream.h"

#include "core/error.h"
#include "core/memory.h"

#include <inttypes.h>

/* One plan with room for the results of a batch. */
typedef struct stream_lane {
    of_plan *plan; /* NULL: not in use */
    uint32_t scales;
    double *logp, *contributions;
} stream_lane;

of_image_likelihood of_scored_image(const of_scored_batch *batch, size_t index) {
    of_image_likelihood image = {
        .logp = batch->logp[index],
        .contributions = batch->contributions + index * batch->scales,
    };
    if (batch->general_logp != NULL) {
        image.general_logp = batch->general_logp[index];
        image.general_contributions = batch->general_contributions + index * batch->general_scales;
    }
    return image;
}

of_status of_stream_check(const of_architecture *a, const of_architecture *b, of_error *error) {
    if (a->channels == b->channels && a->height == b->height && a->width == b->width)
        return OF_OK;
    return of_fail(error, OF_ERROR_MISMATCH,
                   "the model takes images of %" PRIu32 "x%" PRIu32 "x%" PRIu32
                   " (channels, height, width), the general model of %" PRIu32 "x%" PRIu32
                   "x%" PRIu32 ": use two models of the same image size",
                   a->channels, a->height, a->width, b->channels, b->height, b->width);
}

size_t of_stream_batch_size(const of_plan *plan) {
    of_plan_info info = of_plan_describe(plan);
    size_t round = (size_t)info.threads * info.micro_batch; /* one micro-batch a thread */
    return of_round_up(64, round > 0 ? round : 1);
}

static of_status lane_open(stream_lane *lane, of_plan *plan, size_t batch_size, of_error *error) {
    if (plan == NULL)
        return OF_OK;
    size_t values;
    lane->plan = plan;
    lane->scales = of_architecture_scale_count(of_plan_architecture(plan));
    if (!of_multiply(batch_size, lane->scales, &values))
        return of_fail(error, OF_ERROR_ARGUMENT, "batch size %zu is too large", batch_size);
    lane->logp = of_allocate(batch_size, sizeof *lane->logp);
    lane->contributions = of_allocate(values, sizeof *lane->contributions);
    if (lane->logp == NULL || lane->contributions == NULL)
        return of_fail_memory(error, "the likelihoods of a batch");
    return OF_OK;
}

static of_status lane_run(const stream_lane *lane, const of_source_batch *images, of_error *error) {
    if (lane->plan == NULL)
        return OF_OK;
    of_batch batch = {OF_PIXEL_U8, images->pixels, images->count};
    of_likelihoods out = {.logp = lane->logp, .contributions = lane->contributions};
    return of_plan_forward(lane->plan, &batch, &out, error);
}

static void lane_close(stream_lane *lane) {
    of_free(lane->logp);
    of_free(lane->contributions);
}

static of_status run_batches(of_source *source, const stream_lane *own, const stream_lane *general,
                             size_t batch_size, of_scored_visit *visit, void *user,
                             of_error *error) {
    of_scored_batch scored = {
        .scales = own->scales,
        .logp = own->logp,
        .contributions = own->contributions,
        .general_scales = general->scales,
        .general_logp = general->logp,
        .general_contributions = general->contributions,
    };
    for (;;) {
        of_source_batch images;
        of_status status = of_source_next(source, batch_size, &images, error);
        if (status != OF_OK || images.count == 0)
            return status;
        scored.count = images.count;
        scored.items = images.items;
        if ((status = lane_run(own, &images, error)) != OF_OK ||
            (status = lane_run(general, &images, error)) != OF_OK ||
            (status = visit(user, &scored, error)) != OF_OK)
            return status;
        scored.first += images.count;
    }
}

of_status of_stream_run(of_source *source, of_plan *plan, of_plan *general, size_t batch_size,
                        of_scored_visit *visit, void *user, of_error *error) {
    stream_lane lanes[2] = {{0}, {0}};
    of_status status = OF_OK;
    if (batch_size == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "a batch must hold at least one image");
    if (general != NULL)
        status = of_stream_check(of_plan_architecture(plan), of_plan_architecture(general), error);
    if (status == OF_OK)
        status = lane_open(&lanes[0], plan, batch_size, error);
    if (status == OF_OK)
        status = lane_open(&lanes[1], general, batch_size, error);
    if (status == OF_OK)
        status = run_batches(source, &lanes[0], &lanes[1], batch_size, visit, user, error);
    lane_close(&lanes[0]);
    lane_close(&lanes[1]);
    return status;
}
