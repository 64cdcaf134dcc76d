/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of a plan, as lists for people. */
#ifndef OF_CLI_LAYERS_H
#define OF_CLI_LAYERS_H

#include <outflow/outflow.h>
#include <stdio.h>

/* One line a layer; unless `all` is set, layers that differ in the step only share a line,
 * "scales.0.steps.0-7.conv1", with their sums. */
of_status of_layers_print(const of_plan *plan, bool all, FILE *file, of_error *error);

/* The lists of ops that the plan was made from, one after each pass, likewise. */
of_status of_ops_print(const of_plan *plan, bool all, FILE *file, of_error *error);

#endif
