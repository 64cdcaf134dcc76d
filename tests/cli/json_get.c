/* SPDX-License-Identifier: Apache-2.0 */
/* Checks and reads JSON for the command-line tests:
 *     json_get FILE              fails unless FILE is one JSON value
 *     json_get FILE A/B/C        prints the value there, a string bare, a number exactly
 *     json_get --lines FILE KEY  prints KEY of the object on each line */
#define _POSIX_C_SOURCE 200809L
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0;
    if (file == NULL)
        return NULL;
    if (getdelim(&text, &size, EOF, file) < 0 && text != NULL)
        text[0] = '\0';
    (void)fclose(file);
    return text;
}

static bool only_blanks(const char *text) {
    return text[strspn(text, " \t\r\n")] == '\0';
}

static cJSON *parse(const char *text) {
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithOpts(text, &end, false);
    if (json != NULL && only_blanks(end))
        return json;
    cJSON_Delete(json);
    return NULL;
}

static const cJSON *find(const cJSON *json, char *path) {
    char *rest = NULL;
    for (char *key = strtok_r(path, "/", &rest); key != NULL && json != NULL;
         key = strtok_r(NULL, "/", &rest))
        json = cJSON_GetObjectItemCaseSensitive(json, key);
    return json;
}

static int print_value(const cJSON *value, const char *path) {
    if (value == NULL) {
        (void)fprintf(stderr, "json_get: there is no '%s'\n", path);
        return 1;
    }
    if (cJSON_IsString(value)) {
        (void)puts(value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        (void)printf("%.17g\n", value->valuedouble); /* cJSON prints fewer digits */
    } else {
        char *text = cJSON_PrintUnformatted(value);
        (void)puts(text != NULL ? text : "");
        cJSON_free(text);
    }
    return 0;
}

static int get(const char *text, const char *path) {
    cJSON *json = parse(text);
    if (json == NULL) {
        (void)fprintf(stderr, "json_get: not JSON: %.60s\n", text);
        return 1;
    }
    int result = 0;
    if (path != NULL) {
        char *steps = strdup(path);
        result = steps != NULL ? print_value(find(json, steps), path) : 1;
        free(steps);
    }
    cJSON_Delete(json);
    return result;
}

static int get_lines(char *text, const char *key) {
    char *rest = NULL;
    int result = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && result == 0;
         line = strtok_r(NULL, "\n", &rest))
        result = get(line, key);
    return result;
}

int main(int argc, char **argv) {
    bool lines = argc == 4 && strcmp(argv[1], "--lines") == 0;
    if (!lines && argc != 2 && argc != 3) {
        (void)fputs("json_get: wrong arguments\n", stderr);
        return 2;
    }
    char *text = read_file(argv[lines ? 2 : 1]);
    if (text == NULL) {
        (void)fputs("json_get: cannot read the file\n", stderr);
        return 1;
    }
    int result = lines ? get_lines(text, argv[3]) : get(text, argc == 3 ? argv[2] : NULL);
    free(text);
    return result;
}
