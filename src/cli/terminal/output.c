/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "cli/terminal/output.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 100 };

static of_status fail_write(const of_output *output, int reason, of_error *error) {
    if (reason == EPIPE)
        of_console_reader_gone();
    return of_fail(error, OF_ERROR_IO, "cannot write %s: %s", output->name,
                   strerror(reason != 0 ? reason : EIO));
}

/* The file that a symbolic link leads to, so that the link itself survives the rename. */
static char *resolve_target(const char *path) {
    char *resolved = realpath(path, NULL);
    return resolved != NULL ? resolved : strdup(path);
}

/* Creates ".NAME.tmp-PID-N" in the target's folder; -1 with errno set. */
static int create_temporary(of_output *output) {
    const char *slash = strrchr(output->target, '/');
    size_t folder = slash != NULL ? (size_t)(slash - output->target) + 1 : 0;
    size_t size = strlen(output->target) + 48;
    output->temporary = malloc(size);
    if (output->temporary == NULL)
        return -1;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        (void)snprintf(output->temporary, size, "%.*s.%s.tmp-%ld-%d", (int)folder, output->target,
                       output->target + folder, (long)getpid(), attempt);
        int descriptor = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0 || errno != EEXIST)
            return descriptor;
    }
    return -1;
}

static of_status open_beside(of_output *output, const char *path, of_error *error) {
    output->target = resolve_target(path);
    if (output->target == NULL)
        return of_fail_memory(error, "a file name");
    int descriptor = create_temporary(output);
    output->file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    if (output->file != NULL)
        return OF_OK;
    of_status status = fail_write(output, errno, error);
    if (descriptor >= 0) {
        (void)close(descriptor);
        (void)unlink(output->temporary);
    }
    free(output->temporary);
    free(output->target);
    *output = (of_output){0};
    return status;
}

/* /dev/stdout, or the file that it leads to: replacing that by a new file would lose what others
 * wrote to it. */
static bool is_stdout(const char *path) {
    struct stat named, standard;
    return stat(path, &named) == 0 && fstat(STDOUT_FILENO, &standard) == 0 &&
           named.st_dev == standard.st_dev && named.st_ino == standard.st_ino;
}

of_status of_output_open(const char *path, of_output *output, of_error *error) {
    *output = (of_output){.name = path};
    if (path == NULL || strcmp(path, "-") == 0 || is_stdout(path)) {
        *output = (of_output){.file = stdout, .name = "standard output"};
        return OF_OK;
    }
    struct stat status;
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode))
        return open_beside(output, path, error);
    output->file = fopen(path, "we");
    return output->file != NULL ? OF_OK : fail_write(output, errno, error);
}

of_status of_output_flush(of_output *output, of_error *error) {
    errno = 0;
    return fflush(output->file) != 0 || ferror(output->file) ? fail_write(output, errno, error)
                                                             : OF_OK;
}

static void release(of_output *output) {
    free(output->target);
    free(output->temporary);
    *output = (of_output){0};
}

/* A regular file's data must be on the disk before its name is, or a crash could leave an empty
 * file in place of an old one. */
static of_status finish_file(of_output *output, of_error *error) {
    of_status status = of_output_flush(output, error);
    if (status == OF_OK && output->target != NULL && fsync(fileno(output->file)) != 0)
        status = fail_write(output, errno, error);
    errno = 0;
    if (output->file != stdout && fclose(output->file) != 0 && status == OF_OK)
        status = fail_write(output, errno, error);
    output->file = NULL;
    return status;
}

of_status of_output_commit(of_output *output, of_error *error) {
    of_status status = finish_file(output, error);
    if (output->target != NULL) {
        if (status == OF_OK && rename(output->temporary, output->target) != 0)
            status = fail_write(output, errno, error);
        if (status != OF_OK)
            (void)unlink(output->temporary);
    }
    release(output);
    return status;
}

void of_output_discard(of_output *output) {
    if (output->file == NULL)
        return;
    if (output->file != stdout)
        (void)fclose(output->file);
    if (output->temporary != NULL)
        (void)unlink(output->temporary);
    release(output);
}

int of_output_finish_stdout(of_console *console) {
    of_output output;
    of_error error;
    (void)of_output_open(NULL, &output, &error);
    if (of_output_commit(&output, &error) != OF_OK)
        return of_console_fail(console, &error);
    return OF_EXIT_FINE;
}
