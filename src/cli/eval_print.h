/* SPDX-License-Identifier: Apache-2.0 */
/* The result of `outflow eval` for people. */
#ifndef OF_CLI_EVAL_PRINT_H
#define OF_CLI_EVAL_PRINT_H

#include <outflow/evaluate.h>

/* `reduced` (or NULL): the same sets in another `precision`, to be compared. `plan` is the
 * evaluation's. */
void of_eval_print(const of_evaluation *evaluation, const of_evaluation *reduced,
                   of_precision precision, const of_plan_info *plan, FILE *file);

#endif
