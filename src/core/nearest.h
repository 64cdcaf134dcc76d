/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean ...?" for mistyped words. */
#ifndef OF_CORE_NEAREST_H
#define OF_CORE_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct of_nearest {
    const char *wanted;
    size_t length, distance;
    const char *word; /* the best so far, NULL while none is near enough */
} of_nearest;

of_nearest of_nearest_to(const char *wanted, size_t length);

/* Takes `word` if it is nearer than what was offered before: fewer letters changed, or a word
 * that starts with what was typed. */
void of_nearest_offer(of_nearest *nearest, const char *word);

#endif
