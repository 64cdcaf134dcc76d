/* SPDX-License-Identifier: Apache-2.0 */
/* A command line that would replace what it reads, or write one file twice. */
#ifndef OF_CLI_TERMINAL_CLASHES_H
#define OF_CLI_TERMINAL_CLASHES_H

#include "cli/terminal/options.h"

/* An error if a file that is to be written is also one that is read, or written otherwise. What
 * options do with files is their `role`; operands are read. */
of_status of_clashes_check(const of_option_table *table, const of_text_list *operands,
                           of_error *error);

#endif
