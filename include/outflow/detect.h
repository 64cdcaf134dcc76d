/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Detectors: what "score an image" means, for every caller.
 *
 * A detector is a model with what belongs to it: a general model, further models of an ensemble, a
 * calibration, the scores that they allow and the one to judge by.
 *
 *     of_detector_options options = of_detector_options_default();
 *     of_detector *detector = NULL;
 *     of_score score;
 *     double value;
 *     of_error error;
 *
 *     options.model = "cifar10";                  // a weight file, or an installed model's name
 *     options.general_model = "cifar10-general";
 *     of_detector_open(&options, &detector, &error);
 *     score = of_detector_default_score(detector);
 *     of_detector_score_encoded(detector, &(of_encoded_image){png, png_bytes, "upload"}, 1, &score,
 *                               1, &value, NULL, NULL, &error);
 *     if (of_detector_flags(detector, &(of_flag_rule){score, .rate = 0.05}, value))
 *         ...                                     // happens to 5 % of normal images
 *     of_detector_free(detector);
 *
 * A detector may be used by any number of threads at once, by each with images of its own; only
 * of_detector_calibrate, of_detector_quantize, their siblings for pixels and of_detector_free want
 * it alone. An image gets the same bits whatever else is scored with it or at the same time.
 * Weights are in memory once; what a call works with is kept for later calls, so that there is as
 * much of it as there have been calls at the same time.
 */
#ifndef OUTFLOW_DETECT_H
#define OUTFLOW_DETECT_H

#include <outflow/outflow.h>
#include <outflow/ranks.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Opening ------------------------------------------------------------------------------- */

typedef struct of_detector of_detector;

enum { OF_ENSEMBLE_MOST = 15 /**< further models */ };

typedef struct of_detector_options {
    size_t size;                 /**< sizeof of this struct, so that fields can be added */
    const char *model;           /**< a weight file, or the name of an installed model */
    const char *general_model;   /**< likewise; NULL: the one in the file of the model, if it is a
                                      bundle (of_detector_save), else see find_general */
    const char *const *ensemble; /**< [ensemble_count] likewise: further models of the same data */
    size_t ensemble_count;       /**< up to OF_ENSEMBLE_MOST */
    bool webp;        /**< `complexity-webp` is among the scores: its coder takes its time */
    unsigned threads; /**< of one call; 0: of_cpu_count(), or the rank's share of it */
    of_isa isa;       /**< as in of_plan_options, as are the next two */
    of_precision precision;
    unsigned micro_batch;
    bool latency; /**< as in of_plan_options, default true: threads share an image where there are
                       fewer images than threads. Takes some memory; of no use to who only scores
                       many images a call */
    of_ranks *ranks;   /**< which share the work of of_detector_stream; must outlive the detector.
                            NULL: this process does all of it */
    bool find_general; /**< without a general model, take the installed one that the model was
                            calibrated with, if there is one (of_detector_info.general_found);
                            default true. Not for of_detector_create, which reads no file */
    of_tiling tiles; /**< how of_detector_stream cuts pictures; all zero: as those that the model is
                          calibrated on were cut, if they were. See "Tiles" below */
    bool whole;      /**< pictures are not cut, whatever the calibration says */
    bool lossy_scores; /**< with OF_PRECISION_INT8: also scores that lose more than OF_MOST_LOSS in
                            it, or whose loss nobody measured; see "Quantizing" below */
} of_detector_options;

/** All fields at their defaults: no models yet. */
OF_API of_detector_options of_detector_options_default(void);

/**
 * Loads and compiles the models and reads the calibration. One that cannot be used (made with
 * other weights, damaged) is no error here: of_detector_describe tells, and so does whatever needs
 * it. Models of different image sizes are OF_ERROR_MISMATCH.
 */
OF_API of_status of_detector_open(const of_detector_options *options, of_detector **detector,
                                  of_error *error);

/** Models in memory, for of_detector_create: start from of_detector_models_default. */
typedef struct of_detector_models {
    size_t size; /**< sizeof of this struct */
    const of_model *model;
    const of_model *general_model;   /**< NULL: none */
    const of_model *const *ensemble; /**< [ensemble_count], NULL: none */
    size_t ensemble_count;
} of_detector_models;

