/* SPDX-License-Identifier: Apache-2.0 */
/* outflow score --watch: after the images of a folder, those that arrive in it. */
#ifndef OF_CLI_SCORE_WATCH_H
#define OF_CLI_SCORE_WATCH_H

#include "cli/arrivals.h"
#include "cli/rows.h"
#include "cli/terminal/console.h"

typedef struct of_score_watch {
    of_console *console;
    of_rows *rows; /* of the detector that scores */
    const char *folder;
    const char *command;       /* for flagged images; NULL: none */
    of_stream_options options; /* of each file that arrives */
    of_scored_visit *visit;    /* what is done with its images: writes the rows */
    void *user;

    of_arrivals *arrivals; /* the rest is filled by of_score_watch_open */
    const char *arrived;   /* what rows call the image that arrived; NULL: none did */
    char label[256];
    of_drift seen;       /* the p-values that drift was looked for in already */
    uint64_t images;     /* that arrived */
    uint64_t unreadable; /* of those */
    bool output_failed;  /* set by `visit` where the rows cannot be written */
} of_score_watch;

/* Begins to listen; what arrives from now on is not missed. */
of_status of_score_watch_open(of_score_watch *watch, of_error *error);

/* Accepts one that was not opened. */
void of_score_watch_close(of_score_watch *watch);

/* Scores what arrives in the folder, or below it, until a signal comes or the folder is gone; both
 * are no failure. A file that is no image, or is gone again, is counted and warned of. */
of_status of_score_watch_run(of_score_watch *watch, of_error *error);

/* For `visit`: an image that arrived has the name and the label that it would have as a part of
 * the folder; others stay as they are. Valid until the next call. */
of_item of_score_watch_name(of_score_watch *watch, const of_item *item);

/* For `visit`: the image's row was written, and flagged. If it arrived, the command is run with the
 * row as JSON on its standard input; one that fails is warned of. */
void of_score_watch_flagged(of_score_watch *watch, const of_item *item);

#endif
