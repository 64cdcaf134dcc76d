/* SPDX-License-Identifier: Apache-2.0 */
/* Work that is divided among several, evenly and in order. */
#ifndef OF_CORE_PARTS_H
#define OF_CORE_PARTS_H

#include <stddef.h>

/* Where part `part` of `parts` of `count` things begins; the last one ends where the part after it
 * would begin. */
static inline size_t of_part_begin(size_t count, size_t parts, size_t part) {
    return count / parts * part + count % parts * part / parts;
}

#endif