/** No models yet. */
OF_API of_detector_models of_detector_models_default(void);

/**
 * The same with models that are loaded already; they must outlive the detector only if it is to be
 * saved. No file is read: names in `options` are what the models are called (of_detector_model).
 */
OF_API of_status of_detector_create(const of_detector_models *models,
                                    const of_detector_options *options, of_detector **detector,
                                    of_error *error);

/** Frees a detector; NULL is allowed. */
OF_API void of_detector_free(of_detector *detector);

/** A model of a detector. */
typedef struct of_detector_model {
    const char *file; /**< as it was opened; of a model in memory its name, "" without one */
    of_architecture architecture;
    uint64_t fingerprint; /**< of_model_fingerprint */
} of_detector_model;

/** What a detector is made of. Pointers live as long as it, the calibration's until it is
    calibrated anew. */
typedef struct of_detector_info {
    const of_detector_model *model;
    const of_detector_model *general_model; /**< NULL: none */
    const of_detector_model *ensemble;      /**< [ensemble_count] */
    size_t ensemble_count;
    of_plan_info plan;                 /**< of the model */
    const of_calibration *calibration; /**< NULL: none, or none that can be used */
    const char *calibration_problem;   /**< why the one in the file cannot be used; else "" */
    bool general_found; /**< the general model was found among the installed ones, by the
                             calibration's record of it */
    double rate; /**< share of normal images to flag that the model's file says (of_fit); 0: none */
} of_detector_info;

OF_API of_detector_info of_detector_describe(const of_detector *detector);

/** How of_detector_stream cuts pictures; all zero if it does not. */
OF_API of_tiling of_detector_tiling(const of_detector *detector);

/** The model's architecture: the size of the images. Valid as long as the detector. */
OF_API const of_architecture *of_detector_architecture(const of_detector *detector);

/* ---- Which scores ---------------------------------------------------------------------------- */

/**
 * Can this score be computed? If not, the error says what is missing: OF_ERROR_ARGUMENT a model or
 * a calibration, or that there is no such score or scale; OF_ERROR_MISMATCH models or a calibration
 * that do not fit; OF_ERROR_UNSUPPORTED a coder that this build lacks or, with the setting
 * "lossy_scores", that the score loses too much in OF_PRECISION_INT8 or nobody measured what it
 * loses.
 */
OF_API of_status of_detector_check_score(const of_detector *detector, of_score score,
                                         of_error *error);

/** Can its values be turned into p-values? */
OF_API of_status of_detector_check_p_value(const of_detector *detector, of_score score,
                                           of_error *error);

/**
 * All scores that can be computed, in the order of reports, at most `most` of them into `scores`
 * (may be NULL with 0). Returns how many there are.
 */
OF_API size_t of_detector_scores(const of_detector *detector, of_score *scores, size_t most);

/** Likewise all scores that could be computed, if OF_PRECISION_INT8 did not lose too much of them
    (of_detector_options.lossy_scores). None in other precisions. */
OF_API size_t of_detector_lossy_scores(const of_detector *detector, of_score *scores, size_t most);

/** What to judge images by if nothing else is asked for: what the model's file says (of_fit), else
    `combined` where the model is calibrated
    for these models, else `ratio` with a general model, else `nll`. Where OF_PRECISION_INT8 does
   not keep it, of_detector_check_score says so. */
OF_API of_score of_detector_default_score(const of_detector *detector);

/** Reads a score's name (NULL: the default one) and checks that it can be computed. */
OF_API of_status of_detector_find_score(const of_detector *detector, const char *name,
                                        of_score *score, of_error *error);

/* ---- Images in memory ------------------------------------------------------------------------ */

/**
 * Scores images of the model's size. `values` gets [batch->count][count], for each image its scores
 * in the order of `scores`. A score that cannot be computed is an error. Images given as floats are
 * rounded to bytes for the scores that code them (complexity, combined).
 */
