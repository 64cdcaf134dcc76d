/* SPDX-License-Identifier: Apache-2.0 */
/* From measures to p-values that a few wrong labels do not move, and how many of them count. */
#include "clean/cleaning.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/sort.h"

#include <math.h>
#include <stdlib.h>

/* Where the middle of sorted values is, and one standard deviation above it if they are normal:
 * Phi(1) = 0.8413, Phi(1.2816) = 0.9. The larger of the two, because many tails are heavier than
 * that. The upper tail alone matters, and its end is where the wrong ones are. */
static void spread_of(const double *sorted, size_t count, double *middle, double *spread) {
    size_t high = (size_t)(0.8413 * (double)(count - 1));
    *middle = sorted[count / 2];
    size_t higher = (size_t)(0.9 * (double)(count - 1));
    *spread = fmax(sorted[high] - *middle, (sorted[higher] - *middle) / 1.2816);
    *spread = fmax(*spread, 1e-12 * (1 + fabs(*middle)));
}

static double upper_tail(double z) {
    return erfc(z / sqrt(2)) / 2;
}

double of_clean_threshold(double *p, size_t count, double rate) {
    double threshold = -1;
    of_sort_doubles(p, count);
    for (size_t i = 0; i < count; i++)
        if (p[i] <= rate * (double)(i + 1) / (double)count)
            threshold = p[i];
    return threshold;
}

typedef struct ordered_image {
    int32_t label;
    uint32_t image;
} ordered_image;

static int by_label(const void *a, const void *b) {
    const ordered_image *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    return x->image < y->image ? -1 : x->image > y->image;
}

static void test_class(of_cleaning *cleaning, const ordered_image *members, size_t count,
                       double *values) {
    double middle, spread;
    for (size_t i = 0; i < count; i++)
        values[i] = cleaning->images[members[i].image].misfit;
    of_sort_doubles(values, count);
    spread_of(values, count, &middle, &spread);
    for (size_t i = 0; i < count; i++) {
        of_clean_image *image = &cleaning->images[members[i].image];
        /* one that fits its own class best is never misfiled */
        image->p_misfit = image->misfit > 0 ? upper_tail((image->misfit - middle) / spread) : 1;
        values[i] = image->unlike;
    }
    of_sort_doubles(values, count);
    spread_of(values, count, &middle, &spread);
    for (size_t i = 0; i < count; i++) {
        of_clean_image *image = &cleaning->images[members[i].image];
        image->p_unlike = upper_tail((image->unlike - middle) / spread);
    }
}

of_status of_clean_test(of_cleaning *cleaning, of_error *error) {
    size_t all = cleaning->survey.count, count = 0;
    ordered_image *order = of_allocate(all + 1, sizeof *order);
    double *values = of_allocate(all + 1, sizeof *values);
    of_status status =
        order == NULL || values == NULL ? of_fail_memory(error, "the order of images") : OF_OK;
    for (size_t i = 0; status == OF_OK && i < all; i++)
        if (!isnan(cleaning->images[i].misfit))
            order[count++] = (ordered_image){cleaning->images[i].label, (uint32_t)i};
    if (status == OF_OK)
        qsort(order, count, sizeof *order, by_label);
    for (size_t first = 0, end; status == OF_OK && first < count; first = end) {
        for (end = first; end < count && order[end].label == order[first].label; end++) {
        }
        test_class(cleaning, order + first, end - first, values);
    }
    of_free(order);
    of_free(values);
    return status;
}
