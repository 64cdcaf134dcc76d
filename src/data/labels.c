/* SPDX-License-Identifier: Apache-2.0 */
#include "data/labels.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a. */
static size_t hash(const char *name) {
    uint64_t value = 0xcbf29ce484222325u;
    for (; *name != '\0'; name++)
        value = (value ^ (unsigned char)*name) * 0x100000001b3u;
    return (size_t)(value ^ value >> 32);
}

/* The name's place in the table, or the free one where it belongs. */
static uint32_t *find(const of_labels *labels, const char *name) {
    size_t mask = labels->table_size - 1, at = hash(name) & mask;
    while (labels->table[at] != 0 && strcmp(labels->names[labels->table[at] - 1], name) != 0)
        at = (at + 1) & mask;
    return &labels->table[at];
}

/* Keeps the table at most half full; its size is a power of two. */
static bool grow(of_labels *labels) {
    size_t size = labels->table_size == 0 ? 32 : labels->table_size * 2;
    char **names = realloc(labels->names, size / 2 * sizeof *names);
    if (names == NULL)
        return false;
    labels->names = names;
    uint32_t *table = calloc(size, sizeof *table);
    if (table == NULL)
        return false;
    free(labels->table);
    labels->table = table;
    labels->table_size = size;
    for (size_t i = 0; i < labels->count; i++)
        *find(labels, names[i]) = (uint32_t)i + 1;
    return true;
}

bool of_labels_number(of_labels *labels, const char *name, int32_t *number) {
    uint32_t *place = labels->table_size > 0 ? find(labels, name) : NULL;
    if (place == NULL || *place == 0) {
        if (labels->count >= INT32_MAX)
            return false;
        if (labels->count * 2 >= labels->table_size && !grow(labels))
            return false;
        size_t size = strlen(name) + 1;
        char *copy = malloc(size);
        if (copy == NULL)
            return false;
        memcpy(copy, name, size);
        place = find(labels, name);
        labels->names[labels->count++] = copy;
        *place = (uint32_t)labels->count;
    }
    *number = (int32_t)*place - 1;
    return true;
}

void of_labels_free(of_labels *labels) {
    for (size_t i = 0; i < labels->count; i++)
        free(labels->names[i]);
    free(labels->names);
    free(labels->table);
    *labels = (of_labels){0};
}
