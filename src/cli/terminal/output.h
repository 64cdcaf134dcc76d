/* SPDX-License-Identifier: Apache-2.0 */
/* Where results go: standard output, or a file that appears only when it is complete. */
#ifndef OF_CLI_TERMINAL_OUTPUT_H
#define OF_CLI_TERMINAL_OUTPUT_H

#include "cli/terminal/console.h"

#include <stdio.h>

typedef struct of_output {
    FILE *file;
    const char *name; /* for messages */
    char *target;     /* final path, NULL when `file` is written in place */
    char *temporary;  /* beside the target */
} of_output;

/* `path` NULL, "-" or the file that standard output is: standard output. A path that exists and is
 * not a regular file (a device, a pipe) is written in place; everything else through a temporary
 * file beside it. */
of_status of_output_open(const char *path, of_output *output, of_error *error);

/* Writes out what is buffered, so that a reader at the other end of a pipe sees it; an error if
 * anything could not be written so far. */
of_status of_output_flush(of_output *output, of_error *error);

/* Completes the output, renaming the temporary file over the target. Closes it in any case. */
of_status of_output_commit(of_output *output, of_error *error);

/* Closes the output and removes the temporary file. Does nothing after a commit. */
void of_output_discard(of_output *output);

/* Flushes standard output; reports what went wrong and returns the exit code. */
int of_output_finish_stdout(of_console *console);

#endif
