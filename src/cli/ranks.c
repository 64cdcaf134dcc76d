/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cli/ranks.h"

#include "cli/terminal/words.h"
#include "core/cpus.h"
#include "core/error.h"
#include "core/memory.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a rank tells of itself. */
typedef struct place {
    char host[64];
    long pid;
    unsigned cpus;
    char list[128]; /* "0-3,8" */
    cpu_set_t mask;
} place;

struct of_ranks {
    of_communicator *communicator;
    char library[128];
    place *places; /* [size] */
    FILE *nowhere; /* what other ranks than the first say */
};

/* ---- The module that speaks MPI ----------------------------------------------------------- */

typedef struct launcher {
    const char *variable; /* of the number of processes, or of the process's number */
    const char *modules[3];
} launcher;

/* MPI libraries find each other by these variables; the first that is set tells whose they are. */
static const launcher launchers[] = {
    {"OMPI_COMM_WORLD_SIZE", {"openmpi", "mpi", NULL}},
    {"PMI_SIZE", {"mpich", "mpi", NULL}},
    {"PMI_RANK", {"mpich", "mpi", NULL}},
    {"PMIX_RANK", {"openmpi", "mpi", "mpich"}},
};

static const launcher *find_launcher(void) {
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
        if (getenv(launchers[i].variable) != NULL)
            return &launchers[i];
    return NULL;
}

/* Beside the program (as it is built) or where it is installed. */
static void *load_module(const char *name, char *reason, size_t size) {
    static const char *const folders[] = {"", OUTFLOW_MODULE_FOLDER "/"};
    char program[3072];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return NULL;
    program[length] = '\0';
    *(strrchr(program, '/') + 1) = '\0';
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s%soutflow_%s.so", program, folders[i], name);
        if (access(path, F_OK) != 0)
            continue;
        /* parts of Open MPI that are loaded later look for its symbols among the global ones */
        void *module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
        if (module == NULL)
            (void)snprintf(reason, size, "%s", dlerror());
        return module;
    }
    return NULL;
}

static of_status open_transport(const launcher *found, of_transport *transport, of_error *error) {
    char reason[512] = "this build has no module for it (cmake -DOUTFLOW_MPI=ON)";
    void *module = NULL;
    for (size_t i = 0; module == NULL && i < 3 && found->modules[i] != NULL; i++)
        module = load_module(found->modules[i], reason, sizeof reason);
    if (module != NULL) {
        of_transport_open_function *open;
        *(void **)&open = dlsym(module, OF_TRANSPORT_SYMBOL);
        if (open != NULL && open(OF_TRANSPORT_VERSION, transport, reason, sizeof reason) == 0)
            return OF_OK;
    }
    return of_fail(error, OF_ERROR_UNSUPPORTED,
                   "started as one of several processes (%s is set), but MPI cannot be used: %s",
                   found->variable, reason);
}

/* A launcher of one process needs no MPI. One that tells its size is believed: it may have been
 * started in a step of one task of Slurm, whose variables it hands on. */
static bool is_certainly_alone(const launcher *found) {
    bool tells_size = strstr(found->variable, "SIZE") != NULL;
    const char *size = getenv(tells_size ? found->variable : "SLURM_STEP_NUM_TASKS");
    return size != NULL && strcmp(size, "1") == 0;
}

bool of_ranks_started(void) {
    const launcher *found = find_launcher();
    return found != NULL && !is_certainly_alone(found);
}

/* ---- Opening and closing ------------------------------------------------------------------ */

static void tell_lost(void *user, const char *text) {
    (void)user;
    (void)fprintf(stderr, "outflow: error: %s\n", text);
}

static of_status exchange_places(struct of_ranks *ranks, of_error *error) {
    place mine = {.pid = (long)getpid(), .cpus = of_cpu_count()};
    unsigned size = of_communicator_size(ranks->communicator);
    (void)gethostname(mine.host, sizeof mine.host - 1);
    of_process_cpus(mine.list, sizeof mine.list);
    CPU_ZERO(&mine.mask);
    (void)sched_getaffinity(0, sizeof mine.mask, &mine.mask);
    ranks->places = of_allocate(size, sizeof *ranks->places);
    if (ranks->places == NULL)
        return of_fail_memory(error, "the places of ranks");
    return of_communicator_gather(ranks->communicator, &mine, sizeof mine, ranks->places, error);
}

static of_status silence(of_console *console, of_error *error) {
    console->ranks->nowhere = fopen("/dev/null", "we");
    if (console->ranks->nowhere == NULL || freopen("/dev/null", "w", stdout) == NULL)
        return of_fail(error, OF_ERROR_IO, "cannot open /dev/null");
    of_console_quiet(console);
    console->log.stream = console->ranks->nowhere;
    return OF_OK;
}

of_status of_ranks_open(of_console *console, of_error *error) {
    const launcher *found = find_launcher();
    of_transport transport;
    if (found == NULL || is_certainly_alone(found))
        return OF_OK;
    struct of_ranks *ranks = of_allocate_zeroed(1, sizeof *ranks);
    if (ranks == NULL)
        return of_fail_memory(error, "ranks");
    of_status status = open_transport(found, &transport, error);
    if (status == OF_OK)
        status = of_communicator_open(&transport, tell_lost, NULL, &ranks->communicator, error);
    if (status != OF_OK) {
        of_free(ranks);
        return status;
    }
    console->ranks = ranks;
    (void)snprintf(ranks->library, sizeof ranks->library, "%s", transport.library);
    status = exchange_places(ranks, error);
    return status == OF_OK && transport.rank > 0 ? silence(console, error) : status;
}

