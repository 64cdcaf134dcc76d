/* SPDX-License-Identifier: Apache-2.0 */
/* Which class fits an image better than its own: linear discriminants with a shrunk covariance,
 * each image judged by the folds that it, its copies and near copies are not in.
 *
 * For the standardised features x of an image, the mean m_c of class c in the other folds and S
 * their covariance within classes:
 *   g_c = m_c' S^-1 x - m_c' S^-1 m_c / 2,   misfit = max over c other than its own of g_c - g_own
 * which is a difference of two Gaussians' log-densities. */
#include "clean/cleaning.h"
#include "core/error.h"
#include "core/memory.h"
#include "model/matrix.h"

#include <math.h>
#include <string.h>

enum { FOLDS = 5, BLOCK = 32 /* images a matrix product */ };

#define SHRINKAGE 0.1

/* d features, k classes; class numbers here are of those that are large enough. */
typedef struct discriminant {
    of_cleaning *cleaning;
    const of_stream_observer *observer;
    size_t d, k;
    int32_t *class_of;              /* [labels]: number here, -1 too small */
    int32_t *label_of;              /* [k] */
    double *mean, *deviation;       /* [d] of all features */
    double *sums;                   /* [FOLDS][k][d] */
    double *counts;                 /* [FOLDS][k] */
    double *products;               /* [FOLDS][d][d] */
    double *means, *weights, *bias; /* [k][d], [k][d], [k] without a fold */
    double *scatter, *inverse;      /* [d][d] */
    double *block, *turned;         /* [BLOCK][d], [d][BLOCK] */
} discriminant;

/* ---- Classes and folds --------------------------------------------------------------------- */

static int32_t class_of(const discriminant *q, size_t image) {
    int32_t label = q->cleaning->images[image].label;
    return label >= 0 ? q->class_of[label] : -1;
}

/* The whole group is in one fold, and neighbours in a source in different ones. */
static size_t fold_of(const discriminant *q, size_t image) {
    return q->cleaning->survey.images[image].group % FOLDS;
}

static of_status number_classes(discriminant *q, of_error *error) {
    const of_cleaning *cleaning = q->cleaning;
    size_t labels = cleaning->labels.count;
    size_t *members = of_allocate_zeroed(labels + 1, sizeof *members);
    q->class_of = of_allocate(labels + 1, sizeof *q->class_of);
    q->label_of = of_allocate(labels + 1, sizeof *q->label_of);
    if (members == NULL || q->class_of == NULL || q->label_of == NULL) {
        of_free(members);
        return of_fail_memory(error, "the classes");
    }
    for (size_t i = 0; i < cleaning->survey.count; i++)
        if (cleaning->images[i].label >= 0)
            members[cleaning->images[i].label]++;
    for (size_t l = 0; l < labels; l++) {
        bool enough = members[l] >= OF_CLEAN_LEAST;
        q->class_of[l] = enough ? (int32_t)q->k : -1;
        if (enough)
            q->label_of[q->k++] = (int32_t)l;
    }
    of_free(members);
    return OF_OK;
}

static double *room(size_t a, size_t b, size_t c) {
    size_t size;
    return of_multiply(a, b, &size) && of_multiply(size, c, &size)
               ? of_allocate_zeroed(size, sizeof(double))
               : NULL;
}

static of_status make_room(discriminant *q, of_error *error) {
    size_t d = q->d, k = q->k;
    q->mean = room(d, 1, 1);
    q->deviation = room(d, 1, 1);
    q->sums = room(FOLDS, k, d);
    q->counts = room(FOLDS, k, 1);
    q->products = room(FOLDS, d, d);
    q->means = room(k, d, 1);
    q->weights = room(k, d, 1);
    q->bias = room(k, 1, 1);
    q->scatter = room(d, d, 1);
    q->inverse = room(d, d, 1);
    q->block = room(BLOCK, d, 1);
    q->turned = room(BLOCK, d, 1);
    bool all = q->mean && q->deviation && q->sums && q->counts && q->products && q->means &&
               q->weights && q->bias && q->scatter && q->inverse && q->block && q->turned;
    return all ? OF_OK : of_fail_memory(error, "the statistics of the classes");
}

