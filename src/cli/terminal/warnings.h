/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings of images that cannot be read: a line each, but only the first of a source. */
#ifndef OF_CLI_TERMINAL_WARNINGS_H
#define OF_CLI_TERMINAL_WARNINGS_H

#include "cli/terminal/console.h"

enum { OF_WARNINGS_SHOWN = 10 }; /* of a source */

typedef struct of_warnings {
    const of_console *console;
    bool several;       /* sources are read: each line names its own */
    const char *source; /* the one that `count` is of, NULL before the first */
    uint64_t count;
    char held[sizeof((of_error *)0)->message]; /* why the one image that is the source cannot be
                                                  read: shown at the end, or taken for an error */
} of_warnings;

/* `source` must live until of_warnings_finish. */
void of_warnings_add(of_warnings *warnings, const char *source, const char *path,
                     const char *reason);

/* What makes an error of the warning of a source that is one image, which is not shown then. False
 * if there is none. */
bool of_warnings_take(of_warnings *warnings, of_error *error);

/* Shows what is held, and says how many of the last source were not shown. */
void of_warnings_finish(of_warnings *warnings);

#endif
