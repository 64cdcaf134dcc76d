/* SPDX-License-Identifier: Apache-2.0 */
/* Times of layers, added up over batches on one thread. */
#include "cli/bench/bench_profile.h"

#include "core/clock.h"
#include "core/error.h"

#include <stdlib.h>
#include <string.h>

enum { UPDATE_PARTS = 2 }; /* of a step of training, after its gradient */

static size_t gradient_layers(const of_bench_subject *s) {
    return s->wish->mode == OF_BENCH_TRAIN ? of_training_layer_count(s->training)
                                           : of_plan_layer_count(s->plan);
}

static void describe_updates(const of_bench_subject *s, of_layer_info *layers) {
    of_plan_info info = of_plan_describe(of_bench_plan(s));
    layers[0] = (of_layer_info){.name = "optimizer",
                                .operation = "norm, Adamax",
                                .kernel = of_isa_name(info.isa),
                                .weight_bytes = 4 * s->model->value_bytes};
    layers[1] = (of_layer_info){.name = "refresh",
                                .operation = "fold and pack weights",
                                .kernel = "double",
                                .weight_bytes = info.weight_bytes};
}

static of_status allocate(const of_bench_subject *s, of_bench_profile *profile, of_error *error) {
    bool train = s->wish->mode == OF_BENCH_TRAIN;
    size_t count = gradient_layers(s);
    profile->isa = of_plan_describe(of_bench_plan(s)).isa;
    profile->precision = of_plan_describe(of_bench_plan(s)).precision;
    profile->count = count + (train ? UPDATE_PARTS : 0);
    profile->layers = calloc(profile->count, sizeof *profile->layers);
    profile->seconds = calloc(profile->count, sizeof *profile->seconds);
    profile->times = calloc(profile->count, sizeof *profile->times);
    if (profile->layers == NULL || profile->seconds == NULL || profile->times == NULL)
        return of_fail_memory(error, "layer times");
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < count; i++)
        status = train ? of_training_layer(s->training, i, &profile->layers[i], error)
                       : of_plan_layer(s->plan, i, &profile->layers[i], error);
    if (train)
        describe_updates(s, profile->layers + count);
    return status;
}

static of_status training_pass(of_bench_subject *s, double *times, of_error *error) {
    double *updates = times + gradient_layers(s);
    memset(times, 0, gradient_layers(s) * sizeof *times);
    of_status status = of_training_profile(s->training, times, error);
    if (status == OF_OK)
        status = of_bench_gradient(s, error);
    if (status != OF_OK)
        return status;
    double start = of_seconds();
    of_bench_optimize(s);
    double middle = of_seconds();
    status = of_training_refresh(s->training, s->model, error);
    updates[0] = middle - start;
    updates[1] = of_seconds() - middle;
    return status;
}

static of_status pass(of_bench_subject *s, double *times, of_error *error) {
    of_status status = s->wish->mode == OF_BENCH_TRAIN
                           ? training_pass(s, times, error)
                           : of_session_profile(s->session, &s->batch, times, error);
    return status == OF_OK ? of_interrupt_check(error) : status;
}

static of_status passes(of_bench_subject *s, of_bench_profile *profile, of_error *error) {
    of_status status = pass(s, profile->times, error); /* warm-up */
    double start = of_seconds();
    while (status == OF_OK && (profile->passes == 0 || profile->wall < s->wish->seconds)) {
        status = pass(s, profile->times, error);
        for (size_t i = 0; i < profile->count; i++)
            profile->seconds[i] += profile->times[i];
        profile->passes++;
        profile->wall = of_seconds() - start;
        if (s->wish->progress != NULL)
            of_progress_update(s->wish->progress, profile->passes, NULL);
    }
    profile->images = profile->passes * s->batch.count;
    return status;
}

of_status of_bench_profile_run(of_model *model, const of_bench_wish *wish,
                               of_bench_profile *profile, of_error *error) {
    *profile = (of_bench_profile){.wish = *wish};
    profile->wish.threads = 1;
    of_status status = of_bench_set_up(model, &profile->wish, &profile->subject, error);
    if (status == OF_OK)
        status = allocate(&profile->subject, profile, error);
    if (status == OF_OK)
        status = passes(&profile->subject, profile, error);
    return status;
}

void of_bench_profile_free(of_bench_profile *profile) {
    of_bench_tear_down(&profile->subject);
    free(profile->layers);
    free(profile->seconds);
    free(profile->times);
    *profile = (of_bench_profile){0};
}
