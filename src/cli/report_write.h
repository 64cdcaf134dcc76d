/* SPDX-License-Identifier: Apache-2.0 */
/* A finished evaluation as a report. */
#ifndef OF_CLI_REPORT_WRITE_H
#define OF_CLI_REPORT_WRITE_H

#include "cli/eval_sets.h"

typedef struct of_report_wish {
    int argc; /* of the verb: argv[0] is its name */
    char *const *argv;
    bool compared;       /* the first set is in-distribution */
    FILE *page, *figure; /* what to write; NULL: nothing */
} of_report_wish;

/* The number of the score that orders a report's images: the one that was asked for, else combined,
 * ratio or nll, the first that there is. */
size_t of_report_main_score(const of_evaluation *evaluation);

/* Makes the heat of the gallery's images, and writes. */
of_status of_report_make(const of_evaluation *evaluation, const of_report_wish *wish,
                         of_error *error);

#endif
