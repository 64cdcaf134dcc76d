/* SPDX-License-Identifier: Apache-2.0 */
/* What classes are told apart by: histograms of gradients (Dalal and Triggs 2005) in a grid of
 * cells, each cell's mean colour, and a model's statistics. */
#include "clean/cleaning.h"

#include <math.h>
#include <string.h>

enum {
    GRID = 8,
    ORIENTATIONS = 9,
    BLOCK = 2, /* cells a side that are normalised together */
    CELLS = GRID * GRID,
    GRADIENTS = CELLS * ORIENTATIONS,
    COLOURS = CELLS * OF_SURVEY_CHANNELS
};

size_t of_features_count(const of_cleaning *cleaning) {
    return GRADIENTS + COLOURS + cleaning->statistic_count;
}

static double grey(const of_survey *survey, const uint8_t *pixels, size_t y, size_t x) {
    const uint8_t *p = pixels + (y * survey->width + x) * OF_SURVEY_CHANNELS;
    return (p[0] + p[1] + p[2]) / 3.0;
}

/* An edge counts for the two orientations that it lies between, whichever side is brighter. */
static void add_gradient(double across, double down, double histogram[ORIENTATIONS]) {
    double angle = atan2(down, across) / acos(-1);
    double place = (angle < 0 ? angle + 1 : angle) * ORIENTATIONS;
    double size = hypot(across, down), share = place - floor(place);
    unsigned first = (unsigned)place % ORIENTATIONS;
    histogram[first] += size * (1 - share);
    histogram[(first + 1) % ORIENTATIONS] += size * share;
}

static void fill_gradients(const of_survey *survey, const uint8_t *pixels, double *histograms) {
    memset(histograms, 0, GRADIENTS * sizeof *histograms);
    for (size_t y = 1; y + 1 < survey->height; y++)
        for (size_t x = 1; x + 1 < survey->width; x++) {
            size_t cell = y * GRID / survey->height * GRID + x * GRID / survey->width;
            double across = grey(survey, pixels, y, x + 1) - grey(survey, pixels, y, x - 1);
            double down = grey(survey, pixels, y + 1, x) - grey(survey, pixels, y - 1, x);
            if (across != 0 || down != 0)
                add_gradient(across, down, histograms + cell * ORIENTATIONS);
        }
}

/* Contrast is taken out of each block; the root makes the values nearly Gaussian. */
static void normalise_block(double *histograms, size_t row, size_t column) {
    const double flat = 100; /* in squared grey levels: noise is not made into edges */
    double square = flat;
    for (size_t k = 0; k < (size_t)BLOCK * BLOCK; k++) {
        const double *cell =
            histograms + ((row + k / BLOCK) * GRID + column + k % BLOCK) * ORIENTATIONS;
        for (size_t o = 0; o < ORIENTATIONS; o++)
            square += cell[o] * cell[o];
    }
    for (size_t k = 0; k < (size_t)BLOCK * BLOCK; k++) {
        double *cell = histograms + ((row + k / BLOCK) * GRID + column + k % BLOCK) * ORIENTATIONS;
        for (size_t o = 0; o < ORIENTATIONS; o++)
            cell[o] = sqrt(cell[o] / sqrt(square));
    }
}

static void fill_colours(const of_survey *survey, const uint8_t *pixels, double *colours) {
    double counts[CELLS] = {0};
    memset(colours, 0, COLOURS * sizeof *colours);
    for (size_t y = 0; y < survey->height; y++)
        for (size_t x = 0; x < survey->width; x++) {
            size_t cell = y * GRID / survey->height * GRID + x * GRID / survey->width;
            const uint8_t *p = pixels + (y * survey->width + x) * OF_SURVEY_CHANNELS;
            for (size_t c = 0; c < OF_SURVEY_CHANNELS; c++)
                colours[cell * OF_SURVEY_CHANNELS + c] += p[c];
            counts[cell]++;
        }
    for (size_t i = 0; i < COLOURS; i++)
        colours[i] /= fmax(counts[i / OF_SURVEY_CHANNELS], 1);
}

void of_features_fill(const of_cleaning *cleaning, size_t index, double *values) {
    const of_survey *survey = &cleaning->survey;
    const uint8_t *pixels = of_survey_pixels(survey, index);
    fill_gradients(survey, pixels, values);
    for (size_t row = 0; row < GRID; row += BLOCK)
        for (size_t column = 0; column < GRID; column += BLOCK)
            normalise_block(values, row, column);
    fill_colours(survey, pixels, values + GRADIENTS);
    for (size_t i = 0; i < cleaning->statistic_count; i++)
        values[GRADIENTS + COLOURS + i] = cleaning->images[index].statistics[i];
}
