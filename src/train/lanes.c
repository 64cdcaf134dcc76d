/* SPDX-License-Identifier: Apache-2.0 */
/* How many lanes a batch is divided among, and which of them a rank has. Weights depend on the
 * number of lanes, so without a wish it follows from the run alone wherever it can: one process
 * and four ranks then make the same weights. */
#include "core/error.h"
#include "model/parameters.h"
#include "train/checkpoint.h"
#include "train/training_run.h"

#include <stdlib.h>

enum {
    DEFAULT_LANES = 4,
    LEAST_LANE_IMAGES = 4,         /* of a batch */
    FEW_LANE_IMAGES = 4,           /* that a thread takes at a time */
    LARGE_BYTES = 64 * 1024 * 1024 /* of gradients of all lanes */
};

static of_status read_lanes(const of_trainer *trainer, unsigned *lanes, of_error *error) {
    char value[32];
    of_status status =
        of_checkpoint_setting(trainer->checkpoint_path, "lanes", value, sizeof value, error);
    *lanes = status == OF_OK && value[0] != '\0' ? (unsigned)strtoul(value, NULL, 10) : 1;
    return status;
}

/* A thread needs a few images at a time to use its weights well, and a batch enough groups to keep
 * the threads busy. */
unsigned of_train_micro_batch(uint64_t batch) {
    unsigned images = 1;
    while (images < 8 && (uint64_t)8 * images < batch)
        images *= 2;
    return images;
}

unsigned of_train_group(const of_model *model, uint64_t batch, unsigned lanes) {
    uint64_t lane_images = batch >= lanes ? batch / lanes : 1, images = of_train_micro_batch(batch);
    bool large = model->value_bytes > LARGE_BYTES / lanes;
    if (images > lane_images || (large && lane_images <= FEW_LANE_IMAGES))
        images = lane_images;
    return (unsigned)images;
}

unsigned of_train_lanes(uint64_t batch) {
    unsigned lanes = DEFAULT_LANES;
    while (lanes > 1 && batch / lanes < LEAST_LANE_IMAGES)
        lanes /= 2;
    return lanes;
}

static unsigned default_lanes(const of_trainer_settings *options) {
    uint64_t batch = options->batch, general = options->general_batch;
    unsigned ranks = of_communicator_size(options->communicator);
    unsigned lanes = of_train_lanes(general > 0 && general < batch ? general : batch);
    while (lanes < ranks)
        lanes *= 2;
    return lanes;
}

/* What the first rank alone can know. */
typedef struct choice {
    unsigned lanes;
    bool resume;
} choice;

static of_status choose_first(const of_trainer *trainer, choice *made, of_error *error) {
    const of_trainer_settings *options = &trainer->options;
    unsigned ranks = of_communicator_size(options->communicator);
    of_status status = OF_OK;
    *made = (choice){options->lanes, options->resume};
    if (options->lanes == 0 && options->resume)
        status = read_lanes(trainer, &made->lanes, error);
    else if (options->lanes == 0)
        made->lanes = default_lanes(options);
    if (status != OF_OK)
        return status;
    if (made->lanes < ranks || (made->lanes + ranks - 1) / ranks > OF_TRAIN_MOST_LANES)
        return of_fail_setting(
            error, OF_ERROR_ARGUMENT, "lanes",
            "%u lanes cannot be divided among %u ranks: a rank takes 1 to %d%s", made->lanes, ranks,
            (int)OF_TRAIN_MOST_LANES,
            options->resume ? "; the run that is resumed has so many, a new one can have more"
                            : "");
    return OF_OK;
}

of_status of_trainer_choose_lanes(of_trainer *trainer, of_error *error) {
    of_communicator *communicator = trainer->options.communicator;
    unsigned ranks = of_communicator_size(communicator), rank = of_communicator_rank(communicator);
    choice made = {0};
    of_status status = rank == 0 ? choose_first(trainer, &made, error) : OF_OK;
    status = of_communicator_agree(communicator, status, error);
    if (status == OF_OK)
        status = of_communicator_broadcast(communicator, &made, sizeof made, error);
    if (status != OF_OK)
        return status;
    trainer->options.lanes = made.lanes;
    trainer->options.resume = made.resume;
    trainer->first_lane = of_first_lane(made.lanes, ranks, rank);
    trainer->own_lanes = of_first_lane(made.lanes, ranks, rank + 1) - trainer->first_lane;
    return OF_OK;
}
