/* SPDX-License-Identifier: Apache-2.0 */
/**
 * From a folder of normal images to a detector in one call.
 *
 *     of_fit_options options = of_fit_options_default();
 *     of_fit_result result;
 *     options.source = "normal/";
 *     options.out = "detector.safetensors";
 *     of_status status = of_fit(&options, NULL, &result, &error);
 *
 * of_fit looks at the images, decides what to do with so many of them (of_fit_plan), holds a part
 * out, trains a model on the rest from a general one, calibrates it on a part that was held out,
 * measures it on another, and writes one file: model, general model, calibration, and by which
 * score and at which rate to judge. of_detector_open needs that file alone.
 *
 * While it runs, its state is in the folder "OUT.work": of_fit with `resume` goes on from there,
 * also after a crash. The folder is removed when the detector is finished.
 */
#ifndef OUTFLOW_FIT_H
#define OUTFLOW_FIT_H

#include <outflow/evaluate.h>
#include <outflow/train.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    OF_FIT_LEAST = 20,        /**< different images; fewer are refused */
    OF_FIT_LEAST_TRAIN = 200, /**< from so many on a model is trained on them */
    OF_FIT_LEAST_TILED = 24,  /**< pictures, where windows of them are trained on: 20 to calibrate
                              with, others to learn from */
    OF_FIT_MOST_SETS = 8      /**< of outliers to measure with */
};

/** What is made of which images. Nothing needs to live on after of_fit. */
typedef struct of_fit_options {
    size_t size;                     /**< sizeof of this struct, set by of_fit_options_default */
    const char *source;              /**< normal images (of_source_open) but "-"; must be set */
    const char *out;                 /**< the detector's weight file; must be set */
    const char *report;              /**< an HTML page about how good it is; NULL: none */
    const char *const *general_data; /**< [general_count] sources of images of all kinds, to train
                                     against (OF_OUTLIER_RATIO) but for a tenth, which is measured
                                     with. None: likelihood alone, because training against images
                                     made from the normal ones was measured to be worse */
    size_t general_count;            /**< up to OF_TRAIN_MOST_SOURCES */
    const char *general_model;       /**< a weight file or an installed model to start from and to
                                     compare with; NULL: an installed one of the images' size whose
                                     name ends in "-general", else one is trained first */
    double minutes;                  /**< for all of it, about; default 10 */
    uint64_t images;                 /**< of training, instead of what the minutes allow, for runs
                                     that can be repeated bit for bit; 0: by the minutes */
    uint32_t height, width;          /**< that images are resized to; 0: chosen */
    uint32_t channels;               /**< 1 or 3; 0: colour if the images have some */
    uint64_t most_images; /**< that are looked at, chosen by their paths; 0: 50,000, fewer
                          if they are large */
    double rate;          /**< share of normal images that may be flagged; default 0.05 */
    uint64_t seed;
    unsigned threads; /**< 0: of_cpu_count() */
    of_isa isa;
    bool resume;        /**< go on from OUT.work; without it, start */
    bool overwrite;     /**< replace OUT and OUT.work; else what is there is OF_ERROR_ARGUMENT.
                             Excludes `resume` */
    bool plan_only;     /**< tell the plan and write nothing */
    const char *record; /**< how this was started, any text, for the weight file's metadata and the
                             report; may be NULL */
    of_tiling tiles; /**< pictures are cut into these tiles: a model is trained on windows at random
                     places, and calibrated by whole pictures. `source` must then be a folder of
                     image files. All zero: chosen (of_fit_cut) */
    bool whole;      /**< pictures are never cut; excludes `tiles` */
} of_fit_options;

/** The defaults: 10 minutes, 5 % of normal images flagged. `source` and `out` are to be set. */
OF_API of_fit_options of_fit_options_default(void);

/** What can be said of options before a file is opened. OF_ERROR_ARGUMENT names what is wrong. */
OF_API of_status of_fit_options_check(const of_fit_options *options, of_error *error);

/** What so many images allow. */
typedef enum of_fit_way {
    OF_FIT_TRAIN = 0,      /**< a model is trained on the images */
    OF_FIT_STATISTICS = 1, /**< too few to train on: how they score under a general model is all
                              that is learned; all are used for it */
    OF_FIT_COPIES = 2      /**< the same with so few that moved copies have to fill up the
                                calibration: p-values are rough */
} of_fit_way;

/** Whether pictures are cut into tiles, and why. */
typedef enum of_fit_cut {
    OF_FIT_WHOLE = 0,       /**< no: reduced, they show what they have to, or that was asked for */
    OF_FIT_WHOLE_FEW = 1,   /**< it would help, but there are fewer than OF_FIT_LEAST_TILED */
    OF_FIT_CUT_ASKED = 2,   /**< yes: it was asked for */
    OF_FIT_CUT_TEXTURE = 3, /**< yes: they are textures, whose distant parts look alike */
    OF_FIT_CUT_DETAIL = 4   /**< yes: much of what is in them is lost when they are reduced */
} of_fit_cut;

