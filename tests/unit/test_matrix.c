/* SPDX-License-Identifier: Apache-2.0 */
/* Matrices in double: products, factors, inverses, random rotations, LU storage. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "model/matrix.h"
#include "model/mixing.h"
#include "model/rotation.h"

static of_error error;

static double *random_matrix(size_t rows, size_t columns, uint64_t seed) {
    double *matrix = malloc(rows * columns * sizeof *matrix);
    of_random random = of_random_stream(seed, 0);
    assert_non_null(matrix);
    for (size_t i = 0; i < rows * columns; i++)
        matrix[i] = of_random_normal(&random);
    return matrix;
}

/* Largest |a[i][j] - b[i][j]|, or infinity when one is not a number. */
static double distance(const double *a, const double *b, size_t count) {
    double largest = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs(a[i] - b[i]);
        if (!(difference <= largest))
            largest = isnan(difference) ? INFINITY : difference;
    }
    return largest;
}

static double distance_from_identity(const double *a, size_t n) {
    double largest = 0;
    for (size_t i = 0; i < n * n; i++) {
        double difference = fabs(a[i] - (i % (n + 1) == 0));
        if (!(difference <= largest))
            largest = isnan(difference) ? INFINITY : difference;
    }
    return largest;
}

static void products_match_the_definition(void **state) {
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},    {3, 5, 2},     {4, 4, 4},    {5, 300, 7},
                                      {65, 17, 66}, {130, 257, 9}, {64, 256, 64}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t m = sizes[s][0], inner = sizes[s][1], n = sizes[s][2], stride = n + 3;
        double *a = random_matrix(m, inner, s), *b = random_matrix(inner, n, s + 50);
        double *c = random_matrix(m, stride, s + 100), *expected = malloc(m * stride * sizeof *c);
        memcpy(expected, c, m * stride * sizeof *c);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++)
                for (size_t p = 0; p < inner; p++)
                    expected[i * stride + j] += -0.5 * a[i * inner + p] * b[p * n + j];
        of_matrix_multiply_add(m, inner, n, -0.5, a, inner, b, n, c, stride);
        assert_true(distance(c, expected, m * stride) < 1e-11); /* the gaps are untouched too */
        free(a);
        free(b);
        free(c);
        free(expected);
    }
}

static void factors_rebuild_the_matrix(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 4, 12, 16, 17, 31, 33, 64, 97, 200};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s], order[200];
        double *a = random_matrix(n, n, 7 + s), *factors = malloc(n * n * sizeof *a);
        memcpy(factors, a, n * n * sizeof *a);
        assert_int_equal(of_matrix_lu(factors, n, order, &error), OF_OK);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t p = 0; p <= i && p <= j; p++)
                    sum += (p == i ? 1 : factors[i * n + p]) * factors[p * n + j];
                assert_true(fabs(sum - a[order[i] * n + j]) < 1e-11);
                assert_true(j >= i || fabs(factors[i * n + j]) <= 1); /* pivoting */
            }
        free(a);
        free(factors);
    }
}

static void inverses_invert(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 3, 12, 17, 48, 100, 192};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s];
        double *a = random_matrix(n, n, 70 + s), *inverse = malloc(n * n * sizeof *a);
        double *product = malloc(n * n * sizeof *a), forward, backward;
        assert_int_equal(of_matrix_inverse(a, n, inverse, &error), OF_OK);
        of_matrix_multiply(a, inverse, n, product);
        assert_true(distance_from_identity(product, n) < 1e-9);
        assert_int_equal(of_matrix_log_abs_det(a, n, &forward, &error), OF_OK);
        assert_int_equal(of_matrix_log_abs_det(inverse, n, &backward, &error), OF_OK);
        assert_true(fabs(forward + backward) < 1e-8);
        free(a);
        free(inverse);
        free(product);
    }
}

static void a_known_determinant(void **state) {
    (void)state;
    const double a[9] = {0, 2, 0, 3, 0, 0, 0, 0, -5};
    double log_abs_det;
    assert_int_equal(of_matrix_log_abs_det(a, 3, &log_abs_det, &error), OF_OK);
    assert_true(fabs(log_abs_det - log(30)) < 1e-14);
}

static void singular_matrices_are_refused(void **state) {
    (void)state;
    for (size_t n = 2; n <= 40; n += 19) {
        double *a = random_matrix(n, n, n), *inverse = malloc(n * n * sizeof *a), value;
        memset(a + n * (n - 1), 0, n * sizeof *a);
        assert_int_equal(of_matrix_inverse(a, n, inverse, &error), OF_ERROR_NUMERIC);
        assert_non_null(strstr(error.message, "singular"));
        a[0] = NAN;
        assert_int_equal(of_matrix_log_abs_det(a, n, &value, &error), OF_ERROR_NUMERIC);
        free(a);
        free(inverse);
    }
}

