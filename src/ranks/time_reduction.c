/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring a reduction, for predictions of what more ranks would do. */
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "ranks/ranks.h"
#include "ranks/reduction.h"

#include <math.h>

/* All ranks begin together. */
static of_status meet(of_communicator *communicator, char *room, of_error *error) {
    char mine = 0;
    return of_communicator_gather(communicator, &mine, 1, room, error);
}

static of_status time_once(of_communicator *communicator, of_reduction *reduction, size_t floats,
                           char *room, double *seconds, of_error *error) {
    of_status status = meet(communicator, room, error);
    if (status != OF_OK)
        return status;
    double start = of_seconds();
    of_reduction_start(reduction, 0, floats);
    status = of_reduction_wait(reduction, error);
    double taken = of_seconds() - start;
    *seconds = taken < *seconds ? taken : *seconds;
    return status;
}

static of_status open_reduction(of_communicator *communicator, size_t floats, float **block,
                                char **room, of_reduction **reduction, of_error *error) {
    unsigned size = of_communicator_size(communicator);
    *block = of_allocate_zeroed(floats, sizeof **block);
    *room = of_allocate(size, 1);
    if (*block == NULL || *room == NULL)
        return of_fail_memory(error, "a message");
    const of_reduction_options options = {
        .lanes = size, .blocks = block, .floats = floats, .parts = 1};
    return of_reduction_open(communicator, &options, reduction, error);
}

of_status of_ranks_time_reduction(of_ranks *ranks, size_t floats, unsigned repeats, double *seconds,
                                  of_error *error) {
    of_communicator *communicator = of_ranks_communicator(ranks);
    of_reduction *reduction = NULL;
    float *block = NULL;
    char *room = NULL;
    if (floats == 0 || repeats == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "a reduction has values, and is timed at least once");
    *seconds = 0;
    if (of_communicator_size(communicator) == 1)
        return OF_OK;
    of_status status = open_reduction(communicator, floats, &block, &room, &reduction, error);
    status = of_communicator_agree(communicator, status, error);
    *seconds = (double)INFINITY;
    for (unsigned i = 0; status == OF_OK && i < repeats; i++)
        status = time_once(communicator, reduction, floats, room, seconds, error);
    of_reduction_close(reduction);
    of_free(block);
    of_free(room);
    return status;
}
