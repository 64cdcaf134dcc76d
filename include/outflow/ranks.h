/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Several processes that work as one under a launcher of MPI (mpirun, mpiexec, srun): "ranks".
 * They train one model together (of_train_options.ranks), each on its part of every batch.
 *
 *     of_ranks *ranks = NULL;                  // stays NULL where there is one process
 *     of_status status = of_ranks_open(NULL, &ranks, &error);
 *     if (status == OF_OK) {
 *         options.ranks = ranks;
 *         status = of_train(&options, &observer, &result, &error);
 *     }
 *     if (status != OF_OK && !of_ranks_agreed(ranks))
 *         of_ranks_abort(ranks, EXIT_FAILURE); // the others would wait for this rank
 *     of_ranks_close(ranks);
 *
 * The library is not linked with MPI: what speaks it is a module (outflow_openmpi.so,
 * outflow_mpich.so, or outflow_mpi.so for any other) that is loaded where a launcher's environment
 * variables say that there are several processes. MPI has one set of processes, so a process opens
 * its ranks once.
 *
 * NULL stands for a run of one process in every function here, so that code for several ranks is
 * right for one. All ranks call the functions that exchange something (open, close, agree,
 * time_reduction) in the same order, each from the thread that opened them.
 *
 * A thread of its own exchanges signs of life: a rank that is stopped, or lost with its machine, is
 * noticed by its neighbour, and all of them are ended.
 */
#ifndef OUTFLOW_RANKS_H
#define OUTFLOW_RANKS_H

#include <outflow/outflow.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The ranks of a run, as one of them sees them. */
typedef struct of_ranks of_ranks;

/**
 * Has a launcher started this process as one of several? False under a launcher of a single one.
 * Only looks at environment variables: for programs that are not meant to run several times at
 * once.
 */
OF_API bool of_ranks_launched(void);

typedef struct of_ranks_options {
    size_t size; /**< sizeof of this struct, set by of_ranks_options_default */
    /** Told, by a thread of the ranks, of a neighbour that gave no sign of life for 20 s; after
       that all processes are ended, this one too. NULL: nobody is told. */
    void (*lost)(void *user, const char *text);
    void *user;
    /** Folder of the modules. NULL: that of the library (or of the program that it is linked into)
        and "outflow" in it, where they are installed. */
    const char *module_folder;
} of_ranks_options;

/** All fields at their defaults. */
OF_API of_ranks_options of_ranks_options_default(void);

/**
 * Joins the other ranks if a launcher has started several; waits for them. *ranks is NULL where the
 * process is alone. `options` may be NULL for the defaults. OF_ERROR_UNSUPPORTED if a launcher has
 * started several and its MPI library cannot be used. Where a failure comes after the ranks have
 * met, *ranks is set all the same, for of_ranks_abort and of_ranks_close.
 */
OF_API of_status of_ranks_open(const of_ranks_options *options, of_ranks **ranks, of_error *error);

/** Waits for the others and leaves; NULL is allowed. */
OF_API void of_ranks_close(of_ranks *ranks);

/** Ends the processes of all ranks at once, this one too. Does nothing for NULL. */
OF_API void of_ranks_abort(of_ranks *ranks, int exit_code);

/** Number of this process among the ranks, from 0 on. The first one writes what is written once. */
OF_API unsigned of_ranks_rank(const of_ranks *ranks);

/** Number of ranks; 1 for NULL. */
OF_API unsigned of_ranks_size(const of_ranks *ranks);

/** Ranks on this machine, this one included. */
OF_API unsigned of_ranks_here(const of_ranks *ranks);

/** Threads that this rank should run: its share of the CPUs it may use. 0, which the library's
    options take as "chosen", where there is one process. */
OF_API unsigned of_ranks_threads(const of_ranks *ranks);

/** Name and version of the MPI library; "" for NULL. Valid as long as the ranks. */
OF_API const char *of_ranks_library(const of_ranks *ranks);

/** "rank 1 (name-of-its-host)", for messages. Valid as long as the ranks; "" for one that is not.
 */
OF_API const char *of_ranks_name(const of_ranks *ranks, unsigned rank);

/** Where a rank runs. */
typedef struct of_rank_info {
    char host[64];
    long pid;
    unsigned cpus;      /**< that it may use */
    char cpu_list[128]; /**< the same, "0-3,8"; cut if it does not fit */
    unsigned threads;   /**< its share of them: cpus / sharers, at least 1 */
    unsigned sharers;   /**< ranks that run on some of these CPUs, itself included */
} of_rank_info;

/** Describes a rank, of NULL the one process. All zero for a rank that there is not. */
OF_API void of_ranks_describe(const of_ranks *ranks, unsigned rank, of_rank_info *info);

/**
 * Ranks tell each other how something ended, which may fail in one of them alone. If one failed,
 * all get the first one's error, which names the rank if not all of them failed in the same way.
 * `error` holds this rank's own if `mine` is none of OF_OK.
 */
OF_API of_status of_ranks_agree(of_ranks *ranks, of_status mine, of_error *error);

/**
 * True after an agreement on a failure: every rank knows of it and is on its way out. A failure
 * without one is this rank's own: of_ranks_abort ends the others, which may be waiting for it.
 * False for NULL.
 */
OF_API bool of_ranks_agreed(const of_ranks *ranks);

/**
 * How long adding `floats` values over all ranks takes, as gradients are added: the least of
 * `repeats` times, in *seconds. 0 with one process.
 */
OF_API of_status of_ranks_time_reduction(of_ranks *ranks, size_t floats, unsigned repeats,
                                         double *seconds, of_error *error);

#ifdef __cplusplus
}
#endif

#endif
