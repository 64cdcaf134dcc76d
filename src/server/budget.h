/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that requests take, all of them together. */
#ifndef OF_SERVER_BUDGET_H
#define OF_SERVER_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct of_budget {
    size_t limit; /* bytes */
    atomic_size_t used;
} of_budget;

/* A block that counts; bytes NULL when empty. */
typedef struct of_counted {
    of_budget *budget;
    uint8_t *bytes;
    size_t size, capacity;
} of_counted;

of_counted of_counted_of(of_budget *budget);

/* Makes room for `capacity` bytes, keeping what is there. False: the budget or the memory is
 * exhausted, and the block is as it was. */
bool of_counted_reserve(of_counted *block, size_t capacity);

/* Appends, growing to `most` bytes; false as above. */
bool of_counted_append(of_counted *block, const void *from, size_t size, size_t most);

void of_counted_free(of_counted *block);

#endif
