/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a run the run it is: everything its weights depend on. Not in it: how long it runs
 * (but for a schedule that depends on that), threads, memory, paths. */
#define _POSIX_C_SOURCE 200809L
#include "train/training_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t of_block_fingerprint(const of_model *model) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < model->parameter_count; i++) {
        const of_parameter *parameter = &model->parameters[i];
        size_t size = parameter->kind == OF_PARAMETER_INDEX ? sizeof(int64_t) : sizeof(float);
        const unsigned char *bytes = model->values + parameter->offset;
        for (size_t b = 0; b < parameter->count * size; b++)
            hash = (hash ^ bytes[b]) * 0x100000001b3u;
    }
    return hash;
}

static void print_shares(FILE *file, const char *name, const double *shares,
                         const of_dataset *dataset) {
    for (size_t i = 0; shares != NULL && i < dataset->source_count; i++)
        (void)fprintf(file, "%s-share-%zu=%.17g, images up to %zu\n", name, i + 1, shares[i],
                      dataset->source_ends[i]);
}

static void print_data(FILE *file, const of_trainer *trainer) {
    const of_trainer_settings *o = &trainer->options;
    (void)fprintf(file, "data=%zu images, fingerprint %016" PRIx64 "\n", trainer->data.count,
                  trainer->data.fingerprint);
    if (o->general_data.count > 0)
        (void)fprintf(file, "general-data=%zu images, fingerprint %016" PRIx64 "\n",
                      trainer->general_data.count, trainer->general_data.fingerprint);
    print_shares(file, "data", o->data.shares, &trainer->data);
    print_shares(file, "general", o->general_data.shares, &trainer->general_data);
    if (o->general_model != NULL)
        (void)fprintf(file, "general-model=fingerprint %016" PRIx64 "\n",
                      trainer->general_fingerprint);
    (void)fprintf(file, "shift=%.17g\nflip=%d\nzoom=%.17g\ncolor=%.17g\n", o->shift, o->flip,
                  o->zoom, o->color);
}

static void print_validation(FILE *file, const of_trainer *trainer) {
    const of_validation *validation = &trainer->validation;
    for (size_t i = 0; trainer->best != NULL && i < validation->set_count; i++)
        (void)fprintf(file, "held-out-%zu=fingerprint %016" PRIx64 "\n", i,
                      validation->sets[i].data.fingerprint);
    if (trainer->best != NULL)
        (void)fprintf(file, "valid-every=%" PRIu64 "\n", trainer->options.valid_every);
}

static void print_steps(FILE *file, const of_trainer *trainer) {
    const of_trainer_settings *o = &trainer->options;
    (void)fprintf(file, "init=%s, fingerprint %016" PRIx64 "\n",
                  o->init != NULL ? "given" : "random", trainer->init_fingerprint);
    (void)fprintf(file, "seed=%" PRIu64 "\nbatch=%" PRIu64 "\n", o->seed, o->batch);
    (void)fprintf(file, "optimizer=%s\nlr=%.17g\nweight-decay=%.17g\nclip=%.17g\nema=%.17g\n",
                  of_optimizer_kind_name(o->optimizer.kind), o->rate, o->optimizer.weight_decay,
                  o->optimizer.clip, o->optimizer.ema);
    (void)fprintf(file, "betas=%.17g %.17g\nepsilon=%.17g\nwarmup=%" PRIu64 "\n",
                  o->optimizer.beta1, o->optimizer.beta2, o->optimizer.epsilon, o->warmup);
    (void)fprintf(file, "schedule=%s\n", of_schedule_kind_name(o->schedule));
    if (o->schedule == OF_SCHEDULE_COSINE)
        (void)fprintf(file, "total-images=%" PRIu64 "\n", trainer->total_images);
    if (o->init == NULL)
        (void)fprintf(file, "init-images=%" PRIu64 "\n", o->init_images);
    if (o->lanes > 1)
        (void)fprintf(file, "lanes=%u\n", o->lanes);
    if (o->gradient_precision != OF_PRECISION_F32)
        (void)fprintf(file, "gradient-precision=%s\n", of_precision_name(o->gradient_precision));
    of_precision precision =
        of_plan_describe(of_session_plan(of_training_session(trainer->plan))).precision;
    (void)fprintf(file, "micro-batch=%u", o->micro_batch);
    if (precision != OF_PRECISION_F32) /* of which earlier versions did not tell */
        (void)fprintf(file, ", precision %s", of_precision_name(precision));
    (void)fprintf(file, "\noutlier-loss=%s\n", of_outlier_loss_name(o->outlier_loss));
    if (o->general_model != NULL || o->outlier_loss != OF_OUTLIER_NONE)
        (void)fprintf(file, "outlier-weight=%.17g\ntemperature=%.17g\n", o->outlier_weight,
                      o->temperature);
    if (o->outlier_loss != OF_OUTLIER_NONE)
        (void)fprintf(file, "general-batch=%" PRIu64 "\n", o->general_batch);
}

char *of_trainer_identity(const of_trainer *trainer) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL)
        return NULL;
    print_data(file, trainer);
    print_steps(file, trainer);
    print_validation(file, trainer);
    if (fclose(file) == 0)
        return text;
    free(text);
    return NULL;
}
