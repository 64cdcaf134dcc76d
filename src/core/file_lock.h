/* SPDX-License-Identifier: Apache-2.0 */
/* A claim on a file that this process is going to replace again and again. It is held by an empty
 * hidden file beside it, ".NAME.lock", because the file itself is another one after each time; the
 * system gives it up however the process ends. Where the file system knows no locks, all are given.
 */
#ifndef OF_CORE_FILE_LOCK_H
#define OF_CORE_FILE_LOCK_H

#include <outflow/outflow.h>

typedef struct of_file_lock {
    char *path; /* of the hidden file; NULL: nothing is held */
    int descriptor;
} of_file_lock;

/* OF_ERROR_IO if somebody else holds it, in this process or another. Never waits. */
of_status of_file_lock_take(const char *path, of_file_lock *lock, of_error *error);

/* Accepts a zeroed lock. */
void of_file_lock_release(of_file_lock *lock);

#endif
