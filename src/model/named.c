/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "model/named.h"

#include "core/error.h"
#include <outflow/output.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".safetensors"

enum { MOST_NAMES = 256, NAME_SIZE = OF_MODEL_NAME_SIZE, PATH_SIZE = OF_MODEL_PATH_SIZE };

/* Called with each folder until it returns true. */
typedef bool (*folder_visitor)(const char *folder, void *user);

static bool visit_listed(const char *list, folder_visitor visit, void *user) {
    char folder[PATH_SIZE];
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
    char path[PATH_SIZE];
    int written = snprintf(path, sizeof path, "%s/%s", folder, name);
    return written > 0 && (size_t)written < sizeof path && access(path, F_OK) == 0;
}

/* "FOLDER/up" without its "..", if there is such a folder. */
static bool visit_beside(const char *folder, const char *up, folder_visitor visit, void *user) {
    char path[PATH_SIZE];
    int written = snprintf(path, sizeof path, "%s/%s", folder, up);
    char *plain = written > 0 && (size_t)written < sizeof path ? realpath(path, NULL) : NULL;
    bool found = plain != NULL && visit(plain, user);
    free(plain);
    return found;
}

/* Where models lie from a folder that holds the library or a program: an installed one (lib or
 * lib/TRIPLET, bin), or the build folder of a source tree. */
static bool visit_from(const char *file, folder_visitor visit, void *user) {
    char folder[PATH_SIZE];
    int written = snprintf(folder, sizeof folder, "%s", file);
    char *slash = written > 0 && (size_t)written < sizeof folder ? strrchr(folder, '/') : NULL;
    if (slash == NULL)
        return false;
    *slash = '\0';
    if (exists_in(folder, "CMakeCache.txt"))
        return visit_beside(folder, "../../models", visit, user);
    return visit_beside(folder, "../share/outflow/models", visit, user) ||
           visit_beside(folder, "../../share/outflow/models", visit, user);
}

static const char here; /* in the library, or in the program that it is linked into */

/* OUTFLOW_MODELS, then beside the library, then beside the program. */
static void visit_folders(folder_visitor visit, void *user) {
    char program[PATH_SIZE];
    Dl_info library;
    if (visit_listed(getenv("OUTFLOW_MODELS"), visit, user))
        return;
    if (dladdr(&here, &library) != 0 && library.dli_fname != NULL &&
        visit_from(library.dli_fname, visit, user))
        return;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return;
    program[length] = '\0';
    (void)visit_from(program, visit, user);
}

/* ---- By name ------------------------------------------------------------------------------ */

typedef struct search {
    const char *name;
    char *path;
    bool found;
} search;

static bool look_in(const char *folder, void *user) {
    search *wanted = user;
    int written = snprintf(wanted->path, PATH_SIZE, "%s/%s" SUFFIX, folder, wanted->name);
    wanted->found = written > 0 && written < PATH_SIZE && access(wanted->path, F_OK) == 0;
    return wanted->found;
}

static bool is_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

/* An installed model's path, written to `path`. */
static bool find_installed(const char *name, char path[PATH_SIZE]) {
    search wanted = {.name = name, .path = path};
    visit_folders(look_in, &wanted);
    return wanted.found;
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

size_t of_model_list(void (*visit)(void *user, const char *name), void *user) {
    name_list *list = find_names();
    size_t count = list != NULL ? list->count : 0;
    for (size_t i = 0; visit != NULL && i < count; i++)
        visit(user, list->names[i]);
    free(list);
    return count;
}

/* "a, b, c" */
typedef struct name_text {
    char text[512];
    size_t used;
} name_text;

static void append_name(void *user, const char *name) {
    name_text *names = user;
    size_t left = sizeof names->text - names->used;
    int written =
        snprintf(names->text + names->used, left, "%s%s", names->used > 0 ? ", " : "", name);
    if (written > 0 && (size_t)written < left)
        names->used += (size_t)written;
    else
        names->text[names->used] = '\0';
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
    char near[NAME_SIZE];
    name_text names = {.used = 0};
    find_nearest(name, near);
    if (near[0] != '\0')
        return of_fail_io(error, ENOENT,
                          "%.300s: No such file or installed model (did you mean '%s'?)", name,
                          near);
    (void)of_model_list(append_name, &names);
    return of_fail_io(error, ENOENT, "%.300s: No such file or installed model%s%s", name,
                      names.used > 0 ? "; installed models: " : "", names.text);
}

of_status of_model_locate(const char *name, char *path, size_t size, of_error *error) {
    char found[PATH_SIZE];
    if (name == NULL || path == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_model_locate: a required argument is NULL");
    bool is_path = *name == '\0' || strchr(name, '/') != NULL || is_file(name);
    if (!is_path && find_installed(name, found))
        name = found;
    else if (!is_path && strchr(name, '.') == NULL)
        return fail_unknown_name(name, error);
    int written = snprintf(path, size, "%s", name);
    return written >= 0 && (size_t)written < size
               ? OF_OK
               : of_fail(error, OF_ERROR_ARGUMENT, "%.300s...: the path is too long", name);
}

of_status of_model_open(const char *name, of_model **model, of_error *error) {
    char path[PATH_SIZE];
    if (name == NULL || model == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_model_open: a required argument is NULL");
    of_status status = of_model_locate(name, path, sizeof path, error);
    return status == OF_OK ? of_model_load(path, model, error) : status;
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
        char path[PATH_SIZE];
        found = find_installed(list->names[i], path) && has_fingerprint(path, fingerprint);
        if (found)
            (void)snprintf(name, size, "%s", list->names[i]);
    }
    free(list);
    return found;
}
