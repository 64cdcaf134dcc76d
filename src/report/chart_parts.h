/* SPDX-License-Identifier: Apache-2.0 */
/* What charts are made of. */
#ifndef OF_REPORT_CHART_PARTS_H
#define OF_REPORT_CHART_PARTS_H

#include "report/chart.h"

/* <svg> with a title for people who cannot see it, and its end. */
void of_chart_open(of_chart_page *page, double width, double height, const char *title);
void of_chart_close(of_chart_page *page);

/* Number of a set's colour: the first set has one of its own, the others take turns. */
size_t of_chart_colour(size_t set);

/* Are there more sets than colours, so that numbers have to tell them apart? */
bool of_chart_numbers_sets(const of_report *report);

/* A name of so many characters at most. Of a longer one the end, which tells paths apart; wide
 * characters, such as Chinese ones, count twice. */
void of_chart_short_text(const char *name, size_t most, FILE *file);

/* Does the chart of a score show what is flagged? */
bool of_chart_has_threshold(const of_report *report, size_t score);

/* "nats", "bits", or "no unit". */
const char *of_chart_unit(of_score score);

#endif
