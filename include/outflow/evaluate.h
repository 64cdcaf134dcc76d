/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Evaluation: how well the scores of a detector separate sets of images, and reports about it.
 *
 *     const of_evaluation_set_options sets[] = {{"in", "test.tar"}, {"street", "street.tar"}};
 *     of_evaluation_options options = of_evaluation_options_default();
 *     of_evaluation *evaluation = NULL;
 *
 *     options.sets = sets, options.set_count = 2;
 *     options.compared = true;                            // the first set is in-distribution
 *     options.keep_images = true;                         // for the report's pictures
 *     of_evaluate(detector, &options, &evaluation, &error);
 *     printf("%g\n", of_evaluation_metrics(evaluation, 1, 0)->auroc);
 *     of_evaluation_write_report(evaluation, NULL, file, &error);
 *     of_evaluation_free(evaluation);
 *
 * An evaluation is used by one thread at a time; its detector must outlive it, and may be used
 * otherwise meanwhile, but not be calibrated anew. The same holds for examples.
 */
#ifndef OUTFLOW_EVALUATE_H
#define OUTFLOW_EVALUATE_H

#include <outflow/detect.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Running ------------------------------------------------------------------------------- */

/** A set of images. */
typedef struct of_evaluation_set_options {
    const char *name;   /**< for people, each set its own */
    const char *source; /**< see of_source_open */
} of_evaluation_set_options;

typedef struct of_evaluation_options {
    size_t size; /**< sizeof of this struct, so that fields can be added */
    const of_evaluation_set_options *sets; /**< [set_count] */
    size_t set_count;
    bool compared;         /**< the first set is in-distribution: the others are compared with it */
    const of_score *asked; /**< a score that is to be among those evaluated; it decides under
                                `threshold`, and orders the images of a report. NULL: none */
    double
        rate; /**< flag images of calibrated scores at this false-positive rate, 0 <= rate < 1;
                   0: none. Scores that are not calibrated on enough images for it flag nothing */
    const double *threshold; /**< flag images whose asked score is at or above this, or not finite,
                                  instead; or NULL */
    bool keep_images; /**< keep the 8 most and the 8 least anomalous images of each set, for a
                           report; where nothing is compared, also all that are flagged, up to
                           the 500 most anomalous of a set */
    const of_stream_options *stream; /**< limit, seed, observer and so on, for each set; its `needs`
                                          are found out. NULL: the defaults. For of_evaluate only */
    /** A folder of masks, for of_evaluation_get_pixels: that of picture PATH of set NAME is
        NAME/PATH or PATH in it, with ".png" or "_mask.png" in place of its ending. They have their
        pictures' sizes; what is at least a quarter white is anomalous. The first set is normal and
        has none; sets must be compared. NULL: none. For of_evaluate only */
    const char *masks;
} of_evaluation_options;

/** All fields at their defaults: no sets. */
OF_API of_evaluation_options of_evaluation_options_default(void);

typedef struct of_evaluation of_evaluation;

/**
 * Runs all sets through the detector, one after the other, and computes everything below, with all
 * scores that the detector allows. What `options` points to is not needed afterwards. A set without
 * any readable image is OF_ERROR_FORMAT; no sets, two of one name, or an asked score that cannot be
 * computed (of_detector_check_score) is refused before any image is read.
 */
OF_API of_status of_evaluate(const of_detector *detector, const of_evaluation_options *options,
                             of_evaluation **evaluation, of_error *error);

/** Frees an evaluation; NULL is allowed. */
OF_API void of_evaluation_free(of_evaluation *evaluation);

/**
 * The parts of of_evaluate, for who runs the images otherwise (and gives each batch to something
 * else as well). Nothing is run yet; sets are named by the options.
 */
OF_API of_status of_evaluation_create(const of_detector *detector,
                                      const of_evaluation_options *options,
                                      of_evaluation **evaluation, of_error *error);

/** What of_stream_options.needs must contain. */
OF_API unsigned of_evaluation_needs(const of_evaluation *evaluation);

/** Adds a batch (of of_detector_stream with this detector) to set number `set`. OF_ERROR_ARGUMENT
    if there is no such set, or it has ended. */
OF_API of_status of_evaluation_add(of_evaluation *evaluation, size_t set,
                                   const of_scored_batch *batch, of_error *error);

/** Adds a file of set number `set` that could not be read, for the report's list of them; of a set,
    the first 1,000 are kept. of_evaluate does so itself. */
OF_API of_status of_evaluation_add_unreadable(of_evaluation *evaluation, size_t set,
                                              const char *path, const char *reason,
                                              of_error *error);

/** All images of set number `set` have been added; `result` is its stream's, NULL: nothing is known
    of it but the images. */
