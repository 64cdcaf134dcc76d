/* SPDX-License-Identifier: Apache-2.0 */
/* Times of layers, added up over batches on one thread. */
#include "cli/bench/bench_profile.h"

#include <stdlib.h>

static size_t layer_count(const of_bench_subject *s) {
    return s->loop != NULL ? of_train_loop_layer_count(s->loop) : of_plan_layer_count(s->plan);
}

static of_status describe_layer(const of_bench_subject *s, size_t index, of_layer_info *layer,
                                of_error *error) {
    return s->loop != NULL ? of_train_loop_layer(s->loop, index, layer, error)
                           : of_plan_layer(s->plan, index, layer, error);
}

static of_status allocate(const of_bench_subject *s, of_bench_profile *profile, of_error *error) {
    of_plan_info info = of_bench_describe(s);
    profile->isa = info.isa;
    profile->precision = info.precision;
    profile->count = layer_count(s);
    profile->layers = calloc(profile->count, sizeof *profile->layers);
    profile->seconds = calloc(profile->count, sizeof *profile->seconds);
    profile->times = calloc(profile->count, sizeof *profile->times);
    if (profile->layers == NULL || profile->seconds == NULL || profile->times == NULL)
        return of_fail_memory(error, "layer times");
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < profile->count; i++)
        status = describe_layer(s, i, &profile->layers[i], error);
    return status;
}

static of_status pass(of_bench_subject *s, double *times, of_error *error) {
    of_status status = s->loop != NULL ? of_train_loop_profile(s->loop, &s->batch, times, error)
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
