/* SPDX-License-Identifier: Apache-2.0 */
/* What `outflow score` draws: a report, and a folder of heat maps. */
#ifndef OF_CLI_SCORE_PICTURES_H
#define OF_CLI_SCORE_PICTURES_H

#include "cli/terminal/options.h"
#include "cli/terminal/output.h"

#include <outflow/evaluate.h>

typedef struct of_score_pictures {
    const char *report, *heatmaps; /* paths, NULL: not asked for */
    uint64_t heatmap_count;        /* 0: all */
    const char *command;           /* of the verb, for the report */
    const of_text_list *sources;
    of_score score;      /* what images are ordered by, and flagged */
    double rate;         /* p-values up to this are flagged; 0: none */
    bool with_threshold; /* scores at or above the threshold are flagged */
    double threshold;

    const of_detector *detector; /* the rest is filled by of_score_pictures_open */
    of_output *page;
    of_examples *heated;
    of_evaluation *evaluation; /* a set for each SRC */
} of_score_pictures;

/* Opens what is to be written, so that what cannot be fails before the work. */
of_status of_score_pictures_open(of_score_pictures *pictures, const of_detector *detector,
                                 of_error *error);

/* The of_score_need flags of what will be collected; none before they are opened. */
unsigned of_score_pictures_needs(const of_score_pictures *pictures);

/* Images of SRC number `source`. */
of_status of_score_pictures_collect(of_score_pictures *pictures, size_t source,
                                    const of_scored_batch *batch, of_error *error);
void of_score_pictures_note_unreadable(const of_score_pictures *pictures, size_t source,
                                       const char *path, const char *reason);
void of_score_pictures_finish_source(of_score_pictures *pictures, size_t source,
                                     const of_stream_result *result);

/* Makes the heat and writes everything. */
of_status of_score_pictures_make(of_score_pictures *pictures, of_console *console, of_error *error);
void of_score_pictures_close(of_score_pictures *pictures);

#endif