OF_API of_status of_detector_score(const of_detector *detector, const of_batch *batch,
                                   const of_score *scores, size_t count, double *values,
                                   of_error *error);

/** An image file in memory: PNG, JPEG, BMP, GIF, TGA, PNM. */
typedef struct of_encoded_image {
    const void *bytes;
    size_t size;
    const char *name; /**< for messages; may be NULL */
} of_encoded_image;

/**
 * Decodes images (of_image_read, with its default limits) and scores them. `infos` [images] (may be
 * NULL) gets what was done to each, all zero for one that could not be read. With `failures`
 * [images] an image that cannot be read has its error there (status OF_OK for the others) and NaN
 * as its values, and the call succeeds; with NULL the first one fails the call.
 */
OF_API of_status of_detector_score_encoded(const of_detector *detector,
                                           const of_encoded_image *images, size_t image_count,
                                           const of_score *scores, size_t count, double *values,
                                           of_image_info *infos, of_error *failures,
                                           of_error *error);

/** The value of a score from what is known of an image (of_scored_likelihood), `typicality` and
    `combined` included. NaN where something is missing; that the score can be computed with these
    models is for of_detector_check_score to say. */
OF_API double of_detector_value(const of_detector *detector, of_score score,
                                const of_image_likelihood *image);

/** The p-value of a score's value (of_calibration_p_value); NaN if there is none. */
OF_API double of_detector_p_value(const of_detector *detector, of_score score, double value);

/** Values above this have a p-value of at most `rate` (of_calibration_threshold); NaN if there is
    none. */
OF_API double of_detector_threshold(const of_detector *detector, of_score score, double rate);

/** When an image is flagged as anomalous. */
typedef struct of_flag_rule {
    of_score score;
    double rate; /**< above 0: if the p-value is at most this, which flags at most that share of
                      normal images */
    double threshold; /**< with rate 0: if the score is at or above this, or not finite */
} of_flag_rule;

/** Can it be judged? With a rate the score must be calibrated, on enough images for that rate. */
OF_API of_status of_detector_check_rule(const of_detector *detector, const of_flag_rule *rule,
                                        of_error *error);

/** Is an image with this value of the rule's score flagged? */
OF_API bool of_detector_flags(const of_detector *detector, const of_flag_rule *rule, double value);

/* ---- Drift ---------------------------------------------------------------------------------- */

enum { OF_DRIFT_BINS = 1024 };

/** The p-values of a stream of images as a histogram; start from zero. */
typedef struct of_drift {
    uint64_t images;
    uint64_t bins[OF_DRIFT_BINS]; /**< those in (i/1024, (i + 1)/1024] */
} of_drift;

/** Counts an image; a p-value that is not in (0, 1] is left out. */
OF_API void of_drift_add(of_drift *drift, double p_value);

typedef struct of_drift_summary {
    uint64_t images;
    double distance;     /**< Kolmogorov's, between the scores of these images and those of the
                              calibration's, 0 to 1, to within 0.003: the largest difference of
                              their distribution functions. NaN without images */
    double significance; /**< probability of such a distance if both are drawn alike (two samples;
                              Stephens 1970); NaN without images */
    bool drifted;        /**< distance >= 0.1 and significance < 0.001: the source of these images
                              is not what it was, for example a camera that has moved */
} of_drift_summary;

/** Compares with the images of a calibration; the p-values are those of `score`. Without a
    calibration nothing is known. */
OF_API of_drift_summary of_drift_summarise(const of_drift *drift, const of_calibration *calibration,
                                           of_score score);

/* ---- Streams of images ------------------------------------------------------------------------
 */

/** All that is known of consecutive images of a stream; valid during the call that it is given to.
 */
typedef struct of_scored_batch of_scored_batch;

/** Images in the batch. */
OF_API size_t of_scored_count(const of_scored_batch *batch);

/** Name, label and size of image `index`, here and below less than of_scored_count. */
OF_API const of_item *of_scored_item(const of_scored_batch *batch, size_t index);

