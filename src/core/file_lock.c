/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "core/file_lock.h"

#include "core/atomic_file.h"
#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *hidden_name(const char *path) {
    const char *slash = strrchr(path, '/');
    int folder = slash != NULL ? (int)(slash - path) + 1 : 0;
    size_t size = strlen(path) + sizeof "..lock";
    char *name = malloc(size);
    if (name != NULL)
        (void)snprintf(name, size, "%.*s.%s.lock", folder, path, path + folder);
    return name;
}

/* Whoever held the lock before removes its file: what was opened meanwhile is nobody's any more. */
static bool is_still_there(const char *path, int descriptor) {
    struct stat named, held;
    return stat(path, &named) == 0 && fstat(descriptor, &held) == 0 &&
           named.st_dev == held.st_dev && named.st_ino == held.st_ino;
}

static of_status take(const char *path, of_file_lock *lock, of_error *error) {
    for (;;) {
        lock->descriptor = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock->descriptor < 0)
            return of_fail_write(lock->path, error);
        bool taken = flock(lock->descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
        if (taken && is_still_there(lock->path, lock->descriptor))
            return OF_OK;
        (void)close(lock->descriptor);
        if (!taken)
            return of_fail(error, OF_ERROR_IO, "%s: another run is writing it", path);
    }
}

of_status of_file_lock_take(const char *path, of_file_lock *lock, of_error *error) {
    lock->path = hidden_name(path);
    if (lock->path == NULL)
        return of_fail_memory(error, "a file name");
    of_status status = take(path, lock, error);
    if (status != OF_OK) {
        free(lock->path);
        *lock = (of_file_lock){0};
    }
    return status;
}

void of_file_lock_release(of_file_lock *lock) {
    if (lock->path == NULL)
        return;
    (void)unlink(lock->path);
    (void)close(lock->descriptor);
    free(lock->path);
    *lock = (of_file_lock){0};
}
