/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of `outflow score`: which scores a detector has, and which one judges. */
#ifndef OF_CLI_SCORE_COLUMNS_H
#define OF_CLI_SCORE_COLUMNS_H

#include "cli/rows.h"
#include "cli/terminal/console.h"

/* How images are to be judged, as it was asked for. */
typedef struct of_score_judging {
    const char *name; /* of the score; NULL: the best there is */
    double threshold, rate;
    bool with_threshold, with_rate;
} of_score_judging;

/* Adds all columns; `score` is what is judged, asked for or not. A calibration that cannot be used
 * is warned of, or an error where a rate needs it. */
of_status of_score_columns_add(of_rows *rows, const of_score_judging *judging, bool several_sources,
                               const of_console *console, of_score *score, of_error *error);

/* The of_score_need flags of the columns: images are coded only where one needs it. */
unsigned of_score_columns_needs(const of_rows *rows);

#endif
