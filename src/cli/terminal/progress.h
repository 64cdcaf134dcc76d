/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of a long run: a bar on a terminal, elsewhere a line now and then. */
#ifndef OF_CLI_TERMINAL_PROGRESS_H
#define OF_CLI_TERMINAL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct of_progress {
    FILE *stream;      /* NULL: shows nothing */
    bool terminal;     /* a bar that is redrawn in place */
    bool visible;      /* the bar stands on the terminal's current line */
    double interval;   /* seconds between two updates */
    double start, due; /* monotonic seconds: of the start, and of the next update */
    double end;        /* when time ends the run, monotonic seconds; 0: it does not */
    uint64_t total;    /* 0: not known */
    uint64_t done;
    char label[48]; /* what is being done */
    char unit[24];  /* what is counted, e.g. "images" */
} of_progress;

/* Starts anew. `stream` NULL keeps silent. At most 10 updates a second on a terminal, one in 10
 * seconds elsewhere. `label` and `unit` are cut to fit. */
void of_progress_start(of_progress *progress, FILE *stream, const char *label, const char *unit,
                       uint64_t total);

/* Time ends the run as well, after so many seconds from now. */
void of_progress_end_in(of_progress *progress, double seconds);

/* Tells how far the run is; `note` (may be NULL) is a text at the end of the line. Cheap to call
 * often. */
void of_progress_update(of_progress *progress, uint64_t done, const char *note);

/* Takes the bar off the terminal; the next update that is due draws it again. */
void of_progress_hide(of_progress *progress);

/* Takes the bar off and says nothing more. */
void of_progress_finish(of_progress *progress);

#endif
