/* SPDX-License-Identifier: Apache-2.0 */
#include "core/sort.h"

#include <stdlib.h>

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void of_sort_doubles(double *values, size_t count) {
    qsort(values, count, sizeof *values, ascending);
}
