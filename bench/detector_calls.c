/* SPDX-License-Identifier: Apache-2.0 */
/* What a call of of_detector_score takes, for bench/python_overhead.py to compare with: for every
 * number read from standard input, makes so many calls and prints their median in seconds.
 *
 *     detector_calls MODEL BATCH THREADS */
#define _POSIX_C_SOURCE 200809L
#include <outflow/detect.h>
#include <outflow/outflow.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_CALLS = 100000 };

typedef struct subject {
    of_detector *detector;
    of_score score;
    of_batch batch;
    double *values; /* [images] */
} subject;

static double seconds_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static of_status open_subject(const char *model, size_t images, unsigned threads, subject *made,
                              of_error *error) {
    of_detector_options options = of_detector_options_default();
    options.model = model;
    options.threads = threads;
    of_status status = of_detector_open(&options, &made->detector, error);
    if (status == OF_OK)
        status = of_detector_find_score(made->detector, "nll", &made->score, error);
    if (status != OF_OK)
        return status;
    size_t bytes = images * of_architecture_dimensions(of_detector_architecture(made->detector));
    uint8_t *pixels = malloc(bytes);
    made->values = calloc(images, sizeof *made->values);
    made->batch = (of_batch){OF_PIXEL_U8, pixels, images};
    if (pixels == NULL || made->values == NULL)
        return of_fail_memory(error, "images");
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = (uint8_t)rand();
    return OF_OK;
}

static of_status median_of_calls(const subject *used, size_t calls, double *median,
                                 of_error *error) {
    static double times[MOST_CALLS];
    for (size_t i = 0; i < calls; i++) {
        double start = seconds_now();
        of_status status =
            of_detector_score(used->detector, &used->batch, &used->score, 1, used->values, error);
        times[i] = seconds_now() - start;
        if (status != OF_OK)
            return status;
    }
    qsort(times, calls, sizeof times[0], by_value);
    *median = times[calls / 2];
    return OF_OK;
}

int main(int argc, char **argv) {
    subject used = {0};
    of_error error;
    size_t calls = 0;
    double median = 0;
    size_t images = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    if (images == 0) {
        (void)fprintf(stderr, "usage: detector_calls MODEL BATCH THREADS <NUMBERS OF CALLS\n");
        return 2;
    }
    of_status status =
        open_subject(argv[1], images, (unsigned)strtoul(argv[3], NULL, 10), &used, &error);
    while (status == OF_OK && scanf("%zu", &calls) == 1 && calls > 0 && calls <= MOST_CALLS) {
        status = median_of_calls(&used, calls, &median, &error);
        if (status == OF_OK)
            (void)printf("%.9g\n", median);
        (void)fflush(stdout);
    }
    if (status != OF_OK)
        (void)fprintf(stderr, "detector_calls: %s\n", error.message);
    of_detector_free(used.detector);
    free((void *)used.batch.pixels);
    free(used.values);
    return status == OF_OK ? 0 : 1;
}
