/* SPDX-License-Identifier: Apache-2.0 */
/* The folder OUT.work: its files by name, and its end. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "fit/fitting.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *join(const char *a, const char *b, const char *c) {
    size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = malloc(size);
    if (text != NULL)
        (void)snprintf(text, size, "%s%s%s", a, b, c);
    return text;
}

of_status of_work_name(const char *out, of_work *work, of_error *error) {
    char name[32];
    *work = (of_work){.folder = join(out, ".work", "")};
    bool complete = work->folder != NULL;
    struct {
        char **path;
        const char *name;
    } files[] = {{&work->state, "state.json"},
                 {&work->train, "train.npy"},
                 {&work->calibrate, "calibrate.npy"},
                 {&work->check, "check.npy"},
                 {&work->outliers, "outliers.npy"},
                 {&work->samples, "samples.npy"},
                 {&work->general, "general.safetensors"},
                 {&work->model, "model.safetensors"}};
    for (size_t i = 0; complete && i < sizeof files / sizeof *files; i++)
        complete = (*files[i].path = join(work->folder, "/", files[i].name)) != NULL;
    for (size_t i = 0; complete && i < OF_FIT_MOST_SETS; i++) {
        (void)snprintf(name, sizeof name, "set%zu.npy", i);
        complete = (work->sets[i] = join(work->folder, "/", name)) != NULL;
    }
    static const char *const lists[] = {"train.txt", "calibrate.txt", "check.txt"};
    for (size_t i = 0; complete && i < sizeof lists / sizeof *lists; i++)
        complete = (work->lists[i] = join(work->folder, "/", lists[i])) != NULL;
    return complete ? OF_OK : of_fail_memory(error, "names of files");
}

void of_work_free(of_work *work) {
    char *const names[] = {work->folder,    work->state,   work->train,
                           work->calibrate, work->check,   work->outliers,
                           work->samples,   work->general, work->model};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        free(names[i]);
    for (size_t i = 0; i < OF_FIT_MOST_SETS; i++)
        free(work->sets[i]);
    for (size_t i = 0; i < sizeof work->lists / sizeof *work->lists; i++)
        free(work->lists[i]);
    *work = (of_work){0};
}

static void remove_with(const char *path, const char *ending) {
    char *name = join(path, ending, "");
    if (name != NULL)
        (void)unlink(name);
    free(name);
}

/* What a process that was killed left: files that were not complete, and locks that nobody holds.
 */
static void remove_leftovers(const char *folder) {
    DIR *directory = opendir(folder);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        const char *name = entry->d_name, *lock = strstr(name, ".lock");
        if (name[0] == '.' &&
            (strstr(name, ".tmp-") != NULL || (lock != NULL && strcmp(lock, ".lock") == 0)))
            (void)unlinkat(dirfd(directory), name, 0);
    }
    if (directory != NULL)
        (void)closedir(directory);
}

/* The state first: without it nothing goes on from what is left. */
void of_work_remove(const of_work *work) {
    const char *const files[] = {work->state, work->train,    work->calibrate,
                                 work->check, work->outliers, work->samples};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        (void)unlink(files[i]);
    for (size_t i = 0; i < OF_FIT_MOST_SETS; i++)
        (void)unlink(work->sets[i]);
    for (size_t i = 0; i < sizeof work->lists / sizeof *work->lists; i++)
        (void)unlink(work->lists[i]);
    const char *const models[] = {work->general, work->model};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        (void)unlink(models[i]);
        remove_with(models[i], ".checkpoint");
    }
    remove_leftovers(work->folder);
    (void)rmdir(work->folder);
}