static void close(discriminant *q) {
    double *const parts[] = {q->mean,     q->deviation, q->sums,    q->counts,
                             q->products, q->means,     q->weights, q->bias,
                             q->scatter,  q->inverse,   q->block,   q->turned};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        of_free(parts[i]);
    of_free(q->class_of);
    of_free(q->label_of);
}

static of_status check_stop(const discriminant *q, of_error *error) {
    const of_stream_observer *observer = q->observer;
    if (observer->stop != NULL && observer->stop(observer->user))
        return of_fail(error, OF_ERROR_IO, "interrupted");
    return OF_OK;
}

/* ---- Sums ---------------------------------------------------------------------------------- */

/* Mean and deviation of each feature; one without spread says nothing. */
static void standardise(discriminant *q) {
    double n = 0;
    for (size_t i = 0; i < q->cleaning->survey.count; i++) {
        if (class_of(q, i) < 0)
            continue;
        of_features_fill(q->cleaning, i, q->block);
        n++;
        for (size_t j = 0; j < q->d; j++) { /* Welford 1962 */
            double difference = q->block[j] - q->mean[j];
            q->mean[j] += difference / n;
            q->deviation[j] += difference * (q->block[j] - q->mean[j]);
        }
    }
    for (size_t j = 0; j < q->d; j++)
        q->deviation[j] = sqrt(q->deviation[j] / n);
}

static void fill(const discriminant *q, size_t image, double *x) {
    of_features_fill(q->cleaning, image, x);
    for (size_t j = 0; j < q->d; j++)
        x[j] = q->deviation[j] > 1e-9 ? (x[j] - q->mean[j]) / q->deviation[j] : 0;
}

/* Adds the rows of the block, all of one fold, to its matrix of products. */
static void add_block(discriminant *q, size_t fold, size_t rows) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < q->d; j++)
            q->turned[j * BLOCK + i] = q->block[i * q->d + j];
    of_matrix_multiply_add(q->d, rows, q->d, 1, q->turned, BLOCK, q->block, q->d,
                           q->products + fold * q->d * q->d, q->d);
}

static of_status sum_fold(discriminant *q, size_t fold, of_error *error) {
    size_t rows = 0;
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < q->cleaning->survey.count; i++) {
        int32_t class = class_of(q, i);
        if (class < 0 || fold_of(q, i) != fold)
            continue;
        double *x = q->block + rows * q->d, *sum = q->sums + (fold * q->k + (size_t) class) * q->d;
        fill(q, i, x);
        for (size_t j = 0; j < q->d; j++)
            sum[j] += x[j];
        q->counts[fold * q->k + (size_t) class]++;
        if (++rows == BLOCK) {
            add_block(q, fold, rows);
            rows = 0;
            status = check_stop(q, error);
        }
    }
    add_block(q, fold, rows);
    return status;
}

/* ---- Without a fold ------------------------------------------------------------------------ */

static double count_without(const discriminant *q, size_t fold, size_t class) {
    double count = 0;
    for (size_t f = 0; f < FOLDS; f++)
        count += f != fold ? q->counts[f * q->k + class] : 0;
    return count;
}

static void find_mean(discriminant *q, size_t fold, size_t class) {
    double count = count_without(q, fold, class), *mean = q->means + class * q->d;
    memset(mean, 0, q->d * sizeof *mean);
    for (size_t f = 0; f < FOLDS; f++)
        for (size_t j = 0; f != fold && j < q->d; j++)
            mean[j] += q->sums[(f * q->k + class) * q->d + j] / fmax(count, 1);
}

