/* SPDX-License-Identifier: Apache-2.0 */
/* outflow score --watch: after the images of a folder, those that arrive in it. */
#ifndef OF_CLI_SCORE_WATCH_H
#define OF_CLI_SCORE_WATCH_H

#include "cli/arrivals.h"
#include "cli/terminal/console.h"

/* Scores one image: the file `path`, which rows call `name`. What cannot be read is no failure. */
typedef of_status of_score_arrival(void *user, const char *path, const char *name, of_error *error);

/* Gives each file that arrives in `folder`, or below it, to `score`, until a signal comes or the
 * folder is gone; both are no failure. */
of_status of_score_watch(const of_console *console, const char *folder, of_arrivals *arrivals,
                         of_score_arrival *score, void *user, of_error *error);

/* Runs a shell command with `line` on its standard input and waits for it; a command that fails is
 * warned of. */
void of_score_watch_command(const of_console *console, const char *command, const char *line);

#endif
