/* SPDX-License-Identifier: Apache-2.0 */
/* Several ranks train one model: each has the whole model and its own lanes of every batch. Figures
 * of images are gathered in the batch's order, sums of gradients in the lanes' order, and the first
 * rank decides what depends on a clock or a file. So every rank counts and updates alike. */
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "train/training_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static of_communicator *ranks_of(const of_trainer *trainer) {
    return trainer->options.communicator;
}

/* ---- Are ranks alike? --------------------------------------------------------------------- */

typedef struct set_print {
    uint64_t count, fingerprint;
} set_print;

enum { MOST_SETS = OF_TRAIN_MOST_OUT_SETS + 3 };

static size_t print_sets(const of_trainer *trainer, set_print *prints) {
    const of_validation *validation = &trainer->validation;
    size_t count = 0;
    prints[count++] = (set_print){trainer->data.count, trainer->data.fingerprint};
    prints[count++] = (set_print){trainer->general_data.count, trainer->general_data.fingerprint};
    for (size_t i = 0; i < validation->set_count; i++)
        prints[count++] =
            (set_print){validation->sets[i].data.count, validation->sets[i].data.fingerprint};
    return count;
}

static const char *source_of(const of_trainer_settings *options, size_t set) {
    if (set == 0)
        return options->data.items[0];
    if (set == 1)
        return options->general_data.items[0];
    return set == 2 ? options->valid.items[0] : options->out_of[set - 3].source;
}

static of_status compare_sets(const of_trainer *trainer, const set_print *all, of_error *error) {
    unsigned ranks = of_communicator_size(ranks_of(trainer));
    for (unsigned r = 1; r < ranks; r++)
        for (size_t s = 0; s < MOST_SETS; s++) {
            const set_print *here = &all[s], *there = &all[(size_t)r * MOST_SETS + s];
            if (here->count != there->count || here->fingerprint != there->fingerprint)
                return of_fail(error, OF_ERROR_MISMATCH,
                               "%s: %s has %" PRIu64 " images, %s has %" PRIu64
                               "%s: every rank needs the same",
                               source_of(&trainer->options, s),
                               of_communicator_name(ranks_of(trainer), r), there->count,
                               of_communicator_name(ranks_of(trainer), 0), here->count,
                               here->count == there->count ? ", of which some differ" : "");
        }
    return OF_OK;
}

of_status of_trainer_compare_data(const of_trainer *trainer, of_error *error) {
    set_print mine[MOST_SETS] = {{0}};
    if (!of_trainer_is_split(trainer))
        return OF_OK;
    (void)print_sets(trainer, mine);
    set_print *all = of_allocate(of_communicator_size(ranks_of(trainer)), sizeof mine);
    if (all == NULL)
        return of_fail_memory(error, "a message");
    of_status status = of_communicator_gather(ranks_of(trainer), mine, sizeof mine, all, error);
    if (status == OF_OK)
        status = compare_sets(trainer, all, error);
    of_free(all);
    return of_communicator_agree(ranks_of(trainer), status, error);
}

/* ---- State -------------------------------------------------------------------------------- */

of_status of_trainer_share_state(of_trainer *trainer, of_error *error) {
    size_t bytes = trainer->model->value_bytes;
    bool sharded = trainer->shards != NULL; /* then each has its own moments */
    void *const blocks[] = {trainer->model->values, trainer->optimizer.average, trainer->best,
                            sharded ? NULL : trainer->optimizer.first,
                            sharded ? NULL : trainer->optimizer.second};
    if (!of_trainer_is_split(trainer))
        return OF_OK;
    of_status status =
        of_communicator_broadcast(ranks_of(trainer), &trainer->state, sizeof trainer->state, error);
    for (size_t i = 0; status == OF_OK && i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i] != NULL)
            status = of_communicator_broadcast(ranks_of(trainer), blocks[i], bytes, error);
    return status == OF_OK ? of_training_refresh(trainer->plan, trainer->model, error) : status;
}

/* All ranks make the same updates from the same sums. If the weights differ all the same, a machine
 * computes otherwise: another CPU's exp(), or a fault. */
static of_status align(of_trainer *trainer, of_error *error) {
    unsigned ranks = of_communicator_size(ranks_of(trainer)), other = 0;
    uint64_t mine = of_block_fingerprint(trainer->model);
    uint64_t *all = of_allocate(ranks, sizeof *all);
    if (all == NULL)
        return of_fail_memory(error, "a message");
    of_status status = of_communicator_gather(ranks_of(trainer), &mine, sizeof mine, all, error);
    for (unsigned r = 1; status == OF_OK && r < ranks; r++)
        other = all[r] != all[0] ? r : other;
    of_free(all);
    if (status != OF_OK || other == 0)
        return status;
    if (of_trainer_is_first(trainer))
        of_trainer_warn(trainer, "the weights of %s have come to differ: it gets those of %s",
                        of_communicator_name(ranks_of(trainer), other),
                        of_communicator_name(ranks_of(trainer), 0));
    return of_trainer_share_state(trainer, error);
}

