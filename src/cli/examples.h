/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a stream that stand out by a score, kept while it passes by, and their heat. */
#ifndef OF_CLI_EXAMPLES_H
#define OF_CLI_EXAMPLES_H

#include "cli/engine.h"

typedef struct of_example {
    char *path, *label;
    const char *source; /* SRC, not owned */
    double value;       /* of the score */
    uint64_t number;    /* in the order of the stream */
    uint8_t *pixels;    /* [height][width][channels] */
    double *heat;       /* [height][width], relative to the reference; NULL until it is made */
    double limit;       /* of |heat|, for the strongest colour */
} of_example;

/* The `most` images of the highest (or lowest) values; what is not finite counts as highest, and
 * of equal ones the earlier. One order, from either end: no image is among the first of both. */
typedef struct of_examples {
    of_example *items; /* in no order before of_examples_sort */
    size_t count, capacity, most;
    bool lowest;
    uint64_t offered;
} of_examples;

/* Image `index` of the batch, with its score. */
of_status of_examples_offer(of_examples *examples, const char *source, const of_scored_batch *batch,
                            size_t index, size_t image_bytes, double value, of_error *error);

/* The most extreme first. */
void of_examples_sort(of_examples *examples);
/* Of sorted ones, no more than the first `count`. */
void of_examples_shorten(of_examples *examples, size_t count);
void of_examples_free(of_examples *examples);

/* A sample of images, each of a stream with the same probability; the same for the same stream. */
enum { OF_SAMPLE_MOST = 64 };
typedef struct of_sample {
    uint8_t *pixels; /* [OF_SAMPLE_MOST][height][width][channels] */
    size_t count;
    uint64_t offered;
} of_sample;

of_status of_sample_offer(of_sample *sample, const uint8_t *pixels, size_t image_bytes,
                          of_error *error);
void of_sample_free(of_sample *sample);

/* What heat is relative to. */
typedef struct of_heat_reference {
    double *mean; /* [height][width] of the heat of a sample; NULL: there is none */
    double floor; /* strongest colours stand for no less than this: what is usual in the sample */
} of_heat_reference;

/* Where nothing else is known heat is relative to 0 for ratios, where both models agree, and for
 * other scores to the image's own mean. */
const char *of_heat_reference_text(of_score heat, const of_heat_reference *reference);

/* The reference that a sample gives; freed by the function below. */
of_status of_heat_reference_make(of_engine *engine, of_score heat, const of_sample *sample,
                                 of_heat_reference *reference, of_error *error);
void of_heat_reference_free(of_heat_reference *reference);

/* Makes the heat of all examples. `heat` comes from of_heat_score. */
of_status of_examples_heat(of_engine *engine, of_score heat, const of_heat_reference *reference,
                           of_examples *examples, of_error *error);

#endif