/** What was found and what is going to be done. Strings live as long as the call. */
typedef struct of_fit_plan {
    /* The images. */
    uint64_t found;      /**< in the source; 0: not known */
    uint64_t looked_at;  /**< of them; the rest is left out */
    uint64_t unreadable; /**< images that could not be read */
    uint64_t skipped;    /**< files that are no images by their names */
    uint64_t copies;     /**< images that equal another one; one of each is used */
    uint64_t similar;    /**< images that are nearly another one: they stay in one part */
    bool alike;          /**< most images are nearly another one, so that this says nothing */
    uint32_t least_height, least_width, median_height, median_width, most_height, most_width;
    double coloured; /**< share of the images that have colour */

    /* The model. */
    of_fit_way way;
    of_architecture architecture;
    const char *general_model; /**< installed or given; NULL: one is trained first */
    double reduced; /**< how many times a median image is shrunk, 1 or less: not at all */

    /* The parts, in images. */
    uint64_t train, calibrate, check; /**< check 0: too few to measure on others than calibrated */
    bool against_general;             /**< it is trained against the general images given */

    /* How long. */
    double minutes;           /**< about, all in all; 0: not known */
    double general_minutes;   /**< of training a general model; 0: none is trained */
    double train_minutes;     /**< of training; 0: ended by images */
    uint64_t train_images;    /**< of training; 0: ended by minutes */
    double images_per_second; /**< of training, as measured; 0: not measured */

    /* Tiles. The parts above are then pictures. */
    of_fit_cut cut;
    of_tiling tiles;    /**< all zero: pictures are not cut */
    uint64_t windows;   /**< of the pictures to train on, at random places */
    double detail_lost; /**< share of the variance in windows that the model's size would not show;
                        0: not measured, as the next */
    double parts_alike; /**< share of the variance that is inside of windows, not between them: near
                        1 for textures */
} of_fit_plan;

/** What is being done. */
typedef enum of_fit_stage {
    OF_FIT_LOOK = 0,
    OF_FIT_TRAIN_GENERAL = 1,
    OF_FIT_TRAIN_MODEL = 2,
    OF_FIT_CALIBRATE = 3,
    OF_FIT_MEASURE = 4,
    OF_FIT_REPORT = 5
} of_fit_stage;

/** "look", "train-general", "train", "calibrate", "measure" or "report". */
OF_API const char *of_fit_stage_name(of_fit_stage stage);

/** Who watches. Each function may be NULL; all are called by the thread that called of_fit. */
typedef struct of_fit_observer {
    size_t size; /**< sizeof of this struct, set by of_fit_observer_default */
    void *user;  /**< given to every function */
    /** Before a stage: images that it will take, 0 if that is not known, and seconds that it may
        take, 0 if images end it. */
    void (*stage)(void *user, of_fit_stage stage, uint64_t images, double seconds);
    /** Images of the stage so far; `bits_per_dim` NaN but in training. */
    void (*progressed)(void *user, uint64_t images, double bits_per_dim);
    /** Once, before anything is written. */
    void (*planned)(void *user, const of_fit_plan *plan);
    void (*unreadable)(void *user, const char *source, const char *path, const char *reason);
    void (*warn)(void *user, const char *text); /**< one line */
    /** True ends the training: what was learned is calibrated and written, and `resume` goes on.
        Before training begins it is OF_ERROR_IO, "interrupted", and what was done is kept for
        `resume`. Afterwards it is not asked. */
    bool (*stop)(void *user);
} of_fit_observer;

/** Nobody is told anything. */
OF_API of_fit_observer of_fit_observer_default(void);

/** How a set of outliers is told from the images that were held out. */
typedef struct of_fit_set {
    char name[32];
    uint64_t images;
    double auroc;   /**< of the result's score */
    double flagged; /**< share of them at the rate */
} of_fit_set;

/** What came of it. */
typedef struct of_fit_result {
    bool planned_only; /**< nothing else is set */
    bool interrupted;  /**< the detector is finished all the same, `resume` trains on */
    of_score score;    /**< that the file says to judge by */
    double rate;
    uint64_t trained;    /**< images of training, with repetitions */
    uint64_t calibrated; /**< images */
    uint64_t checked;    /**< images that were neither trained on nor calibrated with; 0: none */
    double flagged;      /**< share of those that are flagged at the rate; NaN without any */
    size_t set_count;
    of_fit_set sets[OF_FIT_MOST_SETS];
    uint64_t unreadable;
    double seconds;  /**< of this call */
    of_tiling tiles; /**< that the file cuts pictures into; all zero: it does not */
    char work[1024]; /**< the folder that `resume` goes on from; "" when it is finished */
} of_fit_result;

/**
 * Fits a detector. `observer` may be NULL; `result` must be given and is all zero after a failure.
 * May be called in several threads at once with different outputs.
 *
 * OF_ERROR_ARGUMENT: fewer than OF_FIT_LEAST different images, with what was found in the message;
 * an output that is there. OF_ERROR_MISMATCH: OUT.work belongs to another run. OF_ERROR_IO: a disk
 * that is full; OUT is then as it was, and OUT.work is kept.
 *
 * With `images` set, the result depends on the options, the images and the instruction set alone;
 * without, training goes by the clock. As for of_train, a program that handles signals should do so
 * on a stack of its own.
 */
OF_API of_status of_fit(const of_fit_options *options, const of_fit_observer *observer,
                        of_fit_result *result, of_error *error);

#ifdef __cplusplus
}
#endif

#endif
