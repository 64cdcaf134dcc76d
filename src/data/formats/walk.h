/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files below a folder in the bytewise order of their paths, one folder's names in memory at a
 * time. Hidden names are left out. Links are followed, but no folder is read twice: one that lies
 * below the root by itself is not entered through a link, any other only through the first, and
 * none from inside itself, so every walk ends.
 */
#ifndef OF_DATA_FORMATS_WALK_H
#define OF_DATA_FORMATS_WALK_H

#include <outflow/outflow.h>

typedef struct of_walk of_walk;

/* Chooses files by name. */
typedef bool (*of_walk_filter)(const char *name);

/* A root that cannot be read is an error. */
of_status of_walk_open(const char *root, of_walk_filter filter, of_walk **walk, of_error *error);

void of_walk_close(of_walk *walk);

typedef struct of_walk_census {
    uint64_t chosen, left_out; /* files, by the filter; hidden ones are neither */
} of_walk_census;

/* How many files a walk would name, without keeping or ordering their names. */
of_status of_walk_count(const char *root, of_walk_filter filter, of_walk_census *census,
                        of_error *error);

typedef struct of_walk_item {
    const char *path;     /* as the operating system takes it; NULL at the end */
    const char *relative; /* below the root */
    of_error problem;     /* status OF_OK, or why a folder of this name could not be read */
} of_walk_item;

/* The next file; strings are valid until the next call. */
of_status of_walk_next(of_walk *walk, of_walk_item *item, of_error *error);

#endif
