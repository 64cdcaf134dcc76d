/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPUs the threads of the program run on. OpenMP does the binding; it reads its settings
 * once, before main, so a program that wants others starts itself anew. */
#ifndef OF_CLI_BENCH_AFFINITY_H
#define OF_CLI_BENCH_AFFINITY_H

#include <outflow/outflow.h>

typedef enum of_affinity { OF_AFFINITY_NONE, OF_AFFINITY_CLOSE, OF_AFFINITY_SPREAD } of_affinity;

const char *of_affinity_name(of_affinity affinity);

/* Makes OpenMP bind its threads, to neighbouring cores (close) or far apart ones (spread): replaces
 * the process by the same command with OMP_PROC_BIND set, and OMP_PLACES=cores unless it is set
 * already. Returns OF_OK when that is in force (always for none, which touches nothing), or why it
 * cannot be had. `argv` are the verb and its arguments. */
of_status of_affinity_bind(of_affinity affinity, int argc, char **argv, of_error *error);

/* "false", "true", "primary", "close" or "spread": what OpenMP does. */
const char *of_affinity_in_force(void);

/* The CPUs each of `threads` OpenMP threads may run on now, "0;1" or "0-1;0-1", cut to `size`.
 * True if any of them has fewer than the process. */
bool of_affinity_threads(unsigned threads, char *text, size_t size);

#endif
