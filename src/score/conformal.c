/* SPDX-License-Identifier: Apache-2.0 */
#include "score/conformal.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/sort.h"

#include <math.h>

static size_t copy_finite(const double *scores, size_t count, double *sorted) {
    size_t finite = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(scores[i]))
            sorted[finite++] = scores[i];
    of_sort_doubles(sorted, finite);
    return finite;
}

/* Is the score with `above` larger finite ones kept? */
static bool is_kept(size_t above, size_t finite) {
    if (above < OF_CONFORMAL_TAIL || above == finite - 1)
        return true;
    size_t stride = (finite - OF_CONFORMAL_TAIL) / OF_CONFORMAL_BODY + 1;
    return (above - OF_CONFORMAL_TAIL) % stride == 0;
}

/* Equal scores have one entry, made at the last of them. */
static void fill_entries(const double *sorted, size_t finite, of_conformal *table) {
    bool kept = false; /* one of the equal scores so far */
    for (size_t i = 0; i < finite; i++) {
        kept = kept || is_kept(finite - 1 - i, finite);
        if (i + 1 < finite && sorted[i + 1] == sorted[i])
            continue;
        if (kept) {
            table->values[table->count] = sorted[i];
            table->above[table->count++] = (double)(finite - 1 - i + table->non_finite);
        }
        kept = false;
    }
}

of_status of_conformal_build(const double *scores, size_t count, of_conformal *table,
                             of_error *error) {
    const size_t most = OF_CONFORMAL_TAIL + OF_CONFORMAL_BODY + 2;
    size_t entries = count < most ? count : most;
    double *sorted = of_allocate(count, sizeof *sorted);
    *table = (of_conformal){.images = count};
    table->values = of_allocate(entries, sizeof *table->values);
    table->above = of_allocate(entries, sizeof *table->above);
    of_status status = OF_OK;
    if (sorted == NULL || table->values == NULL || table->above == NULL) {
        of_conformal_free(table);
        status = of_fail_memory(error, "a table of calibration scores");
    } else {
        size_t finite = copy_finite(scores, count, sorted);
        table->non_finite = count - finite;
        fill_entries(sorted, finite, table);
    }
    of_free(sorted);
    return status;
}

const char *of_conformal_check(const of_conformal *table) {
    double above = (double)table->images, non_finite = (double)table->non_finite;
    for (size_t i = 0; i < table->count; i++) {
        if (!isfinite(table->values[i]) || (i > 0 && !(table->values[i] > table->values[i - 1])))
            return "values that do not ascend";
        if (!(table->above[i] < above) || table->above[i] != floor(table->above[i]))
            return "counts that do not descend";
        above = table->above[i];
    }
    return above != non_finite ? "counts that do not end where the finite scores do" : NULL;
}

/* Number of entries below the score. */
static size_t entries_below(const of_conformal *table, double score) {
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->values[middle] < score)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

double of_conformal_p_value(const of_conformal *table, double score) {
    size_t below = entries_below(table, isfinite(score) ? score : (double)INFINITY);
    double above = below > 0 ? table->above[below - 1] : (double)table->images;
    return (1 + above) / ((double)table->images + 1);
}

double of_conformal_threshold(const of_conformal *table, double rate) {
    double total = (double)table->images + 1;
    for (size_t i = 0; i < table->count; i++)
        if ((1 + table->above[i]) / total <= rate)
            return table->values[i];
    return INFINITY;
}

void of_conformal_free(of_conformal *table) {
    of_free(table->values);
    of_free(table->above);
    *table = (of_conformal){0};
}
