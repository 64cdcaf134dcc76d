/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes of this program under a launcher (mpirun, mpiexec, srun). Without one, nothing
 * here does anything. */
#ifndef OF_CLI_RANKS_H
#define OF_CLI_RANKS_H

#include "cli/terminal/console.h"
#include "score/stream.h"

/* Did a launcher start this process, perhaps as one of several? */
bool of_ranks_started(void);

/* Joins the other ranks if a launcher has started several: console->ranks. Ranks but the first then
 * show and print nothing. */
of_status of_ranks_open(of_console *console, of_error *error);

/* Leaves, or ends all ranks if this one fails while the others go on; returns the exit code. */
int of_ranks_close(of_console *console, int exit_code);

/* Threads for a rank that was not told: its share of the CPUs it may use. 0: one process. */
unsigned of_ranks_threads(const of_console *console);

/* Ranks on this machine, this one included. */
unsigned of_ranks_here(const of_console *console);

/* Makes each rank run its part of every batch of a stream; every rank gets all results. */
void of_ranks_divide(const of_console *console, of_stream_models *models);

/* An error if only the first rank could read the source. */
of_status of_ranks_check_source(const of_console *console, const char *source, of_error *error);

/* `path` on the first rank; on the others NULL: what they write goes nowhere. */
const char *of_ranks_output(const of_console *console, const char *path);

/* Shows ranks, hosts, CPUs and threads; warns of ranks that share CPUs. */
void of_ranks_show(const of_console *console, unsigned threads);

#endif
