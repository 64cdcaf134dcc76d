/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cli/score_watch.h"

#include "cli/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Commands -------------------------------------------------------------------------------- */

/* A command that reads no further ends the writing: SIGPIPE is ignored. */
static void write_line(int descriptor, const char *line) {
    size_t left = strlen(line);
    while (left > 0) {
        ssize_t written = write(descriptor, line, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        line += written;
        left -= (size_t)written;
    }
}

/* What the child does between fork and exec is safe in a process of many threads. */
static void become_command(const char *command, int input) {
    (void)dup2(input, STDIN_FILENO);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* standard output belongs to the rows */
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static void warn_of(const of_console *console, const char *command, int result) {
    if (WIFSIGNALED(result))
        of_log_write(&console->log, OF_LOG_WARNING, "the command '%.200s' ended by signal %d",
                     command, WTERMSIG(result));
    else if (WIFEXITED(result) && WEXITSTATUS(result) != 0)
        of_log_write(&console->log, OF_LOG_WARNING, "the command '%.200s' ended with status %d",
                     command, WEXITSTATUS(result));
}

/* Runs a shell command with `line` on its standard input and waits for it. */
static void run_command(const of_console *console, const char *command, const char *line) {
    int ends[2], result = 0;
    pid_t child = -1;
    if (pipe2(ends, O_CLOEXEC) == 0) {
        child = fork();
        if (child == 0)
            become_command(command, ends[0]);
        (void)close(ends[0]);
        if (child > 0)
            write_line(ends[1], line);
        (void)close(ends[1]);
    }
    if (child < 0) {
        of_log_write(&console->log, OF_LOG_WARNING, "the command '%.200s' cannot be run: %s",
                     command, strerror(errno));
        return;
    }
    while (waitpid(child, &result, 0) < 0 && errno == EINTR)
        continue;
    warn_of(console, command, result);
}

void of_score_watch_flagged(of_score_watch *watch, const of_item *item) {
    if (watch->arrived == NULL || watch->command == NULL)
        return;
    char *row = of_rows_text(watch->rows, watch->folder, item, true);
    if (row != NULL)
        run_command(watch->console, watch->command, row);
    free(row);
}

/* ---- Arrivals -------------------------------------------------------------------------------- */

enum {
    PATIENCE = 500,    /* milliseconds between two looks at signals */
    DRIFT_WINDOW = 200 /* images that arrived, between two looks */
};

of_item of_score_watch_name(of_score_watch *watch, const of_item *item) {
    of_item named = *item;
    const char *slash = watch->arrived != NULL ? strchr(watch->arrived, '/') : NULL;
    if (watch->arrived != NULL)
        named.path = watch->arrived;
    if (slash != NULL) {
        size_t length = (size_t)(slash - watch->arrived);
        (void)snprintf(watch->label, sizeof watch->label, "%.*s", (int)length, watch->arrived);
        named.label = watch->label;
    }
    return named;
}

/* A change that came after many images would hardly be seen in all of them together. */
static void look_for_drift(of_score_watch *watch) {
    const of_rows *rows = watch->rows;
    const of_calibration *calibration = of_detector_describe(rows->detector).calibration;
    of_drift recent = rows->drift;
    if (recent.images - watch->seen.images < DRIFT_WINDOW)
        return;
    recent.images -= watch->seen.images;
    for (size_t i = 0; i < OF_DRIFT_BINS; i++)
        recent.bins[i] -= watch->seen.bins[i];
    watch->seen = rows->drift;
    of_drift_summary drift = of_drift_summarise(&recent, calibration, rows->p_score);
    if (drift.drifted)
        of_log_write(&watch->console->log, OF_LOG_WARNING,
                     "the last %" PRIu64 " images score unlike those of the calibration "
                     "(Kolmogorov distance %.2f): has the camera or the light changed?",
                     drift.images, drift.distance);
}

static of_status score_file(of_score_watch *watch, const char *path, const char *name,
                            of_error *error) {
    of_watcher watcher = of_watcher_make(watch->console, "score", false);
    of_stream_observer observer = of_watcher_observer(&watcher);
    of_stream_options options = watch->options;
    of_stream_result own = {0};
    observer.started = NULL;
    observer.progressed = NULL;
    options.observer = &observer;
    watch->arrived = name;
    of_status status = of_detector_stream(watch->rows->detector, path, &options, watch->visit,
                                          watch->user, &own, error);
    watch->arrived = NULL;
    of_watcher_finish(&watcher);
    watch->unreadable += own.unreadable;
    return status;
}

/* A signal in the middle of an image is the end, and no failure. */
static of_status score_arrival(of_score_watch *watch, const char *path, const char *name,
                               of_error *error) {
    of_error reason = {.status = OF_OK};
    of_status status = score_file(watch, path, name, &reason);
    if (status != OF_OK && of_interrupted() == 0 && !watch->output_failed) {
        of_log_write(&watch->console->log, OF_LOG_WARNING, "%s", reason.message);
        watch->unreadable++;
        status = OF_OK;
    }
    look_for_drift(watch);
    if (status != OF_OK && of_interrupted() == 0)
        *error = reason;
    return of_interrupted() != 0 ? OF_OK : status;
}

static const char *name_below(const char *folder, const char *path) {
    size_t length = strlen(folder);
    const char *name = strncmp(path, folder, length) == 0 ? path + length : path;
    return name + strspn(name, "/");
}

static of_status score_arrivals(of_score_watch *watch, of_error *error) {
    const of_log *log = &watch->console->log;
    of_status status = OF_OK;
    of_log_write(log, OF_LOG_INFO, "watches %s until Ctrl-C", watch->folder);
    while (status == OF_OK && of_interrupted() == 0 && !of_arrivals_ended(watch->arrivals)) {
        const char *path = NULL;
        status = of_arrivals_next(watch->arrivals, PATIENCE, &path, error);
        if (status == OF_OK && path != NULL)
            status = score_arrival(watch, path, name_below(watch->folder, path), error);
        if (of_arrivals_overflowed(watch->arrivals))
            of_log_write(log, OF_LOG_WARNING,
                         "%s: images arrive faster than they are told: some were not scored",
                         watch->folder);
    }
    if (status == OF_OK && of_arrivals_ended(watch->arrivals))
        of_log_write(log, OF_LOG_WARNING, "%s: the folder is gone", watch->folder);
    return status;
}

/* ---- The whole ------------------------------------------------------------------------------- */

of_status of_score_watch_open(of_score_watch *watch, of_error *error) {
    return of_arrivals_open(watch->folder, &watch->arrivals, error);
}

void of_score_watch_close(of_score_watch *watch) {
    of_arrivals_close(watch->arrivals);
    watch->arrivals = NULL;
}

of_status of_score_watch_run(of_score_watch *watch, of_error *error) {
    uint64_t before = watch->rows->written;
    watch->seen = watch->rows->drift;
    of_status status = score_arrivals(watch, error);
    watch->images = watch->rows->written - before;
    return status;
}
