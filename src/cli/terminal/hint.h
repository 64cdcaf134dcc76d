/* SPDX-License-Identifier: Apache-2.0 */
/* The library names settings, the program its options. */
#ifndef OF_CLI_TERMINAL_HINT_H
#define OF_CLI_TERMINAL_HINT_H

#include <outflow/outflow.h>

enum { OF_HINT_SIZE = 48 };

/* " (--general-model)" for an error whose setting is "general_model"; "" where no option would
 * help. */
const char *of_hint_text(const of_error *error, char text[OF_HINT_SIZE]);

#endif
