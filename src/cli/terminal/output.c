/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/output.h"

of_status of_console_flush(of_output *output, of_error *error) {
    of_status status = of_output_flush(output, error);
    if (of_output_reader_gone(output))
        of_console_reader_gone();
    return status;
}

of_status of_console_commit(of_output **output, of_error *error) {
    if (*output == NULL)
        return OF_OK;
    of_status status = of_console_flush(*output, error);
    if (status == OF_OK)
        status = of_output_commit(*output, error);
    else
        of_output_discard(*output);
    *output = NULL;
    return status;
}

int of_console_finish_stdout(of_console *console) {
    of_output *output = NULL;
    of_error error;
    of_status status = of_output_open(NULL, &output, &error);
    if (status == OF_OK)
        status = of_console_commit(&output, &error);
    return status == OF_OK ? OF_EXIT_FINE : of_console_fail(console, &error);
}
