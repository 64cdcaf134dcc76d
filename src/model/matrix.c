/* SPDX-License-Identifier: Apache-2.0 */
/* Everything rests on one register-blocked product; factorisation and triangular solves halve
 * their problem until it is small, so that nearly all work is in that product. */
#include "model/matrix.h"

#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <string.h>

enum {
    TILE_ROWS = 4,
    TILE_COLUMNS = 4,
    INNER_BLOCK = 256, /* a sliver of b, INNER_BLOCK x TILE_COLUMNS, stays in L1 */
    ROW_BLOCK = 64,    /* ROW_BLOCK x INNER_BLOCK of a stays in L2 */
    SMALL = 16         /* below this, recursion does not pay */
};

/* One tile: c[4][4] += factor * a[4][inner] * sliver[inner][4], the sums held in registers. */
static void multiply_tile(size_t inner, double factor, const double *restrict a, size_t a_stride,
                          const double *restrict sliver, double *restrict c, size_t c_stride) {
    const double *a0 = a, *a1 = a + a_stride, *a2 = a1 + a_stride, *a3 = a2 + a_stride;
    double s0[TILE_COLUMNS] = {0}, s1[TILE_COLUMNS] = {0};
    double s2[TILE_COLUMNS] = {0}, s3[TILE_COLUMNS] = {0};
    for (size_t p = 0; p < inner; p++) {
        const double *b = sliver + p * TILE_COLUMNS;
        for (size_t j = 0; j < TILE_COLUMNS; j++) {
            s0[j] += a0[p] * b[j];
            s1[j] += a1[p] * b[j];
            s2[j] += a2[p] * b[j];
            s3[j] += a3[p] * b[j];
        }
    }
    for (size_t j = 0; j < TILE_COLUMNS; j++) {
        c[j] += factor * s0[j];
        c[c_stride + j] += factor * s1[j];
        c[2 * c_stride + j] += factor * s2[j];
        c[3 * c_stride + j] += factor * s3[j];
    }
}

/* What is left at the edges: fewer rows or columns than a tile. */
static void multiply_edge(size_t rows, size_t inner, size_t columns, double factor, const double *a,
                          size_t a_stride, const double *sliver, double *c, size_t c_stride) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            double sum = 0;
            for (size_t p = 0; p < inner; p++)
                sum += a[i * a_stride + p] * sliver[p * TILE_COLUMNS + j];
            c[i * c_stride + j] += factor * sum;
        }
}

static size_t at_most(size_t value, size_t limit) {
    return value < limit ? value : limit;
}

/* A strip of c, [rows][columns <= TILE_COLUMNS], over one block of the inner dimension. */
static void multiply_strip(size_t rows, size_t inner, size_t columns, double factor,
                           const double *a, size_t a_stride, const double *b, size_t b_stride,
                           double *c, size_t c_stride) {
    double sliver[INNER_BLOCK * TILE_COLUMNS];
    for (size_t p = 0; p < inner; p++)
        for (size_t j = 0; j < TILE_COLUMNS; j++)
            sliver[p * TILE_COLUMNS + j] = j < columns ? b[p * b_stride + j] : 0;
    size_t whole = columns == TILE_COLUMNS ? rows / TILE_ROWS * TILE_ROWS : 0;
    for (size_t i = 0; i < whole; i += TILE_ROWS)
        multiply_tile(inner, factor, a + i * a_stride, a_stride, sliver, c + i * c_stride,
                      c_stride);
    multiply_edge(rows - whole, inner, columns, factor, a + whole * a_stride, a_stride, sliver,
                  c + whole * c_stride, c_stride);
}

void of_matrix_multiply_add(size_t rows, size_t inner, size_t columns, double factor,
                            const double *a, size_t a_stride, const double *b, size_t b_stride,
                            double *c, size_t c_stride) {
    for (size_t p = 0; p < inner; p += INNER_BLOCK)
        for (size_t i = 0; i < rows; i += ROW_BLOCK)
            for (size_t j = 0; j < columns; j += TILE_COLUMNS)
                multiply_strip(at_most(rows - i, ROW_BLOCK), at_most(inner - p, INNER_BLOCK),
                               at_most(columns - j, TILE_COLUMNS), factor, a + i * a_stride + p,
                               a_stride, b + p * b_stride + j, b_stride, c + i * c_stride + j,
                               c_stride);
}

void of_matrix_multiply(const double *a, const double *b, size_t n, double *product) {
    memset(product, 0, n * n * sizeof *product);
    of_matrix_multiply_add(n, n, n, 1, a, n, b, n, product, n);
}

/* x[n][columns] = (L + I)^-1 x; L is the strictly lower part of l. */
static void solve_lower(size_t n, size_t columns, const double *l, size_t l_stride, double *x,
                        size_t x_stride) {
    if (n > SMALL) {
        size_t top = n / 2;
        solve_lower(top, columns, l, l_stride, x, x_stride);
        of_matrix_multiply_add(n - top, top, columns, -1, l + top * l_stride, l_stride, x, x_stride,
                               x + top * x_stride, x_stride);
        solve_lower(n - top, columns, l + top * l_stride + top, l_stride, x + top * x_stride,
                    x_stride);
        return;
    }
    for (size_t i = 1; i < n; i++)
        for (size_t p = 0; p < i; p++)
            for (size_t j = 0; j < columns; j++)
                x[i * x_stride + j] -= l[i * l_stride + p] * x[p * x_stride + j];
}

