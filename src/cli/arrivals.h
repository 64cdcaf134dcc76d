/* SPDX-License-Identifier: Apache-2.0 */
/* Files that arrive in a folder, and in the folders below it: told once they are complete, that is
 * when who wrote a file closes it, or when it is moved to its place. */
#ifndef OF_CLI_ARRIVALS_H
#define OF_CLI_ARRIVALS_H

#include <outflow/outflow.h>

typedef struct of_arrivals of_arrivals;

/* Begins to watch. What is there already is not told. */
of_status of_arrivals_open(const char *folder, of_arrivals **arrivals, of_error *error);

/* Accepts NULL. */
void of_arrivals_close(of_arrivals *arrivals);

/* Waits for the next file, at most `milliseconds`; NULL if there is none by then, or a signal
 * came. Hidden names are passed over. The path, which begins with the folder's, is valid until the
 * next call. */
of_status of_arrivals_next(of_arrivals *arrivals, int milliseconds, const char **path,
                           of_error *error);

/* True once after files arrived faster than they were taken, and some were not told. */
bool of_arrivals_overflowed(of_arrivals *arrivals);

/* The folder itself is no longer there. */
bool of_arrivals_ended(const of_arrivals *arrivals);

#endif
