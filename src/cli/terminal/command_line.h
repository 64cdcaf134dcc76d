/* SPDX-License-Identifier: Apache-2.0 */
/* The command as people would repeat it. */
#ifndef OF_CLI_TERMINAL_COMMAND_LINE_H
#define OF_CLI_TERMINAL_COMMAND_LINE_H

/* "outflow VERB ..." in the form that a shell reads back (argv[0] is the verb); freed with free().
 * NULL when memory is exhausted. */
char *of_command_line(int argc, char *const *argv);

#endif
