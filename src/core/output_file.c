/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs: streams on what core/atomic_file.h replaces, or on what is written in place. */
#define _XOPEN_SOURCE 700
#include "core/atomic_file.h"
#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <outflow/output.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct of_output {
    FILE *file;
    char *name;
    bool replaces; /* `replacement` holds the file; else it is written in place */
    bool reader_gone;
    of_replacement replacement;
};

/* /dev/stdout, or the file that it leads to: replacing that by a new file would lose what others
 * wrote to it. */
static bool is_stdout(const char *path) {
    struct stat named, standard;
    return path == NULL || strcmp(path, "-") == 0 ||
           (stat(path, &named) == 0 && fstat(STDOUT_FILENO, &standard) == 0 &&
            named.st_dev == standard.st_dev && named.st_ino == standard.st_ino);
}

static bool is_special(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

/* The stream has a descriptor of its own, because closing it must not close the replacement. */
static of_status open_stream(const char *path, of_output *output, of_error *error) {
    int descriptor = fcntl(output->replacement.descriptor, F_DUPFD_CLOEXEC, 0);
    output->file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    output->replaces = output->file != NULL;
    if (output->replaces)
        return OF_OK;
    of_status status = of_fail_write(path, error);
    if (descriptor >= 0)
        (void)close(descriptor);
    of_replace_discard(&output->replacement);
    return status;
}

static of_status open_beside(const char *path, of_output *output, of_error *error) {
    of_status status = of_replace_begin(path, &output->replacement, error);
    return status == OF_OK ? open_stream(path, output, error) : status;
}

static of_status open_entry(const char *path, of_output *output, of_error *error) {
    of_status status = of_replace_link_begin(path, &output->replacement, error);
    return status == OF_OK ? open_stream(path, output, error) : status;
}

static of_status open_path(const char *path, of_output *output, of_error *error) {
    if (is_stdout(path)) {
        output->file = stdout;
        return OF_OK;
    }
    if (!is_special(path))
        return open_beside(path, output, error);
    output->file = fopen(path, "we");
    return output->file != NULL ? OF_OK : of_fail_write(path, error);
}

static void release(of_output *output) {
    free(output->name);
    free(output);
}

typedef of_status opener(const char *path, of_output *output, of_error *error);

/* Owns the name, also on failure; NULL is lack of memory. */
static of_status open_named(char *name, const char *path, opener *open, of_output **output,
                            of_error *error) {
    *output = calloc(1, sizeof **output);
    if (*output == NULL || name == NULL) {
        free(name);
        free(*output);
        *output = NULL;
        return of_fail_memory(error, "an output");
    }
    (*output)->name = name;
    of_status status = open(path, *output, error);
    if (status != OF_OK) {
        release(*output);
        *output = NULL;
    }
    return status;
}

of_status of_output_open(const char *path, of_output **output, of_error *error) {
    if (output == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_output_open: no place for the output");
    *output = NULL;
    if (path != NULL && path[0] == '\0')
        return of_fail(error, OF_ERROR_IO, "cannot write to a file without a name");
    char *name = strdup(is_stdout(path) ? "standard output" : path);
    return open_named(name, path, open_path, output, error);
}

of_status of_output_open_in(const char *folder, const char *name, of_output **output,
                            of_error *error) {
    if (output == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_output_open_in: no place for the output");
    *output = NULL;
    if (folder == NULL || name == NULL || name[0] == '\0' || strchr(name, '/') != NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_output_open_in: a folder and the name of a file in it are needed");
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL)
        (void)snprintf(path, size, "%s/%s", folder, name);
    return open_named(path, path, open_entry, output, error);
}

static of_status open_append(const char *path, of_output *output, of_error *error) {
    if (is_stdout(path)) {
        output->file = stdout;
        return OF_OK;
    }
    output->file = fopen(path, "ae");
    return output->file != NULL ? OF_OK : of_fail_write(path, error);
}

of_status of_output_open_append(const char *path, of_output **output, of_error *error) {
    if (output == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_output_open_append: no place for the output");
    *output = NULL;
    if (path != NULL && path[0] == '\0')
        return of_fail(error, OF_ERROR_IO, "cannot write to a file without a name");
    char *name = strdup(is_stdout(path) ? "standard output" : path);
    return open_named(name, path, open_append, output, error);
}

FILE *of_output_file(const of_output *output) {
    return output->file;
}

const char *of_output_name(const of_output *output) {
    return output->name;
}

bool of_output_reader_gone(const of_output *output) {
    return output->reader_gone;
}

static of_status fail_output(of_output *output, of_error *error) {
    output->reader_gone = errno == EPIPE;
    return of_fail_write(output->name, error);
}

of_status of_output_flush(of_output *output, of_error *error) {
    if (output == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_output_flush: an output is needed");
    errno = 0;
    return fflush(output->file) != 0 || ferror(output->file) ? fail_output(output, error) : OF_OK;
}

static of_status close_stream(of_output *output, of_error *error) {
    of_status status = of_output_flush(output, error);
    errno = 0;
    if (output->file != stdout && fclose(output->file) != 0 && status == OF_OK)
        status = fail_output(output, error);
    return status;
}

of_status of_output_commit(of_output *output, of_error *error) {
    if (output == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_output_commit: an output is needed");
    of_status status = close_stream(output, error);
    if (output->replaces && status == OF_OK)
        status = of_replace_commit(&output->replacement, error);
    else if (output->replaces)
        of_replace_discard(&output->replacement);
    release(output);
    return status;
}

void of_output_discard(of_output *output) {
    if (output == NULL)
        return;
    if (output->file != stdout)
        (void)fclose(output->file);
    if (output->replaces)
        of_replace_discard(&output->replacement);
    release(output);
}