/** Its pixels, [height][width][channels]. */
OF_API const uint8_t *of_scored_pixels(const of_scored_batch *batch, size_t index);

/** What scores are computed from. */
OF_API of_image_likelihood of_scored_likelihood(const of_scored_batch *batch, size_t index);

/** Called with each batch, in order; a failure ends the stream and is returned from it. */
typedef of_status of_scored_visit(void *user, const of_scored_batch *batch, of_error *error);

/** Told what happens in a stream. Each function may be NULL; all are called by the thread that
    called of_detector_stream, with `user`. */
typedef struct of_stream_observer {
    size_t size; /**< sizeof of this struct */
    void *user;
    void (*started)(void *user, const char *source, uint64_t expected); /**< 0: not known */
    void (*progressed)(void *user, uint64_t images);                    /**< so far */
    void (*unreadable)(void *user, const char *source, const char *path, const char *reason);
    void (*warn)(void *user, const char *text); /**< one line: what a user may not know of */
    bool (*stop)(void *user); /**< true ends the stream with OF_ERROR_IO, "interrupted" */
} of_stream_observer;

/** Nobody is told anything. */
OF_API of_stream_observer of_stream_observer_default(void);

typedef struct of_stream_options {
    size_t size;    /**< sizeof of this struct */
    uint64_t limit; /**< take only the first images; 0: all */
    uint64_t every; /**< take only every N-th image of those, from the first on; 0 or 1: all */
    uint64_t seed;  /**< of synthetic sources */
    size_t batch;   /**< images in memory at a time; 0: chosen. Results do not depend on it */
    bool strict;    /**< the first file that cannot be read ends the stream with its error */
    /** OF_NEEDS_PNG, OF_NEEDS_WEBP: image sizes under these coders are wanted in the likelihoods.
     */
    unsigned needs;
    const of_stream_observer *observer;           /**< NULL: nobody watches */
    uint64_t max_pixels, max_bytes, max_unpacked; /**< as in of_source_options */
    uint32_t background;                          /**< the same */
    bool full_decoding, all_frames;               /**< the same */
    /** Of a detector that cuts pictures: called with the tiles themselves, each batch before the
        pictures that end in it; their items say where they lie. NULL: nobody wants them. */
    of_scored_visit *tile_visit;
    void *tile_user;           /**< passed to it */
    const of_score *tile_heat; /**< of this score, of_scored_heat is made; NULL: of none */
    uint32_t tile_heat_side;   /**< most pixels of its longer side; 0: 768 */
    const char *recorded_as; /**< what of_detector_calibrate keeps as the source; NULL: its name */
} of_stream_options;

/** All fields at their defaults. */
OF_API of_stream_options of_stream_options_default(void);

/** What went through a stream. */
typedef struct of_stream_result {
    uint64_t images;     /**< scored */
    uint64_t unreadable; /**< could not be read */
    uint64_t skipped;    /**< files that are no images by their names */
    uint64_t reshaped;   /**< images that lost much when they were resized (of_item) */
    double seconds;      /**< reading, decoding and scoring */
} of_stream_result;

/**
 * Runs the images of a source (of_source_open says what there is) through the models. Memory is
 * that of a batch, however long the source is. `options` and `result` may be NULL; `result` is
 * always set, on a failure to what was read before. That no image could be scored is no error here.
 *
 * With ranks, all of them must call it with the same source: each runs its part of every batch, and
 * all are given all results.
 */
OF_API of_status of_detector_stream(const of_detector *detector, const char *source,
                                    const of_stream_options *options, of_scored_visit *visit,
                                    void *user, of_stream_result *result, of_error *error);

/**
 * The same for images in memory, of the model's size: `visit` gets all that is known of them, in
 * order, in one batch or in several. `needs` are OF_NEEDS_PNG and OF_NEEDS_WEBP, as in
 * of_stream_options; images given as floats are rounded to bytes for these coders. The batch has
 * neither items nor, with floats, pixels to ask for. Any number of threads may call it at once.
 */
OF_API of_status of_detector_visit(const of_detector *detector, const of_batch *images,
                                   unsigned needs, of_scored_visit *visit, void *user,
                                   of_error *error);

