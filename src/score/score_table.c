/* SPDX-License-Identifier: Apache-2.0 */
/* Anomaly scores of one image from its likelihoods; higher is more anomalous. */
#include "score/score_table.h"

#include "model/model.h"

#include <math.h>

static double nll(of_score score, const of_architecture *architecture,
                  const of_image_likelihood *image) {
    (void)score;
    return of_nll(architecture, image->logp);
}

static double scale(of_score score, const of_architecture *architecture,
                    const of_image_likelihood *image) {
    bool known =
        image->contributions != NULL && score.scale < of_architecture_scale_count(architecture);
    return known ? -image->contributions[score.scale] : (double)NAN;
}

static double last(of_score score, const of_architecture *architecture,
                   const of_image_likelihood *image) {
    score.scale = of_architecture_scale_count(architecture) - 1;
    return scale(score, architecture, image);
}

/* A difference of nll: that of logp where both models have the same bin. */
static double above_general(const of_architecture *architecture, const of_image_likelihood *image,
                            double logp) {
    return image->general_logp - logp + of_bin_difference(architecture, image->general_bin);
}

static double ratio(of_score score, const of_architecture *architecture,
                    const of_image_likelihood *image) {
    (void)score;
    return image->general_contributions != NULL ? above_general(architecture, image, image->logp)
                                                : (double)NAN;
}

static double ratio_last(of_score score, const of_architecture *architecture,
                         const of_image_likelihood *image) {
    uint32_t scales = of_architecture_scale_count(architecture);
    bool comparable = image->general_scales == 0 || image->general_scales == scales;
    if (image->general_contributions == NULL || !comparable)
        return NAN;
    return image->general_contributions[scales - 1] + last(score, architecture, image);
}

static double best_class_ratio(of_score score, const of_architecture *architecture,
                               const of_image_likelihood *image) {
    (void)score;
    if (image->class_logp == NULL || image->general_contributions == NULL)
        return NAN;
    double best = image->class_logp[0];
    for (uint32_t c = 1; c < architecture->classes; c++)
        if (isnan(image->class_logp[c]) || image->class_logp[c] > best) /* a NaN stays */
            best = image->class_logp[c];
    return above_general(architecture, image, best);
}

static double less_code(const of_architecture *architecture, const of_image_likelihood *image,
                        double bytes) {
    return bytes > 0 ? of_nll(architecture, image->logp) / log(2) - 8 * bytes : (double)NAN;
}

static double complexity(of_score score, const of_architecture *architecture,
                         const of_image_likelihood *image) {
    (void)score;
    return less_code(architecture, image, image->png_bytes);
}

static double complexity_webp(of_score score, const of_architecture *architecture,
                              const of_image_likelihood *image) {
    (void)score;
    return less_code(architecture, image, image->webp_bytes);
}

/* Mean of nll plus its variance, over the model and the members. Values are taken relative to the
 * model's, which cancels most of their size. */
static double ensemble(of_score score, const of_architecture *architecture,
                       const of_image_likelihood *image) {
    double count = (double)image->members + 1, sum = 0, squares = 0;
    (void)score;
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

const of_score_row of_score_table[OF_SCORE_KINDS] = {
    {OF_SCORE_NLL, "nll", 0, false, nll, NULL, OF_SCORE_NLL, OF_SCORE_NLL},
    {OF_SCORE_LAST, "last", 0, false, last, NULL, OF_SCORE_LAST, OF_SCORE_LAST},
    {OF_SCORE_SCALE, "scale", 0, true, scale, NULL, OF_SCORE_SCALE, OF_SCORE_SCALE},
    {OF_SCORE_RATIO, "ratio", OF_NEEDS_GENERAL, false, ratio, NULL, OF_SCORE_RATIO, OF_SCORE_RATIO},
    {OF_SCORE_RATIO_LAST, "ratio-last", OF_NEEDS_GENERAL | OF_NEEDS_SAME_SCALES, false, ratio_last,
     NULL, OF_SCORE_RATIO_LAST, OF_SCORE_RATIO_LAST},
    {OF_SCORE_CLASS, "class", OF_NEEDS_GENERAL | OF_NEEDS_CLASSES, false, best_class_ratio, NULL,
     OF_SCORE_RATIO, OF_SCORE_NLL},
    {OF_SCORE_COMPLEXITY, "complexity", OF_NEEDS_PNG, false, complexity, NULL, OF_SCORE_NLL,
     OF_SCORE_NLL},
    {OF_SCORE_COMPLEXITY_WEBP, "complexity-webp", OF_NEEDS_WEBP, false, complexity_webp, NULL,
     OF_SCORE_NLL, OF_SCORE_NLL},
    {OF_SCORE_ENSEMBLE, "ensemble", OF_NEEDS_ENSEMBLE, false, ensemble, NULL, OF_SCORE_NLL,
     OF_SCORE_NLL},
    {OF_SCORE_TYPICALITY, "typicality", OF_NEEDS_CALIBRATION, false, NULL, of_fitted_typicality,
     OF_SCORE_NLL, OF_SCORE_NLL},
    {OF_SCORE_COMBINED, "combined", OF_NEEDS_CALIBRATION | OF_NEEDS_PNG, false, NULL,
     of_fitted_combined, OF_SCORE_RATIO, OF_SCORE_NLL},
};

const of_score_row *of_score_row_of(of_score_kind kind) {
    for (size_t i = 0; i < OF_SCORE_KINDS; i++)
        if (of_score_table[i].kind == kind)
            return &of_score_table[i];
    return NULL;
}
