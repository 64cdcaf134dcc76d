/* SPDX-License-Identifier: Apache-2.0 */
/* The findings, the surest first. */
#include "clean/cleaning.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/sort.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ODD_FACTOR 4.0 /* times the median of sides or of aspect ratios */

static of_status add(of_cleaning *cleaning, of_clean_entry entry, of_error *error) {
    if (cleaning->entry_count == cleaning->entry_capacity) {
        size_t capacity = 2 * cleaning->entry_capacity + 64;
        of_clean_entry *entries = realloc(cleaning->entries, capacity * sizeof *entries);
        if (entries == NULL)
            return of_fail_memory(error, "the findings");
        cleaning->entries = entries;
        cleaning->entry_capacity = capacity;
    }
    cleaning->entries[cleaning->entry_count++] = entry;
    cleaning->summary.found[entry.issue]++;
    return OF_OK;
}

static of_clean_entry entry_of(of_clean_issue issue, size_t image) {
    return (of_clean_entry){issue, (uint32_t)image, UINT32_MAX, (double)NAN, ""};
}

/* ---- Copies -------------------------------------------------------------------------------- */

/* Blank images are all alike, which says nothing more of them. */
static of_status find_copy(of_cleaning *cleaning, size_t index, of_error *error) {
    const of_survey_image *seen = &cleaning->survey.images[index];
    uint32_t earlier = seen->copy ? seen->original : seen->group;
    const of_clean_image *image = &cleaning->images[index], *first = &cleaning->images[earlier];
    if (earlier == index || image->blank)
        return OF_OK;
    bool conflict = image->label >= 0 && first->label >= 0 && image->label != first->label;
    of_clean_entry entry = entry_of(conflict && seen->copy           ? OF_CLEAN_CONFLICT
                                    : image->source != first->source ? OF_CLEAN_LEAK
                                    : seen->copy                     ? OF_CLEAN_COPY
                                                                     : OF_CLEAN_SIMILAR,
                                    index);
    entry.duplicate = earlier;
    (void)snprintf(entry.notes, sizeof entry.notes, "%s%s%s",
                   seen->copy ? "same pixels" : "nearly the same pixels",
                   image->source != first->source ? ", in the other set" : "",
                   conflict ? ", another label" : "");
    return add(cleaning, entry, error);
}

/* ---- Sizes and shapes ---------------------------------------------------------------------- */

typedef struct shape {
    double area, aspect;
} shape;

static shape shape_of(const of_survey_image *image) {
    return (shape){(double)image->height * image->width,
                   (double)image->width / (image->height > 0 ? image->height : 1)};
}

/* Medians over all images: classes of a set come from the same place. */
static of_status median_shape(const of_survey *survey, shape *median, of_error *error) {
    double *values = of_allocate(survey->count + 1, 2 * sizeof *values);
    if (values == NULL)
        return of_fail_memory(error, "the sizes of images");
    double *aspects = values + survey->count;
    for (size_t i = 0; i < survey->count; i++) {
        shape own = shape_of(&survey->images[i]);
        values[i] = own.area;
        aspects[i] = own.aspect;
    }
    of_sort_doubles(values, survey->count);
    of_sort_doubles(aspects, survey->count);
    *median = (shape){values[survey->count / 2], aspects[survey->count / 2]};
    of_free(values);
    return OF_OK;
}

static bool is_odd(double value, double median, double factor) {
    return value > factor * median || value * factor < median;
}

static of_status find_shape(of_cleaning *cleaning, size_t index, const shape *median,
                            of_error *error) {
    const of_survey_image *seen = &cleaning->survey.images[index];
    shape own = shape_of(seen);
    if (!is_odd(own.area, median->area, ODD_FACTOR * ODD_FACTOR) &&
        !is_odd(own.aspect, median->aspect, ODD_FACTOR))
        return OF_OK;
    of_clean_entry entry = entry_of(OF_CLEAN_SHAPE, index);
    (void)snprintf(entry.notes, sizeof entry.notes, "%u x %u pixels", (unsigned)seen->width,
                   (unsigned)seen->height);
    return add(cleaning, entry, error);
}

/* ---- What does not fit --------------------------------------------------------------------- */

