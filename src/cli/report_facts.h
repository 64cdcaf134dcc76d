/* SPDX-License-Identifier: Apache-2.0 */
/* What a result was made with. */
#ifndef OF_CLI_REPORT_FACTS_H
#define OF_CLI_REPORT_FACTS_H

#include "cli/eval_sets.h"
#include "report/report.h"

enum { OF_REPORT_FACTS = 16 };

typedef struct of_report_facts {
    of_report_fact list[OF_REPORT_FACTS];
    size_t count;
    char texts[OF_REPORT_FACTS][512]; /* the values */
} of_report_facts;

/* Program, libraries, machine, models with the fingerprints of their weights, calibration, speed
 * and time. The models are read once more. */
of_status of_report_facts_collect(const of_evaluation *evaluation, of_report_facts *facts,
                                  of_error *error);

#endif
