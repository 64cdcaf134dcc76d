/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs of the program: those of the library, with a reader that may go away (| head). */
#ifndef OF_CLI_TERMINAL_OUTPUT_H
#define OF_CLI_TERMINAL_OUTPUT_H

#include "cli/terminal/console.h"

#include <outflow/output.h>

/* of_output_flush; of_console_reader_gone if nobody reads any more. */
of_status of_console_flush(of_output *output, of_error *error);

/* of_output_commit in the same way. NULL is fine, and is what the handle is afterwards. */
of_status of_console_commit(of_output **output, of_error *error);

/* Flushes standard output; reports what went wrong and returns the exit code. */
int of_console_finish_stdout(of_console *console);

#endif
