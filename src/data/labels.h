/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers class names in order of first appearance. */
#ifndef OF_DATA_LABELS_H
#define OF_DATA_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct of_labels {
    char **names; /* [count] */
    size_t count;
    uint32_t *table; /* open addressing: number + 1, 0 where free */
    size_t table_size;
} of_labels;

/* Number of a name, a new one if it has not been seen; false when memory is exhausted. */
bool of_labels_number(of_labels *labels, const char *name, int32_t *number);

void of_labels_free(of_labels *labels);

#endif
