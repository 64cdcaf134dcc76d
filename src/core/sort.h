/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting of numbers. */
#ifndef OF_CORE_SORT_H
#define OF_CORE_SORT_H

#include <stddef.h>

/* The smallest first. No value may be NaN. */
void of_sort_doubles(double *values, size_t count);

#endif
