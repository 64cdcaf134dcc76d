/* SPDX-License-Identifier: Apache-2.0 */
/* Dense linear algebra in double for the small square matrices of channel mixing (n from 4 to a
 * few thousand). Row-major, single-threaded, and in an order that depends on the sizes alone, so
 * that results are the same on every machine. */
#ifndef OF_MODEL_MATRIX_H
#define OF_MODEL_MATRIX_H

#include <outflow/outflow.h>

/* c[rows][columns] += factor * a[rows][inner] * b[inner][columns]. Each `stride` is the distance
 * between rows. c must not overlap a or b. */
void of_matrix_multiply_add(size_t rows, size_t inner, size_t columns, double factor,
                            const double *a, size_t a_stride, const double *b, size_t b_stride,
                            double *c, size_t c_stride);

/* product[n][n] = a[n][n] * b[n][n]; product must not overlap a or b. */
void of_matrix_multiply(const double *a, const double *b, size_t n, double *product);

/* Replaces a by its factors, A = P (L + I) U with partial pivoting: L strictly lower, U upper
 * with its diagonal. Row i of (L + I) U is row order[i] of A, that is P[order[i]][i] = 1.
 * A singular or non-finite matrix is OF_ERROR_NUMERIC; a and order are then unspecified. */
of_status of_matrix_lu(double *a, size_t n, size_t *order, of_error *error);

/* log|det A|. */
of_status of_matrix_log_abs_det(const double *a, size_t n, double *log_abs_det, of_error *error);

/* inverse[n][n] = A^-1; may not overlap a. */
of_status of_matrix_inverse(const double *a, size_t n, double *inverse, of_error *error);

#endif
