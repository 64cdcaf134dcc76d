/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: a safetensors file (format "outflow-checkpoint") with the weights, the optimizer's
 * moments, averaged and best weights, and where the run stands. It replaces the previous one as a
 * whole or not at all. Values that are not finite are never written. */
#ifndef OF_TRAIN_CHECKPOINT_H
#define OF_TRAIN_CHECKPOINT_H

#include "train/state.h"

/* A block of trained values; `values` NULL where the run has none. */
typedef struct of_checkpoint_block {
    const char *name; /* "first", "second", "average", "best": prefix of the tensors' names */
    float *values;    /* laid out like the model's */
} of_checkpoint_block;

typedef struct of_checkpoint {
    of_model *model;
    of_checkpoint_block blocks[4];
    size_t block_count;
    of_train_state *state;
    const char *identity; /* "name=value" lines: what must be equal for a run to go on */
} of_checkpoint;

of_status of_checkpoint_write(const char *path, const of_checkpoint *checkpoint, of_error *error);

/* The value of a line of the identity of the checkpoint at `path`; "" if there is none. */
of_status of_checkpoint_setting(const char *path, const char *name, char *value, size_t size,
                                of_error *error);

/* Reads into the model, blocks and state of `checkpoint`. Another architecture, or another line of
 * the identity, is OF_ERROR_MISMATCH and named. Everything is checked before anything is filled
 * in, except that values may have been filled in when one of them is not finite. */
of_status of_checkpoint_read(const char *path, const of_checkpoint *checkpoint, of_error *error);

#endif
