/* SPDX-License-Identifier: Apache-2.0 */
/* What the processes of one run ("ranks") tell each other. NULL stands everywhere for a run of one
 * process, so that code for several ranks is right for one.
 *
 * A thread of its own moves reductions on while the others compute, and exchanges signs of life in
 * a ring: a rank that is stopped or lost with its machine is noticed by its neighbour (not one that
 * waits for ever in a call of its own: its messaging thread lives on). All
 * functions are for the thread that opened the communicator, and all ranks call them in the same
 * order. */
#ifndef OF_RANKS_COMMUNICATOR_H
#define OF_RANKS_COMMUNICATOR_H

#include "ranks/transport.h"

#include <outflow/outflow.h>

enum { OF_RANK_TIMEOUT = 20 }; /* seconds without a sign of life */

typedef struct of_communicator of_communicator;

/* `lost` is told, by the communicator's thread, of a neighbour that gave no sign of life; after
 * that all ranks are ended. The transport is closed with the communicator, or if this fails. */
of_status of_communicator_open(const of_transport *transport,
                               void (*lost)(void *user, const char *text), void *user,
                               of_communicator **communicator, of_error *error);
/* Waits for the others. Accepts NULL. */
void of_communicator_close(of_communicator *communicator);
/* Ends all ranks at once. */
void of_communicator_abort(of_communicator *communicator, int exit_code);

unsigned of_communicator_rank(const of_communicator *communicator);
unsigned of_communicator_size(const of_communicator *communicator);
/* "rank 1 (name-of-its-host)"; lives as long as the communicator. */
const char *of_communicator_name(const of_communicator *communicator, unsigned rank);

/* `bytes` of every rank, in the order of ranks: `all` is [size][bytes]. */
of_status of_communicator_gather(of_communicator *communicator, const void *mine, size_t bytes,
                                 void *all, of_error *error);
/* The same where rank r has bytes[r], one after the other in `all`; mine NULL: already there. */
of_status of_communicator_gather_each(of_communicator *communicator, const void *mine,
                                      const size_t *bytes, void *all, of_error *error);
/* What rank 0 has, to all. */
of_status of_communicator_broadcast(of_communicator *communicator, void *bytes, size_t count,
                                    of_error *error);

/* Rank r's floats of a block, from parts[r] to before parts[r + 1], come to rank 0; or go from rank
 * 0 to rank r. The rest of each rank's block is not touched. */
of_status of_communicator_collect(of_communicator *communicator, float *block, const size_t *parts,
                                  of_error *error);
of_status of_communicator_divide(of_communicator *communicator, float *block, const size_t *parts,
                                 of_error *error);

/* Ranks tell each other how something ended. If one of them failed, all get the first one's error,
 * which names the rank if not all of them failed in the same way. */
of_status of_communicator_agree(of_communicator *communicator, of_status mine, of_error *error);
/* True after an agreement on a failure: every rank is on its way out. */
bool of_communicator_is_agreed(const of_communicator *communicator);

/* An error on all ranks unless their plans run the same kernels in the same precision: what they
 * calculate must be the same bits. */
of_status of_communicator_compare_kernels(of_communicator *communicator, const of_plan *plan,
                                          of_error *error);

#endif
