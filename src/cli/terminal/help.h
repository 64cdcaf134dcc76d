/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CLI_TERMINAL_HELP_H
#define OF_CLI_TERMINAL_HELP_H

#include "cli/terminal/options.h"

#include <stdio.h>

/* Prints a verb's help on standard output; returns the exit code. */
int of_help_print(const of_command *command, const of_option_table *table, of_console *console);

/* Prints words from `column` on, further lines indented by `indent`, and a newline. A newline in
 * the text stays one. */
void of_help_wrap(FILE *file, const char *text, size_t column, size_t indent);

#endif
