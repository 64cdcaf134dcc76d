/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/models.h"

#include "core/error.h"
#include "core/nearest.h"

#include <dirent.h>
#include <outflow/outflow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".safetensors"

enum { MOST_NAMES = 256, NAME_SIZE = 128 };

/* Called with each folder until it returns true. */
typedef bool (*folder_visitor)(const char *folder, void *user);

static bool visit_listed(const char *list, folder_visitor visit, void *user) {
    char folder[OF_MODEL_PATH_SIZE];
    while (list != NULL && *list != '\0') {
        size_t length = strcspn(list, ":");
        if (length > 0 && length < sizeof folder) {
            memcpy(folder, list, length);
            folder[length] = '\0';
            if (visit(folder, user))
                return true;
        }
        list += length;
        list += *list == ':';
    }
    return false;
}

static bool exists_in(const char *folder, const char *name) {
    char path[OF_MODEL_PATH_SIZE];
    int written = snprintf(path, sizeof path, "%s/%s", folder, name);
    return written > 0 && (size_t)written < sizeof path && access(path, F_OK) == 0;
}

/* What lies beside an installed program, or in the source tree of one that was just built. */
static void visit_folders(folder_visitor visit, void *user) {
    char program[OF_MODEL_PATH_SIZE], folder[OF_MODEL_PATH_SIZE];
    if (visit_listed(getenv("OUTFLOW_MODELS"), visit, user))
        return;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (slash == NULL)
        return;
    *slash = '\0';
    bool built = exists_in(program, "CMakeCache.txt");
    int written = snprintf(folder, sizeof folder, "%s/%s", program,
                           built ? "../../models" : "../share/outflow/models");
    if (written > 0 && (size_t)written < sizeof folder)
        (void)visit(folder, user);
}

/* ---- By name ------------------------------------------------------------------------------ */

typedef struct search {
    const char *name;
    char *path;
    bool found;
} search;

static bool look_in(const char *folder, void *user) {
    search *wanted = user;
    int written = snprintf(wanted->path, OF_MODEL_PATH_SIZE, "%s/%s" SUFFIX, folder, wanted->name);
    wanted->found = written > 0 && written < OF_MODEL_PATH_SIZE && access(wanted->path, F_OK) == 0;
    return wanted->found;
}

static bool is_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

const char *of_model_file(const char *name, char path[OF_MODEL_PATH_SIZE]) {
    search wanted = {.name = name, .path = path};
    if (*name == '\0' || strchr(name, '/') != NULL || is_file(name))
        return name;
    visit_folders(look_in, &wanted);
    return wanted.found ? path : name;
}

/* ---- All ---------------------------------------------------------------------------------- */

typedef struct name_list {
    char names[MOST_NAMES][NAME_SIZE];
    size_t count;
} name_list;

static void add_name(const char *file, name_list *list) {
    size_t length = strlen(file), suffix = strlen(SUFFIX);
    if (length <= suffix || strcmp(file + length - suffix, SUFFIX) != 0)
        return;
    length -= suffix;
    if (length >= NAME_SIZE || list->count == MOST_NAMES)
        return;
    char *name = list->names[list->count];
    memcpy(name, file, length);
    name[length] = '\0';
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0)
            return;
    list->count++;
}

static bool list_folder(const char *folder, void *user) {
    DIR *directory = opendir(folder);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        add_name(entry->d_name, user);
    if (directory != NULL)
        (void)closedir(directory);
    return false;
}

static int by_text(const void *a, const void *b) {
    return strcmp(a, b);
}

/* Sorted; to be freed. NULL without memory. */
static name_list *find_names(void) {
    name_list *list = calloc(1, sizeof *list);
    if (list == NULL)
        return NULL;
    visit_folders(list_folder, list);
    qsort(list->names, list->count, NAME_SIZE, by_text);
    return list;
}

void of_model_names(char *text, size_t size) {
    name_list *list = find_names();
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; list != NULL && i < list->count && used < size; i++) {
        int written = snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", list->names[i]);
        used += written > 0 ? (size_t)written : 0;
    }
    free(list);
}

/* ---- Loading ------------------------------------------------------------------------------ */

static void find_nearest(const char *name, char found[NAME_SIZE]) {
    of_nearest nearest = of_nearest_to(name, strlen(name));
    name_list *list = find_names();
    for (size_t i = 0; list != NULL && i < list->count; i++)
        of_nearest_offer(&nearest, list->names[i]);
    (void)snprintf(found, NAME_SIZE, "%s", nearest.word != NULL ? nearest.word : "");
    free(list);
}

static of_status fail_unknown_name(const char *name, of_error *error) {
    char near[NAME_SIZE], names[512];
    find_nearest(name, near);
    of_model_names(names, sizeof names);
    if (near[0] != '\0')
        return of_fail(error, OF_ERROR_IO,
                       "%.300s: No such file or installed model (did you mean '%s'?)", name, near);
    return of_fail(error, OF_ERROR_IO, "%.300s: No such file or installed model%s%s", name,
                   names[0] != '\0' ? "; installed models: " : "", names);
}

of_status of_model_check_name(const char *file, of_error *error) {
    bool is_name = *file != '\0' && strpbrk(file, "/.") == NULL;
    return is_name && access(file, F_OK) != 0 ? fail_unknown_name(file, error) : OF_OK;
}

of_status of_model_open(const char *file, of_model **model, of_error *error) {
    of_status status = of_model_check_name(file, error);
    return status == OF_OK ? of_model_load(file, model, error) : status;
}

static bool has_fingerprint(const char *path, uint64_t fingerprint) {
    of_model *model;
    if (of_model_load(path, &model, NULL) != OF_OK)
        return false;
    bool same = of_model_fingerprint(model) == fingerprint;
    of_model_free(model);
    return same;
}

bool of_model_with_fingerprint(uint64_t fingerprint, char *name, size_t size) {
    name_list *list = find_names();
    bool found = false;
    for (size_t i = 0; list != NULL && !found && i < list->count; i++) {
        char path[OF_MODEL_PATH_SIZE];
        search wanted = {.name = list->names[i], .path = path};
        visit_folders(look_in, &wanted);
        found = wanted.found && has_fingerprint(path, fingerprint);
        if (found)
            (void)snprintf(name, size, "%s", list->names[i]);
    }
    free(list);
    return found;
}
