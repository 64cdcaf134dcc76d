/* SPDX-License-Identifier: Apache-2.0 */
/* Losses: values against the formulas and the reference vectors, gradients against finite
 * differences, large arguments. */
#include "model/safetensors.h"
#include "train/loss.h"

#include <math.h>
#include <outflow/outflow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "compiled.h"

enum { IMAGES = 5, CLASSES = 3 };

typedef double loss_function(void *, size_t, double, const double *, double *);

typedef struct fixture {
    of_batch_loss loss;
    int32_t classes[IMAGES];
    double general[IMAGES], inlier[IMAGES], nll[IMAGES], value[IMAGES];
    double logp[IMAGES], class_logp[IMAGES][CLASSES];
} fixture;

static void set_up(fixture *f, uint32_t classes) {
    *f = (fixture){.loss = {.architecture = of_architecture_default(),
                            .count = IMAGES,
                            .weight = 6000,
                            .temperature = 1000,
                            .inlier_count = 2}};
    f->loss.architecture.classes = classes;
    f->loss.classes = f->classes;
    f->loss.general = f->general;
    f->loss.inlier = f->inlier;
    f->loss.nll = f->nll;
    f->loss.loss = f->value;
    for (int i = 0; i < IMAGES; i++) {
        f->classes[i] = i % CLASSES;
        f->logp[i] = 3000.0 + 900.0 * i - 250.0 * i * i;
        f->general[i] = of_nll(&f->loss.architecture, 3100.0 + 300.0 * i);
        f->inlier[i] = of_nll(&f->loss.architecture, 2000.0 - 700.0 * i);
        for (int k = 0; k < CLASSES; k++)
            f->class_logp[i][k] = f->logp[i] + 400.0 * k - 130.0 * i;
    }
}

static double total(fixture *f, loss_function *function) {
    bool classes = f->loss.architecture.classes > 0;
    for (size_t i = 0; i < IMAGES; i++) {
        double gradient[CLASSES] = {0};
        (void)function(&f->loss, i, f->logp[i], classes ? f->class_logp[i] : NULL,
                       classes ? gradient : NULL);
    }
    return of_batch_loss_mean(&f->loss);
}

/* Central difference of the mean with respect to one log-likelihood. */
static double difference(fixture *f, loss_function *function, double *logp) {
    double kept = *logp, step = 0.5;
    *logp = kept + step;
    double above = total(f, function);
    *logp = kept - step;
    double below = total(f, function);
    *logp = kept;
    return (above - below) / (2 * step);
}

