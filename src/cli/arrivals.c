/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cli/arrivals.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EVENTS_SIZE = 64 * 1024,
    MOST_DEPTH = 64, /* of folders in folders */
    MOST_PATH = 4096
};

static const uint32_t FOLDER_EVENTS =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

/* A folder that is watched. */
typedef struct watched_folder {
    int watch; /* inotify's number */
    char *path;
} watched_folder;

/* Files found in a folder that came as a whole. */
typedef struct path_list {
    char **items;
    size_t count, capacity, next;
} path_list;

struct of_arrivals {
    int descriptor;
    watched_folder *folders;
    size_t folder_count, folder_capacity;
    int root; /* inotify's number of the folder itself */
    bool overflowed, ended;
    path_list found;
    char path[MOST_PATH];
    size_t filled, used; /* bytes of `events` */
    _Alignas(struct inotify_event) char events[EVENTS_SIZE];
};

static of_status fail(const char *folder, const char *what, of_error *error) {
    return of_fail(error, OF_ERROR_IO, "%.300s: cannot %s: %s", folder, what,
                   errno == ENOSPC ? "too many folders are watched on this machine "
                                     "(fs.inotify.max_user_watches)"
                                   : strerror(errno));
}

static of_status fail_memory(of_error *error) {
    return of_fail_memory(error, "the folders that are watched");
}

static bool is_hidden(const char *name) {
    return name[0] == '.';
}

/* ---- Lists that grow ------------------------------------------------------------------------ */

static bool add_path(path_list *list, const char *path) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        char **items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count] = strdup(path);
    return list->items[list->count] != NULL && ++list->count > 0;
}

static void clear_paths(path_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    list->count = list->next = 0;
}

/* A folder that is watched again, under another name, keeps its number. */
static bool add_folder(of_arrivals *arrivals, int watch, const char *path) {
    char *copy = strdup(path);
    if (copy == NULL)
        return false;
    for (size_t i = 0; i < arrivals->folder_count; i++) {
        if (arrivals->folders[i].watch != watch)
            continue;
        free(arrivals->folders[i].path);
        arrivals->folders[i].path = copy;
        return true;
    }
    if (arrivals->folder_count == arrivals->folder_capacity) {
        size_t capacity = arrivals->folder_capacity > 0 ? 2 * arrivals->folder_capacity : 16;
        watched_folder *folders = realloc(arrivals->folders, capacity * sizeof *folders);
        if (folders == NULL) {
            free(copy);
            return false;
        }
        arrivals->folders = folders;
        arrivals->folder_capacity = capacity;
    }
    arrivals->folders[arrivals->folder_count++] = (watched_folder){watch, copy};
    return true;
}

static const char *folder_of(const of_arrivals *arrivals, int watch) {
    for (size_t i = 0; i < arrivals->folder_count; i++)
        if (arrivals->folders[i].watch == watch)
            return arrivals->folders[i].path;
    return NULL;
}

static void forget_folder(of_arrivals *arrivals, int watch) {
    for (size_t i = 0; i < arrivals->folder_count; i++) {
        if (arrivals->folders[i].watch != watch)
            continue;
        free(arrivals->folders[i].path);
        arrivals->folders[i] = arrivals->folders[--arrivals->folder_count];
        return;
    }
}

/* ---- Folders --------------------------------------------------------------------------------- */

static bool join(char path[MOST_PATH], const char *folder, const char *name) {
    int written = snprintf(path, MOST_PATH, "%s/%s", folder, name);
    return written > 0 && written < MOST_PATH;
}

static of_status watch_tree(of_arrivals *arrivals, const char *folder, bool tell, int depth,
                            of_error *error);

/* An entry of a folder that has just come into sight. Links to folders are not followed: what they
 * lead to may lead back. */
static of_status take_entry(of_arrivals *arrivals, const char *path, bool tell, int depth,
                            of_error *error) {
    struct stat info;
    if (lstat(path, &info) != 0)
        return OF_OK; /* gone again */
    if (S_ISDIR(info.st_mode))
        return watch_tree(arrivals, path, tell, depth + 1, error);
    return !tell || !S_ISREG(info.st_mode) || add_path(&arrivals->found, path) ? OF_OK
                                                                               : fail_memory(error);
}

static of_status take_entries(of_arrivals *arrivals, const char *folder, bool tell, int depth,
                              of_error *error) {
    DIR *directory = opendir(folder);
    struct dirent *entry;
    of_status status = OF_OK;
    while (status == OF_OK && directory != NULL && (entry = readdir(directory)) != NULL) {
        char path[MOST_PATH];
        if (!is_hidden(entry->d_name) && join(path, folder, entry->d_name))
            status = take_entry(arrivals, path, tell, depth, error);
    }
    if (directory != NULL)
        (void)closedir(directory);
    return status;
}

