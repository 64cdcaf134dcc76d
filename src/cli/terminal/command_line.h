/* SPDX-License-Identifier: Apache-2.0 */
/* How the program was started, as text. */
#ifndef OF_CLI_TERMINAL_COMMAND_LINE_H
#define OF_CLI_TERMINAL_COMMAND_LINE_H

/* "outflow VERB ..." in the form that a shell reads back; freed with free(). NULL when memory is
 * exhausted. argv[0] is the verb. */
char *of_command_line(int argc, char *const *argv);

#endif