/** The error for a source of which no image could be scored, OF_ERROR_FORMAT. */
OF_API of_status of_stream_fail_empty(const char *source, const of_stream_result *result,
                                      of_error *error);

/* ---- Tiles: pictures larger than what a model sees ------------------------------------------- */

/**
 * A detector with of_detector_options.tiles cuts each picture of a stream into windows, in the
 * picture's own pixels, and scores them as images. Its batches are of pictures: limit, every,
 * results and progress count those, of_scored_item is the picture, of_scored_pixels a small copy
 * of it, and what of_scored_likelihood says are means over tiles, but for this summary. The value
 * of a score (of_detector_value) is its largest over the tiles. One decoded picture, a batch of
 * tiles and the picture's heat are in memory at a time.
 *
 * The maximum of many tiles is larger than one of them, the more the more there are, and tiles are
 * not independent: so a calibration by tiles (of_detector_calibrate) counts maxima of whole
 * pictures, and p-values are exact as for images. Where there is none of the same tiles,
 * p-values of pictures are an error; `bonferroni` is what then is left.
 *
 * Images in memory (of_detector_score and others) are tiles: they are never cut.
 */
typedef struct of_tile_summary {
    of_tile tile;           /**< the first one: sizes, and how many */
    uint64_t count;         /**< tiles */
    size_t score_count;     /**< all that can be computed (of_detector_scores) with these needs */
    const of_score *scores; /**< [score_count] */
    const double *maxima;   /**< [score_count]: +infinity if a tile's is not finite */
    const double *means;    /**< [score_count] */
    const double *least_p;  /**< [score_count]: smallest p-value of a tile among tiles; NaN where
                                 the score is not calibrated */
    const double *flagged;  /**< [score_count]: share of tiles with a p-value of at most
                                 OF_TILE_RATE among tiles; likewise */
} of_tile_summary;

#define OF_TILE_RATE 0.01 /**< at which a tile counts as flagged */

/** min(1, tiles x smallest p): the probability of a tile like the worst one among as many is at
    most this, however they depend on each other (Bonferroni), if each tile is exchangeable with the
    calibration's. Much too large for many tiles: 1 unless there are more calibration images than
    tiles. NaN if the score is not calibrated or has no summary. */
OF_API double of_tile_bonferroni(const of_tile_summary *tiles, of_score score);

/** The p-value of a tile's value among the tiles (or images) of the calibration, of which tiles of
    one picture are no independent draws; NaN if there is none. */
OF_API double of_detector_tile_p_value(const of_detector *detector, of_score score, double value);

/** Number of a score in a summary; score_count if it is not there. */
OF_API size_t of_tile_summary_find(const of_tile_summary *tiles, of_score score);

/** Heat of a picture, seamless: at each place the mean of the scores of the tiles that cover it,
    weighted by a tent that falls from a tile's middle to its edge. */
typedef struct of_tiled_heat {
    uint32_t height, width; /**< of the map: the picture's over `cell`, rounded up */
    uint32_t cell;          /**< pixels of the picture a side of a pixel of the map */
    const float *values;    /**< [height][width], of the score that was asked for */
    const uint8_t *pixels;  /**< [height][width][channels]: the picture, reduced likewise */
    double usual, limit;    /**< values that stand for no colour and for the strongest: those of the
                                 middle and of one in a thousand calibration tiles, or the
                                 map's mean and what 2 % of it exceed */
} of_tiled_heat;

/** The heat of picture `index`; NULL where pictures are not cut or no heat was asked for. */
OF_API const of_tiled_heat *of_scored_heat(const of_scored_batch *batch, size_t index);

/* ---- Calibration ------------------------------------------------------------------------------
 */

enum { OF_CALIBRATION_LEAST_PICTURES = 20 /**< of a calibration by tiles */ };

