/* SPDX-License-Identifier: Apache-2.0 */
#include "score/density.h"

#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <string.h>

static bool all_finite(const double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

/* Copies the usable vectors, without gaps; returns how many. */
static size_t keep_finite(const double *vectors, size_t images, size_t stride, size_t count,
                          double *rows) {
    size_t kept = 0;
    for (size_t i = 0; i < images; i++)
        if (all_finite(vectors + i * stride, count))
            memcpy(rows + kept++ * count, vectors + i * stride, count * sizeof *rows);
    return kept;
}

/* Rows become zero mean, unit variance in every column. A column without spread keeps a tiny
 * deviation, so that any other value later is far away. */
static void standardise(double *rows, size_t images, of_density *density) {
    for (size_t j = 0; j < density->count; j++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < images; i++)
            sum += rows[i * density->count + j];
        double mean = sum / (double)images;
        for (size_t i = 0; i < images; i++) {
            double difference = rows[i * density->count + j] - mean;
            squares += difference * difference;
        }
        double least = 1e-9 * (1 + fabs(mean)), deviation = sqrt(squares / (double)images);
        density->mean[j] = mean;
        density->deviation[j] = deviation > least ? deviation : least;
        for (size_t i = 0; i < images; i++)
            rows[i * density->count + j] =
                (rows[i * density->count + j] - mean) / density->deviation[j];
    }
}

static void covariance(const double *rows, size_t images, size_t count, double *matrix) {
    memset(matrix, 0, count * count * sizeof *matrix);
    for (size_t i = 0; i < images; i++)
        for (size_t a = 0; a < count; a++)
            for (size_t b = 0; b <= a; b++)
                matrix[a * count + b] += rows[i * count + a] * rows[i * count + b];
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b <= a; b++)
            matrix[b * count + a] = matrix[a * count + b] /= (double)images;
}

/* Ledoit and Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices":
 *   S* = r m I + (1 - r) S,  m = tr S / d,  r = min(b, e) / e,
 *   e = |S - m I|^2,  b = sum |x x' - S|^2 / n^2   (sums of squared elements)
 * With |x x' - S|^2 = |x|^4 - 2 x' S x + |S|^2, and the sum of x' S x over n images = n |S|^2. */
static void shrink(const double *rows, size_t images, size_t count, double *matrix) {
    double trace = 0, norm = 0, fourth = 0, n = (double)images;
    for (size_t a = 0; a < count; a++)
        trace += matrix[a * count + a];
    for (size_t k = 0; k < count * count; k++)
        norm += matrix[k] * matrix[k];
    for (size_t i = 0; i < images; i++) {
        double square = 0;
        for (size_t a = 0; a < count; a++)
            square += rows[i * count + a] * rows[i * count + a];
        fourth += square * square;
    }
    double m = trace / (double)count, e = norm - trace * m, b = (fourth / n - norm) / n;
    double r = e > 0 ? fmin(fmax(b, 0), e) / e : 1;
    for (size_t a = 0; a < count; a++)
        for (size_t c = 0; c < count; c++)
            matrix[a * count + c] = (1 - r) * matrix[a * count + c] + (a == c ? r * m : 0);
}

/* matrix = L L'; false unless it is safely positive definite. */
static bool factorise(const double *matrix, size_t count, double *factor) {
    for (size_t a = 0, row = 0; a < count; row += ++a)
        for (size_t b = 0, other = 0; b <= a; other += ++b) {
            double sum = matrix[a * count + b];
            for (size_t k = 0; k < b; k++)
                sum -= factor[row + k] * factor[other + k];
            if (a == b && !(sum > 0))
                return false;
            factor[row + b] = a == b ? sqrt(sum) : sum / factor[other + b];
        }
    return true;
}

/* Statistics that depend on each other exactly leave nothing to divide by: a little of the
 * identity, more until the factor exists. */
static of_status factorise_raised(double *matrix, size_t count, double *factor, of_error *error) {
    const int most = 12; /* up to a thousand times the variances */
    double raise = 1e-9;
    for (int tries = 0; !factorise(matrix, count, factor); tries++) {
        if (tries > most)
            return of_fail(error, OF_ERROR_NUMERIC,
                           "the statistics of the calibration images are too large");
        for (size_t a = 0; a < count; a++)
            matrix[a * count + a] += raise;
        raise *= 10;
    }
    return OF_OK;
}

of_status of_density_fit(const double *vectors, size_t images, size_t stride, size_t count,
                         of_density *density, of_error *error) {
    double *rows = of_allocate(images, count * sizeof *rows);
    double *matrix = of_allocate(count * count, sizeof *matrix);
    of_status status = OF_OK;
    *density = (of_density){.count = count};
    if (rows == NULL || matrix == NULL) {
        status = of_fail_memory(error, "a density over statistics");
    } else if ((images = keep_finite(vectors, images, stride, count, rows)) < 2) {
        status = of_fail(error, OF_ERROR_ARGUMENT, "no two vectors of finite statistics to fit");
    } else {
        standardise(rows, images, density);
        covariance(rows, images, count, matrix);
        shrink(rows, images, count, matrix);
        status = factorise_raised(matrix, count, density->factor, error);
    }
    of_free(rows);
    of_free(matrix);
    return status;
}

double of_density_distance(const of_density *density, const double *values) {
    double solved[OF_DENSITY_MOST], distance = 0;
    for (size_t a = 0, row = 0; a < density->count; row += ++a) {
        double sum = (values[a] - density->mean[a]) / density->deviation[a];
        for (size_t b = 0; b < a; b++)
            sum -= density->factor[row + b] * solved[b];
        solved[a] = sum / density->factor[row + a];
        distance += solved[a] * solved[a];
    }
    return distance;
}
