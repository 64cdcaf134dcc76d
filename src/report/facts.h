/* SPDX-License-Identifier: Apache-2.0 */
/* What a result was made with. */
#ifndef OF_REPORT_FACTS_H
#define OF_REPORT_FACTS_H

#include "report/report.h"

#include <outflow/evaluate.h>

enum { OF_REPORT_FACTS = 32 };

typedef struct of_report_facts {
    of_report_fact list[OF_REPORT_FACTS];
    size_t count;
    char texts[OF_REPORT_FACTS][512]; /* the values */
} of_report_facts;

/* Program, libraries, machine, models with the fingerprints of their weights, calibration, speed
 * and time. */
void of_report_facts_collect(const of_evaluation *evaluation, const of_detector_info *detector,
                             of_report_facts *facts);

#endif
