/* SPDX-License-Identifier: Apache-2.0 */
/* outflow eval --compare-precision: what bfloat16 changes, from two runs over the same sets. */
#ifndef OF_CLI_EVAL_COMPARE_H
#define OF_CLI_EVAL_COMPARE_H

#include "cli/eval_sets.h"

#include <outflow/output.h>

/* An error if the two runs did not score the same number of images of each set. */
of_status of_comparison_check(const of_evaluation *f32, const of_evaluation *bf16, of_error *error);

void of_comparison_print(const of_evaluation *f32, const of_evaluation *bf16, FILE *file);

/* The member "compare_precision" of the object that is being written. */
void of_comparison_write_json(const of_evaluation *f32, const of_evaluation *bf16, of_json *json);

#endif
