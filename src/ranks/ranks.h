/* SPDX-License-Identifier: Apache-2.0 */
/* What the library's layers do with ranks beyond outflow/ranks.h. NULL is a run of one process
 * everywhere. */
#ifndef OF_RANKS_RANKS_H
#define OF_RANKS_RANKS_H

#include "ranks/communicator.h"

#include <outflow/ranks.h>

of_communicator *of_ranks_communicator(const of_ranks *ranks);

/* An error on all ranks unless their plans run the same kernels in the same precision. */
of_status of_ranks_compare_kernels(of_ranks *ranks, const of_plan *plan, of_error *error);

/* ---- Scoring: each rank runs its part of every batch, all get all results ---------------- */

/* An error, before a source is opened, if only one of several ranks could read it. */
of_status of_ranks_check_source(const of_ranks *ranks, const char *source, of_error *error);

/* Images a batch, the first rank's wish for all: machines may differ. */
of_status of_ranks_share_batch(of_ranks *ranks, uint64_t *batch, of_error *error);

/* As of_stream_models takes them, with the ranks as `user`: all read the same images; and the rows
 * of `width` doubles, of which rank r has those of its part (of_part_begin), come to all. */
of_status of_ranks_compare_items(void *ranks, const of_source_batch *images, of_error *error);
of_status of_ranks_share_rows(void *ranks, double *rows, size_t width, size_t count,
                              of_error *error);

#endif
