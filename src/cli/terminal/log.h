/* SPDX-License-Identifier: Apache-2.0 */
/* One-line messages of a program to its user: "outflow: warning: ...". The library itself never
 * logs. */
#ifndef OF_CLI_TERMINAL_LOG_H
#define OF_CLI_TERMINAL_LOG_H

#include "cli/terminal/progress.h"

#include <stdbool.h>
#include <stdio.h>

typedef enum of_log_level { OF_LOG_ERROR = 0, OF_LOG_WARNING = 1, OF_LOG_INFO = 2 } of_log_level;

typedef struct of_log {
    FILE *stream;
    of_log_level level;    /* less important messages are dropped */
    bool colour;           /* of the level's name */
    of_progress *progress; /* taken off the terminal before a line is written; may be NULL */
} of_log;

/* A log with colour if the stream is a terminal that shows it (and NO_COLOR is not set). */
of_log of_log_to(FILE *stream, of_log_level level);

/* Writes "outflow: error: TEXT", "outflow: warning: TEXT" or "outflow: TEXT" and a newline.
 * Control characters in the text become '?'. */
__attribute__((format(printf, 3, 4))) void of_log_write(const of_log *log, of_log_level level,
                                                        const char *format, ...);

#endif