/**
 * Learns what in-distribution images score (see of_calibration) and uses it from now on, in place
 * of an older calibration. The images must be drawn as the normal images to come are, and not have
 * been trained on: the observer's `warn` says so if the model's own record of its training names
 * the source. `result` may be NULL. On a failure the older calibration stays.
 *
 * By tiles, the source is read twice (so it cannot be standard input): what is fitted is fitted to
 * tiles of pictures 0, 2, 4, ..., up to 64 of each; then the largest values of pictures are
 * counted, of fitted scores those of pictures 1, 3, 5, ... It takes OF_CALIBRATION_LEAST_PICTURES.
 */
OF_API of_status of_detector_calibrate(of_detector *detector, const char *source,
                                       const of_stream_options *options, of_stream_result *result,
                                       of_error *error);

/** The same with images in memory. `source` says where they come from, for people; may be NULL. */
OF_API of_status of_detector_calibrate_pixels(of_detector *detector, const of_batch *batch,
                                              const char *source, of_error *error);

/** Is this source, or does it overlap one, that the model says it was trained on? */
OF_API bool of_detector_was_trained_on(const of_detector *detector, const char *source);

/* ---- Quantizing: what OF_PRECISION_INT8 needs ------------------------------------------------ */

/**
 * Measures on images how large the activations of the detector's models are (of_model_quantize),
 * and what scores then lose, to be written by of_detector_save. The detector, which must have been
 * opened with OF_PRECISION_F32, goes on as it is; one that is opened from the saved file may run
 * with OF_PRECISION_INT8. Of a general model they are saved only into a bundle: one in a file of
 * its own is quantized by itself, on the same images under the same `source`, else the losses of
 * scores that compare with it do not hold. `options` and `result` may be NULL.
 *
 * Every third image is left out of the ranges. On those (up to 512, at least 32) and on built-in
 * outliers, most of them made from those, all scores but `ensemble` and `complexity-webp` are
 * computed in both precisions; `typicality` and `combined` with the detector's calibration, or with
 * one of the other images. This takes a CPU with AVX512_VNNI: elsewhere nothing is known, and a
 * detector in integers then refuses every score unless lossy_scores are allowed.
 */
OF_API of_status of_detector_quantize(of_detector *detector, const char *source,
                                      const of_stream_options *options, of_stream_result *result,
                                      of_error *error);

/** The same with images in memory. `source` says where they come from, for people; may be NULL. */
OF_API of_status of_detector_quantize_pixels(of_detector *detector, const of_batch *batch,
                                             const char *source, of_error *error);

/** A score whose measured loss of AUROC is above this is refused in OF_PRECISION_INT8. */
#define OF_MOST_LOSS 0.002

/** What a score loses in OF_PRECISION_INT8. */
typedef struct of_precision_loss {
    of_score score;
    double auroc;     /**< fall of AUROC against the kind of outliers where it is largest, by at
                           least its error; negative: it rises */
    double error;     /**< standard error of that: more images make it smaller */
    char against[24]; /**< which kind that is: "mixed images" */
    double p_value;   /**< mean change of a usual image's p-value, as a distance */
    double flagged;   /**< share of usual images that the threshold in f32 for 5 % then flags */
} of_precision_loss;

/** Is it above OF_MOST_LOSS? In doubt, with a large error, a score is rather refused. */
OF_API bool of_precision_loss_is_large(const of_precision_loss *loss);

/** What was measured for these models when they were quantized; NULL: nothing. Valid until the
    detector is quantized anew. */
OF_API const of_precision_loss *of_detector_precision_loss(const of_detector *detector,
                                                           of_score score);

/** The same of a model's file, whatever its general model: up to `most` into `losses`. Returns how
    many there are, 0 if none can be read. */
OF_API size_t of_model_precision_losses(const of_model *model, of_precision_loss *losses,
                                        size_t most);

/* ---- Saving ------------------------------------------------------------------------------------
 */

typedef struct of_save_options {
    size_t size; /**< sizeof of this struct */
    bool bundle; /**< the general model goes into the same file: what is handed on is one file */
} of_save_options;

/** All fields at their defaults: not a bundle. */
OF_API of_save_options of_save_options_default(void);

