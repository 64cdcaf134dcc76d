/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "data/formats/walk.h"

#include "core/error.h"
#include "data/bytes.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 64, BLOCK = 1 << 16 };

typedef struct identity {
    dev_t device;
    ino_t inode;
} identity;

/* Where names lie, one after the other: a folder may have millions. */
typedef struct block {
    struct block *before;
    size_t used, size;
    char text[];
} block;

/* A folder that is being read: its names in order, those of folders ending in '/'. */
typedef struct level {
    identity self;
    block *texts;
    char **names;
    size_t count, capacity, next;
    size_t path_length; /* of this folder's path, with '/' */
    bool linked;        /* it, or one that it lies in, was entered through a link */
} level;

struct of_walk {
    of_walk_filter filter;
    of_bytes path; /* of the current item */
    size_t root_length;
    level levels[MAX_DEPTH];
    size_t depth;
    char *real_root;  /* without links and without '/' at its end */
    identity *linked; /* folders that were entered through a link, or lie in one: a hash table */
    size_t linked_count, linked_capacity;
    of_walk_census *census; /* of a walk that only counts */
};

static void free_level(level *folder) {
    for (block *texts = folder->texts, *before; texts != NULL; texts = before) {
        before = texts->before;
        free(texts);
    }
    free(folder->names);
    *folder = (level){0};
}

void of_walk_close(of_walk *walk) {
    if (walk == NULL)
        return;
    while (walk->depth > 0)
        free_level(&walk->levels[--walk->depth]);
    free(walk->linked);
    free(walk->real_root);
    of_bytes_free(&walk->path);
    free(walk);
}

/* Replaces what follows the first `length` characters of the current path. */
static bool set_path(of_walk *walk, size_t length, const char *name) {
    size_t name_length = strlen(name);
    if (!of_bytes_reserve(&walk->path, length + name_length + 1))
        return false;
    memcpy(walk->path.data + length, name, name_length + 1);
    walk->path.size = length + name_length + 1;
    return true;
}

/* Room for a text in the folder's last block, or in a new one; NULL without memory. */
static char *place_text(level *folder, size_t size) {
    block *last = folder->texts;
    if (last == NULL || last->size - last->used < size) {
        size_t room = size > BLOCK ? size : BLOCK;
        last = malloc(sizeof *last + room);
        if (last == NULL)
            return NULL;
        last->before = folder->texts;
        last->used = 0;
        last->size = room;
        folder->texts = last;
    }
    last->used += size;
    return last->text + last->used - size;
}

static bool add_name(level *folder, const char *name, bool is_folder) {
    if (folder->count == folder->capacity) {
        size_t capacity = folder->capacity * 2 + 16;
        char **names = realloc(folder->names, capacity * sizeof *names);
        if (names == NULL)
            return false;
        folder->names = names;
        folder->capacity = capacity;
    }
    size_t length = strlen(name);
    char *copy = place_text(folder, length + 1 + is_folder);
    if (copy == NULL)
        return false;
    memcpy(copy, name, length + 1);
    if (is_folder)
        memcpy(copy + length, "/", 2);
    folder->names[folder->count++] = copy;
    return true;
}

/* The slash at a folder's end makes this the order of the paths below it, too. */
static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_folder(DIR *directory, const struct dirent *entry) {
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
        return entry->d_type == DT_DIR;
    struct stat information;
    return fstatat(dirfd(directory), entry->d_name, &information, 0) == 0 &&
           S_ISDIR(information.st_mode);
}

static of_status list_folder(of_walk *walk, level *folder, DIR *directory, of_error *error) {
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL && errno != 0)
            return of_fail_io(error, errno, "cannot read this folder: %s", strerror(errno));
        if (entry == NULL)
            break;
        if (entry->d_name[0] == '.')
            continue;
        bool enter = is_folder(directory, entry);
        bool chosen = !enter && walk->filter(entry->d_name);
        if (walk->census != NULL) {
            walk->census->chosen += chosen;
            walk->census->left_out += !chosen && !enter;
            chosen = false;
        }
        if ((enter || chosen) && !add_name(folder, entry->d_name, enter))
            return of_fail_memory(error, "the names in a folder");
    }
    if (folder->count > 0 && walk->census == NULL)
        qsort(folder->names, folder->count, sizeof *folder->names, compare_names);
    return OF_OK;
}

static bool same(identity a, identity b) {
    return a.device == b.device && a.inode == b.inode;
}

static bool is_ancestor(const of_walk *walk, identity folder) {
    for (size_t i = 0; i < walk->depth; i++)
        if (same(walk->levels[i].self, folder))
            return true;
    return false;
}

/* The place of a folder in the hash table: its own or a free one, which has inode 0. */
static size_t place_of(const identity *table, size_t capacity, identity folder) {
    uint64_t hash = ((uint64_t)folder.inode ^ (uint64_t)folder.device << 40) * 0x9e3779b97f4a7c15u;
    size_t place = (size_t)(hash >> 32) & (capacity - 1);
    while (table[place].inode != 0 && !same(table[place], folder))
        place = (place + 1) & (capacity - 1);
    return place;
}

static bool grow_table(of_walk *walk) {
    size_t capacity = walk->linked_capacity > 0 ? 2 * walk->linked_capacity : 64;
    identity *table = calloc(capacity, sizeof *table);
    if (table == NULL)
        return false;
    for (size_t i = 0; i < walk->linked_capacity; i++)
        if (walk->linked[i].inode != 0)
            table[place_of(table, capacity, walk->linked[i])] = walk->linked[i];
    free(walk->linked);
    walk->linked = table;
    walk->linked_capacity = capacity;
    return true;
}

