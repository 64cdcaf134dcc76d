/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON as it comes, with numbers that read back exactly. */
#ifndef OF_CORE_JSON_WRITER_H
#define OF_CORE_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { OF_JSON_DEPTH = 16 };

typedef struct of_json {
    FILE *file;
    bool indented;
    int depth;
    struct {
        char closing; /* '}' or ']' */
        bool filled;
    } levels[OF_JSON_DEPTH];
} of_json;

of_json of_json_to(FILE *file, bool indented);

/* Each takes the key, or NULL inside an array and at the top. */
void of_json_object(of_json *json, const char *key);
void of_json_array(of_json *json, const char *key);
void of_json_text(of_json *json, const char *key, const char *text); /* NULL gives null */
void of_json_real(of_json *json, const char *key, double value);     /* not finite gives null */
void of_json_count(of_json *json, const char *key, uint64_t value);
void of_json_flag(of_json *json, const char *key, bool value);

/* Ends the innermost object or array; a newline follows the outermost. */
void of_json_end(of_json *json);

#endif