of_status of_trainer_decide(of_trainer *trainer, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    unsigned ranks = of_communicator_size(ranks_of(trainer));
    if (ranks == 1)
        return OF_OK;
    double passed =
        options->minutes > 0 ? of_trainer_seconds(trainer) / (60 * options->minutes) : 0;
    of_train_decisions mine = {.stop = of_trainer_stopped(trainer),
                               .late = passed >= 1,
                               .passed = passed,
                               .due = of_seconds() - trainer->checkpointed >=
                                      options->checkpoint_every};
    of_train_decisions *all = of_allocate(ranks, sizeof *all);
    if (all == NULL)
        return of_fail_memory(error, "a message");
    of_status status = of_communicator_gather(ranks_of(trainer), &mine, sizeof mine, all, error);
    if (status == OF_OK)
        trainer->decisions = all[0];
    for (unsigned r = 1; status == OF_OK && r < ranks; r++)
        trainer->decisions.stop = trainer->decisions.stop || all[r].stop;
    of_free(all);
    return status == OF_OK && trainer->decisions.due ? align(trainer, error) : status;
}

/* ---- Gradients ---------------------------------------------------------------------------- */

static void start_reduction(void *user, size_t begin, size_t count) {
    of_trainer *trainer = user;
    trainer->reduced++;
    of_reduction_start(trainer->reduction, begin, count);
}

static of_isa plan_isa(const of_trainer *trainer) {
    return of_plan_describe(of_session_plan(of_training_session(trainer->plan))).isa;
}

of_status of_trainer_open_reduction(of_trainer *trainer, of_error *error) {
    float *blocks[OF_TRAIN_MOST_LANES];
    size_t most = 0, begin;
    uint32_t scales = of_architecture_scale_count(&trainer->options.architecture);
    if (!of_trainer_is_split(trainer))
        return OF_OK;
    (void)of_training_lane_blocks(trainer->plan, blocks);
    for (uint32_t s = 0; s < scales; s++) {
        size_t count = of_training_scale_part(trainer->plan, s, &begin);
        most = count > most ? count : most;
    }
    trainer->exchange = (of_gradient_exchange){trainer, start_reduction};
    bool rounds = trainer->options.gradient_precision == OF_PRECISION_BF16;
    const of_reduction_options options = {.lanes = trainer->options.lanes,
                                          .blocks = blocks,
                                          .added = of_training_lanes_added(trainer->plan),
                                          .floats = most,
                                          .parts = scales,
                                          .kernels =
                                              rounds ? of_kernels_for(plan_isa(trainer)) : NULL};
    return of_reduction_open(ranks_of(trainer), &options, &trainer->reduction, error);
}

void of_trainer_begin_reduction(of_trainer *trainer) {
    if (trainer->reduction == NULL)
        return;
    trainer->begun = true;
    trainer->reduced = 0;
    of_training_exchange_next(trainer->plan, &trainer->exchange);
}

/* A rank whose gradient failed half-way still takes part in what the others have begun. */
of_status of_trainer_end_reduction(of_trainer *trainer, of_error *error) {
    uint32_t scales = of_architecture_scale_count(&trainer->options.architecture);
    if (trainer->reduction == NULL || !trainer->begun)
        return OF_OK;
    trainer->begun = false;
    while (trainer->reduced < scales) {
        size_t begin, count;
        count = of_training_scale_part(trainer->plan, scales - 1 - trainer->reduced, &begin);
        start_reduction(trainer, begin, count);
    }
    return of_reduction_wait(trainer->reduction, error);
}

/* ---- Figures of images -------------------------------------------------------------------- */

/* Arrays with `width` figures an image. */
typedef struct figures {
    double *values;
    size_t width;
} figures;

/* What a rank says of a batch: how it fared, the scalars of its lanes, then image by image its
 * figures. */
typedef struct message {
    const of_trainer *trainer;
    const figures *arrays;
    size_t array_count, width; /* figures of an image */
    size_t batch, scalars;     /* of a lane */
    bool last;                 /* of a step: the scalars are complete */
} message;

static size_t images_of(const message *m, unsigned rank, unsigned *first, unsigned *own) {
    unsigned lanes = m->trainer->options.lanes;
    unsigned ranks = of_communicator_size(ranks_of(m->trainer));
    *first = of_first_lane(lanes, ranks, rank);
    *own = of_first_lane(lanes, ranks, rank + 1) - *first;
    return of_lane_images(m->batch, lanes, *first, *own);
}

static size_t values_of(const message *m, unsigned rank) {
    unsigned first, own;
    size_t images = images_of(m, rank, &first, &own);
    return 1 + own * m->scalars + images * m->width;
}

