/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optimizers.h"

#include "core/error.h"
#include "core/memory.h"
#include "graph/gradient.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { PIECE_FLOATS = 16384 };

of_optimizer_options of_optimizer_defaults(void) {
    return (of_optimizer_options){.kind = OF_OPTIMIZER_ADAMAX,
                                  .weight_decay = 5e-5,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8,
                                  .clip = 50};
}

/* Counts the pieces, and stores them where `pieces` is not NULL. */
static size_t cut(const of_model *model, const size_t *places, of_piece *pieces) {
    size_t count = 0;
    for (size_t i = 0; i < model->parameter_count; i++) {
        const of_parameter *parameter = &model->parameters[i];
        if (parameter->kind != OF_PARAMETER_TRAINED)
            continue;
        assert(places == NULL || places[i] != OF_NO_PLACE); /* it would be trained on another's */
        for (size_t done = 0; done < parameter->count; done += PIECE_FLOATS) {
            size_t left = parameter->count - done, begin = parameter->offset / sizeof(float);
            if (pieces != NULL)
                pieces[count] = (of_piece){.begin = begin + done,
                                           .gradient = (places ? places[i] : begin) + done,
                                           .count = left < PIECE_FLOATS ? left : PIECE_FLOATS};
            count++;
        }
    }
    return count;
}

of_status of_optimizer_open(const of_optimizer_options *options, const of_model *model,
                            const size_t *places, const of_kernels *kernels, unsigned threads,
                            of_optimizer *optimizer, of_error *error) {
    of_optimizer made = {.options = *options,
                         .kernels = kernels,
                         .threads = threads,
                         .block_bytes = model->value_bytes,
                         .piece_count = cut(model, places, NULL)};
    made.end_piece = made.piece_count;
    made.pieces = of_allocate(made.piece_count, sizeof *made.pieces);
    made.piece_sums = of_allocate(made.piece_count, sizeof *made.piece_sums);
    made.first = of_allocate_zeroed(made.block_bytes, 1);
    made.second = of_allocate_zeroed(made.block_bytes, 1);
    if (options->ema > 0)
        made.average = of_allocate(made.block_bytes, 1);
    if (made.pieces == NULL || made.piece_sums == NULL || made.first == NULL ||
        made.second == NULL || (options->ema > 0 && made.average == NULL)) {
        of_optimizer_close(&made);
        return of_fail_memory(error, "the optimizer's state");
    }
    (void)cut(model, places, made.pieces);
    if (made.average != NULL)
        memcpy(made.average, model->values, made.block_bytes);
    *optimizer = made;
    return OF_OK;
}

void of_optimizer_close(of_optimizer *optimizer) {
    of_free(optimizer->pieces);
    of_free(optimizer->piece_sums);
    of_free(optimizer->first);
    of_free(optimizer->second);
    of_free(optimizer->average);
    *optimizer = (of_optimizer){0};
}

double of_optimizer_norm(of_optimizer *optimizer, const float *gradients) {
    double sum = 0;
#pragma omp parallel for num_threads(optimizer->threads) schedule(static)
    for (size_t i = 0; i < optimizer->piece_count; i++)
        optimizer->piece_sums[i] = optimizer->kernels->square_sum(
            gradients + optimizer->pieces[i].gradient, optimizer->pieces[i].count);
    for (size_t i = 0; i < optimizer->piece_count; i++)
        sum += optimizer->piece_sums[i];
    return sqrt(sum);
}

/* As torch.nn.utils.clip_grad_norm_ does it. */
double of_clip_scale(double clip, double norm) {
    double scale = clip > 0 ? clip / (norm + 1e-6) : 1;
    return scale < 1 ? scale : 1;
}

/* Young averages forget faster, so that the first weights do not linger. */
static float average_decay(const of_optimizer *optimizer, uint64_t applied) {
    double young = (1 + (double)applied) / (10 + (double)applied);
    return (float)(young < optimizer->options.ema ? young : optimizer->options.ema);
}

static void average_piece(float *average, const float *values, size_t n, float decay) {
    for (size_t i = 0; i < n; i++)
        average[i] += (1 - decay) * (values[i] - average[i]);
}

void of_optimizer_apply(of_optimizer *optimizer, of_model *model, const float *gradients,
                        double scale, double rate, uint64_t applied) {
    const of_optimizer_options *options = &optimizer->options;
    float *values = (float *)(void *)model->values;
    double t = (double)applied + 1;
    of_optimizer_update common = {
        .kind = options->kind,
        .gradient_scale = (float)scale,
        .rate = (float)rate,
        .step = (float)(rate / (1 - pow(options->beta1, t))),
        .beta1 = (float)options->beta1,
        .beta2 = (float)options->beta2,
        .epsilon = (float)options->epsilon,
        .weight_decay = (float)options->weight_decay,
        .second_correction = (float)(1 / (1 - pow(options->beta2, t))),
    };
#pragma omp parallel for num_threads(optimizer->threads) schedule(static)
    for (size_t i = optimizer->first_piece; i < optimizer->end_piece; i++) {
        of_piece piece = optimizer->pieces[i];
        of_optimizer_update update = common;
        update.values = values + piece.begin;
        update.first = optimizer->first + piece.begin;
        update.second = optimizer->second + piece.begin;
        update.gradients = gradients + piece.gradient;
        update.n = piece.count;
        optimizer->kernels->optimizer_update(&update);
    }
}

void of_optimizer_average(of_optimizer *optimizer, const of_model *model, uint64_t applied) {
    const float *values = (const float *)(const void *)model->values;
    float decay = average_decay(optimizer, applied);
    if (optimizer->average == NULL)
        return;
#pragma omp parallel for num_threads(optimizer->threads) schedule(static)
    for (size_t i = 0; i < optimizer->piece_count; i++) {
        of_piece piece = optimizer->pieces[i];
        average_piece(optimizer->average + piece.begin, values + piece.begin, piece.count, decay);
    }
}
