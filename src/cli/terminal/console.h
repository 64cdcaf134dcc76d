/* SPDX-License-Identifier: Apache-2.0 */
/* The program's side of the terminal: messages, progress, exit codes and interruption. */
#ifndef OF_CLI_TERMINAL_CONSOLE_H
#define OF_CLI_TERMINAL_CONSOLE_H

#include "cli/terminal/log.h"
#include "cli/terminal/progress.h"

#include <outflow/outflow.h>

enum {
    OF_CONSOLE_OPTIONS = 96 /* most options of a verb */
};

enum {
    OF_EXIT_FINE = 0,
    OF_EXIT_FAILURE = 1,
    OF_EXIT_USAGE = 2,
    OF_EXIT_UNREADABLE = 3, /* finished, but some inputs could not be read */
    OF_EXIT_SIGNAL = 128    /* plus the signal's number */
};

typedef struct of_console {
    of_log log;
    of_progress progress;
    const char *options[OF_CONSOLE_OPTIONS]; /* names of those of the running verb, for hints */
    size_t option_count;
    bool quiet; /* neither progress nor summaries */
} of_console;

void of_console_open(of_console *console);

/* Drops progress and summaries from now on. */
void of_console_quiet(of_console *console);

/* The stream for progress, NULL when quiet. */
FILE *of_console_progress_stream(const of_console *console);

/* Whoever read the output has gone (| head): of_console_fail then ends the run as SIGPIPE would,
 * without a message. The signal itself is ignored, so that nothing is left half written. */
void of_console_reader_gone(void);

/* Reports an error, with the option that would help if the verb has it, or the signal that ended
 * the run; returns the exit code. */
int of_console_fail(of_console *console, const of_error *error);

/* From now on SIGINT, SIGHUP, SIGTERM and SIGUSR1 (sent by job schedulers ahead of the end) only
 * raise a flag; the third one ends the program at once. */
void of_interrupt_watch(void);

/* The signal that arrived, or 0. */
int of_interrupted(void);

/* An error if a signal arrived, for loops that should end. */
of_status of_interrupt_check(of_error *error);

#endif
