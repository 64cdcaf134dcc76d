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

of_status of_score_parse(const char *name, const of_architecture *architecture, bool has_general,
                         of_score *score, of_error *error) {
    static const of_score_kind plain[] = {OF_SCORE_NLL, OF_SCORE_LAST, OF_SCORE_RATIO,
                                          OF_SCORE_RATIO_LAST};
    if (name == NULL || architecture == NULL || score == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_score_parse: a required argument is NULL");
    if (strncmp(name, scale_prefix, strlen(scale_prefix)) == 0)
        return parse_scale(name, architecture, score, error);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        of_score candidate = {plain[i], 0};
        char known[32];
        of_score_name(candidate, known, sizeof known);
        if (strcmp(name, known) != 0)
            continue;
        if (of_score_needs_general(candidate) && !has_general)
            return of_fail(error, OF_ERROR_ARGUMENT,
                           "score '%s' compares with a general model, and none is given", name);
        *score = candidate;
        return OF_OK;
    }
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "unknown score '%s': use nll, last, scale:N, ratio or ratio-last", name);
}

void of_score_name(of_score score, char *name, size_t size) {
    switch (score.kind) {
    case OF_SCORE_NLL:
        (void)snprintf(name, size, "nll");
        return;
    case OF_SCORE_LAST:
        (void)snprintf(name, size, "last");
        return;
    case OF_SCORE_SCALE:
        (void)snprintf(name, size, "%s%" PRIu32, scale_prefix, score.scale);
        return;
    case OF_SCORE_RATIO:
        (void)snprintf(name, size, "ratio");
        return;
    case OF_SCORE_RATIO_LAST:
        (void)snprintf(name, size, "ratio-last");
        return;
    }
    (void)snprintf(name, size, "unknown");
}

bool of_score_needs_general(of_score score) {
    return score.kind == OF_SCORE_RATIO || score.kind == OF_SCORE_RATIO_LAST;
}

double of_score_value(of_score score, const of_architecture *architecture,
                      const of_image_likelihood *likelihood) {
    const double *own = likelihood->contributions, *general = likelihood->general_contributions;
    uint32_t scales = of_architecture_scale_count(architecture), last = scales - 1;
    switch (score.kind) {
    case OF_SCORE_NLL:
        return of_nll(architecture, likelihood->logp);
    case OF_SCORE_LAST:
        return -own[last];
    case OF_SCORE_SCALE:
        return score.scale < scales ? -own[score.scale] : NAN;
    case OF_SCORE_RATIO: /* both have the same D, so the D ln 256 of the two nll cancel */
        return general != NULL ? likelihood->general_logp - likelihood->logp : NAN;
    case OF_SCORE_RATIO_LAST:
        return general != NULL ? general[last] - own[last] : NAN;
    }
    return NAN;
}
