/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of pictures that are cut into tiles. */
#ifndef OF_FIT_TILED_H
#define OF_FIT_TILED_H

#include "fit/fitting.h"
#include "fit/outliers.h"

#include <outflow/output.h>

/* ---- Lists of files: sources of whole pictures --------------------------------------------- */

/* Can a list name it? Not with an end of line, for example. */
bool of_list_can_name(const char *path);
void of_list_add(of_output *output, const char *path);

/* The source that a list of OUT.work is, with `before` before its name ("windows:32:"); to be freed
 * with free(). */
char *of_fitting_listed(const of_fitting *fitting, const char *list, const char *before);

/* Writes OUT.work's train.npy: windows at random places of the pictures of its list. */
of_status of_fitting_write_windows(of_fitting *fitting, of_error *error);

/* ---- Pictures with defects ------------------------------------------------------------------ */

enum {
    OF_DEFECTIVE = 20, /* pictures of each kind */
    OF_DEFECTIVE_ALL = OF_DEFECTIVE * OF_OUTLIERS_KINDS
};

typedef struct of_defects {
    of_pictures pictures; /* in their own size, or parts of them if they are very large */
    of_pictures regions;  /* squares of two tiles' side */
} of_defects;

/* From the pictures of a list. To be closed, also after a failure. */
of_status of_defects_open(const of_fitting *fitting, const char *list, of_defects *defects,
                          of_error *error);
void of_defects_close(of_defects *defects);
/* The pictures, each with one region that is made an outlier of this kind. */
of_status of_defects_write(const of_defects *defects, of_outliers kind, uint64_t seed,
                           const char *path, of_error *error);

#endif
