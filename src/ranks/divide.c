/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of images that is divided among ranks. */
#include "core/error.h"
#include "core/memory.h"
#include "core/parts.h"
#include "ranks/ranks.h"

#include <string.h>

of_status of_ranks_check_source(const of_ranks *ranks, const char *source, of_error *error) {
    return strcmp(source, "-") == 0 && of_ranks_size(ranks) > 1
               ? of_fail(error, OF_ERROR_ARGUMENT,
                         "standard input ('-') cannot be read by several ranks: give a folder or "
                         "an archive")
               : OF_OK;
}

of_status of_ranks_share_batch(of_ranks *ranks, uint64_t *batch, of_error *error) {
    return of_communicator_broadcast(of_ranks_communicator(ranks), batch, sizeof *batch, error);
}

/* FNV-1a over the paths. */
static uint64_t hash_items(const of_source_batch *images) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < images->count; i++)
        for (const char *c = images->items[i].path; c != NULL && *c != '\0'; c++)
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash;
}

of_status of_ranks_compare_items(void *user, const of_source_batch *images, of_error *error) {
    of_communicator *communicator = of_ranks_communicator(user);
    unsigned ranks = of_communicator_size(communicator);
    const uint64_t mine[2] = {images->count, hash_items(images)};
    uint64_t(*all)[2] = of_allocate(ranks, sizeof *all);
    if (all == NULL)
        return of_fail_memory(error, "a message");
    of_status status = of_communicator_gather(communicator, mine, sizeof mine, all, error), same;
    same = status;
    for (unsigned r = 1; same == OF_OK && r < ranks; r++)
        if (memcmp(all[r], all[0], sizeof *all) != 0)
            same = of_fail(error, OF_ERROR_MISMATCH,
                           "%s reads other images than %s: every rank needs the same sources",
                           of_communicator_name(communicator, r),
                           of_communicator_name(communicator, 0));
    of_free(all);
    return status == OF_OK ? of_communicator_agree(communicator, same, error) : status;
}

of_status of_ranks_share_rows(void *user, double *rows, size_t width, size_t count,
                              of_error *error) {
    of_communicator *communicator = of_ranks_communicator(user);
    unsigned ranks = of_communicator_size(communicator);
    size_t *bytes = of_allocate(ranks, sizeof *bytes);
    if (bytes == NULL)
        return of_fail_memory(error, "a message");
    for (unsigned r = 0; r < ranks; r++)
        bytes[r] = (of_part_begin(count, ranks, r + 1) - of_part_begin(count, ranks, r)) * width *
                   sizeof(double);
    of_status status = of_communicator_gather_each(communicator, NULL, bytes, rows, error);
    of_free(bytes);
    return status;
}
