/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "core/atomic_file.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_ATTEMPTS = 1000 };

of_status of_fail_write(const char *path, of_error *error) {
    int reason = errno != 0 ? errno : EIO;
    return of_fail_io(error, reason, "cannot write %.480s: %s", path, strerror(reason));
}

enum { FOR_THE_OWNER = 0600, FOR_ALL = 0666, PERMISSIONS = 0777, NO_FILE = -1 };

/* A link that is not to be followed is no file. */
static bool is_there(const char *path, bool follow, struct stat *info) {
    return follow ? stat(path, info) == 0 : lstat(path, info) == 0 && !S_ISLNK(info->st_mode);
}

/* The file that `path` leads to, and its permissions; or a copy of `path`, and NO_FILE, when there
 * is none yet. */
static of_status resolve(const char *path, bool follow, char **target, int *exists_as,
                         of_error *error) {
    struct stat info;
    bool exists = is_there(path, follow, &info);
    *exists_as = exists ? (int)(info.st_mode & PERMISSIONS) : NO_FILE;
    if (exists && !S_ISREG(info.st_mode))
        return of_fail_io(error, S_ISDIR(info.st_mode) ? EISDIR : 0,
                          "cannot write %.480s: not a regular file", path);
    *target = exists && follow ? realpath(path, NULL) : strdup(path);
    return *target == NULL ? of_fail_write(path, error) : OF_OK;
}

/* Creates ".NAME.tmp-PID-N" in the target's folder. */
static int create_unique(char *name, size_t size, const char *target, mode_t mode) {
    const char *slash = strrchr(target, '/');
    int folder = slash != NULL ? (int)(slash - target) + 1 : 0;
    for (unsigned attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        (void)snprintf(name, size, "%.*s.%s.tmp-%ld-%u", folder, target, target + folder,
                       (long)getpid(), attempt);
        int descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (descriptor >= 0 || errno != EEXIST)
            return descriptor;
    }
    return -1;
}

static void forget(of_replacement *file) {
    free(file->target);
    free(file->temporary);
    *file = (of_replacement){.descriptor = -1};
}

static of_status begin(const char *path, bool follow, of_replacement *file, of_error *error) {
    *file = (of_replacement){.descriptor = -1};
    int permissions;
    of_status status = resolve(path, follow, &file->target, &permissions, error);
    if (status != OF_OK)
        return status;
    size_t size = strlen(file->target) + 64;
    file->temporary = malloc(size);
    if (file->temporary == NULL) {
        status = of_fail_memory(error, "a file name");
    } else {
        /* What was for the owner alone is so at every moment; what cannot be widened stays so. */
        bool is_new = permissions == NO_FILE;
        file->descriptor =
            create_unique(file->temporary, size, file->target, is_new ? FOR_ALL : FOR_THE_OWNER);
        if (file->descriptor < 0)
            status = of_fail_write(path, error);
        else if (!is_new)
            (void)fchmod(file->descriptor, (mode_t)permissions);
    }
    if (status != OF_OK)
        forget(file);
    return status;
}

of_status of_replace_begin(const char *path, of_replacement *file, of_error *error) {
    return begin(path, true, file, error);
}

of_status of_replace_link_begin(const char *path, of_replacement *file, of_error *error) {
    return begin(path, false, file, error);
}

of_status of_replace_write(of_replacement *file, const void *bytes, size_t count, of_error *error) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t written = write(file->descriptor, next, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return of_fail_write(file->target, error);
        next += written;
        count -= (size_t)written;
    }
    return OF_OK;
}

/* Makes the renaming itself durable. File systems that cannot do that say EINVAL. */
static of_status synchronise_folder(const char *target, of_error *error) {
    const char *slash = strrchr(target, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - target) + 1;
    char *folder = slash == NULL ? strdup(".") : strndup(target, length);
    if (folder == NULL)
        return of_fail_memory(error, "a folder name");
    of_status status = OF_OK;
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (descriptor < 0)
        return errno == EACCES ? OF_OK : of_fail_write(target, error);
    if (fsync(descriptor) != 0 && errno != EINVAL)
        status = of_fail_write(target, error);
    (void)close(descriptor);
    return status;
}

of_status of_replace_commit(of_replacement *file, of_error *error) {
    of_status status = OF_OK;
    if (fsync(file->descriptor) != 0 && errno != EINVAL)
        status = of_fail_write(file->target, error);
    if (close(file->descriptor) != 0 && status == OF_OK)
        status = of_fail_write(file->target, error);
    if (status == OF_OK && rename(file->temporary, file->target) != 0)
        status = of_fail_write(file->target, error);
    if (status == OF_OK)
        status = synchronise_folder(file->target, error);
    else
        (void)unlink(file->temporary);
    forget(file);
    return status;
}

void of_replace_discard(of_replacement *file) {
    (void)close(file->descriptor);
    (void)unlink(file->temporary);
    forget(file);
}
