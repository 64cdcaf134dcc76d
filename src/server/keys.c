/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "server/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 64, KEY_SIZE = 256 };

struct of_keys {
    size_t count;
    char texts[KEYS][KEY_SIZE]; /* filled up with zeros */
};

static of_status add_key(of_keys *keys, const char *path, char *line, of_error *error) {
    line[strcspn(line, "\r\n")] = '\0';
    size_t length = strlen(line);
    if (length == 0 || line[0] == '#')
        return OF_OK;
    if (length >= KEY_SIZE || keys->count == KEYS)
        return of_fail(error, OF_ERROR_FORMAT,
                       "%s: more than %d keys, or one of more than %d bytes", path, KEYS,
                       KEY_SIZE - 1);
    memcpy(keys->texts[keys->count++], line, length);
    return OF_OK;
}

static of_status read_lines(FILE *file, const char *path, of_keys *keys, of_error *error) {
    char line[KEY_SIZE + 4];
    of_status status = OF_OK;
    while (status == OF_OK && fgets(line, sizeof line, file) != NULL)
        status = add_key(keys, path, line, error);
    memset(line, 0, sizeof line);
    if (status == OF_OK && ferror(file))
        status = of_fail(error, OF_ERROR_IO, "%s: cannot be read", path);
    if (status == OF_OK && keys->count == 0)
        status = of_fail(error, OF_ERROR_FORMAT, "%s: there is no key in it", path);
    return status;
}

of_status of_keys_read(const char *path, of_keys **keys, of_error *error) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return of_fail(error, OF_ERROR_IO, "%s: %s", path, strerror(errno));
    of_keys *made = calloc(1, sizeof *made);
    of_status status =
        made != NULL ? read_lines(file, path, made, error) : of_fail_memory(error, "keys");
    (void)fclose(file);
    if (status == OF_OK)
        *keys = made;
    else
        of_keys_free(made);
    return status;
}

void of_keys_free(of_keys *keys) {
    if (keys != NULL)
        memset(keys, 0, sizeof *keys);
    free(keys);
}

bool of_keys_have(const of_keys *keys, const char *key, size_t *place) {
    char padded[KEY_SIZE] = "";
    unsigned found = 0;
    size_t length = strlen(key);
    if (length == 0 || length >= KEY_SIZE)
        return false;
    memcpy(padded, key, length + 1);
    for (size_t k = 0; k < keys->count; k++) {
        unsigned char different = 0;
        for (size_t i = 0; i < KEY_SIZE; i++)
            different |= (unsigned char)(keys->texts[k][i] ^ padded[i]);
        found |= different == 0;
        *place = different == 0 ? k : *place;
    }
    return found != 0;
}
