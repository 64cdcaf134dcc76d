/* SPDX-License-Identifier: Apache-2.0 */
#include "train/settings.h"

#include "core/error.h"

#include <outflow/output.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

of_train_options of_train_options_default(void) {
    const of_optimizer_options optimizer = of_optimizer_defaults();
    return (of_train_options){.size = sizeof(of_train_options),
                              .batch = 64,
                              .optimizer = optimizer.kind,
                              .rate = 5e-4,
                              .weight_decay = optimizer.weight_decay,
                              .beta1 = optimizer.beta1,
                              .beta2 = optimizer.beta2,
                              .epsilon = optimizer.epsilon,
                              .clip = optimizer.clip,
                              .init_images = 512,
                              .checkpoint_every = 300,
                              .log_every = 50};
}

of_train_observer of_train_observer_default(void) {
    return (of_train_observer){.size = sizeof(of_train_observer)};
}

static void take_sets(const of_train_options *o, of_trainer_settings *s) {
    s->data = (of_source_list){o->data, o->data_count, o->data_shares};
    s->general_data = (of_source_list){o->general_data, o->general_count, o->general_shares};
    s->valid = (of_source_list){o->valid, o->valid_count, NULL};
    s->general_model = o->general_model;
    s->out_of = o->out_of;
    s->out_of_count = o->out_of_count;
    s->limit = o->limit;
    s->strict = o->strict;
    s->background = o->background;
    s->cache_bytes = o->cache_bytes;
    s->shift = o->shift;
    s->zoom = o->zoom;
    s->color = o->color;
    s->flip = o->flip;
}

static void take_steps(const of_train_options *o, of_trainer_settings *s) {
    s->outlier_loss = o->outlier_loss;
    s->outlier_weight = o->outlier_weight;
    s->temperature = o->temperature > 0 ? o->temperature : 1000;
    s->batch = o->batch;
    s->general_batch = o->general_batch;
    s->optimizer = (of_optimizer_options){.kind = o->optimizer,
                                          .weight_decay = o->weight_decay,
                                          .beta1 = o->beta1,
                                          .beta2 = o->beta2,
                                          .epsilon = o->epsilon,
                                          .clip = o->clip,
                                          .ema = o->ema};
    s->rate = o->rate;
    s->schedule = o->schedule;
    s->warmup = o->warmup;
    s->seed = o->seed;
    s->init_images = o->init_images;
}

static void take_run(const of_train_options *o, of_trainer_settings *s) {
    bool endless = o->epochs == 0 && o->images == 0 && o->minutes <= 0;
    s->epochs = endless ? 50 : o->epochs;
    s->images = o->images;
    s->minutes = o->minutes;
    s->valid_every = o->valid_every;
    s->patience = o->patience;
    s->threads = o->threads > 0 ? o->threads : of_ranks_threads(o->ranks);
    s->micro_batch = o->micro_batch;
    s->lanes = o->lanes;
    s->isa = o->isa;
    s->precision = o->precision;
    s->gradient_precision = o->gradient_precision;
    s->memory_bytes = o->memory_bytes;
    s->checkpoint_every = o->checkpoint_every;
    s->log_every = o->log_every;
    s->resume = o->resume;
    s->overwrite = o->overwrite;
    s->shard_optimizer = o->shard_optimizer;
    s->communicator = of_ranks_communicator(o->ranks);
    s->ranks_here = of_ranks_here(o->ranks);
    s->log = o->log;
    s->record = o->record;
}

/* ---- Holding out -------------------------------------------------------------------------- */

static char *name_part(double from, double to, const char *source) {
    size_t size = strlen(source) + sizeof "part:-:" + (size_t)2 * OF_NUMBER_SIZE;
    char low[OF_NUMBER_SIZE], high[OF_NUMBER_SIZE], *name = malloc(size);
    if (name != NULL)
        (void)snprintf(name, size, "part:%s-%s:%s", of_number_text(from, low),
                       of_number_text(to, high), source);
    return name;
}

/* The data and the images to validate on as if they had been given as parts. */
static of_status hold_out(double share, of_trainer_settings *s, of_error *error) {
    char **kept = s->parts[0], **held_out = s->parts[1];
    for (size_t i = 0; i < s->data.count; i++) {
        kept[i] = name_part(share, 1, s->data.items[i]);
        held_out[i] = name_part(0, share, s->data.items[i]);
        if (kept[i] == NULL || held_out[i] == NULL)
            return of_fail_memory(error, "names of parts");
    }
    s->data.items = (const char *const *)kept;
    s->valid = (of_source_list){(const char *const *)held_out, s->data.count, NULL};
    return OF_OK;
}

/* ---- Opening and closing ------------------------------------------------------------------ */

static of_status take_init(const of_train_options *o, of_trainer_settings *s, of_error *error) {
    of_status status = OF_OK;
    s->init = o->init;
    s->init_name = o->init_file;
    if (s->init == NULL && o->init_file != NULL) {
        status = of_model_open(o->init_file, &s->own_init, error);
        s->init = s->own_init;
    } else if (s->init != NULL && o->init_file == NULL) {
        (void)snprintf(s->init_text, sizeof s->init_text, "weights %016" PRIx64,
                       of_model_fingerprint(s->init));
        s->init_name = s->init_text;
    }
    return status;
}

/* A name that nothing has is told now, not after the data are loaded. */
static of_status check_general_model(const char *name, of_error *error) {
    char path[OF_MODEL_PATH_SIZE];
    return name != NULL ? of_model_locate(name, path, sizeof path, error) : OF_OK;
}

of_status of_trainer_settings_open(const of_train_options *o, of_trainer_settings *s,
                                   of_error *error) {
    *s = (of_trainer_settings){.out = o->out, .class_conditional = o->class_conditional};
    take_sets(o, s);
    take_steps(o, s);
    take_run(o, s);
    of_status status = check_general_model(o->general_model, error);
    if (status == OF_OK)
        status = take_init(o, s, error);
    if (status == OF_OK && o->hold_out > 0)
        status = hold_out(o->hold_out, s, error);
    return status == OF_OK ? of_trainer_settle_architecture(s, o->architecture, error) : status;
}

void of_trainer_settings_close(of_trainer_settings *s) {
    of_model_free(s->own_init);
    for (size_t i = 0; i < OF_TRAIN_MOST_SOURCES; i++) {
        free(s->parts[0][i]);
        free(s->parts[1][i]);
    }
}
