/* SPDX-License-Identifier: Apache-2.0 */
/* What the page is made of. */
#ifndef OF_REPORT_PAGE_PARTS_H
#define OF_REPORT_PAGE_PARTS_H

#include "report/report.h"

void of_page_score_name(FILE *file, of_score score);

/* A table: its caption stays where it is too wide and scrolls. The body is open in between. */
void of_page_open_table(const char *caption, FILE *file);
void of_page_close_table(FILE *file);

/* One whose columns are sorted by a click on their headings. */
void of_page_open_sortable(const char *caption, FILE *file);

/* Sections: the sets; how well scores tell them apart; what is flagged. */
void of_page_sets(const of_report *report, FILE *file);
void of_page_metrics(const of_report *report, FILE *file);
void of_page_flags(const of_report *report, FILE *file);

/* What was found, in a sentence or two. */
void of_page_verdict(const of_report *report, FILE *file);

/* Sections: all flagged images; the ends of all sets; files that could not be read. Those without
 * content are left out. */
of_status of_page_flagged_images(const of_report *report, FILE *file, of_error *error);
of_status of_page_images(const of_report *report, FILE *file, of_error *error);
void of_page_unreadable(const of_report *report, FILE *file);

/* The table of the section on scales. */
void of_page_scale_table(const of_report *report, FILE *file);

#endif