/* Remembers a linked folder; *known if it had been entered before. */
static of_status remember_link(of_walk *walk, identity folder, bool *known, of_error *error) {
    if (2 * (walk->linked_count + 1) > walk->linked_capacity && !grow_table(walk))
        return of_fail_memory(error, "the links in a folder");
    identity *place = &walk->linked[place_of(walk->linked, walk->linked_capacity, folder)];
    *known = place->inode != 0;
    walk->linked_count += !*known;
    *place = folder;
    return OF_OK;
}

/* A link to a folder below the root, on a way without hidden names: the walk comes there by itself,
 * and the images are called what they really are. */
static bool leads_below_root(of_walk *walk) {
    char *real = walk->real_root != NULL ? realpath(of_text(&walk->path), NULL) : NULL;
    size_t length = real != NULL ? strlen(walk->real_root) : 0;
    bool below = real != NULL && strncmp(real, walk->real_root, length) == 0 &&
                 (real[length] == '/' || real[length] == '\0') &&
                 strstr(real + length, "/.") == NULL;
    free(real);
    return below;
}

/* True if the path, which ends in '/', is a link. */
static bool is_link(of_walk *walk) {
    struct stat information;
    char *slash = (char *)walk->path.data + walk->path.size - 2;
    *slash = '\0';
    bool link = lstat((char *)walk->path.data, &information) == 0 && S_ISLNK(information.st_mode);
    *slash = '/';
    return link;
}

/* Reads the folder of the current path, unless it was met already. */
static of_status enter_folder(of_walk *walk, of_error *error) {
    if (walk->depth == MAX_DEPTH)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "folders nested deeper than %d",
                       (int)MAX_DEPTH);
    struct stat information;
    DIR *directory = opendir(of_text(&walk->path));
    if (directory == NULL || fstat(dirfd(directory), &information) != 0) {
        int reason = errno;
        if (directory != NULL)
            (void)closedir(directory);
        return of_fail_io(error, reason, "cannot read this folder: %s", strerror(reason));
    }
    of_status status = OF_OK;
    identity self = {information.st_dev, information.st_ino};
    bool link = walk->depth > 0 && is_link(walk);
    bool linked = link || (walk->depth > 0 && walk->levels[walk->depth - 1].linked);
    bool known = is_ancestor(walk, self) || (link && leads_below_root(walk));
    if (!known && linked)
        status = remember_link(walk, self, &known, error);
    if (status == OF_OK && !known) {
        level folder = {.self = self, .path_length = walk->path.size - 1, .linked = linked};
        status = list_folder(walk, &folder, directory, error);
        if (status == OF_OK)
            walk->levels[walk->depth++] = folder;
        else
            free_level(&folder);
    }
    (void)closedir(directory);
    return status;
}

static of_status open_walk(const char *root, of_walk_filter filter, of_walk_census *census,
                           of_walk **walk, of_error *error) {
    of_walk *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return of_fail_memory(error, "a folder reader");
    opened->filter = filter;
    opened->census = census;
    opened->real_root = realpath(root, NULL); /* NULL: no link is recognised as leading below it */
    if (opened->real_root != NULL && strcmp(opened->real_root, "/") == 0)
        opened->real_root[0] = '\0';
    size_t length = strlen(root);
    bool slash = length > 0 && root[length - 1] == '/';
    of_error reason;
    of_status status = OF_OK;
    if (!set_path(opened, 0, root) || !set_path(opened, length, slash ? "" : "/"))
        status = of_fail_memory(error, "a folder's name");
    else if (enter_folder(opened, &reason) != OF_OK)
        status = of_fail_from(error, &reason, "%s: %s", root, reason.message);
    if (status != OF_OK) {
        of_walk_close(opened);
        return status;
    }
    opened->root_length = opened->path.size - 1;
    *walk = opened;
    return OF_OK;
}

of_status of_walk_open(const char *root, of_walk_filter filter, of_walk **walk, of_error *error) {
    return open_walk(root, filter, NULL, walk, error);
}

of_status of_walk_next(of_walk *walk, of_walk_item *item, of_error *error) {
    *item = (of_walk_item){0};
    while (walk->depth > 0) {
        level *folder = &walk->levels[walk->depth - 1];
        if (folder->next == folder->count) {
            free_level(folder);
            walk->depth--;
            continue;
        }
        const char *name = folder->names[folder->next++];
        if (!set_path(walk, folder->path_length, name))
            return of_fail_memory(error, "a file name");
        bool enter = name[strlen(name) - 1] == '/';
        if (enter && enter_folder(walk, &item->problem) == OF_OK)
            continue;
        if (item->problem.status == OF_ERROR_MEMORY)
            return of_error_copy(error, &item->problem);
        item->path = of_text(&walk->path);
        item->relative = item->path + walk->root_length;
        return OF_OK;
    }
    return OF_OK;
}

of_status of_walk_count(const char *root, of_walk_filter filter, of_walk_census *census,
                        of_error *error) {
    of_walk *walk;
    of_walk_item item;
    *census = (of_walk_census){0};
    of_status status = open_walk(root, filter, census, &walk, error);
    if (status != OF_OK)
        return status;
    do /* what it names are folders that cannot be read */
        status = of_walk_next(walk, &item, error);
    while (status == OF_OK && item.path != NULL);
    of_walk_close(walk);
    return status;
}