/* Determinant from the factors' diagonal and the parity of the row order. */
static double determinant(const double *a, size_t n) {
    double *factors = malloc(n * n * sizeof *a), result = 1;
    size_t *order = malloc(n * sizeof *order);
    memcpy(factors, a, n * n * sizeof *a);
    assert_int_equal(of_matrix_lu(factors, n, order, &error), OF_OK);
    for (size_t i = 0; i < n; i++) {
        result *= factors[i * n + i];
        while (order[i] != i) {
            size_t j = order[i];
            order[i] = order[j];
            order[j] = j;
            result = -result;
        }
    }
    free(factors);
    free(order);
    return result;
}

static void rotations_are_orthogonal(void **state) {
    (void)state;
    static const size_t sizes[] = {4, 12, 24, 48, 130, 640}; /* the last one by blocks */
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s];
        double *a = malloc(n * n * sizeof *a), *transposed = malloc(n * n * sizeof *a);
        double *product = malloc(n * n * sizeof *a);
        of_random random = of_random_stream(3, s);
        assert_int_equal(of_random_rotation(&random, n, a, &error), OF_OK);
        for (size_t i = 0; i < n * n; i++)
            transposed[i] = a[i % n * n + i / n];
        of_matrix_multiply(a, transposed, n, product);
        assert_true(distance_from_identity(product, n) < 1e-13);
        assert_true(fabs(determinant(a, n) - 1) < 1e-10);
        free(a);
        free(transposed);
        free(product);
    }
}

/* Every entry of a uniform rotation has mean 0 and variance 1/n. */
static void rotations_are_uniform(void **state) {
    (void)state;
    enum { N = 4, DRAWS = 4000 };
    double sum[N * N] = {0}, squares[N * N] = {0}, a[N * N];
    of_random random = of_random_stream(11, 0);
    for (int draw = 0; draw < DRAWS; draw++) {
        assert_int_equal(of_random_rotation(&random, N, a, &error), OF_OK);
        for (int i = 0; i < N * N; i++) {
            sum[i] += a[i];
            squares[i] += a[i] * a[i];
        }
    }
    for (int i = 0; i < N * N; i++) { /* five standard deviations */
        assert_true(fabs(sum[i] / DRAWS) < 5 * 0.5 / sqrt(DRAWS));
        assert_true(fabs(squares[i] / DRAWS - 0.25) < 5 * 0.25 / sqrt(DRAWS));
    }
}

static void permutations_hold_every_index(void **state) {
    (void)state;
    size_t order[100], seen[100] = {0};
    of_random random = of_random_stream(5, 5);
    int sign = of_random_permutation(&random, 100, order);
    assert_true(sign == 1 || sign == -1);
    for (size_t i = 0; i < 100; i++)
        seen[order[i]]++;
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);
}

static void stored_factors_give_the_matrix_back(void **state) {
    (void)state;
    of_architecture architecture = of_architecture_default();
    of_model *model = NULL;
    double log_abs_det, expected;
    double *a = random_matrix(12, 12, 91), *back = malloc(144 * sizeof *back);
    assert_int_equal(of_model_allocate(&architecture, &model, &error), OF_OK);
    assert_int_equal(of_mixing_width(model, 0), 12);
    assert_int_equal(of_mixing_store_lu(model, 0, 3, a, &error), OF_OK);
    assert_int_equal(of_mixing_matrix(model, 0, 3, back, &log_abs_det, &error), OF_OK);
    assert_int_equal(of_matrix_log_abs_det(a, 12, &expected, &error), OF_OK);
    assert_true(distance(a, back, 144) < 1e-5);
    assert_true(fabs(log_abs_det - expected) < 1e-5);
    of_model_free(model);
    free(a);
    free(back);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_match_the_definition),
        cmocka_unit_test(factors_rebuild_the_matrix),
        cmocka_unit_test(inverses_invert),
        cmocka_unit_test(a_known_determinant),
        cmocka_unit_test(singular_matrices_are_refused),
        cmocka_unit_test(rotations_are_orthogonal),
        cmocka_unit_test(rotations_are_uniform),
        cmocka_unit_test(permutations_hold_every_index),
        cmocka_unit_test(stored_factors_give_the_matrix_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