OF_API void of_evaluation_end_set(of_evaluation *evaluation, size_t set,
                                  const of_stream_result *result);

/**
 * Compares the sets; those that were not ended are, as with NULL. Where nothing is compared, sets
 * without images are left out of reports; else one without, or no image at all, is OF_ERROR_FORMAT.
 */
OF_API of_status of_evaluation_finish(of_evaluation *evaluation, of_error *error);

/* ---- Results ------------------------------------------------------------------------------- */

/** The scores, in the order of reports: [*count], as long as the evaluation. */
OF_API const of_score *of_evaluation_scores(const of_evaluation *evaluation, size_t *count);

/** The number of the score that orders a report's images: the one that was asked for, else
    combined, ratio or nll, the first that there is. */
OF_API size_t of_evaluation_main_score(const of_evaluation *evaluation);

/** A set, as it was run. Strings live as long as the evaluation. */
typedef struct of_evaluation_set {
    const char *name, *source;
    of_stream_result stream;
    uint64_t non_finite;                 /**< images with a score that is not finite */
    double mean_logp, mean_general_logp; /**< nats, over the finite ones; general NaN without */
    double bits_per_dim, general_bits_per_dim; /**< of those means */
    double rank_correlation, correlation; /**< Spearman's and Pearson's, of the two models' logp;
                                               NaN without a general model */
} of_evaluation_set;

OF_API size_t of_evaluation_set_count(const of_evaluation *evaluation);

/** Set number `set`; all zero beyond of_evaluation_set_count. */
OF_API of_evaluation_set of_evaluation_get_set(const of_evaluation *evaluation, size_t set);

/** The values of a score for all images of a set, in their order: [*count], or NULL. `count` may be
    NULL, here and in the next two. */
OF_API const double *of_evaluation_values(const of_evaluation *evaluation, size_t set, size_t score,
                                          size_t *count);

/** Log-likelihoods of the images of a set under the model: [*count] nats. */
OF_API const double *of_evaluation_logp(const of_evaluation *evaluation, size_t set, size_t *count);

/** The same under the general model; NULL without one. */
OF_API const double *of_evaluation_general_logp(const of_evaluation *evaluation, size_t set,
                                                size_t *count);

/** How a score separates a set from the in-distribution set; NULL for that set itself, and where
    nothing is compared. */
OF_API const of_metrics *of_evaluation_metrics(const of_evaluation *evaluation, size_t set,
                                               size_t score);

/** What of a set is flagged under a score. */
typedef struct of_evaluation_flags {
    bool known;        /**< else nothing is flagged under this score */
    uint64_t count;    /**< images */
    double share;      /**< of the set's images; NaN without any, as are the next two */
    double low, high;  /**< the exact binomial interval of that share (Clopper, Pearson 1934), */
    double confidence; /**< of this confidence, 0.99 */
} of_evaluation_flags;

OF_API of_evaluation_flags of_evaluation_get_flags(const of_evaluation *evaluation, size_t set,
                                                   size_t score);

/** How well the heat of the main score finds what the masks of a set's pictures show. */
typedef struct of_evaluation_pixels {
    bool known;               /**< else there are no masks, and all is 0 */
    of_pixel_metrics metrics; /**< against the pixels of the first set and those outside masks, up
                                 to a false-positive rate of 0.3; heat of tiles at up to 512 pixels
                                   a side, else at the model's size */
    uint64_t pictures;        /**< with masks */
    uint64_t without_mask;    /**< that are left out here */
} of_evaluation_pixels;

/** Of set number `set`; 0: of all with masks together. */
OF_API of_evaluation_pixels of_evaluation_get_pixels(const of_evaluation *evaluation, size_t set);

/** Of all sets together. */
typedef struct of_evaluation_summary {
    bool compared, with_general;
    double rate;              /**< that images are flagged at; 0: none, or by a threshold */
    double rank_correlation;  /**< Spearman's, of the two models' logp; NaN without two */
    double correlation;       /**< the same, Pearson's */
    double images_per_second; /**< reading and decoding included */
    const char *convention;   /**< what the metrics mean, a sentence; static */
} of_evaluation_summary;

OF_API of_evaluation_summary of_evaluation_summarise(const of_evaluation *evaluation);

/* ---- Another evaluation of the same sets --------------------------------------------------- */

/** What changes for the images of a set between two evaluations, over those that are finite in
 * both. */
typedef struct of_set_change {
    uint64_t images;
    double before_bits_per_dim, after_bits_per_dim; /**< of the mean log-likelihood */
    double mean_nats, mean_abs_nats, max_abs_nats;  /**< of logp after - logp before, an image */
} of_set_change;

