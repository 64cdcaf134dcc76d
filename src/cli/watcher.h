/* SPDX-License-Identifier: Apache-2.0 */
/* What the terminal shows of a stream: progress, files that cannot be read, warnings; and the
 * signals that end it. */
#ifndef OF_CLI_WATCHER_H
#define OF_CLI_WATCHER_H

#include "cli/terminal/warnings.h"

#include <outflow/detect.h>

typedef struct of_watcher {
    of_console *console;
    const char *label; /* shown with the progress */
    of_warnings warnings;
    /* Also told of files that cannot be read; NULL: nobody. */
    void (*unreadable)(void *user, const char *path, const char *reason);
    void *user;
    bool awaits_signals;
} of_watcher;

/* `several`: there are streams of other sources as well, and warnings name theirs. */
of_watcher of_watcher_make(of_console *console, const char *label, bool several);

/* For of_stream_options and the like; the watcher must outlive it. */
of_stream_observer of_watcher_observer(of_watcher *watcher);

/* What observers of all kinds have in common; their `user` is an of_watcher, or begins with one. */
void of_watcher_tell_unreadable(void *user, const char *source, const char *path,
                                const char *reason);
void of_watcher_tell_warning(void *user, const char *text);
/* Asked first when there is something to lose: until then a signal ends the process as it is. */
bool of_watcher_is_stopped(void *user);

/* Ends the progress and the warnings of a stream. */
void of_watcher_finish(of_watcher *watcher);

#endif
