/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "ranks/ranks.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/options_read.h"
#include "ranks/launcher.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a rank tells of itself. */
typedef struct rank_place {
    char host[64];
    long pid;
    unsigned cpus;
    char list[128];
    cpu_set_t mask;
} rank_place;

struct of_ranks {
    of_communicator *communicator;
    char library[128];
    rank_place *places; /* [size] */
};

/* ---- Opening and closing ------------------------------------------------------------------ */

bool of_ranks_launched(void) {
    return of_launcher_find() != NULL;
}

of_ranks_options of_ranks_options_default(void) {
    return (of_ranks_options){.size = sizeof(of_ranks_options)};
}

static rank_place describe_own(void) {
    rank_place mine = {.pid = (long)getpid(), .cpus = of_cpu_count()};
    (void)gethostname(mine.host, sizeof mine.host - 1);
    of_process_cpus(mine.list, sizeof mine.list);
    CPU_ZERO(&mine.mask);
    (void)sched_getaffinity(0, sizeof mine.mask, &mine.mask);
    return mine;
}

static of_status exchange_places(of_ranks *ranks, of_error *error) {
    rank_place mine = describe_own();
    ranks->places = of_allocate(of_ranks_size(ranks), sizeof *ranks->places);
    if (ranks->places == NULL)
        return of_fail_memory(error, "the places of ranks");
    return of_communicator_gather(ranks->communicator, &mine, sizeof mine, ranks->places, error);
}

/* Ranks that cannot be told where they are have met all the same: whoever opened them ends all. */
of_status of_ranks_open(const of_ranks_options *given, of_ranks **ranks, of_error *error) {
    of_ranks_options options = of_ranks_options_default();
    const of_launcher *launcher = of_launcher_find();
    of_transport transport;
    if (ranks == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "ranks have nowhere to go");
    *ranks = NULL;
    of_status status =
        of_options_read(&options, sizeof options, sizeof options, given, "options of ranks", error);
    if (status != OF_OK || launcher == NULL)
        return status;
    of_ranks *made = of_allocate_zeroed(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "ranks");
    status = of_launcher_open(launcher, options.module_folder, &transport, error);
    if (status == OF_OK)
        status = of_communicator_open(&transport, options.lost, options.user, &made->communicator,
                                      error);
    if (status != OF_OK) {
        of_free(made);
        return status;
    }
    (void)snprintf(made->library, sizeof made->library, "%s", transport.implementation);
    *ranks = made;
    return exchange_places(made, error);
}

void of_ranks_close(of_ranks *ranks) {
    if (ranks == NULL)
        return;
    of_communicator_close(ranks->communicator);
    of_free(ranks->places);
    of_free(ranks);
}

void of_ranks_abort(of_ranks *ranks, int exit_code) {
    if (ranks != NULL)
        of_communicator_abort(ranks->communicator, exit_code);
}

/* ---- Together ----------------------------------------------------------------------------- */

of_communicator *of_ranks_communicator(const of_ranks *ranks) {
    return ranks != NULL ? ranks->communicator : NULL;
}

unsigned of_ranks_rank(const of_ranks *ranks) {
    return of_communicator_rank(of_ranks_communicator(ranks));
}

unsigned of_ranks_size(const of_ranks *ranks) {
    return of_communicator_size(of_ranks_communicator(ranks));
}

const char *of_ranks_name(const of_ranks *ranks, unsigned rank) {
    return rank < of_ranks_size(ranks) ? of_communicator_name(of_ranks_communicator(ranks), rank)
                                       : "";
}

const char *of_ranks_library(const of_ranks *ranks) {
    return ranks != NULL ? ranks->library : "";
}

of_status of_ranks_agree(of_ranks *ranks, of_status mine, of_error *error) {
    return of_communicator_agree(of_ranks_communicator(ranks), mine, error);
}

bool of_ranks_agreed(const of_ranks *ranks) {
    return of_communicator_is_agreed(of_ranks_communicator(ranks));
}

of_status of_ranks_compare_kernels(of_ranks *ranks, const of_plan *plan, of_error *error) {
    return of_communicator_compare_kernels(of_ranks_communicator(ranks), plan, error);
}

/* ---- Who runs where ----------------------------------------------------------------------- */

static bool share_cpus(const rank_place *a, const rank_place *b) {
    cpu_set_t both;
    CPU_AND(&both, &a->mask, &b->mask);
    return strcmp(a->host, b->host) == 0 && CPU_COUNT(&both) > 0;
}

unsigned of_ranks_here(const of_ranks *ranks) {
    unsigned count = 0;
    if (ranks == NULL || ranks->places == NULL)
        return 1;
    const rank_place *mine = &ranks->places[of_ranks_rank(ranks)];
    for (unsigned r = 0; r < of_ranks_size(ranks); r++)
        count += strcmp(ranks->places[r].host, mine->host) == 0;
    return count;
}

static unsigned sharers(const of_ranks *ranks, unsigned rank) {
    unsigned count = 1;
    for (unsigned r = 0; r < of_ranks_size(ranks); r++)
        count += r != rank && share_cpus(&ranks->places[r], &ranks->places[rank]);
    return count;
}

void of_ranks_describe(const of_ranks *ranks, unsigned rank, of_rank_info *info) {
    *info = (of_rank_info){.sharers = 0};
    if (rank >= of_ranks_size(ranks) || (ranks != NULL && ranks->places == NULL))
        return;
    rank_place found = ranks != NULL ? ranks->places[rank] : describe_own();
    memcpy(info->host, found.host, sizeof info->host);
    memcpy(info->cpu_list, found.list, sizeof info->cpu_list);
    info->pid = found.pid;
    info->cpus = found.cpus;
    info->sharers = ranks != NULL ? sharers(ranks, rank) : 1;
    info->threads = found.cpus / info->sharers > 0 ? found.cpus / info->sharers : 1;
}

unsigned of_ranks_threads(const of_ranks *ranks) {
    of_rank_info info;
    if (of_ranks_size(ranks) == 1)
        return 0;
    of_ranks_describe(ranks, of_ranks_rank(ranks), &info);
    return info.threads;
}