/** OF_ERROR_MISMATCH unless both have the same sets, as many images in each, and the same scores.
 */
OF_API of_status of_evaluation_check_pair(const of_evaluation *before, const of_evaluation *after,
                                          of_error *error);

/** The change of one set of a pair that passes the check. */
OF_API of_set_change of_evaluation_change(const of_evaluation *before, const of_evaluation *after,
                                          size_t set);

/* ---- Writing ------------------------------------------------------------------------------- */

/**
 * All numbers as one JSON object, in full precision, a newline after it:
 * {"in": {...}, "out": {NAME: {SCORE: {"auroc", ...}}}, "out_sets": {NAME: {...}},
 * "bits_per_dim": {NAME: ...}, ...}, where nothing is compared "sets": {NAME: {...}} in place of
 * the first three; with masks "pixels": {NAME or "all": {"auroc", "aupro", "pictures", "regions",
 * "without_mask"}}. With `reduced` (or NULL), an evaluation of the same sets by the same models in
 * another precision (of_evaluation_check_pair), also the member "compare_precision". What stdio
 * could not write, the stream remembers, here and below. An evaluation that is not finished is
 * OF_ERROR_ARGUMENT.
 */
OF_API of_status of_evaluation_write_json(const of_evaluation *evaluation,
                                          const of_evaluation *reduced, FILE *file,
                                          of_error *error);

typedef struct of_report_options {
    size_t size;         /**< sizeof of this struct */
    const char *command; /**< how the evaluation was asked for, as people would repeat it; NULL: not
                              said */
    /** Asked and told while the heat of the images is made. Only `started` (with "heat" in place of
        a source), `progressed` and `stop` are called; NULL: nobody watches. */
    const of_stream_observer *observer;
} of_report_options;

/** All fields at their defaults. */
OF_API of_report_options of_report_options_default(void);

/**
 * One HTML page that needs nothing else: distributions of all scores, ROC curves, both models'
 * likelihoods, all flagged images where nothing is compared, the most and the least anomalous ones
 * of each set, with heat maps and p-values, and the files that could not be read.
 * The evaluation must have been told to keep images (else OF_ERROR_ARGUMENT), and then stays as it
 * is: the heat is made once. `options` may be NULL.
 */
OF_API of_status of_evaluation_write_report(of_evaluation *evaluation,
                                            const of_report_options *options, FILE *file,
                                            of_error *error);

/** The distributions of nll and of the main score in all sets, as SVG. */
OF_API of_status of_evaluation_write_figure(const of_evaluation *evaluation, FILE *file,
                                            of_error *error);

/* ---- Images that stand out ----------------------------------------------------------------- */

/** The images of streams with the highest, or lowest, values, kept while they pass by. */
typedef struct of_examples of_examples;

typedef struct of_example {
    const char *path, *label, *source; /**< as long as the examples */
    double value;
    const uint8_t *pixels;  /**< [height][width][channels] */
    const double *heat;     /**< [height][width], relative (of_examples_heat), or NULL */
    double limit;           /**< of |heat|, for the strongest colour */
    uint32_t height, width; /**< the model's; of a picture that was cut those of its heat */
} of_example;

/**
 * Room for the `most` images of the highest (or lowest) values, for images of a detector's size;
 * SIZE_MAX keeps all. What is not finite counts as highest, and of equal ones the earlier. One
 * order, from either end: no image is among the first of both.
 */
OF_API of_status of_examples_create(const of_detector *detector, size_t most, bool lowest,
                                    of_examples **examples, of_error *error);

/** Frees examples; NULL is allowed. */
OF_API void of_examples_free(of_examples *examples);

/** Offers image `index` of a batch, with its value; what is kept is copied. `source` alone must
    outlive the examples. */
OF_API of_status of_examples_offer(of_examples *examples, const char *source,
                                   const of_scored_batch *batch, size_t index, double value,
                                   of_error *error);

/** Sorts them, the most extreme first. To offer more afterwards is OF_ERROR_ARGUMENT. */
OF_API void of_examples_sort(of_examples *examples);

OF_API size_t of_examples_count(const of_examples *examples);

/** Example number `index`, all zero beyond the count. */
OF_API of_example of_examples_get(const of_examples *examples, size_t index);

/** Makes the heat of all of them for a score (of_detector_relative_heat). `reference` and
   `observer` (as in of_report_options) may be NULL. Pictures that were cut keep the heat that they
   were offered with (of_scored_heat). */
OF_API of_status of_examples_heat(of_examples *examples, of_score score,
                                  const of_heat_reference *reference,
                                  const of_stream_observer *observer, of_error *error);

#ifdef __cplusplus
}
#endif

#endif