/* Watches a folder and those below it; `tell`: the files in them have arrived with it. One that is
 * still being written is told again when it is closed. */
static of_status watch_tree(of_arrivals *arrivals, const char *folder, bool tell, int depth,
                            of_error *error) {
    int watch = inotify_add_watch(arrivals->descriptor, folder, FOLDER_EVENTS);
    if (watch < 0 && depth > 0 && (errno == ENOENT || errno == ENOTDIR))
        return OF_OK; /* gone again */
    if (watch < 0)
        return fail(folder, "watch it", error);
    if (depth == 0)
        arrivals->root = watch;
    if (!add_folder(arrivals, watch, folder))
        return fail_memory(error);
    return depth < MOST_DEPTH ? take_entries(arrivals, folder, tell, depth, error) : OF_OK;
}

of_status of_arrivals_open(const char *folder, of_arrivals **arrivals, of_error *error) {
    of_arrivals *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fail_memory(error);
    made->descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    of_status status = made->descriptor < 0 ? fail(folder, "watch it", error)
                                            : watch_tree(made, folder, false, 0, error);
    if (status == OF_OK)
        *arrivals = made;
    else
        of_arrivals_close(made);
    return status;
}

void of_arrivals_close(of_arrivals *arrivals) {
    if (arrivals == NULL)
        return;
    if (arrivals->descriptor >= 0)
        (void)close(arrivals->descriptor);
    for (size_t i = 0; i < arrivals->folder_count; i++)
        free(arrivals->folders[i].path);
    clear_paths(&arrivals->found);
    free(arrivals->found.items);
    free(arrivals->folders);
    free(arrivals);
}

/* ---- Events ---------------------------------------------------------------------------------- */

/* Reads more events if there are none left; false if none came. */
static of_status read_events(of_arrivals *arrivals, int milliseconds, bool *some, of_error *error) {
    struct pollfd wait = {.fd = arrivals->descriptor, .events = POLLIN};
    *some = arrivals->used < arrivals->filled;
    if (*some)
        return OF_OK;
    int ready = poll(&wait, 1, milliseconds);
    if (ready <= 0)
        return ready == 0 || errno == EINTR ? OF_OK : fail("a watched folder", "wait", error);
    ssize_t bytes = read(arrivals->descriptor, arrivals->events, EVENTS_SIZE);
    if (bytes < 0)
        return errno == EINTR || errno == EAGAIN ? OF_OK : fail("a watched folder", "read", error);
    arrivals->filled = (size_t)bytes;
    arrivals->used = 0;
    *some = bytes > 0;
    return OF_OK;
}

/* Sets arrivals->path if the event is of a complete file. */
static of_status take_event(of_arrivals *arrivals, const struct inotify_event *event, bool *file,
                            of_error *error) {
    const char *folder = folder_of(arrivals, event->wd);
    if ((event->mask & IN_Q_OVERFLOW) != 0)
        arrivals->overflowed = true;
    if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0 &&
        event->wd == arrivals->root)
        arrivals->ended = true;
    if ((event->mask & IN_IGNORED) != 0) {
        forget_folder(arrivals, event->wd);
        return OF_OK;
    }
    if (folder == NULL || event->len == 0 || is_hidden(event->name) ||
        !join(arrivals->path, folder, event->name))
        return OF_OK;
    if ((event->mask & IN_ISDIR) != 0 && (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0)
        return watch_tree(arrivals, arrivals->path, true, 1, error);
    *file = (event->mask & IN_ISDIR) == 0 && (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0;
    return OF_OK;
}

static const char *next_found(of_arrivals *arrivals) {
    if (arrivals->found.next < arrivals->found.count)
        return arrivals->found.items[arrivals->found.next++];
    clear_paths(&arrivals->found);
    return NULL;
}

of_status of_arrivals_next(of_arrivals *arrivals, int milliseconds, const char **path,
                           of_error *error) {
    bool some = true, file = false;
    of_status status = OF_OK;
    *path = next_found(arrivals);
    if (*path == NULL)
        status = read_events(arrivals, milliseconds, &some, error);
    while (status == OF_OK && *path == NULL && !file && arrivals->used < arrivals->filled) {
        struct inotify_event *event = (struct inotify_event *)(arrivals->events + arrivals->used);
        arrivals->used += sizeof *event + event->len;
        status = take_event(arrivals, event, &file, error);
        if (status == OF_OK && !file)
            *path = next_found(arrivals);
    }
    if (file)
        *path = arrivals->path;
    return status;
}

bool of_arrivals_overflowed(of_arrivals *arrivals) {
    bool overflowed = arrivals->overflowed;
    arrivals->overflowed = false;
    return overflowed;
}

bool of_arrivals_ended(const of_arrivals *arrivals) {
    return arrivals->ended;
}
