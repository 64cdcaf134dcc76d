/* SPDX-License-Identifier: Apache-2.0 */
#include "train/loss.h"

#include <math.h>

double of_softplus(double x) {
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

double of_sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x >= 0 ? 1 : e) / (1 + e);
}

static double nll_of(const of_batch_loss *loss, double logp) {
    return of_nll(&loss->architecture, logp);
}

static double store(const of_batch_loss *loss, size_t image, double nll, double value) {
    if (loss->nll != NULL)
        loss->nll[image] = nll;
    loss->loss[image] = value;
    return 0;
}

/* One comparison with the general model: adds `share` of its loss to *value and returns the
 * gradient with respect to logp, w/t * sigmoid((nll_general - nll)/t). */
static double add_ratio(const of_batch_loss *loss, size_t image, double logp, double share,
                        double *value) {
    double excess = (loss->general[image] - nll_of(loss, logp)) / loss->temperature;
    double factor = loss->weight * share;
    *value += factor * of_softplus(excess);
    return factor / loss->temperature * of_sigmoid(excess) / (double)loss->count;
}

double of_loss_nll(void *user, size_t image, double logp, const double *class_logp,
                   double *class_gradient) {
    const of_batch_loss *loss = user;
    double gradient = -1.0 / (double)loss->count;
    if (class_logp == NULL) {
        double nll = nll_of(loss, logp);
        (void)store(loss, image, nll, nll);
        return gradient;
    }
    int32_t own = loss->classes[image];
    double nll = nll_of(loss, class_logp[own]);
    class_gradient[own] = gradient;
    return store(loss, image, nll, nll);
}

double of_loss_full_label(void *user, size_t image, double logp, const double *class_logp,
                          double *class_gradient) {
    const of_batch_loss *loss = user;
    uint32_t classes = loss->architecture.classes;
    double share = 1.0 / (double)(classes - 1);
    (void)of_loss_nll(user, image, logp, class_logp, class_gradient);
    double value = loss->loss[image];
    for (uint32_t k = 0; k < classes; k++)
        if ((int32_t)k != loss->classes[image])
            class_gradient[k] = add_ratio(loss, image, class_logp[k], share, &value);
    loss->loss[image] = value;
    return 0;
}

double of_loss_ratio(void *user, size_t image, double logp, const double *class_logp,
                     double *class_gradient) {
    const of_batch_loss *loss = user;
    uint32_t classes = loss->architecture.classes;
    double value = 0, gradient = 0;
    if (class_logp == NULL)
        gradient = add_ratio(loss, image, logp, 1, &value);
    for (uint32_t k = 0; class_logp != NULL && k < classes; k++)
        class_gradient[k] = add_ratio(loss, image, class_logp[k], 1.0 / classes, &value);
    (void)store(loss, image, nll_of(loss, logp), value);
    return gradient;
}

/* Adds `share` of one comparison; the gradient of nll_out with respect to logp is -1, and the loss
 * falls with nll_out. NaN counts as inside the margin, so that it is seen. */
static double add_margin(const of_batch_loss *loss, size_t image, double logp, double share,
                         double *value) {
    double dimensions = (double)of_architecture_dimensions(&loss->architecture);
    double inlier = loss->inlier[image % loss->inlier_count];
    double inside = dimensions + inlier - nll_of(loss, logp);
    if (inside <= 0)
        return 0;
    *value += loss->weight * share * inside;
    return loss->weight * share / (double)loss->count;
}

double of_loss_margin(void *user, size_t image, double logp, const double *class_logp,
                      double *class_gradient) {
    const of_batch_loss *loss = user;
    uint32_t classes = loss->architecture.classes;
    double value = 0, gradient = 0;
    if (class_logp == NULL)
        gradient = add_margin(loss, image, logp, 1, &value);
    for (uint32_t k = 0; class_logp != NULL && k < classes; k++)
        class_gradient[k] = add_margin(loss, image, class_logp[k], 1.0 / classes, &value);
    (void)store(loss, image, nll_of(loss, logp), value);
    return gradient;
}

double of_batch_loss_mean(const of_batch_loss *loss) {
    double sum = 0;
    for (size_t i = 0; i < loss->count; i++)
        sum += loss->loss[i];
    return sum / (double)loss->count;
}
