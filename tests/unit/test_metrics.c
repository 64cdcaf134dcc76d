/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics and rank correlation against their definitions, written out in O(n^2). */
#include "core/random.h"
#include "score/correlation.h"

#include <math.h>
#include <outflow/outflow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_SET = 160 };

typedef struct score_sets {
    double in[MAX_SET], out[MAX_SET];
    size_t inliers, outliers;
} score_sets;

static double ranked(double score) {
    return isfinite(score) ? score : (double)INFINITY;
}

static size_t count_at_or_above(const double *scores, size_t count, double threshold) {
    size_t above = 0;
    for (size_t i = 0; i < count; i++)
        above += ranked(scores[i]) >= threshold;
    return above;
}

static size_t count_at_or_below(const double *scores, size_t count, double threshold) {
    size_t below = 0;
    for (size_t i = 0; i < count; i++)
        below += ranked(scores[i]) <= threshold;
    return below;
}

static double reference_auroc(const score_sets *sets) {
    double wins = 0;
    for (size_t i = 0; i < sets->inliers; i++) {
        for (size_t j = 0; j < sets->outliers; j++) {
            double in = ranked(sets->in[i]), out = ranked(sets->out[j]);
            wins += out > in ? 1.0 : out == in ? 0.5 : 0.0;
        }
    }
    return wins / (double)sets->inliers / (double)sets->outliers;
}

/* Average precision is the mean, over the positives, of the precision at each one's own score:
 * tied positives share a threshold, so this is the sum over tied groups. */
static double reference_aupr_out(const score_sets *sets) {
    double sum = 0;
    for (size_t j = 0; j < sets->outliers; j++) {
        double threshold = ranked(sets->out[j]);
        double hits = (double)count_at_or_above(sets->out, sets->outliers, threshold);
        sum += hits / (hits + (double)count_at_or_above(sets->in, sets->inliers, threshold));
    }
    return sum / (double)sets->outliers;
}

static double reference_aupr_in(const score_sets *sets) {
    double sum = 0;
    for (size_t i = 0; i < sets->inliers; i++) {
        double threshold = ranked(sets->in[i]);
        double hits = (double)count_at_or_below(sets->in, sets->inliers, threshold);
        sum += hits / (hits + (double)count_at_or_below(sets->out, sets->outliers, threshold));
    }
    return sum / (double)sets->inliers;
}

/* Tries every score of either set as the threshold. */
static double reference_fpr95(const score_sets *sets) {
    double best = 1;
    for (size_t k = 0; k < sets->inliers + sets->outliers; k++) {
        double threshold = ranked(k < sets->inliers ? sets->in[k] : sets->out[k - sets->inliers]);
        if (20 * count_at_or_above(sets->out, sets->outliers, threshold) < 19 * sets->outliers)
            continue;
        double share =
            (double)count_at_or_above(sets->in, sets->inliers, threshold) / (double)sets->inliers;
        best = share < best ? share : best;
    }
    return best;
}

static of_metrics compute(const score_sets *sets) {
    of_metrics metrics;
    of_error error;
    assert_int_equal(
        of_metrics_compute(sets->in, sets->inliers, sets->out, sets->outliers, &metrics, &error),
        OF_OK);
    return metrics;
}

static void assert_near(double value, double expected) {
    if (!(fabs(value - expected) <= 1e-12))
        fail_msg("%.17g is not %.17g", value, expected);
}

static void check_against_references(const score_sets *sets) {
    of_metrics metrics = compute(sets);
    assert_near(metrics.auroc, reference_auroc(sets));
    assert_near(metrics.aupr_out, reference_aupr_out(sets));
    assert_near(metrics.aupr_in, reference_aupr_in(sets));
    assert_near(metrics.fpr95, reference_fpr95(sets));
    assert_int_equal(metrics.inliers, sets->inliers);
    assert_int_equal(metrics.outliers, sets->outliers);
}

