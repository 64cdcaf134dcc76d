/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of a request are most of its JSON, and a JSON parser would take 64 bytes for each. So
 * they are lifted out before: what is left is small, and goes through the parser. */
#ifndef OF_SERVER_LIFT_H
#define OF_SERVER_LIFT_H

#include <outflow/outflow.h>

enum {
    OF_LIFT_REST = 1 << 16, /* most bytes of JSON that are left */
    OF_LIFT_MOST = 8        /* most arrays */
};

/* The bytes of an array of numbers from 0 to 255, flat or nested. */
typedef struct of_lifted {
    const uint8_t *values;
    size_t count;
} of_lifted;

typedef struct of_lift {
    of_lifted arrays[OF_LIFT_MOST];
    size_t array_count;
    size_t rest_size;
    char rest[OF_LIFT_REST + 1]; /* zero-terminated */
} of_lift;

/*
 * Takes the arrays that are values of "data" in objects of an array of the outermost object,
 * {"inputs": [{"data": [...]}]}, out of a JSON text. `rest` gets the text with the number of the
 * array in `arrays` in each one's place. The values are written over the text: `text` is spoilt.
 * OF_ERROR_FORMAT names the place where the text is wrong, as far as this has to look.
 */
of_status of_lift_numbers(uint8_t *text, size_t size, of_lift *lift, of_error *error);

#endif
