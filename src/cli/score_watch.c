/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cli/score_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Arrivals -------------------------------------------------------------------------------- */

enum { PATIENCE = 500 /* milliseconds between two looks at signals */ };

static const char *name_below(const char *folder, const char *path) {
    size_t length = strlen(folder);
    const char *name = strncmp(path, folder, length) == 0 ? path + length : path;
    return name + strspn(name, "/");
}

of_status of_score_watch(const of_console *console, const char *folder, of_arrivals *arrivals,
                         of_score_arrival *score, void *user, of_error *error) {
    of_status status = OF_OK;
    of_log_write(&console->log, OF_LOG_INFO, "watches %s until Ctrl-C", folder);
    while (status == OF_OK && of_interrupted() == 0 && !of_arrivals_ended(arrivals)) {
        const char *path = NULL;
        status = of_arrivals_next(arrivals, PATIENCE, &path, error);
        if (status == OF_OK && path != NULL)
            status = score(user, path, name_below(folder, path), error);
        if (of_arrivals_overflowed(arrivals))
            of_log_write(&console->log, OF_LOG_WARNING,
                         "%s: images arrive faster than they are told: some were not scored",
                         folder);
    }
    if (status == OF_OK && of_arrivals_ended(arrivals))
        of_log_write(&console->log, OF_LOG_WARNING, "%s: the folder is gone", folder);
    return status;
}

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

void of_score_watch_command(const of_console *console, const char *command, const char *line) {
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
