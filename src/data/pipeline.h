/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread reads entries, several decode them, the caller takes the results in order: all over
 * one ring of slots, so that memory stays the same however long the source is.
 */
#ifndef OF_DATA_PIPELINE_H
#define OF_DATA_PIPELINE_H

#include "data/formats/reader.h"

typedef struct of_slot {
    of_entry entry;     /* its encoded bytes may be gone */
    uint8_t *pixels;    /* one target image if `result` is OF_OK */
    of_image_info info; /* the same */
    of_error result;
    bool done;
} of_slot;

typedef struct of_pipeline of_pipeline;

/* Starts the threads. Large images are decoded at the same time as far as `decoding_bytes` hold
 * them; one alone always is. The pipeline owns the reader from here on, also when it cannot start.
 */
of_status of_pipeline_start(of_reader *reader, const of_target *target, unsigned threads,
                            size_t decoding_bytes, of_pipeline **pipeline, of_error *error);

/*
 * Waits for the next entry in order: *slot, or NULL at the end. `wanted` is how many the caller
 * is going to take; it is woken when a good part of them is there. The reader's failure comes
 * after everything that was read before it. *late: nothing came within a tenth of a second, and the
 * caller may look after other things before it calls again.
 */
of_status of_pipeline_take(of_pipeline *pipeline, size_t wanted, bool *late, of_slot **slot,
                           of_error *error);

/* Gives the slot of the last of_pipeline_take back. */
void of_pipeline_release(of_pipeline *pipeline);

/* Files passed over so far. */
uint64_t of_pipeline_skipped(of_pipeline *pipeline);

/* Ends the threads wherever they are. Accepts NULL. */
void of_pipeline_free(of_pipeline *pipeline);

#endif
