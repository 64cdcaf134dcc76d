/* SPDX-License-Identifier: Apache-2.0 */
/* This program as one of several processes ("ranks") that a launcher has started. Without one,
 * nothing here does anything. */
#ifndef OF_CLI_PROCESSES_H
#define OF_CLI_PROCESSES_H

#include "cli/terminal/console.h"

#include <outflow/ranks.h>

/* Joins the other ranks if a launcher has started several. Ranks but the first then show and print
 * nothing. `lost_hint` is said after a rank is lost. */
of_status of_processes_join(of_console *console, const char *lost_hint, of_error *error);

/* The ranks that were joined; NULL: there is one process. */
of_ranks *of_processes_ranks(void);

/* As of_console_fail. An error that is this rank's alone is said with its number. */
int of_processes_fail(of_console *console, const of_error *error);

/* Leaves, or ends all ranks if this one fails while the others go on; returns the exit code. */
int of_processes_leave(int exit_code);

/* `path` on the first rank; on the others NULL: what they write goes nowhere. */
const char *of_processes_output(const char *path);

/* Shows ranks, hosts, CPUs and threads (0: chosen); warns of ranks that share CPUs. */
void of_processes_show(const of_console *console, unsigned threads);

#endif