/* x[n][columns] = U^-1 x; U is the upper part of u with its diagonal. */
static void solve_upper(size_t n, size_t columns, const double *u, size_t u_stride, double *x,
                        size_t x_stride) {
    if (n > SMALL) {
        size_t top = n / 2;
        solve_upper(n - top, columns, u + top * u_stride + top, u_stride, x + top * x_stride,
                    x_stride);
        of_matrix_multiply_add(top, n - top, columns, -1, u + top, u_stride, x + top * x_stride,
                               x_stride, x, x_stride);
        solve_upper(top, columns, u, u_stride, x, x_stride);
        return;
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t p = i + 1; p < n; p++)
            for (size_t j = 0; j < columns; j++)
                x[i * x_stride + j] -= u[i * u_stride + p] * x[p * x_stride + j];
        for (size_t j = 0; j < columns; j++)
            x[i * x_stride + j] /= u[i * u_stride + i];
    }
}

static void swap_rows(double *a, size_t stride, size_t first, size_t second, size_t columns) {
    double *x = a + first * stride, *y = a + second * stride;
    for (size_t j = 0; first != second && j < columns; j++) {
        double kept = x[j];
        x[j] = y[j];
        y[j] = kept;
    }
}

/* Row with the largest value of column `column` from that row on, or `rows` without a usable
 * one. */
static size_t find_pivot(const double *a, size_t rows, size_t stride, size_t column) {
    size_t best = rows;
    double largest = 0;
    for (size_t i = column; i < rows; i++) {
        double value = fabs(a[i * stride + column]);
        if (!isfinite(value))
            return rows;
        if (value > largest) {
            largest = value;
            best = i;
        }
    }
    return best;
}

/* Factors a panel [rows][columns], rows >= columns; pivots[k] is the row swapped with row k.
 * False when a column has no usable pivot. */
static bool factor_panel(double *a, size_t rows, size_t columns, size_t stride, size_t *pivots) {
    if (columns <= SMALL) {
        for (size_t k = 0; k < columns; k++) {
            size_t pivot = find_pivot(a, rows, stride, k);
            if (pivot == rows)
                return false;
            pivots[k] = pivot;
            swap_rows(a, stride, k, pivot, columns);
            for (size_t i = k + 1; i < rows; i++) {
                double *row = a + i * stride;
                row[k] /= a[k * stride + k];
                for (size_t j = k + 1; j < columns; j++)
                    row[j] -= row[k] * a[k * stride + j];
            }
        }
        return true;
    }
    size_t left = columns / 2, right = columns - left;
    double *upper_right = a + left, *lower_left = a + left * stride;
    double *lower_right = lower_left + left;
    if (!factor_panel(a, rows, left, stride, pivots))
        return false;
    for (size_t k = 0; k < left; k++)
        swap_rows(upper_right, stride, k, pivots[k], right);
    solve_lower(left, right, a, stride, upper_right, stride);
    of_matrix_multiply_add(rows - left, left, right, -1, lower_left, stride, upper_right, stride,
                           lower_right, stride);
    if (!factor_panel(lower_right, rows - left, right, stride, pivots + left))
        return false;
    for (size_t k = left; k < columns; k++) {
        swap_rows(lower_left, stride, k - left, pivots[k], left);
        pivots[k] += left;
    }
    return true;
}

of_status of_matrix_lu(double *a, size_t n, size_t *order, of_error *error) {
    size_t *pivots = of_allocate(n, sizeof *pivots);
    if (pivots == NULL)
        return of_fail_memory(error, "pivots of a matrix");
    bool regular = factor_panel(a, n, n, n, pivots);
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t k = 0; regular && k < n; k++) {
        size_t kept = order[k];
        order[k] = order[pivots[k]];
        order[pivots[k]] = kept;
    }
    of_free(pivots);
    if (!regular)
        return of_fail(error, OF_ERROR_NUMERIC, "matrix of size %zu is singular or not finite", n);
    return OF_OK;
}

/* A copy of a, factored. Both results are freed with of_free. */
static of_status factor_copy(const double *a, size_t n, double **factors, size_t **order,
                             of_error *error) {
    of_status status;
    size_t count;
    *factors = of_multiply(n, n, &count) ? of_allocate(count, sizeof **factors) : NULL;
    *order = of_allocate(n, sizeof **order);
    if (*factors == NULL || *order == NULL) {
        status = of_fail_memory(error, "factors of a matrix");
    } else {
        memcpy(*factors, a, count * sizeof **factors);
        status = of_matrix_lu(*factors, n, *order, error);
    }
    if (status != OF_OK) {
        of_free(*factors);
        of_free(*order);
    }
    return status;
}

of_status of_matrix_log_abs_det(const double *a, size_t n, double *log_abs_det, of_error *error) {
    double *factors;
    size_t *order;
    of_status status = factor_copy(a, n, &factors, &order, error);
    if (status != OF_OK)
        return status;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += log(fabs(factors[i * n + i]));
    *log_abs_det = sum;
    of_free(factors);
    of_free(order);
    return OF_OK;
}

of_status of_matrix_inverse(const double *a, size_t n, double *inverse, of_error *error) {
    double *factors;
    size_t *order;
    of_status status = factor_copy(a, n, &factors, &order, error);
    if (status != OF_OK)
        return status;
    memset(inverse, 0, n * n * sizeof *inverse);
    for (size_t i = 0; i < n; i++)
        inverse[i * n + order[i]] = 1;
    solve_lower(n, n, factors, n, inverse, n);
    solve_upper(n, n, factors, n, inverse, n);
    of_free(factors);
    of_free(order);
    return OF_OK;
}
