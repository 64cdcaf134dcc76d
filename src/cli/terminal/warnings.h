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
} of_warnings;

/* `source` must live until of_warnings_finish. */
void of_warnings_add(of_warnings *warnings, const char *source, const char *path,
                     const char *reason);

/* Says how many of the last source were not shown. */
void of_warnings_finish(of_warnings *warnings);

#endif
