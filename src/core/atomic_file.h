/* SPDX-License-Identifier: Apache-2.0 */
/* Replaces a file as a whole or not at all: the new content goes to a temporary file in the same
 * folder, is synchronised, and is renamed over the target; then the folder is synchronised. A
 * reader, or a crash at any moment, sees the old content or the new. A file that was there keeps
 * its permissions. */
#ifndef OF_CORE_ATOMIC_FILE_H
#define OF_CORE_ATOMIC_FILE_H

#include <outflow/outflow.h>

typedef struct of_replacement {
    char *target;    /* the path, a symbolic link followed unless it is to be replaced */
    char *temporary; /* beside the target */
    int descriptor;
} of_replacement;

/* After OF_OK, exactly one of commit and discard must follow. */
of_status of_replace_begin(const char *path, of_replacement *file, of_error *error);
/* The same, but a symbolic link of that name is itself replaced. */
of_status of_replace_link_begin(const char *path, of_replacement *file, of_error *error);
of_status of_replace_write(of_replacement *file, const void *bytes, size_t count, of_error *error);
/* On failure the temporary file is gone and the target is as it was. */
of_status of_replace_commit(of_replacement *file, of_error *error);
void of_replace_discard(of_replacement *file);

/* "cannot write PATH: REASON", the reason being errno's. */
of_status of_fail_write(const char *path, of_error *error);

#endif