static void write_message(const message *m, of_status status, double *to) {
    unsigned first, own;
    size_t images = images_of(m, of_communicator_rank(ranks_of(m->trainer)), &first, &own);
    *to++ = (double)status;
    for (unsigned lane = 0; lane < own; lane++, to += m->scalars)
        of_training_lane_scalars(m->trainer->plan, lane, to);
    for (size_t i = 0; i < images; i++)
        for (size_t a = 0; a < m->array_count; a++)
            for (size_t f = 0; f < m->arrays[a].width; f++)
                *to++ = m->arrays[a].values[i * m->arrays[a].width + f];
}

/* Lanes' scalars go to `scalars` [lanes][m->scalars]. */
static of_status read_message(const message *m, unsigned rank, const double *from,
                              double *scalars) {
    unsigned first, own;
    size_t images = images_of(m, rank, &first, &own);
    of_status status = (of_status)*from++;
    memcpy(scalars + first * m->scalars, from, own * m->scalars * sizeof *from);
    from += own * m->scalars;
    for (size_t i = 0; i < images; i++) {
        size_t place = of_lane_image(i, m->trainer->options.lanes, first, own);
        for (size_t a = 0; a < m->array_count; a++)
            for (size_t f = 0; f < m->arrays[a].width; f++)
                m->arrays[a].values[place * m->arrays[a].width + f] = *from++;
    }
    return status;
}

static of_status add_scalars(const message *m, double *scalars, of_error *error) {
    unsigned lanes = m->trainer->options.lanes;
    double **rows = of_allocate(lanes, sizeof *rows);
    if (rows == NULL)
        return of_fail_memory(error, "a message");
    for (unsigned lane = 0; lane < lanes; lane++)
        rows[lane] = scalars + lane * m->scalars;
    of_add_lanes(rows, lanes, m->scalars);
    of_training_set_lane_scalars(m->trainer->plan, scalars);
    of_free(rows);
    return OF_OK;
}

static of_status gather(const message *m, of_status status, of_error *error) {
    unsigned ranks = of_communicator_size(ranks_of(m->trainer));
    unsigned rank = of_communicator_rank(ranks_of(m->trainer));
    size_t total = 0, *bytes = of_allocate(ranks, sizeof *bytes);
    size_t scalar_count = m->trainer->options.lanes * m->scalars;
    for (unsigned r = 0; bytes != NULL && r < ranks; r++) {
        bytes[r] = values_of(m, r) * sizeof(double);
        total += values_of(m, r);
    }
    double *all = of_allocate(total, sizeof *all);
    double *mine = of_allocate(values_of(m, rank) + scalar_count, sizeof *mine);
    if (bytes == NULL || all == NULL || mine == NULL) {
        of_free(bytes);
        of_free(all);
        of_free(mine);
        return of_fail_memory(error, "a message");
    }
    double *scalars = mine + values_of(m, rank);
    write_message(m, status, mine);
    of_status sent = of_communicator_gather_each(ranks_of(m->trainer), mine, bytes, all, error);
    bool failed = false;
    const double *from = all;
    for (unsigned r = 0; sent == OF_OK && r < ranks; r++, from += bytes[r - 1] / sizeof(double))
        failed = read_message(m, r, from, scalars) != OF_OK || failed;
    if (sent == OF_OK && !failed && m->last)
        sent = add_scalars(m, scalars, error);
    of_free(bytes);
    of_free(all);
    of_free(mine);
    return sent == OF_OK && failed ? of_communicator_agree(ranks_of(m->trainer), status, error)
                                   : sent;
}

of_status of_trainer_gather_batch(of_trainer *trainer, of_status status, of_error *error) {
    const of_architecture *architecture = &trainer->options.architecture;
    const figures arrays[] = {{trainer->nll, 1},
                              {trainer->loss, 1},
                              {trainer->contributions, of_architecture_scale_count(architecture)}};
    const message m = {.trainer = trainer,
                       .arrays = arrays,
                       .array_count = 3,
                       .width = 2 + arrays[2].width,
                       .batch = (size_t)trainer->options.batch,
                       .scalars = 1 + architecture->classes,
                       .last = trainer->begun};
    return of_trainer_is_split(trainer) ? gather(&m, status, error) : status;
}

of_status of_trainer_gather_general(of_trainer *trainer, of_status status, of_error *error) {
    const figures arrays[] = {{trainer->outlier_nll, 1}, {trainer->outlier_loss, 1}};
    const message m = {.trainer = trainer,
                       .arrays = arrays,
                       .array_count = 2,
                       .width = 2,
                       .batch = (size_t)trainer->options.general_batch,
                       .scalars = 1 + trainer->options.architecture.classes,
                       .last = true};
    return of_trainer_is_split(trainer) ? gather(&m, status, error) : status;
}
