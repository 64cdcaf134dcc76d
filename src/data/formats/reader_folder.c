/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
/* Folders: of image files, or of CIFAR binary files. */
#include "core/error.h"
#include "data/formats/reader.h"
#include "data/formats/walk.h"
#include "data/pixels/image.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct folder_reader {
    of_reader reader;
    of_target target;
    char *path;
    of_walk *walk; /* from the first image on: who only wants to know how many there are waits for
                      no list of their names */
} folder_reader;

/* The next image that is wanted, or no path at the end. */
static of_status next_file(folder_reader *folder, of_walk_item *item, of_error *error) {
    const of_part_range *wanted = folder->reader.wanted;
    of_status status = OF_OK;
    if (folder->walk == NULL)
        status = of_walk_open(folder->path, of_has_image_extension, &folder->walk, error);
    if (status != OF_OK)
        return status;
    do
        status = of_walk_next(folder->walk, item, error);
    while (status == OF_OK && item->path != NULL && wanted != NULL &&
           !of_part_has(wanted, item->relative));
    return status;
}

static of_status next_in_folder(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    folder_reader *folder = (folder_reader *)reader;
    of_walk_item item = {0};
    of_status status = next_file(folder, &item, error);
    *end = item.path == NULL;
    if (status != OF_OK || *end)
        return status;
    status = of_entry_begin_in_folder(entry, item.relative, error);
    if (status != OF_OK)
        return status;
    if (item.problem.status == OF_OK)
        return of_entry_read_file(entry, item.path, &folder->target, error);
    entry->content = OF_CONTENT_UNREADABLE;
    entry->reason = item.problem;
    return OF_OK;
}

static void close_folder(of_reader *reader) {
    folder_reader *folder = (folder_reader *)reader;
    of_walk_close(folder->walk);
    free(folder->path);
    free(folder);
}

static of_status open_images(const char *path, const of_target *target, of_walk_census census,
                             of_reader **reader, of_error *error) {
    folder_reader *folder = calloc(1, sizeof *folder);
    char *copy = strdup(path);
    if (folder == NULL || copy == NULL) {
        free(folder);
        free(copy);
        return of_fail_memory(error, "a folder reader");
    }
    folder->reader = (of_reader){.next = next_in_folder,
                                 .close = close_folder,
                                 .expected = census.chosen,
                                 .skipped = census.left_out};
    folder->target = *target;
    folder->path = copy;
    *reader = &folder->reader;
    return OF_OK;
}

/* ---- CIFAR --------------------------------------------------------------------------------- */

static bool is_binary_name(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot != NULL && strcasecmp(dot, ".bin") == 0;
}

typedef struct path_list {
    char **paths;
    size_t count;
} path_list;

static void free_paths(path_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
}

static bool add_path(path_list *list, const char *path) {
    char **paths = realloc(list->paths, (list->count + 1) * sizeof *paths);
    if (paths == NULL)
        return false;
    list->paths = paths;
    size_t size = strlen(path) + 1;
    paths[list->count] = malloc(size);
    if (paths[list->count] == NULL)
        return false;
    memcpy(paths[list->count++], path, size);
    return true;
}

static of_status list_binaries(const char *path, path_list *list, of_error *error) {
    of_walk *walk;
    of_walk_item item;
    of_status status = of_walk_open(path, is_binary_name, &walk, error);
    if (status != OF_OK)
        return status;
    while ((status = of_walk_next(walk, &item, error)) == OF_OK && item.path != NULL)
        if (item.problem.status == OF_OK && !add_path(list, item.path)) {
            status = of_fail_memory(error, "the names in a folder");
            break;
        }
    of_walk_close(walk);
    return status;
}

of_status of_reader_open_folder(const char *path, const of_target *target, of_reader **reader,
                                of_error *error) {
    of_walk_census census;
    of_status status = of_walk_count(path, of_has_image_extension, &census, error);
    if (status != OF_OK)
        return status;
    if (census.chosen > 0)
        return open_images(path, target, census, reader, error);
    path_list list = {0};
    status = list_binaries(path, &list, error);
    if (status == OF_OK && list.count == 0)
        status = of_fail(error, OF_ERROR_FORMAT,
                         "%s: no images in this folder; looked for files ending in %s, and for "
                         "CIFAR .bin files",
                         path, OF_IMAGE_EXTENSIONS);
    if (status == OF_OK)
        status = of_reader_open_cifar((const char *const *)list.paths, list.count, target, reader,
                                      error);
    free_paths(&list);
    return status;
}
