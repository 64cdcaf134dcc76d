/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/heatmaps.h"

#include "cli/terminal/output.h"
#include "cli/terminal/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX_HEAD "file,path,source,label,"

enum { NAME_MOST = 80 };

static of_status fail_folder(const char *folder, const char *reason, of_error *error) {
    return of_fail(error, OF_ERROR_IO, "cannot write heat maps to %s: %s", folder, reason);
}

of_status of_heatmaps_prepare(const char *folder, of_error *error) {
    struct stat status;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return fail_folder(folder, strerror(errno), error);
    if (stat(folder, &status) != 0)
        return fail_folder(folder, strerror(errno), error);
    if (!S_ISDIR(status.st_mode))
        return fail_folder(folder, "it is not a folder", error);
    if (access(folder, W_OK | X_OK) != 0)
        return fail_folder(folder, strerror(errno), error);
    return OF_OK;
}

/* RANK-PATH.png: the rank makes it unique; of the path, the end, with nothing in it that means
 * something to a file system or a shell. */
static void file_name(size_t rank, const char *path, char name[NAME_MOST + 32]) {
    size_t length = strlen(path);
    const char *end = length > NAME_MOST ? path + length - NAME_MOST : path;
    int used = snprintf(name, 32, "%04zu-", rank + 1);
    for (char *to = name + used;; to++, end++) {
        unsigned char c = (unsigned char)*end;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '-';
        *to = (char)(plain ? c : '_');
        if (c == '\0') {
            memcpy(to, ".png", 5);
            return;
        }
    }
}

static char *path_in(const char *folder, const char *name) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL)
        (void)snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static of_status write_file(const char *folder, const char *name, const uint8_t *bytes, size_t size,
                            of_error *error) {
    of_output *output = NULL;
    of_status status = of_output_open_in(folder, name, &output, error);
    if (status != OF_OK)
        return status;
    (void)fwrite(bytes, 1, size, of_output_file(output));
    return of_output_commit(output, error);
}

static of_status write_image(const char *folder, const of_architecture *architecture,
                             const char *name, const of_example *example, of_error *error) {
    uint8_t *bytes = NULL;
    size_t size;
    of_status status = of_heat_picture_sized(example->height, example->width,
                                             architecture->channels, example->pixels, example->heat,
                                             example->limit, NULL, &bytes, &size, error);
    if (status == OF_OK)
        status = write_file(folder, name, bytes, size, error);
    of_free(bytes);
    return status;
}

static void write_entry(FILE *file, const char *name, const of_example *example) {
    char value[OF_NUMBER_SIZE], limit[OF_NUMBER_SIZE];
    (void)fprintf(file, "%s,", name);
    of_csv_write_text(file, example->path);
    (void)fputc(',', file);
    of_csv_write_text(file, example->source);
    (void)fputc(',', file);
    of_csv_write_text(file, example->label);
    (void)fprintf(file, ",%s,%s\n", of_number_text(example->value, value),
                  of_number_text(example->limit, limit));
}

/* ---- An earlier run in the same folder ---------------------------------------------------- */

typedef char map_name[NAME_MOST + 32];

/* Files that the folder's index lists, if it has one. */
typedef struct earlier_maps {
    map_name *names;
    size_t count, capacity;
} earlier_maps;

/* Only what file_name() could have made: an index may come from anywhere. */
static bool is_map_name(const char *name) {
    size_t digits = strspn(name, "0123456789"), length = strlen(name);
    return digits >= 4 && digits < 10 && name[digits] == '-' && strchr(name, '/') == NULL &&
           length > 4 && length < sizeof(map_name) && strcmp(name + length - 4, ".png") == 0;
}

static bool remember(earlier_maps *maps, const char *name) {
    if (maps->count == maps->capacity) {
        size_t capacity = maps->capacity * 2 + 64;
        map_name *grown = realloc(maps->names, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        maps->names = grown;
        maps->capacity = capacity;
    }
    (void)snprintf(maps->names[maps->count++], sizeof(map_name), "%s", name);
    return true;
}

/* The folder's index, if this user wrote one; NULL for what somebody else put there. */
static FILE *open_index(const char *folder) {
    struct stat status;
    FILE *file = NULL;
    char *path = path_in(folder, "index.csv");
    int descriptor = path != NULL ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    free(path);
    if (descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_uid == geteuid())
        file = fdopen(descriptor, "r");
    if (file == NULL && descriptor >= 0)
        (void)close(descriptor);
    return file;
}

/* Of an index that cannot be read, or is another list, nothing is known and nothing is removed. */
static void read_index(const char *folder, earlier_maps *maps) {
    char *line = NULL;
    size_t size = 0;
    FILE *file = open_index(folder);
    bool ours = file != NULL && getline(&line, &size, file) > 0 &&
                strncmp(line, INDEX_HEAD, strlen(INDEX_HEAD)) == 0;
    while (ours && getline(&line, &size, file) > 0) {
        line[strcspn(line, ",\n")] = '\0';
        if (is_map_name(line) && !remember(maps, line))
            break;
    }
    free(line);
    if (file != NULL)
        (void)fclose(file);
}

/* Otherwise maps of two runs would lie side by side. */
static void remove_stale(const char *folder, const earlier_maps *maps,
                         const of_examples *examples) {
    map_name current;
    for (size_t i = 0; i < maps->count; i++) {
        size_t rank = strtoul(maps->names[i], NULL, 10);
        bool ranked = rank > 0 && rank <= of_examples_count(examples);
        if (ranked)
            file_name(rank - 1, of_examples_get(examples, rank - 1).path, current);
        char *path =
            ranked && strcmp(current, maps->names[i]) == 0 ? NULL : path_in(folder, maps->names[i]);
        if (path != NULL)
            (void)unlink(path);
        free(path);
    }
}

/* ---- All ---------------------------------------------------------------------------------- */

of_status of_heatmaps_write(const char *folder, const of_architecture *architecture, of_score score,
                            const of_examples *examples, of_error *error) {
    char name[NAME_MOST + 32], score_name[32];
    of_output *index = NULL;
    earlier_maps earlier = {0};
    read_index(folder, &earlier);
    of_status status = of_output_open_in(folder, "index.csv", &index, error);
    of_score_name(score, score_name, sizeof score_name);
    if (status == OF_OK)
        (void)fprintf(of_output_file(index), INDEX_HEAD "%s,strongest_colour\n", score_name);
    for (size_t i = 0; status == OF_OK && i < of_examples_count(examples); i++) {
        of_example example = of_examples_get(examples, i);
        file_name(i, example.path, name);
        status = write_image(folder, architecture, name, &example, error);
        if (status == OF_OK)
            write_entry(of_output_file(index), name, &example);
    }
    if (status == OF_OK)
        status = of_console_commit(&index, error);
    if (status == OF_OK)
        remove_stale(folder, &earlier, examples);
    of_output_discard(index);
    free(earlier.names);
    return status;
}
