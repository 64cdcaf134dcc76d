/* SPDX-License-Identifier: Apache-2.0 */
/* Scores by name, and their values. */
#include "core/error.h"
#include "score/score_table.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names -------------------------------------------------------------------------------- */

static of_status parse_scale(const of_score_row *row, const char *name,
                             const of_architecture *architecture, of_score *score,
                             of_error *error) {
    const char *digits = name + strlen(row->name) + 1;
    uint32_t count = of_architecture_scale_count(architecture);
    char *end = NULL;
    unsigned long scale = *digits >= '0' && *digits <= '9' ? strtoul(digits, &end, 10) : ULONG_MAX;
    if (end == NULL || *end != '\0')
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s': a scale's number must follow the colon, for example %s:0", name,
                       row->name);
    if (scale >= count)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s': the model has %" PRIu32 " scales, numbered from 0 to %" PRIu32,
                       name, count, count - 1);
    *score = (of_score){row->kind, (uint32_t)scale};
    return OF_OK;
}

/* "mixture" is what nll is with classes. */
static const char mixture[] = "mixture";

static bool is_named(const of_score_row *row, const char *name) {
    size_t length = strlen(row->name);
    return row->per_scale ? strncmp(name, row->name, length) == 0 && name[length] == ':'
                          : strcmp(name, row->name) == 0;
}

static const of_score_row *find_row(const char *name) {
    if (strcmp(name, mixture) == 0)
        return of_score_row_of(OF_SCORE_NLL);
    for (size_t i = 0; i < OF_SCORE_KINDS; i++)
        if (is_named(&of_score_table[i], name))
            return &of_score_table[i];
    return NULL;
}

/* "nll, last, scale:N, ... or combined" */
static of_status fail_unknown(const char *name, of_error *error) {
    char names[256];
    size_t used = 0;
    for (size_t i = 0; i < OF_SCORE_KINDS && used < sizeof names; i++) {
        const of_score_row *row = &of_score_table[i];
        int written = snprintf(names + used, sizeof names - used, "%s%s%s",
                               i == 0                           ? ""
                               : i + 1 < (size_t)OF_SCORE_KINDS ? ", "
                                                                : ", mixture or ",
                               row->name, row->per_scale ? ":N" : "");
        used += written > 0 ? (size_t)written : 0;
    }
    return of_fail(error, OF_ERROR_ARGUMENT, "unknown score '%s': use %s", name, names);
}

of_status of_score_parse(const char *name, const of_architecture *architecture, bool has_general,
                         of_score *score, of_error *error) {
    if (name == NULL || architecture == NULL || score == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_score_parse: a required argument is NULL");
    const of_score_row *row = find_row(name);
    if (row == NULL)
        return fail_unknown(name, error);
    if (row->per_scale)
        return parse_scale(row, name, architecture, score, error);
    bool needs_classes = (row->needs & OF_NEEDS_CLASSES) != 0 || strcmp(name, mixture) == 0;
    if (needs_classes && architecture->classes == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s' is for class-conditional models, and this one has no classes: "
                       "use nll or ratio",
                       name);
    if ((row->needs & OF_NEEDS_GENERAL) != 0 && !has_general)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "general_model",
                               "score '%s' compares with a general model, and none is given", name);
    if ((row->needs & OF_NEEDS_WEBP) != 0 && !of_has_webp())
        return of_fail(error, OF_ERROR_UNSUPPORTED,
                       "score '%s': this build of the library has no WebP coder (libwebp): use "
                       "complexity",
                       name);
    *score = (of_score){row->kind, 0};
    return OF_OK;
}

void of_score_name(of_score score, char *name, size_t size) {
    const of_score_row *row = of_score_row_of(score.kind);
    if (row != NULL && row->per_scale)
        (void)snprintf(name, size, "%s:%" PRIu32, row->name, score.scale);
    else
        (void)snprintf(name, size, "%s", row != NULL ? row->name : "unknown");
}

/* ---- What they need, and give -------------------------------------------------------------- */

const char *of_score_need_name(of_score_need need) {
    switch (need) {
    case OF_NEEDS_GENERAL:
        return "a general model";
    case OF_NEEDS_CLASSES:
        return "a class-conditional model";
    case OF_NEEDS_ENSEMBLE:
        return "further models";
    case OF_NEEDS_CALIBRATION:
        return "a calibration";
    case OF_NEEDS_PNG:
        return "the size as PNG";
    case OF_NEEDS_WEBP:
        return "the size as WebP";
    case OF_NEEDS_SAME_SCALES:
        return "a general model with as many scales";
    }
    return "unknown";
}

unsigned of_score_needs(of_score score) {
    const of_score_row *row = of_score_row_of(score.kind);
    return row != NULL ? row->needs : 0;
}

bool of_score_needs_general(of_score score) {
    return (of_score_needs(score) & OF_NEEDS_GENERAL) != 0;
}

double of_score_value(of_score score, const of_architecture *architecture,
                      const of_image_likelihood *likelihood) {
    const of_score_row *row = of_score_row_of(score.kind);
    return row != NULL && row->value != NULL ? row->value(score, architecture, likelihood)
                                             : (double)NAN;
}
