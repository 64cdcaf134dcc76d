/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watcher.h"

of_watcher of_watcher_make(of_console *console, const char *label, bool several) {
    return (of_watcher){
        .console = console, .label = label, .warnings = {.console = console, .several = several}};
}

static void start(void *user, const char *source, uint64_t expected) {
    of_watcher *watcher = user;
    (void)source;
    of_progress_start(&watcher->console->progress, of_console_progress_stream(watcher->console),
                      watcher->label, "images", expected);
}

static void progress(void *user, uint64_t images) {
    of_watcher *watcher = user;
    of_progress_update(&watcher->console->progress, images, NULL);
}

void of_watcher_tell_unreadable(void *user, const char *source, const char *path,
                                const char *reason) {
    of_watcher *watcher = user;
    of_warnings_add(&watcher->warnings, source, path, reason);
    if (watcher->unreadable != NULL)
        watcher->unreadable(watcher->user, path, reason);
}

void of_watcher_tell_warning(void *user, const char *text) {
    of_watcher *watcher = user;
    of_warnings_finish(&watcher->warnings);
    of_log_write(&watcher->console->log, OF_LOG_WARNING, "%s", text);
}

bool of_watcher_is_stopped(void *user) {
    of_watcher *watcher = user;
    if (!watcher->awaits_signals)
        of_interrupt_watch();
    watcher->awaits_signals = true;
    return of_interrupted() != 0;
}

of_stream_observer of_watcher_observer(of_watcher *watcher) {
    return (of_stream_observer){.size = sizeof(of_stream_observer),
                                .user = watcher,
                                .started = start,
                                .progressed = progress,
                                .unreadable = of_watcher_tell_unreadable,
                                .warn = of_watcher_tell_warning,
                                .stop = of_watcher_is_stopped};
}

void of_watcher_finish(of_watcher *watcher) {
    of_progress_finish(&watcher->console->progress);
    of_warnings_finish(&watcher->warnings);
}