/* Covariance within classes, shrunk towards a multiple of the identity. */
static void find_scatter(discriminant *q, size_t fold) {
    size_t d = q->d;
    double total = 0, trace = 0;
    memset(q->scatter, 0, d * d * sizeof *q->scatter);
    for (size_t f = 0; f < FOLDS; f++)
        for (size_t j = 0; f != fold && j < d * d; j++)
            q->scatter[j] += q->products[f * d * d + j];
    for (size_t c = 0; c < q->k; c++) {
        const double *mean = q->means + c * d;
        double count = count_without(q, fold, c);
        total += count;
        for (size_t a = 0; a < d; a++)
            for (size_t b = 0; b < d; b++)
                q->scatter[a * d + b] -= count * mean[a] * mean[b];
    }
    for (size_t a = 0; a < d; a++)
        trace += q->scatter[a * d + a];
    for (size_t j = 0; j < d * d; j++)
        q->scatter[j] *= (1 - SHRINKAGE) / fmax(total, 1);
    for (size_t a = 0; a < d; a++)
        q->scatter[a * d + a] += SHRINKAGE * trace / fmax(total, 1) / (double)d + 1e-9;
}

static of_status learn_without(discriminant *q, size_t fold, of_error *error) {
    for (size_t c = 0; c < q->k; c++)
        find_mean(q, fold, c);
    find_scatter(q, fold);
    of_status status = of_matrix_inverse(q->scatter, q->d, q->inverse, error);
    if (status != OF_OK)
        return status;
    memset(q->weights, 0, q->k * q->d * sizeof *q->weights);
    of_matrix_multiply_add(q->k, q->d, q->d, 1, q->means, q->d, q->inverse, q->d, q->weights, q->d);
    for (size_t c = 0; c < q->k; c++) {
        q->bias[c] = 0;
        for (size_t j = 0; j < q->d; j++)
            q->bias[c] -= q->weights[c * q->d + j] * q->means[c * q->d + j] / 2;
    }
    return OF_OK;
}

static void judge(discriminant *q, size_t image, size_t own) {
    of_clean_image *judged = &q->cleaning->images[image];
    double best = -INFINITY, at_own = 0, nearest = INFINITY;
    size_t suggested = own;
    fill(q, image, q->block);
    for (size_t c = 0; c < q->k; c++) {
        double fit = q->bias[c], square = 0;
        for (size_t j = 0; j < q->d; j++) {
            double difference = q->block[j] - q->means[c * q->d + j];
            fit += q->weights[c * q->d + j] * q->block[j];
            square += difference * difference;
        }
        nearest = fmin(nearest, square);
        if (c == own)
            at_own = fit;
        else if (fit > best)
            best = fit, suggested = c;
    }
    judged->misfit = best - at_own;
    judged->unlike = log(nearest + 1);
    judged->suggested = q->label_of[suggested];
}

static of_status judge_fold(discriminant *q, size_t fold, of_error *error) {
    of_status status = learn_without(q, fold, error);
    for (size_t i = 0; status == OF_OK && i < q->cleaning->survey.count; i++) {
        int32_t class = class_of(q, i);
        if (class < 0 || fold_of(q, i) != fold)
            continue;
        judge(q, i, (size_t) class);
        q->cleaning->summary.judged++;
        if (i % BLOCK == 0)
            status = check_stop(q, error);
    }
    return status;
}

of_status of_discriminate(of_cleaning *cleaning, const of_stream_observer *observer,
                          of_error *error) {
    discriminant q = {.cleaning = cleaning, .observer = observer, .d = of_features_count(cleaning)};
    of_status status = number_classes(&q, error);
    if (status == OF_OK && q.k >= 2) {
        status = make_room(&q, error);
        if (status == OF_OK)
            standardise(&q);
        for (size_t fold = 0; status == OF_OK && fold < FOLDS; fold++)
            status = sum_fold(&q, fold, error);
        for (size_t fold = 0; status == OF_OK && fold < FOLDS; fold++)
            status = judge_fold(&q, fold, error);
    }
    close(&q);
    return status;
}