/* p-values of the images that are judged. */
static double p_of(const of_clean_image *image, bool misfit) {
    return misfit ? image->p_misfit : image->p_unlike;
}

static double threshold_of(const of_cleaning *cleaning, bool misfit, double *values) {
    size_t count = 0;
    for (size_t i = 0; i < cleaning->survey.count; i++)
        if (!isnan(p_of(&cleaning->images[i], misfit)) && !cleaning->images[i].blank)
            values[count++] = p_of(&cleaning->images[i], misfit);
    return of_clean_threshold(values, count, cleaning->options.rate);
}

/* The p-value that the given number of images beyond `threshold` do not exceed; it is rough where
 * several are equal. `values` are sorted and hold `count`. */
static double suspects_up_to(const of_cleaning *cleaning, double threshold, const double *values) {
    size_t count = 0, beyond = 0;
    for (size_t i = 0; i < cleaning->survey.count; i++)
        if (!isnan(cleaning->images[i].p_misfit) && !cleaning->images[i].blank) {
            beyond += cleaning->images[i].p_misfit <= threshold;
            count++;
        }
    size_t last = beyond + (size_t)cleaning->options.suspects;
    return cleaning->options.suspects == 0 || count == 0 ? -1
           : last > count                                ? values[count - 1]
           : last == 0                                   ? -1
                                                         : values[last - 1];
}

static of_status find_misfit(of_cleaning *cleaning, double misfiled, double suspect, double outlier,
                             of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < cleaning->survey.count; i++) {
        const of_clean_image *image = &cleaning->images[i];
        of_clean_entry entry = entry_of(OF_CLEAN_MISFILED, i);
        if (image->blank || isnan(image->p_misfit))
            continue;
        entry.p_value = image->p_misfit;
        if (image->p_misfit <= misfiled) {
            status = add(cleaning, entry, error);
        } else if (image->p_unlike <= outlier) {
            entry.issue = OF_CLEAN_OUTLIER;
            entry.p_value = image->p_unlike;
            status = add(cleaning, entry, error);
        } else if (image->p_misfit <= suspect && image->misfit > 0) {
            entry.issue = OF_CLEAN_SUSPECT;
            status = add(cleaning, entry, error);
        }
    }
    return status;
}

static of_status find_misfits(of_cleaning *cleaning, of_error *error) {
    double *values = of_allocate(cleaning->survey.count + 1, sizeof *values);
    if (values == NULL)
        return of_fail_memory(error, "p-values");
    double outlier = threshold_of(cleaning, false, values);
    double misfiled = threshold_of(cleaning, true, values);
    double suspect = suspects_up_to(cleaning, misfiled, values);
    of_free(values);
    return find_misfit(cleaning, misfiled, suspect, outlier, error);
}

/* ---- All ----------------------------------------------------------------------------------- */

static int by_sureness(const void *a, const void *b) {
    const of_clean_entry *x = a, *y = b;
    if (x->issue != y->issue)
        return x->issue < y->issue ? -1 : 1;
    if (!isnan(x->p_value) && !isnan(y->p_value) && x->p_value != y->p_value)
        return x->p_value < y->p_value ? -1 : 1;
    return x->image < y->image ? -1 : x->image > y->image;
}

of_status of_clean_find(of_cleaning *cleaning, of_error *error) {
    shape median = {0};
    of_status status = median_shape(&cleaning->survey, &median, error);
    for (size_t i = 0; status == OF_OK && i < cleaning->fault_count; i++)
        status = add(cleaning, entry_of(OF_CLEAN_UNREADABLE, i), error);
    for (size_t i = 0; status == OF_OK && i < cleaning->survey.count; i++) {
        if (cleaning->images[i].blank)
            status = add(cleaning, entry_of(OF_CLEAN_BLANK, i), error);
        if (status == OF_OK)
            status = find_copy(cleaning, i, error);
        if (status == OF_OK)
            status = find_shape(cleaning, i, &median, error);
    }
    if (status == OF_OK)
        status = find_misfits(cleaning, error);
    if (status == OF_OK && cleaning->entry_count > 0)
        qsort(cleaning->entries, cleaning->entry_count, sizeof *cleaning->entries, by_sureness);
    return status;
}
