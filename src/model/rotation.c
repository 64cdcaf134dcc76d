/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rotation.h"

#include "core/error.h"
#include "core/memory.h"
#include "model/matrix.h"

#include <math.h>
#include <string.h>

enum { LARGEST_UNIFORM = 512, BLOCK = 128, ROUNDS = 3 };

int of_random_permutation(of_random *random, size_t n, size_t *order) {
    int sign = 1;
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i-- > 1;) {
        size_t j = of_random_below(random, (uint32_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
        sign = i == j ? sign : -sign;
    }
    return sign;
}

static void negate_last_column(double *matrix, size_t n) {
    for (size_t i = 0; i < n; i++)
        matrix[i * n + n - 1] = -matrix[i * n + n - 1];
}

/* rows[m][m] (of width `stride`) = (I - 2 v v^T / v^T v) rows. `sums` has m values. */
static void reflect(const double *v, size_t m, double *rows, size_t stride, double *sums) {
    double square = 0;
    memset(sums, 0, m * sizeof *sums);
    for (size_t i = 0; i < m; i++) {
        square += v[i] * v[i];
        for (size_t j = 0; j < m; j++)
            sums[j] += v[i] * rows[i * stride + j];
    }
    for (size_t i = 0; i < m; i++) {
        double factor = 2 * v[i] / square;
        for (size_t j = 0; j < m; j++)
            rows[i * stride + j] -= factor * sums[j];
    }
}

/* Uniform over all rotations: a product of reflections of random vectors, of growing size (Stewart
 * 1980, "The efficient generation of random orthogonal matrices"). Each reflection turns its
 * vector into -sign(v[0]) |v| e1; the sign goes to the row being added, so that the first column
 * is v/|v|, and the last column makes the determinant 1. `work` has 2n values. */
static void fill_uniform(of_random *random, size_t n, double *matrix, double *work) {
    double *v = work, *sums = work + n;
    bool odd = false;
    memset(matrix, 0, n * n * sizeof *matrix);
    matrix[n * n - 1] = 1;
    for (size_t k = n - 1; k-- > 0;) {
        size_t m = n - k;
        double square = 0;
        for (size_t i = 0; i < m; i++) {
            v[i] = of_random_normal(random);
            square += v[i] * v[i];
        }
        bool negative = v[0] < 0;
        v[0] += negative ? -sqrt(square) : sqrt(square);
        matrix[k * n + k] = negative ? 1 : -1;
        odd ^= negative; /* a reflection has determinant -1, so does a negated row */
        reflect(v, m, matrix + k * n + k, n, sums);
    }
    if (odd)
        negate_last_column(matrix, n);
}

/* rows[n][n] = B rows for block-diagonal B of random rotations; `block` has room for 2 blocks. */
static void rotate_blocks(of_random *random, size_t n, const double *rows, double *rotated,
                          double *block) {
    size_t count = (n + BLOCK - 1) / BLOCK;
    memset(rotated, 0, n * n * sizeof *rotated);
    for (size_t i = 0; i < count; i++) {
        size_t first = i * n / count, size = (i + 1) * n / count - first;
        fill_uniform(random, size, block, block + size * size);
        of_matrix_multiply_add(size, size, n, 1, block, size, rows + first * n, n,
                               rotated + first * n, n);
    }
}

static of_status fill_large(of_random *random, size_t n, double *matrix, of_error *error) {
    double *rows = of_allocate(n, n * sizeof *rows);
    double *block = of_allocate((size_t)2 * BLOCK, BLOCK * sizeof *block);
    size_t *order = of_allocate(n, sizeof *order);
    int sign = 1;
    of_status status = rows == NULL || block == NULL || order == NULL
                           ? of_fail_memory(error, "a random rotation")
                           : OF_OK;
    if (status == OF_OK) {
        memset(matrix, 0, n * n * sizeof *matrix);
        for (size_t i = 0; i < n; i++)
            matrix[i * n + i] = 1;
        for (int round = 0; round < ROUNDS; round++) {
            sign *= of_random_permutation(random, n, order);
            for (size_t i = 0; i < n; i++)
                memcpy(rows + i * n, matrix + order[i] * n, n * sizeof *rows);
            rotate_blocks(random, n, rows, matrix, block);
        }
        if (sign < 0)
            negate_last_column(matrix, n);
    }
    of_free(rows);
    of_free(block);
    of_free(order);
    return status;
}

of_status of_random_rotation(of_random *random, size_t n, double *matrix, of_error *error) {
    if (n > LARGEST_UNIFORM)
        return fill_large(random, n, matrix, error);
    double *work = of_allocate(2 * n, sizeof *work);
    if (work == NULL)
        return of_fail_memory(error, "a random rotation");
    fill_uniform(random, n, matrix, work);
    of_free(work);
    return OF_OK;
}
