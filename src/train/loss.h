/* SPDX-License-Identifier: Apache-2.0 */
/* Losses of a batch, as gradients with respect to its images' log-likelihoods. With
 * nll = -(logp + D ln bin), of_nll:
 *
 *   nll      mean of nll_i
 *   ratio    w * mean of softplus((nll_general_i - nll_i) / t): binary cross-entropy of
 *            sigmoid((logp_i - logp_general_i) / t) against 0, on images of the general
 *            distribution (Schirrmeister et al. 2020, arXiv 2006.10848, section 3.3)
 *   margin   w * mean of max(0, D + nll_in_i - nll_i), image i of the general batch against
 *            image i of the inlier batch, whose nll is a constant here
 *
 * For models with classes, nll is that of the image's own class. Full-label training adds, for
 * every inlier, w * the mean of softplus((nll_general_i - nll_ik) / t) over its wrong classes k;
 * to an image of the general distribution every class is wrong, so its ratio loss is the mean over
 * all classes. */
#ifndef OF_TRAIN_LOSS_H
#define OF_TRAIN_LOSS_H

#include <outflow/outflow.h>

/* log(1 + exp(x)) and 1 / (1 + exp(-x)), for any x. */
double of_softplus(double x);
double of_sigmoid(double x);

/* The loss of one batch: what of_loss_gradient functions get as `user`. The arrays have one value
 * an image of the batch. Each image is written by one thread only. */
typedef struct of_batch_loss {
    of_architecture architecture;
    size_t count;           /* images the mean is taken over */
    double weight;          /* w */
    double temperature;     /* t */
    const int32_t *classes; /* of inliers, for models with classes */
    const double *general;  /* nll under the general model: ratio and full-label losses */
    const double *inlier;   /* nll of the inlier batch, margin loss */
    size_t inlier_count;    /* image i is compared with inlier i mod inlier_count */
    double *nll;            /* out: of the own class where there are classes; may be NULL */
    double *loss;           /* out: the image's term of the mean, w included */
} of_batch_loss;

/* Each is an of_loss_gradient (graph/gradient.h). */
double of_loss_nll(void *user, size_t image, double logp, const double *class_logp,
                   double *class_gradient);
double of_loss_full_label(void *user, size_t image, double logp, const double *class_logp,
                          double *class_gradient);
double of_loss_ratio(void *user, size_t image, double logp, const double *class_logp,
                     double *class_gradient);
double of_loss_margin(void *user, size_t image, double logp, const double *class_logp,
                      double *class_gradient);

/* Mean of the terms, in their order. */
double of_batch_loss_mean(const of_batch_loss *loss);

#endif
