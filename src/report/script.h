/* SPDX-License-Identifier: Apache-2.0 */
/* The page's only script: it sorts tables of the class "sortable" by the column whose heading is
 * clicked, by data-value where cells have one. Free of characters that XML would have escaped. */
#ifndef OF_REPORT_SCRIPT_H
#define OF_REPORT_SCRIPT_H

extern const char of_script_sort[];

/* "sha256-" and the base64 of its SHA-256, for the page's policy: names of files cannot run. */
extern const char of_script_sort_hash[];

#endif
