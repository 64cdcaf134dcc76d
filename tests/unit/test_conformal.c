/* SPDX-License-Identifier: Apache-2.0 */
/* Conformal p-values: the formula, their validity on exchangeable numbers, what is refused; and the
 * intervals that measured rates are judged by. */
#include "core/random.h"
#include "score/binomial.h"
#include "score/conformal.h"

#include <math.h>
#include <outflow/outflow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 20000 };

static void build(const double *scores, size_t count, of_conformal *table) {
    assert_int_equal(of_conformal_build(scores, count, table, NULL), OF_OK);
    assert_null(of_conformal_check(table));
}

/* (1 + #{calibration scores >= s}) / (n + 1), counted one by one. */
static double counted(const double *scores, size_t count, double s) {
    size_t reached = 0;
    for (size_t i = 0; i < count; i++)
        reached += !isfinite(scores[i]) || (isfinite(s) && scores[i] >= s);
    return (1 + (double)reached) / ((double)count + 1);
}

static void test_formula(void **state) {
    (void)state;
    const double scores[] = {3, 1, 2, 2, (double)NAN, 2, 7, (double)INFINITY};
    const double asked[] = {-9, 1, 1.5, 2, 2.5, 3, 4, 7, 7.1, 1e300, (double)INFINITY, (double)NAN};
    of_conformal table;
    build(scores, 8, &table);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        assert_true(of_conformal_p_value(&table, asked[i]) == counted(scores, 8, asked[i]));
    of_conformal_free(&table);
    const double broken[] = {(double)NAN, (double)NAN};
    build(broken, 2, &table);
    assert_true(of_conformal_p_value(&table, 1e9) == 1);
    of_conformal_free(&table);
}

/* With many scores: exact in the tail, never too small elsewhere, and close. */
static void test_thinned(void **state) {
    (void)state;
    static double scores[MANY];
    of_random random = of_random_stream(1, 0);
    of_conformal table;
    for (size_t i = 0; i < MANY; i++) /* rounded, so that many are equal */
        scores[i] = floor(1000 * of_random_normal(&random)) / 1000;
    build(scores, MANY, &table);
    assert_true(table.count <= OF_CONFORMAL_TAIL + OF_CONFORMAL_BODY + 2);
    for (double s = -4; s < 4.5; s += 0.037) {
        double p = of_conformal_p_value(&table, s), exact = counted(scores, MANY, s);
        assert_true(p >= exact && p <= exact + 0.005);
        if (exact < (double)OF_CONFORMAL_TAIL / (MANY + 1))
            assert_true(p == exact);
    }
    of_conformal_free(&table);
}

/* A threshold flags exactly the scores whose p-value reaches the rate. */
static void test_threshold(void **state) {
    (void)state;
    double scores[99];
    of_conformal table;
    for (size_t i = 0; i < 99; i++)
        scores[i] = (double)i;
    build(scores, 99, &table);
    assert_true(of_conformal_threshold(&table, 0.05) == 94);
    assert_true(of_conformal_p_value(&table, 94) > 0.05);
    assert_true(of_conformal_p_value(&table, 94.5) <= 0.05);
    assert_true(of_conformal_threshold(&table, 0.01) == 98);
    assert_true(isinf(of_conformal_threshold(&table, 0.009)));
    of_conformal_free(&table);
}

/* P(p <= a) over draws of calibration set and image together: at most a, and not far below. The
 * scores are far from normal and have ties. */
static void test_validity(void **state) {
    (void)state;
    enum { TRIALS = 20000, IMAGES = 150 };
    static const double rates[] = {0.01, 0.05, 0.2, 0.5};
    uint64_t hits[4] = {0, 0, 0, 0};
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        of_random random = of_random_stream(2, trial);
        double scores[IMAGES + 1];
        of_conformal table;
        for (size_t i = 0; i <= IMAGES; i++)
            scores[i] = floor(20 * exp(of_random_normal(&random))) / 20;
        build(scores, IMAGES, &table);
        double p = of_conformal_p_value(&table, scores[IMAGES]);
        for (size_t k = 0; k < 4; k++)
            hits[k] += p <= rates[k];
        of_conformal_free(&table);
    }
    for (size_t k = 0; k < 4; k++) {
        /* the guarantee, but for chance: far into the tail of the binomial distribution */
        assert_true(1 - of_binomial_cdf(hits[k], TRIALS, rates[k]) > 1e-4);
        assert_true((double)hits[k] / TRIALS > rates[k] - 0.02);
    }
}

static void test_refused(void **state) {
    (void)state;
    double values[] = {1, 2, 3}, above[] = {5, 3, 0};
    of_conformal good = {.images = 6, .count = 3, .values = values, .above = above};
    assert_null(of_conformal_check(&good));
    struct {
        double value, above;
        uint64_t images, non_finite;
    } bad[] = {{2, 5, 6, 0},   {1, 3, 6, 0}, {2, 3.5, 6, 0},        {(double)NAN, 3, 6, 0},
               {2, -1, 6, 0},  {2, 3, 5, 0}, {2, 3, 6, 1},          {2, 3, 6, 7},
               {2.5, 0, 6, 0}, {3, 3, 6, 0}, {2, (double)NAN, 6, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        of_conformal table = good;
        values[1] = bad[i].value;
        above[1] = bad[i].above;
        table.images = bad[i].images;
        table.non_finite = bad[i].non_finite;
        assert_non_null(of_conformal_check(&table));
    }
}

/* Reference values (SciPy): P(X <= 3), X ~ B(10, 0.3) = 0.6496107184; Clopper-Pearson 95 % of 4 in
 * 40 = [0.02792541529, 0.23663739988]; of none in 10: high = 1 - 0.025^(1/10). */
static void test_binomial(void **state) {
    (void)state;
    assert_true(fabs(of_binomial_cdf(3, 10, 0.3) - 0.6496107184) < 1e-9);
    of_interval interval = of_binomial_interval(4, 40, 0.95);
    assert_true(fabs(interval.low - 0.02792541529) < 1e-10);
    assert_true(fabs(interval.high - 0.23663739988) < 1e-10);
    interval = of_binomial_interval(0, 10, 0.95);
    assert_true(interval.low == 0 && fabs(interval.high - (1 - pow(0.025, 0.1))) < 1e-9);
    interval = of_binomial_interval(10, 10, 0.95);
    assert_true(interval.high == 1 && fabs(interval.low - pow(0.025, 0.1)) < 1e-9);
    interval = of_binomial_interval(50000, 1000000, 0.99); /* large counts: near the normal one */
    assert_true(fabs(interval.low - (0.05 - 2.5758 * sqrt(0.05 * 0.95 / 1e6))) < 1e-5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formula),   cmocka_unit_test(test_thinned),
        cmocka_unit_test(test_threshold), cmocka_unit_test(test_validity),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_binomial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
