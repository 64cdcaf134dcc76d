/* SPDX-License-Identifier: Apache-2.0 */
/* Anomaly scores of one image from its likelihoods; higher is more anomalous. */
#include "core/error.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char scale_prefix[] = "scale:";

static of_status parse_scale(const char *name, const of_architecture *architecture, of_score *score,
                             of_error *error) {
    const char *digits = name + strlen(scale_prefix);
    uint32_t count = of_architecture_scale_count(architecture);
    char *end = NULL;
    unsigned long scale = *digits >= '0' && *digits <= '9' ? strtoul(digits, &end, 10) : ULONG_MAX;
    if (end == NULL || *end != '\0')
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s': a scale's number must follow the colon, for example scale:0",
                       name);
    if (scale >= count)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s': the model has %" PRIu32 " scales, numbered from 0 to %" PRIu32,
                       name, count, count - 1);
    *score = (of_score){OF_SCORE_SCALE, (uint32_t)scale};
    return OF_OK;
}

/* Names in the order of of_score_kind, with what each score needs. */
static const struct {
    const char *name;
    unsigned needs;
} kinds[] = {
    [OF_SCORE_NLL] = {"nll", 0},
    [OF_SCORE_LAST] = {"last", 0},
    [OF_SCORE_SCALE] = {"scale", 0},
    [OF_SCORE_RATIO] = {"ratio", OF_NEEDS_GENERAL},
    [OF_SCORE_RATIO_LAST] = {"ratio-last", OF_NEEDS_GENERAL},
    [OF_SCORE_COMPLEXITY] = {"complexity", OF_NEEDS_PNG},
    [OF_SCORE_COMPLEXITY_WEBP] = {"complexity-webp", OF_NEEDS_WEBP},
    [OF_SCORE_CLASS] = {"class", OF_NEEDS_GENERAL | OF_NEEDS_CLASSES},
    [OF_SCORE_ENSEMBLE] = {"ensemble", OF_NEEDS_ENSEMBLE},
    [OF_SCORE_TYPICALITY] = {"typicality", OF_NEEDS_CALIBRATION},
    [OF_SCORE_COMBINED] = {"combined", OF_NEEDS_CALIBRATION | OF_NEEDS_PNG},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* The kind with this name; KINDS for none. "mixture" is what nll is with classes. */
static size_t find_kind(const char *name) {
    size_t kind = 0;
    if (strcmp(name, "mixture") == 0)
        return OF_SCORE_NLL;
    while (kind < KINDS && (kind == OF_SCORE_SCALE || strcmp(name, kinds[kind].name) != 0))
        kind++;
    return kind;
}

of_status of_score_parse(const char *name, const of_architecture *architecture, bool has_general,
                         of_score *score, of_error *error) {
    if (name == NULL || architecture == NULL || score == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_score_parse: a required argument is NULL");
    if (strncmp(name, scale_prefix, strlen(scale_prefix)) == 0)
        return parse_scale(name, architecture, score, error);
    size_t kind = find_kind(name);
    if (kind == KINDS)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "unknown score '%s': use nll, last, scale:N, ratio, ratio-last, complexity, "
                       "complexity-webp, class, mixture, ensemble, typicality or combined",
                       name);
    bool needs_classes =
        (kinds[kind].needs & OF_NEEDS_CLASSES) != 0 || strcmp(name, "mixture") == 0;
    if (needs_classes && architecture->classes == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "score '%s' is for class-conditional models, and this one has no classes: "
                       "use nll or ratio",
                       name);
    if ((kinds[kind].needs & OF_NEEDS_GENERAL) != 0 && !has_general)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "general_model",
                               "score '%s' compares with a general model, and none is given", name);
    if ((kinds[kind].needs & OF_NEEDS_WEBP) != 0 && !of_has_webp())
        return of_fail(
            error, OF_ERROR_UNSUPPORTED,
            "score '%s': this build has no WebP coder: install libwebp-dev and configure "
            "again, or use complexity",
            name);
    *score = (of_score){(of_score_kind)kind, 0};
    return OF_OK;
}

void of_score_name(of_score score, char *name, size_t size) {
    if (score.kind == OF_SCORE_SCALE)
        (void)snprintf(name, size, "%s%" PRIu32, scale_prefix, score.scale);
    else
        (void)snprintf(name, size, "%s",
                       (size_t)score.kind < KINDS ? kinds[score.kind].name : "unknown");
}

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
    }
    return "unknown";
}

unsigned of_score_needs(of_score score) {
    return (size_t)score.kind < KINDS ? kinds[score.kind].needs : 0;
}

bool of_score_needs_general(of_score score) {
    return (of_score_needs(score) & OF_NEEDS_GENERAL) != 0;
}

static double complexity(const of_architecture *architecture, const of_image_likelihood *image,
                         double bytes) {
    return bytes > 0 ? of_nll(architecture, image->logp) / log(2) - 8 * bytes : (double)NAN;
}

static double best_class_ratio(const of_architecture *architecture,
                               const of_image_likelihood *image) {
    if (image->class_logp == NULL || image->general_contributions == NULL)
        return NAN;
    double best = image->class_logp[0];
    for (uint32_t c = 1; c < architecture->classes; c++)
        if (isnan(image->class_logp[c]) || image->class_logp[c] > best) /* a NaN stays */
            best = image->class_logp[c];
    return image->general_logp - best;
}

/* Mean of nll plus its variance, over the model and the members. Values are taken relative to the
 * model's, which cancels most of their size. */
static double ensemble(const of_architecture *architecture, const of_image_likelihood *image) {
    double count = (double)image->members + 1, sum = 0, squares = 0;
    if (image->members == 0)
        return NAN;
    for (size_t i = 0; i < image->members; i++)
        sum += image->logp - image->member_logp[i];
    double mean = sum / count;
    squares = mean * mean;
    for (size_t i = 0; i < image->members; i++) {
        double difference = image->logp - image->member_logp[i] - mean;
        squares += difference * difference;
    }
    return of_nll(architecture, image->logp) + mean + squares / (count - 1);
}

double of_score_value(of_score score, const of_architecture *architecture,
                      const of_image_likelihood *likelihood) {
    const double *own = likelihood->contributions, *general = likelihood->general_contributions;
    uint32_t scales = of_architecture_scale_count(architecture), last = scales - 1;
    bool comparable;
    switch (score.kind) {
    case OF_SCORE_NLL:
        return of_nll(architecture, likelihood->logp);
    case OF_SCORE_LAST:
        return own != NULL ? -own[last] : NAN;
    case OF_SCORE_SCALE:
        return own != NULL && score.scale < scales ? -own[score.scale] : NAN;
    case OF_SCORE_RATIO: /* both have the same D, so the D ln 256 of the two nll cancel */
        return general != NULL ? likelihood->general_logp - likelihood->logp : NAN;
    case OF_SCORE_RATIO_LAST:
        comparable = likelihood->general_scales == 0 || likelihood->general_scales == scales;
        return general != NULL && own != NULL && comparable ? general[last] - own[last] : NAN;
    case OF_SCORE_COMPLEXITY:
        return complexity(architecture, likelihood, likelihood->png_bytes);
    case OF_SCORE_COMPLEXITY_WEBP:
        return complexity(architecture, likelihood, likelihood->webp_bytes);
    case OF_SCORE_CLASS:
        return best_class_ratio(architecture, likelihood);
    case OF_SCORE_ENSEMBLE:
        return ensemble(architecture, likelihood);
    case OF_SCORE_TYPICALITY:
    case OF_SCORE_COMBINED:
        return NAN;
    }
    return NAN;
}