static void assert_close(double actual, double expected, double tolerance) {
    if (!(fabs(actual - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("%.12g instead of %.12g", actual, expected);
}

static void check_gradients(loss_function *function, uint32_t classes) {
    fixture f;
    set_up(&f, classes);
    for (size_t i = 0; i < IMAGES; i++) {
        double gradient[CLASSES] = {0};
        double plain = function(&f.loss, i, f.logp[i], classes ? f.class_logp[i] : NULL,
                                classes ? gradient : NULL);
        if (classes == 0)
            assert_close(plain, difference(&f, function, &f.logp[i]), 1e-6);
        for (uint32_t k = 0; k < classes; k++)
            assert_close(gradient[k], difference(&f, function, &f.class_logp[i][k]), 1e-6);
    }
}

static void gradients_match_differences(void **state) {
    (void)state;
    check_gradients(of_loss_nll, 0);
    check_gradients(of_loss_ratio, 0);
    check_gradients(of_loss_margin, 0);
    check_gradients(of_loss_nll, CLASSES);
    check_gradients(of_loss_ratio, CLASSES);
    check_gradients(of_loss_margin, CLASSES);
    check_gradients(of_loss_full_label, CLASSES);
}

static void values_match_formulas(void **state) {
    (void)state;
    fixture f;
    double nll = 0, ratio = 0, margin = 0, d = 3 * 32 * 32;
    set_up(&f, 0);
    for (int i = 0; i < IMAGES; i++) {
        double own = d * log(256.0) - f.logp[i];
        nll += own / IMAGES;
        ratio += 6000 * log(1 + exp((f.general[i] - own) / 1000)) / IMAGES;
        margin += 6000 * fmax(0, d + f.inlier[i % 2] - own) / IMAGES;
    }
    assert_close(total(&f, of_loss_nll), nll, 1e-12);
    assert_close(total(&f, of_loss_ratio), ratio, 1e-12);
    assert_close(total(&f, of_loss_margin), margin, 1e-12);
}

/* nll of the own class, and w times the mean over the wrong ones. */
static void full_label_is_nll_and_wrong_classes(void **state) {
    (void)state;
    fixture f;
    double expected = 0;
    set_up(&f, CLASSES);
    for (int i = 0; i < IMAGES; i++)
        for (int k = 0; k < CLASSES; k++) {
            double nll = of_nll(&f.loss.architecture, f.class_logp[i][k]);
            expected += k == f.classes[i] ? nll / IMAGES
                                          : 6000 * of_softplus((f.general[i] - nll) / 1000) /
                                                (CLASSES - 1) / IMAGES;
        }
    assert_close(total(&f, of_loss_full_label), expected, 1e-12);
    for (int i = 0; i < IMAGES; i++)
        assert_close(f.nll[i], of_nll(&f.loss.architecture, f.class_logp[i][f.classes[i]]), 1e-12);
}

static void large_arguments_stay_finite(void **state) {
    (void)state;
    assert_true(of_softplus(1e6) == 1e6);
    assert_true(of_softplus(-1e6) == 0);
    assert_close(of_softplus(0), log(2), 1e-15);
    assert_close(of_softplus(-40), exp(-40), 1e-15);
    assert_true(of_sigmoid(1e6) == 1);
    assert_true(of_sigmoid(-1e6) == 0);
    assert_close(of_sigmoid(3) + of_sigmoid(-3), 1, 1e-15);
    fixture f;
    set_up(&f, 0);
    f.logp[0] = -1e9;
    f.logp[1] = 1e9;
    assert_true(isfinite(total(&f, of_loss_ratio)) && isfinite(total(&f, of_loss_margin)));
    f.logp[2] = (double)NAN;
    assert_true(isnan(total(&f, of_loss_nll)));
    assert_true(isnan(total(&f, of_loss_ratio)));
    assert_true(isnan(total(&f, of_loss_margin)));
}

/* ---- Reference vectors -------------------------------------------------------------------- */

static double float_at(const of_safetensors *file, const char *name, size_t i) {
    float value;
    const of_safetensor *tensor = of_safetensors_find(file, name);
    assert_non_null(tensor);
    assert_true(i < tensor->count);
    memcpy(&value, tensor->data + i * sizeof value, sizeof value);
    return (double)value;
}

static void forward(of_session *session, const of_safetensors *file, const char *name,
                    double *logp) {
    const of_safetensor *images = of_safetensors_find(file, name);
    of_batch batch = {OF_PIXEL_U8, images->data, (size_t)images->shape[0]};
    assert_true(batch.count <= IMAGES);
    assert_int_equal(of_session_forward(session, &batch, &(of_likelihoods){.logp = logp}, NULL),
                     OF_OK);
}

static void check_outlier_losses(const char *prefix) {
    char path[1024];
    of_safetensors file;
    of_model *model;
    double inlier_logp[IMAGES];
    fixture f;
    (void)snprintf(path, sizeof path, "%s.expected.safetensors", prefix);
    assert_int_equal(of_safetensors_open(path, &file, NULL), OF_OK);
    (void)snprintf(path, sizeof path, "%s.model.safetensors", prefix);
    assert_int_equal(of_model_load(path, &model, NULL), OF_OK);
    const compiled plan = compile_with(model, NULL);
    set_up(&f, 0);
    f.loss.architecture = *of_model_architecture(model);
    f.loss.count = f.loss.inlier_count = 4;
    forward(plan.session, &file, "images", inlier_logp);
    forward(plan.session, &file, "outlier_images", f.logp);
    for (size_t i = 0; i < 4; i++) {
        f.inlier[i] = of_nll(&f.loss.architecture, inlier_logp[i]);
        f.general[i] = float_at(&file, "outlier.base_nll", i);
    }
    assert_close(total(&f, of_loss_ratio), float_at(&file, "outlier.class_loss", 0), 1e-6);
    f.loss.weight = 1;
    assert_close(total(&f, of_loss_margin), float_at(&file, "outlier.margin_loss", 0), 1e-6);
    free_compiled(&plan);
    of_model_free(model);
    of_safetensors_close(&file);
}

static void outlier_losses_match_vectors(void **state) {
    (void)state;
    check_outlier_losses(TEST_SOURCE_DIR "/golden/vectors/outlier-losses");
}

static void outlier_losses_match_shared_vectors(void **state) {
    (void)state;
    const char *prefix = TEST_SHARED_DIR "/golden/glow-affine-lu";
    if (access(TEST_SHARED_DIR "/golden", R_OK) != 0) {
        print_message("SKIPPED: no reference vectors at %s\n", prefix);
        skip();
    }
    check_outlier_losses(prefix);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_match_formulas),
        cmocka_unit_test(gradients_match_differences),
        cmocka_unit_test(full_label_is_nll_and_wrong_classes),
        cmocka_unit_test(large_arguments_stay_finite),
        cmocka_unit_test(outlier_losses_match_vectors),
        cmocka_unit_test(outlier_losses_match_shared_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
