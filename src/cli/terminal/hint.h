/* SPDX-License-Identifier: Apache-2.0 */
/* The library names settings, the program options. */
#ifndef OF_CLI_TERMINAL_HINT_H
#define OF_CLI_TERMINAL_HINT_H

#include "cli/terminal/console.h"

/* The option of the running verb that is this setting of the library, without dashes; NULL if it
 * has none. "" is no setting. */
const char *of_hint_option(const of_console *console, const char *setting);

/* The error as the program says it: "MESSAGE", or "MESSAGE; see --OPTION". Returns `text`. */
const char *of_hint_text(const of_console *console, const of_error *error, char *text, size_t size);

#endif