/* All ranks see the same wrong usage. Another failure that was not agreed on is of this rank. */
int of_ranks_close(of_console *console, int exit_code) {
    struct of_ranks *ranks = console->ranks;
    if (ranks == NULL)
        return exit_code;
    bool shared = exit_code == OF_EXIT_FINE || exit_code == OF_EXIT_UNREADABLE ||
                  exit_code == OF_EXIT_USAGE || of_communicator_is_agreed(ranks->communicator);
    (void)fflush(NULL);
    if (!shared && of_communicator_size(ranks->communicator) > 1)
        of_communicator_abort(ranks->communicator, exit_code);
    of_communicator_close(ranks->communicator);
    if (ranks->nowhere != NULL)
        (void)fclose(ranks->nowhere);
    of_free(ranks->places);
    of_free(ranks);
    console->ranks = NULL;
    return exit_code;
}

of_communicator *of_console_communicator(const of_console *console) {
    return console->ranks != NULL ? console->ranks->communicator : NULL;
}

/* ---- Who runs where ----------------------------------------------------------------------- */

static bool share_cpus(const place *a, const place *b) {
    cpu_set_t both;
    CPU_AND(&both, &a->mask, &b->mask);
    return strcmp(a->host, b->host) == 0 && CPU_COUNT(&both) > 0;
}

unsigned of_ranks_here(const of_console *console) {
    const struct of_ranks *ranks = console->ranks;
    unsigned count = 0;
    if (ranks == NULL)
        return 1;
    const place *mine = &ranks->places[of_communicator_rank(ranks->communicator)];
    for (unsigned r = 0; r < of_communicator_size(ranks->communicator); r++)
        count += strcmp(ranks->places[r].host, mine->host) == 0;
    return count;
}

/* Ranks that run on CPUs of this one, itself included. */
static unsigned sharers(const struct of_ranks *ranks, unsigned rank) {
    unsigned count = 1;
    for (unsigned r = 0; r < of_communicator_size(ranks->communicator); r++)
        count += r != rank && share_cpus(&ranks->places[r], &ranks->places[rank]);
    return count;
}

static unsigned share_of(const struct of_ranks *ranks, unsigned rank) {
    unsigned threads = ranks->places[rank].cpus / sharers(ranks, rank);
    return threads > 0 ? threads : 1;
}

unsigned of_ranks_threads(const of_console *console) {
    const struct of_ranks *ranks = console->ranks;
    if (ranks == NULL || of_communicator_size(ranks->communicator) == 1)
        return 0;
    return share_of(ranks, of_communicator_rank(ranks->communicator));
}

void of_ranks_show(const of_console *console, unsigned threads) {
    const struct of_ranks *ranks = console->ranks;
    if (ranks == NULL || of_communicator_rank(ranks->communicator) != 0)
        return;
    unsigned size = of_communicator_size(ranks->communicator), crowded = 0, worst = 0;
    of_log_write(&console->log, OF_LOG_INFO, "%u ranks, %s", size, ranks->library);
    for (unsigned r = 0; r < size; r++) {
        const place *p = &ranks->places[r];
        unsigned with = sharers(ranks, r), own = threads > 0 ? threads : share_of(ranks, r);
        of_log_write(&console->log, OF_LOG_INFO, "rank %u: %s, process %ld, CPUs %s, %u thread%s",
                     r, p->host, p->pid, p->list, own, of_plural(own));
        if (with > 1 && (threads > 0 ? threads : 1) * with > p->cpus) {
            crowded++;
            worst = r;
        }
    }
    if (crowded > 0)
        of_log_write(
            &console->log, OF_LOG_WARNING,
            "%u ranks share CPUs with more threads than there are CPUs (rank %u and others "
            "on %s): start fewer ranks, or give each fewer --threads",
            crowded, worst, ranks->places[worst].host);
}

/* ---- Scoring ------------------------------------------------------------------------------ */

/* FNV-1a over the paths. */
static uint64_t hash_items(const of_source_batch *images) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < images->count; i++)
        for (const char *c = images->items[i].path; c != NULL && *c != '\0'; c++)
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash;
}

static of_status compare_items(void *user, const of_source_batch *images, of_error *error) {
    of_communicator *communicator = user;
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

static of_status share_rows(void *user, double *rows, size_t width, size_t count, of_error *error) {
    of_communicator *communicator = user;
    unsigned ranks = of_communicator_size(communicator);
    size_t *bytes = of_allocate(ranks, sizeof *bytes);
    if (bytes == NULL)
        return of_fail_memory(error, "a message");
    for (unsigned r = 0; r < ranks; r++)
        bytes[r] = (of_stream_part(count, ranks, r + 1) - of_stream_part(count, ranks, r)) * width *
                   sizeof(double);
    of_status status = of_communicator_gather_each(communicator, NULL, bytes, rows, error);
    of_free(bytes);
    return status;
}

void of_ranks_divide(const of_console *console, of_stream_models *models) {
    of_communicator *communicator = of_console_communicator(console);
    models->part = of_communicator_rank(communicator);
    models->parts = of_communicator_size(communicator);
    models->share_items = compare_items;
    models->share = share_rows;
    models->user = communicator;
}

of_status of_ranks_check_source(const of_console *console, const char *source, of_error *error) {
    return strcmp(source, "-") == 0 && of_communicator_size(of_console_communicator(console)) > 1
               ? of_fail(error, OF_ERROR_ARGUMENT,
                         "standard input ('-') cannot be read by several ranks: give a folder or "
                         "an archive")
               : OF_OK;
}

const char *of_ranks_output(const of_console *console, const char *path) {
    return of_communicator_rank(of_console_communicator(console)) == 0 ? path : NULL;
}
