/* SPDX-License-Identifier: Apache-2.0 */
/* The optimizer's state divided among ranks, as in the first stage of ZeRO (arXiv 1910.02054): a
 * rank updates a share of the weights with the moments of these, and all get the new weights. An
 * update of a weight depends on nothing but its own gradient and moments, so the bits are those of
 * an undivided one. Blocks of moments keep their layout; what other ranks hold of them takes
 * addresses but no memory, except at the start, and on rank 0 while it writes a checkpoint. */
#include "core/error.h"
#include "core/memory.h"
#include "train/training_run.h"

#include <limits.h>

static of_communicator *ranks_of(const of_trainer *trainer) {
    return trainer->options.communicator;
}

/* Pieces are of much the same size, so as many for each. */
static size_t first_piece(const of_trainer *trainer, unsigned rank) {
    unsigned ranks = of_communicator_size(ranks_of(trainer));
    return trainer->optimizer.piece_count * rank / ranks;
}

/* Where the share of a rank begins. What is not trained belongs to the share it lies in. */
static size_t first_float(const of_trainer *trainer, unsigned rank) {
    const of_optimizer *optimizer = &trainer->optimizer;
    size_t piece = first_piece(trainer, rank);
    if (rank == 0)
        return 0;
    return piece < optimizer->piece_count ? optimizer->pieces[piece].begin
                                          : optimizer->block_bytes / sizeof(float);
}

of_status of_trainer_open_shards(of_trainer *trainer, of_error *error) {
    unsigned ranks = of_communicator_size(ranks_of(trainer));
    unsigned rank = of_communicator_rank(ranks_of(trainer));
    if (!trainer->options.shard_optimizer || ranks == 1)
        return OF_OK;
    if (trainer->optimizer.block_bytes > INT_MAX)
        return of_fail_setting(
            error, OF_ERROR_UNSUPPORTED, "shard_optimizer",
            "weights of %zu bytes are too many for a divided optimizer: at most %d",
            trainer->optimizer.block_bytes, INT_MAX);
    trainer->shards = of_allocate(ranks + 1u, sizeof *trainer->shards);
    if (trainer->shards == NULL)
        return of_fail_memory(error, "the division of the optimizer's state");
    for (unsigned r = 0; r < ranks; r++)
        trainer->shards[r] = first_float(trainer, r);
    trainer->shards[ranks] = trainer->optimizer.block_bytes / sizeof(float);
    trainer->optimizer.first_piece = first_piece(trainer, rank);
    trainer->optimizer.end_piece = first_piece(trainer, rank + 1);
    of_trainer_release_moments(trainer);
    return OF_OK;
}

size_t of_trainer_shard_floats(const of_trainer *trainer) {
    unsigned rank = of_communicator_rank(ranks_of(trainer));
    return trainer->shards != NULL ? trainer->shards[rank + 1] - trainer->shards[rank]
                                   : trainer->optimizer.block_bytes / sizeof(float);
}

of_status of_trainer_share_weights(of_trainer *trainer, of_error *error) {
    unsigned ranks = of_communicator_size(ranks_of(trainer));
    if (trainer->shards == NULL)
        return OF_OK;
    size_t *bytes = of_allocate(ranks, sizeof *bytes);
    if (bytes == NULL)
        return of_fail_memory(error, "a message");
    for (unsigned r = 0; r < ranks; r++)
        bytes[r] = (trainer->shards[r + 1] - trainer->shards[r]) * sizeof(float);
    of_status status =
        of_communicator_gather_each(ranks_of(trainer), NULL, bytes, trainer->model->values, error);
    of_free(bytes);
    return status;
}

of_status of_trainer_collect_moments(of_trainer *trainer, of_error *error) {
    if (trainer->shards == NULL)
        return OF_OK;
    of_status status = of_communicator_collect(ranks_of(trainer), trainer->optimizer.first,
                                               trainer->shards, error);
    return status == OF_OK ? of_communicator_collect(ranks_of(trainer), trainer->optimizer.second,
                                                     trainer->shards, error)
                           : status;
}

of_status of_trainer_divide_moments(of_trainer *trainer, of_error *error) {
    if (trainer->shards == NULL)
        return OF_OK;
    of_status status =
        of_communicator_divide(ranks_of(trainer), trainer->optimizer.first, trainer->shards, error);
    if (status == OF_OK)
        status = of_communicator_divide(ranks_of(trainer), trainer->optimizer.second,
                                        trainer->shards, error);
    of_trainer_release_moments(trainer);
    return status;
}

void of_trainer_release_moments(of_trainer *trainer) {
    unsigned ranks = of_communicator_size(ranks_of(trainer));
    unsigned rank = of_communicator_rank(ranks_of(trainer));
    float *const blocks[] = {trainer->optimizer.first, trainer->optimizer.second};
    if (trainer->shards == NULL)
        return;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        size_t begin = trainer->shards[rank], end = trainer->shards[rank + 1];
        of_release(blocks[i], begin * sizeof(float));
        of_release(blocks[i] + end, (trainer->shards[ranks] - end) * sizeof(float));
    }
}
