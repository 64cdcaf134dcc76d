/* SPDX-License-Identifier: Apache-2.0 */
/* Two evaluations of the same sets, as JSON. */
#ifndef OF_EVALUATE_COMPARISON_H
#define OF_EVALUATE_COMPARISON_H

#include "evaluate/evaluation.h"

#include <outflow/output.h>

/* The member "compare_precision" of the object that is being written. The two pass
 * of_evaluation_check_pair. */
void of_comparison_write_json(const of_evaluation *f32, const of_evaluation *reduced,
                              of_json *json);

#endif
