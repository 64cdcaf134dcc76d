/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from files nobody vouches for. cJSON does the parsing; a scan before it bounds the memory
 * and the depth that a hostile text can cost, and refuses what cJSON would let pass. */
#ifndef OF_MODEL_JSON_READER_H
#define OF_MODEL_JSON_READER_H

#include <cjson/cJSON.h>
#include <outflow/outflow.h>

/* True for well-formed UTF-8 without a zero byte. */
bool of_utf8_valid(const char *text, size_t length);

/* Parses `length` bytes that must be one JSON object, with blanks around it at most. Refused:
 * bytes that are not UTF-8, more than `max_values` values, nesting beyond 8, raw control
 * characters, zero characters in strings. `place` opens every message ("FILE: header"). The
 * result is freed with cJSON_Delete. */
of_status of_json_parse_object(const char *text, size_t length, size_t max_values,
                               const char *place, cJSON **object, of_error *error);

/* The first key that an object has twice, or NULL; for small objects. */
const char *of_json_repeated_key(const cJSON *object);

/* A whole number from 0 to `most` (at most 2^53); false for any other value. */
bool of_json_whole_number(const cJSON *item, uint64_t most, uint64_t *value);

#endif
