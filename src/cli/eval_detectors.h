/* SPDX-License-Identifier: Apache-2.0 */
/* What `outflow eval` runs sets through. */
#ifndef OF_CLI_EVAL_DETECTORS_H
#define OF_CLI_EVAL_DETECTORS_H

#include "cli/shared_options.h"

typedef struct of_eval_detectors {
    of_detector *detector;
    of_detector *reduced; /* the same models in bf16 or int8; NULL: not asked for */
} of_eval_detectors;

/* With `compared`, each model is loaded once and compiled in f32 and in the precision that is
 * given, or else in bf16. */
of_status of_eval_detectors_open(const of_shared_settings *settings, bool compared,
                                 of_eval_detectors *detectors, of_error *error);

/* Accepts zeroed ones. */
void of_eval_detectors_close(of_eval_detectors *detectors);

#endif