/**
 * Writes the model with the calibration in use (or without one), and with what
 * of_detector_quantize has measured, to a weight file, atomically;
 * `path` may be the file that it was opened from. Tensors and other metadata stay as they are in
 * the model's file, whose bytes are read again (a relative path from where the process is now);
 * that its weights have changed since is OF_ERROR_MISMATCH. A bundle is an ordinary weight file
 * for whoever wants the model alone; a file that was opened as one stays one. `options` may be
 * NULL.
 */
OF_API of_status of_detector_save(const of_detector *detector, const char *path,
                                  const of_save_options *options, of_error *error);

/* ---- Heat: which pixels make a score what it is --------------------------------------------- */

/**
 * The score whose heat is shown for `score`: itself where it is a sum of contributions (nll, last,
 * scale:i, ratio, ratio-last), else `ratio` or `nll`.
 */
OF_API of_score of_detector_heat_score(const of_detector *detector, of_score score);

/**
 * `heat` gets [count][height][width] in nats a pixel, higher is more anomalous: the share of each
 * position of each scale (of_session_position_contributions) spread over the pixels that it covers.
 * An image's heat sums to the value of of_detector_heat_score, with classes of the likeliest one.
 * Much slower than scoring.
 */
OF_API of_status of_detector_heat(const of_detector *detector, of_score score,
                                  const of_batch *batch, double *heat, of_error *error);

/** What heat is usual in in-distribution images. */
typedef struct of_heat_reference of_heat_reference;

/** The mean heat of some in-distribution images (64 will do, one at least), for the heat of this
    score. It refers to nothing of the detector. */
OF_API of_status of_heat_reference_create(const of_detector *detector, of_score score,
                                          const of_batch *batch, of_heat_reference **reference,
                                          of_error *error);

/** Frees a reference; NULL is allowed. */
OF_API void of_heat_reference_free(of_heat_reference *reference);

/** What relative heat is relative to, for people: "0, where both models agree". `reference` may be
    NULL. The text is static. */
OF_API const char *of_heat_reference_text(const of_detector *detector, of_score score,
                                          const of_heat_reference *reference);

/**
 * The same less what is usual: the reference's mean, or without one (NULL) 0 for ratios, where both
 * models agree, and the image's own mean for other scores. `limits` [count] (may be NULL) gets the
 * |heat| that all but 2 % of an image's pixels stay below, at least what is usual: what the
 * strongest colour stands for in pictures. A reference for another score's heat, or for images of
 * another size, is OF_ERROR_MISMATCH.
 */
OF_API of_status of_detector_relative_heat(const of_detector *detector, of_score score,
                                           const of_heat_reference *reference,
                                           const of_batch *batch, double *heat, double *limits,
                                           of_error *error);

typedef struct of_heat_picture_options {
    size_t size;     /**< sizeof of this struct */
    uint32_t side;   /**< images are enlarged until their longer side is near this, 1..8192;
                          default 256. Larger ones are reduced to 2048, or to this if it is more */
    bool with_image; /**< the image itself on the left; default true */
} of_heat_picture_options;

/** All fields at their defaults. */
OF_API of_heat_picture_options of_heat_picture_options_default(void);

/**
 * Draws one image, [height][width][channels] bytes, with its relative heat [height][width]: grey
 * under orange where it adds to the score, blue where it takes from it. `png` gets a PNG file of
 * `size` bytes, to be freed with of_free. `options` may be NULL.
 */
OF_API of_status of_heat_picture(const of_architecture *architecture, const uint8_t *pixels,
                                 const double *heat, double limit,
                                 const of_heat_picture_options *options, uint8_t **png,
                                 size_t *size, of_error *error);

/** The same for pixels and heat of any size, for example those of of_tiled_heat. Channels are 1 or
    3. */
OF_API of_status of_heat_picture_sized(uint32_t height, uint32_t width, uint32_t channels,
                                       const uint8_t *pixels, const double *heat, double limit,
                                       const of_heat_picture_options *options, uint8_t **png,
                                       size_t *size, of_error *error);

#ifdef __cplusplus
}
#endif

#endif
