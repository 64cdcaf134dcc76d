/* SPDX-License-Identifier: Apache-2.0 */
#include "model/mixing.h"

#include "core/error.h"
#include "core/memory.h"
#include "model/matrix.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 };

size_t of_mixing_width(const of_model *model, uint32_t scale) {
    of_scale_shape state = of_architecture_scale(&model->architecture, scale);
    return model->architecture.block == OF_BLOCK_DENSE ? state.dimensions : state.channels;
}

/* Row of the 1 in a column of a permutation matrix. */
static size_t row_of_one(const float *permutation, size_t n, size_t column) {
    size_t row = 0;
    while (row + 1 < n && permutation[row * n + column] == 0)
        row++;
    return row;
}

/* Unpacks L + I and the upper factor from their masked tensors, multiplies, and moves row i to
 * the row that P sends it to. */
static of_status multiply_lu(const of_model *model, const of_step_parameters *step, size_t n,
                             double *matrix, of_error *error) {
    const float *lower = of_model_values(model, step->lower);
    const float *upper = of_model_values(model, step->upper);
    const float *sign = of_model_values(model, step->sign);
    const float *log_diag = of_model_values(model, step->log_diag);
    const float *permutation = of_model_values(model, step->permutation);
    double *factors = of_allocate_zeroed(3 * n, n * sizeof *factors);
    if (factors == NULL)
        return of_fail_memory(error, "a mixing matrix");
    double *l = factors, *u = l + n * n, *product = u + n * n;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            l[i * n + j] = lower[i * n + j];
        l[i * n + i] = 1;
        u[i * n + i] = sign[i] * exp(log_diag[i]);
        for (size_t j = i + 1; j < n; j++)
            u[i * n + j] = upper[i * n + j];
    }
    for (size_t p = 0; p < n; p += BLOCK) /* below and right of p: the rest is zero */
        of_matrix_multiply_add(n - p, n - p < BLOCK ? n - p : BLOCK, n - p, 1, l + p * n + p, n,
                               u + p * n + p, n, product + p * n + p, n);
    for (size_t i = 0; i < n; i++)
        memcpy(matrix + row_of_one(permutation, n, i) * n, product + i * n, n * sizeof *matrix);
    of_free(factors);
    return OF_OK;
}

of_status of_mixing_matrix(const of_model *model, uint32_t scale, uint32_t step, double *matrix,
                           double *log_abs_det, of_error *error) {
    const of_step_parameters *parameters = &model->scales[scale].steps[step];
    size_t n = of_mixing_width(model, scale);
    double sum = 0;
    if (parameters->indices >= 0) {
        const int64_t *indices = of_model_indices(model, parameters->indices);
        memset(matrix, 0, n * n * sizeof *matrix);
        for (size_t i = 0; i < n; i++)
            matrix[i * n + (size_t)indices[i]] = 1;
    } else if (parameters->weight >= 0) {
        const float *weight = of_model_values(model, parameters->weight);
        for (size_t i = 0; i < n * n; i++)
            matrix[i] = weight[i];
        of_status status =
            log_abs_det == NULL ? OF_OK : of_matrix_log_abs_det(matrix, n, &sum, error);
        if (status != OF_OK)
            return status;
    } else {
        const float *log_diag = of_model_values(model, parameters->log_diag);
        of_status status = multiply_lu(model, parameters, n, matrix, error);
        if (status != OF_OK)
            return status;
        for (size_t i = 0; i < n; i++)
            sum += log_diag[i];
    }
    if (log_abs_det != NULL)
        *log_abs_det = sum;
    return OF_OK;
}

of_status of_mixing_store_lu(of_model *model, uint32_t scale, uint32_t step, const double *matrix,
                             of_error *error) {
    const of_step_parameters *parameters = &model->scales[scale].steps[step];
    float *permutation = of_model_values(model, parameters->permutation);
    float *sign = of_model_values(model, parameters->sign);
    float *lower = of_model_values(model, parameters->lower);
    float *log_diag = of_model_values(model, parameters->log_diag);
    float *upper = of_model_values(model, parameters->upper);
    size_t n = of_mixing_width(model, scale);
    double *factors = of_allocate(n, n * sizeof *factors);
    size_t *order = of_allocate(n, sizeof *order);
    of_status status = factors == NULL || order == NULL
                           ? of_fail_memory(error, "the factors of a mixing matrix")
                           : OF_OK;
    if (status == OF_OK) {
        memcpy(factors, matrix, n * n * sizeof *factors);
        status = of_matrix_lu(factors, n, order, error);
    }
    for (size_t i = 0; status == OF_OK && i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            float value = (float)factors[i * n + j];
            lower[i * n + j] = j < i ? value : 0;
            upper[i * n + j] = j > i ? value : 0;
            permutation[i * n + j] = 0;
        }
        double diagonal = factors[i * n + i];
        sign[i] = diagonal < 0 ? -1 : 1;
        log_diag[i] = (float)log(fabs(diagonal));
    }
    for (size_t i = 0; status == OF_OK && i < n; i++)
        permutation[order[i] * n + i] = 1;
    of_free(factors);
    of_free(order);
    return status;
}