/* A score from `levels` values, so few levels mean many ties; sometimes not finite. */
static double random_score(of_random *random, uint32_t levels, bool wild) {
    static const double odd[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    if (wild && of_random_below(random, 10) == 0)
        return odd[of_random_below(random, 3)];
    return ((double)of_random_below(random, levels) - (double)levels / 2) / 7.0;
}

static void test_random_sets(void **state) {
    (void)state;
    static const uint32_t levels[] = {1, 2, 5, 40, 1u << 30};
    of_random random = of_random_stream(7, 0);
    for (int round = 0; round < 400; round++) {
        score_sets sets;
        uint32_t level = levels[round % 5];
        sets.inliers = 1 + of_random_below(&random, MAX_SET);
        sets.outliers = 1 + of_random_below(&random, MAX_SET);
        for (size_t i = 0; i < sets.inliers; i++)
            sets.in[i] = random_score(&random, level, round % 2);
        for (size_t i = 0; i < sets.outliers; i++)
            sets.out[i] = random_score(&random, level, round % 2) + (level > 2 ? 0.3 : 0);
        check_against_references(&sets);
    }
}

static void test_perfect_separation(void **state) {
    (void)state;
    score_sets sets = {.in = {1, 2, 3}, .out = {4, 5}, .inliers = 3, .outliers = 2};
    of_metrics metrics = compute(&sets);
    assert_true(metrics.auroc == 1 && metrics.aupr_out == 1 && metrics.aupr_in == 1);
    assert_true(metrics.fpr95 == 0);

    score_sets reversed = {.in = {4, 5}, .out = {1, 2, 3}, .inliers = 2, .outliers = 3};
    metrics = compute(&reversed);
    assert_true(metrics.auroc == 0 && metrics.fpr95 == 1);
}

static void test_constant_scores(void **state) {
    (void)state;
    score_sets sets = {.inliers = 30, .outliers = 10};
    memset(sets.in, 0, sizeof sets.in);
    memset(sets.out, 0, sizeof sets.out);
    of_metrics metrics = compute(&sets);
    assert_near(metrics.auroc, 0.5);
    assert_near(metrics.aupr_out, 0.25);
    assert_near(metrics.aupr_in, 0.75);
    assert_near(metrics.fpr95, 1);
}

/* in 1 2 2 4, out 2 3 5: U = 0 + (1 + 2/2) + 3 + 4 of 12.
 * Outliers' precision: at 5 1/1, at 3 2/3, at 2 3/6. Inliers', from below: at 1 1/1, at the two
 * 2s 3/4 each, at 4 4/6. All outliers are needed for 95 %: threshold 2 takes 3 of 4 inliers. */
static void test_by_hand(void **state) {
    (void)state;
    score_sets sets = {.in = {2, 1, 4, 2}, .out = {5, 2, 3}, .inliers = 4, .outliers = 3};
    of_metrics metrics = compute(&sets);
    assert_near(metrics.auroc, 9.0 / 12);
    assert_near(metrics.aupr_out, (1 + 2.0 / 3 + 0.5) / 3);
    assert_near(metrics.aupr_in, (1 + 0.75 + 0.75 + 4.0 / 6) / 4);
    assert_near(metrics.fpr95, 0.75);
}

/* Of 20 outliers, 19 suffice; of 19, none may be missed. */
static void test_fpr95_counts_exactly(void **state) {
    (void)state;
    score_sets sets = {.in = {-5}, .inliers = 1, .outliers = 20};
    for (size_t i = 0; i < 20; i++)
        sets.out[i] = i == 0 ? -10 : (double)i;
    assert_true(compute(&sets).fpr95 == 0);
    sets.outliers = 19;
    assert_true(compute(&sets).fpr95 == 1);
}

static void test_non_finite_rank_as_most_anomalous(void **state) {
    (void)state;
    double not_a_number = (double)NAN, infinite = (double)INFINITY;
    score_sets sets = {
        .in = {1, not_a_number}, .inliers = 2, .out = {-infinite, infinite, 2}, .outliers = 3};
    of_metrics metrics = compute(&sets);
    assert_int_equal(metrics.non_finite_in, 1);
    assert_int_equal(metrics.non_finite_out, 2);
    assert_near(metrics.auroc, (2 * 1.5 + 1) / 6);
    check_against_references(&sets);
}

static void test_empty_sets_are_refused(void **state) {
    (void)state;
    double score = 0;
    of_metrics metrics;
    of_error error;
    assert_int_equal(of_metrics_compute(&score, 0, &score, 1, &metrics, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "inliers"));
    assert_int_equal(of_metrics_compute(&score, 1, &score, 0, &metrics, &error), OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "outliers"));
}

static double correlation(const double *x, const double *y, size_t count) {
    double value = 0;
    assert_int_equal(of_rank_correlation(x, y, count, &value, NULL), OF_OK);
    return value;
}

/* Pearson's correlation of mean ranks, each rank counted out pair by pair. */
static double reference_correlation(const double *x, const double *y, size_t count) {
    double mean = ((double)count - 1) / 2, xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < count; i++) {
        double rank_x = -mean - 0.5, rank_y = -mean - 0.5;
        for (size_t j = 0; j < count; j++) {
            rank_x += x[j] < x[i] ? 1.0 : x[j] == x[i] ? 0.5 : 0.0;
            rank_y += y[j] < y[i] ? 1.0 : y[j] == y[i] ? 0.5 : 0.0;
        }
        xy += rank_x * rank_y;
        xx += rank_x * rank_x;
        yy += rank_y * rank_y;
    }
    return xy / sqrt(xx * yy);
}

static void test_rank_correlation(void **state) {
    (void)state;
    const double x[] = {1, 2, 3, 4}, monotone[] = {-3, 1, 100, 1e9}, flat[] = {2, 2, 2, 2};
    const double falling[] = {4, 3, 2, 1};
    assert_near(correlation(x, monotone, 4), 1);
    assert_near(correlation(x, falling, 4), -1);
    assert_true(isnan(correlation(x, flat, 4)));
    assert_true(isnan(correlation(x, x, 1)));

    of_random random = of_random_stream(11, 0);
    for (int round = 0; round < 50; round++) {
        double a[MAX_SET], b[MAX_SET];
        size_t count = 10 + of_random_below(&random, MAX_SET - 10);
        for (size_t i = 0; i < count; i++) {
            a[i] = random_score(&random, 6, false);
            b[i] = a[i] + random_score(&random, 9, false);
        }
        assert_near(correlation(a, b, count), reference_correlation(a, b, count));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_sets),
        cmocka_unit_test(test_perfect_separation),
        cmocka_unit_test(test_constant_scores),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_fpr95_counts_exactly),
        cmocka_unit_test(test_non_finite_rank_as_most_anomalous),
        cmocka_unit_test(test_empty_sets_are_refused),
        cmocka_unit_test(test_rank_correlation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
