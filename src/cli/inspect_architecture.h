/* SPDX-License-Identifier: Apache-2.0 */
/* What `outflow inspect` says of an architecture. */
#ifndef OF_CLI_INSPECT_ARCHITECTURE_H
#define OF_CLI_INSPECT_ARCHITECTURE_H

#include <outflow/output.h>

/* Lines for people; of the fields that few models have, those that are not the default. */
void of_inspect_print_architecture(const of_architecture *architecture, FILE *file);

/* An object "architecture" with every field, keys as in weight files. */
void of_inspect_write_architecture(of_json *json, const of_architecture *architecture);

#endif
