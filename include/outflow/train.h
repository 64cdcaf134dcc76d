/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Training: weights from images.
 *
 *     const char *const data[] = {"photos.tar"};
 *     of_train_options options = of_train_options_default();
 *     of_train_result result;
 *     options.data = data;
 *     options.data_count = 1;
 *     options.out = "photos.safetensors";
 *     options.hold_out = 0.05;             // validate on a twentieth of the images
 *     options.images = 150000;
 *     of_status status = of_train(&options, NULL, &result, &error);
 *
 * A run keeps its state in "OUT.checkpoint", written every few minutes, at the end, and when the
 * observer stops it. The same options with `resume` go on from there as if nothing had happened,
 * bit for bit, also after a crash. Results depend on the options, the images and the instruction
 * set; not on threads, ranks or memory.
 *
 * of_train takes sources (what of_source_open takes) and looks after everything: batches,
 * augmentation, validation, checkpoints, the log. of_train_loop takes single steps on batches of
 * the caller's, for loops of one's own and for measurements.
 */
#ifndef OUTFLOW_TRAIN_H
#define OUTFLOW_TRAIN_H

#include <outflow/outflow.h>
#include <outflow/ranks.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Choices ------------------------------------------------------------------------------ */

/** How images of the general distribution are pushed away (Schirrmeister et al. 2020, arXiv
    2006.10848, section 3.3). */
typedef enum of_outlier_loss {
    OF_OUTLIER_NONE = 0,
    OF_OUTLIER_RATIO = 1, /**< softplus((nll_general - nll) / temperature): they shall be likelier
                               under the general model than under this one */
    OF_OUTLIER_MARGIN = 2 /**< max(0, D + nll_in - nll): they shall be less likely than images of
                               the data by a margin, the number of dimensions */
} of_outlier_loss;

/** "none", "ratio" or "margin". */
OF_API const char *of_outlier_loss_name(of_outlier_loss loss);

/** Reads one of the names above. */
OF_API of_status of_outlier_loss_parse(const char *name, of_outlier_loss *loss, of_error *error);

/** How weights follow from gradients, as torch.optim has them. */
typedef enum of_optimizer_kind {
    OF_OPTIMIZER_ADAMAX = 0,
    OF_OPTIMIZER_ADAM = 1, /**< weight decay is added to the gradient, with Adamax as well */
    OF_OPTIMIZER_ADAMW = 2 /**< weight decay is applied to the weights */
} of_optimizer_kind;

/** "adamax", "adam" or "adamw". */
OF_API const char *of_optimizer_kind_name(of_optimizer_kind kind);

/** Reads one of the names above. */
OF_API of_status of_optimizer_kind_parse(const char *name, of_optimizer_kind *kind,
                                         of_error *error);

/** Course of the learning rate after the warm-up. */
typedef enum of_schedule_kind {
    OF_SCHEDULE_CONSTANT = 0,
    OF_SCHEDULE_COSINE = 1 /**< half a wave down to 0 at the end of the run: over its steps, or
                                where only minutes end it over its time. Then the rate of a step
                                depends on the clock, as the number of steps does */
} of_schedule_kind;

/** "constant" or "cosine". */
OF_API const char *of_schedule_kind_name(of_schedule_kind kind);

/** Reads one of the names above. */
OF_API of_status of_schedule_kind_parse(const char *name, of_schedule_kind *kind, of_error *error);

/* ---- A run -------------------------------------------------------------------------------- */

enum {
    OF_TRAIN_MOST_SOURCES = 64, /**< of one set */
    OF_TRAIN_MOST_OUT_SETS = 16,
    OF_TRAIN_MOST_SKIPPED = 20 /**< steps in a row, see of_train */
};

/** A set of outliers to validate with. */
typedef struct of_named_source {
    const char *name;   /**< for reports */
    const char *source; /**< what of_source_open takes */
} of_named_source;

/** What is trained, on what and how. Nothing needs to live on after of_train. */
typedef struct of_train_options {
    size_t size; /**< sizeof of this struct, set by of_train_options_default */

    /* What is trained. */
    const char *out; /**< weight file to write; must be set. The checkpoint is OUT.checkpoint. */
    bool resume;     /**< go on from the checkpoint; without one, start */
    bool overwrite;  /**< start anew and replace a checkpoint or weight file that is there; else
                          that is OF_ERROR_ARGUMENT. Excludes `resume`. */
    /** NULL: that of `init`, or the default one in the size of the data's first image. Where it is
        given, `channels` of 0, or `height` and `width` of 0, are taken from there. The size of an
        image is rounded up to what the scales can halve. Beside `init` it must be the same as that
        one's. `classes` is ignored: it is counted in the data. */
    const of_architecture *architecture;
    bool class_conditional; /**< a density for each class of the data: first folder, or stored
                                 label. With a general model, images are pushed away from wrong
                                 classes, with the ratio loss's weight and temperature. */
    const of_model *init;   /**< weights to start from, not changed; NULL: those of init_file */
    const char *init_file;  /**< a weight file or the name of an installed model; beside `init` only
                                 what the record calls it. NULL, and no `init`: random weights. */

    /* On what: sources as of_source_open takes them. The sources of a set are one set, in their
     * order, in which labels of the same name are one class. */
    const char *const *data;         /**< [data_count] images to train on; at least one source */
    size_t data_count;               /**< up to OF_TRAIN_MOST_SOURCES, as all counts of sources */
    const double *data_shares;       /**< [data_count] how much of an epoch comes from each source,
                                          relative to their sum, 1e-6..1e6; NULL: by size */
    const char *const *general_data; /**< [general_count] images of the general distribution, which
                                     the outlier loss pushes away */
    size_t general_count;
    const double *general_shares; /**< [general_count], as data_shares */
    const char *general_model;    /**< a weight file or the name of an installed model; NULL: none.
                                       For the ratio loss, classes, and AUROC of the ratio. */
    const char *const *valid;     /**< [valid_count] held-out images */
    size_t valid_count;
    double hold_out;               /**< in (0, 1): instead of `valid`, this share of every source of
                                        the data is validated on and not trained on. 0: none */
    const of_named_source *out_of; /**< [out_of_count] sets to tell from the held-out one */
    size_t out_of_count;           /**< up to OF_TRAIN_MOST_OUT_SETS */
    uint64_t limit;                /**< take only so many images of each source; 0: all */
    bool strict;                   /**< an image that cannot be read is an error, not left out */
    uint64_t cache_bytes; /**< memory for each set's decoded images; larger sets lie in a temporary
                               file. 0: all of a machine's sets take half of what it has */

    /* Augmentation. */
    double shift; /**< move images by up to this share of their size, 0..0.5 */
    bool flip;    /**< mirror every other image left to right */
    double zoom;  /**< magnify or shrink every other image by up to this share, 0..0.5 */
    double color; /**< vary brightness, contrast and saturation of every other image by up to this
                       share, 0..1 */

    /* How. */
    of_outlier_loss outlier_loss;
    double outlier_weight;  /**< 0: 6000 for the ratio loss and classes, 1 for the margin */
    double temperature;     /**< nats, of the ratio loss; 0: 1000 */
    uint64_t batch;         /**< images a step, up to 65536; default 64 */
    uint64_t general_batch; /**< general images a step; 0: as `batch` */
    of_optimizer_kind optimizer;
    double rate;         /**< learning rate, default 5e-4 */
    double weight_decay; /**< default 5e-5 */
    double beta1, beta2; /**< defaults 0.9, 0.999 */
    double epsilon;      /**< default 1e-8 */
    double clip; /**< largest norm of the gradient of bits/dim, default 50; 0: not clipped */
    double ema;  /**< decay of weights averaged over the steps, which are then validated and
                      saved, below 1; 0: none are kept */
    of_schedule_kind schedule;
    uint64_t warmup;      /**< steps over which the rate grows from 0 */
    uint64_t seed;        /**< of weights, order, noise and synthetic: sources */
    uint64_t init_images; /**< images from which a new model's ActNorms are set, 2..65536; default
                               512 */

    /* How long: the first limit that is reached ends the run; 0: no limit. */
    uint64_t epochs; /**< passes over the data; all three limits 0: 50 */
    uint64_t images;
    double minutes;       /**< earlier parts of a resumed run included */
    uint64_t valid_every; /**< images between validations; 0: an epoch */
    uint64_t patience;    /**< keep the best validated weights, and end after so many validations
                               without improvement: of bits/dim, or with an outlier loss of the mean
                               AUROC. 0: keep the last weights, do not end early */

    /* With what. */
    unsigned threads;     /**< up to 4096; 0: this rank's share of the CPUs */
    of_isa isa;           /**< of the hand-written kernels */
    unsigned micro_batch; /**< images that a thread takes forward and back at a time, up to 4096;
                               results depend on it. 0: of_train_micro_batch */
    unsigned lanes;       /**< sums into which a batch's gradient is divided, which may lie in
                               several ranks; results depend on it, not on the ranks. 0: 4, fewer
                               for few images, at least the least power of two for the ranks; that
                               of the run that is resumed */
    size_t memory_bytes;  /**< for activations that are kept instead of computed again; 0: 40 MB a
                               thread */
    double checkpoint_every; /**< seconds, default 300 */
    of_ranks *ranks;         /**< all ranks call of_train with the same options. Each loads the
                                  data; the first one alone reads and writes weights, checkpoints
                                  and logs. NULL: there is one process */
    bool shard_optimizer;    /**< several ranks: each updates its share of the weights. Less memory,
                                  one more message a step, the same bits */

    /* What is told. */
    const char *log;    /**< file for figures, a JSON object a line (step, images, bits_per_dim, lr,
                             ...); a resumed run goes on in it. NULL: none */
    uint64_t log_every; /**< steps between reports and lines of the log, default 50 */
    const char *record; /**< how the run was started, any text, for the weight file's metadata
                             ("training"); may be NULL */

    of_precision precision; /**< what the networks multiply, forward and back, and keep of hidden
                                 activations, during training and validation: OF_PRECISION_F32;
                                 BF16, with sums, weights, optimizer, flow state and likelihoods in
                                 floats, OF_ERROR_UNSUPPORTED where of_precision_resolve says so; or
                                 AUTO. Results depend on it, and a run is resumed in the precision
                                 that it was begun in. The general model always runs in floats. */
    uint32_t background;    /**< below transparent pixels of all images, see of_source_options */
    of_precision gradient_precision; /**< of gradients on their way between ranks: OF_PRECISION_F32;
                                          or BF16, half the bytes. Then all sums of lanes, those of
                                          one process too, are rounded to bfloat16, so results
                                          depend on it, but not on the ranks; a run is resumed in
                                          the precision that it was begun in */
} of_train_options;

/** The defaults: Adamax at 5e-4, batches of 64, 50 epochs. `out` and `data` are to be set. */
OF_API of_train_options of_train_options_default(void);

/**
 * What can be said of options before a file is opened: that values are in their range and go
 * together. of_train checks the same. OF_ERROR_ARGUMENT names what is wrong; the error's setting is
 * the field to change or to set.
 */
OF_API of_status of_train_options_check(const of_train_options *options, of_error *error);

/** Images that a thread takes forward and back at a time, for a batch: 1, 2, 4 or 8. */
OF_API unsigned of_train_micro_batch(uint64_t batch);

/** Memory of training, in bytes. */
typedef struct of_train_memory {
    size_t weights; /**< packed */
    size_t gradients, activations;
    size_t optimizer;  /**< moments, averages and best weights, as far as there are any */
    double kept_share; /**< of the hidden activations, which are not computed again */
} of_train_memory;

/** What a run consists of. Valid during the call only, as everything that observers are told. */
typedef struct of_train_start {
    const of_architecture *architecture;
    const char *architecture_json; /**< the same as weight files have it */
    size_t parameters, trained;    /**< values */
    of_train_memory memory;
    size_t data_bytes; /**< decoded images in memory */
    unsigned threads, micro_batch, ranks, lanes;
    of_isa isa;
    size_t images, general_images, valid_images;
    uint64_t total_images;                 /**< of the run; 0 if only time ends it */
    uint64_t resumed_step, resumed_images; /**< 0: a new run */
    of_precision precision;                /**< F32, or BF16 */
    double total_seconds, passed_seconds;  /**< that the run may take, 0: any; and has taken so far,
                                                earlier parts included */
} of_train_start;

/** How well a set of outliers is told from the held-out images. */
typedef struct of_valid_set {
    const char *name;
    double bits_per_dim; /**< of images with finite likelihoods */
    double auroc_nll, auroc_last;
    double auroc_ratio; /**< NaN without a general model */
} of_valid_set;

/** A validation. */
typedef struct of_valid_report {
    double bits_per_dim;
    size_t non_finite;       /**< likelihoods, over all sets */
    size_t valid_non_finite; /**< of them, those of the held-out set itself */
    size_t out_of_count;
    const of_valid_set *out_of; /**< [out_of_count] */
    bool best;                  /**< better than all before */
    uint64_t since_best;        /**< validations */
} of_valid_report;

/** Means since the last report. */
typedef struct of_train_report {
    uint64_t step, images, skipped; /**< so far */
    double epoch;
    double loss;                 /**< all of it, in nats an image; NaN where no step was taken */
    double bits_per_dim;         /**< with classes: of the image's own */
    double outlier_loss;         /**< without its weight; NaN without one */
    double general_bits_per_dim; /**< of the general images; NaN without them */
    uint32_t scales;
    const double *scale_bits; /**< [scales] -contribution / (D ln 2): with 8, they sum to
                                   bits_per_dim */
    double rate, grad_norm;   /**< of the last step; the norm in bits/dim, before clipping */
    double condition;         /**< largest condition number of a mixing matrix */
    double images_per_second, seconds;
    /** Of the last step: what adding gradients over the ranks took, and how much of it was not
        hidden behind the backward pass; NaN with one rank. */
    double reduction_seconds, reduction_waited;
    size_t resident_bytes;             /**< of the process */
    const of_valid_report *validation; /**< NULL: no validation at this step */
} of_train_report;

/**
 * Told of a run while it is under way, from the thread that called of_train. Any function may be
 * NULL. With several ranks each has its own observer: all are told the same, but `loading`,
 * `validating`, `unreadable` and `warn` of what their own rank does.
 */
typedef struct of_train_observer {
    size_t size; /**< sizeof of this struct, set by of_train_observer_default */
    void *user;  /**< given to every function */
    /** Once, before the first step. */
    void (*started)(void *user, const of_train_start *start);
    /** After each step: images so far, the mean bits/dim of about the last 50 steps, and the rate
       of the last one. */
    void (*progressed)(void *user, uint64_t images, double bits_per_dim, double rate);
    /** While sources are loaded; `expected` is 0 if it is not known. */
    void (*loading)(void *user, const char *source, uint64_t loaded, uint64_t expected);
    void (*validating)(void *user, uint64_t done, uint64_t total);
    /** Every `log_every` steps, after validations, and at the end. A failure ends the run and is
        returned. */
    of_status (*report)(void *user, const of_train_report *report, of_error *error);
    /** An image that is left out. */
    void (*unreadable)(void *user, const char *source, const char *path, const char *reason);
    void (*warn)(void *user, const char *text); /**< one line: what a user may not know of */
    /** True ends the run: OF_TRAIN_INTERRUPTED, with a checkpoint, once training has begun; before
        that OF_ERROR_IO, and nothing is written. Asked before anything is written, while sources
        are loaded, and after each step. */
    bool (*stop)(void *user);
} of_train_observer;

/** Nobody is told anything. */
OF_API of_train_observer of_train_observer_default(void);

/** How a run ended. */
typedef enum of_train_end {
    OF_TRAIN_FINISHED = 0,
    OF_TRAIN_EARLY_STOP = 1, /**< validation no longer improved */
    OF_TRAIN_INTERRUPTED = 2 /**< the observer stopped it; the checkpoint is written */
} of_train_end;

/** "finished", "early-stop" or "interrupted". */
OF_API const char *of_train_end_name(of_train_end end);

/** What came of a run. */
typedef struct of_train_result {
    of_train_end end;
    uint64_t step, images;
    uint64_t skipped;    /**< steps whose loss or gradient was not finite */
    uint64_t unreadable; /**< images that were left out */
    double bits_per_dim; /**< of the last report; of an interrupted run, of about 50 steps */
    double seconds;
    of_error
        log_error; /**< why the log is not complete; status OF_OK if it is, or if none is kept */
    char checkpoint[1024]; /**< its path; cut if it does not fit */
} of_train_result;

/**
 * Trains. `observer` may be NULL; `result` must be given, and is all zero after a failure. Runs
 * that write different files may go on at the same time, in threads of one process. The weight file
 * is written when the run has ended but for OF_TRAIN_INTERRUPTED, with `patience` also at each best
 * validation.
 *
 * On a failure the last checkpoint stays as it was written. A disk that is full for a while ends
 * nothing: the checkpoint before is kept, and the log given up (result->log_error). Time that is
 * over before the first step is OF_ERROR_ARGUMENT, and nothing is written. Steps whose
 * loss or gradient is not finite are skipped; OF_TRAIN_MOST_SKIPPED in a row are OF_ERROR_NUMERIC.
 * OF_ERROR_MISMATCH: the checkpoint belongs to another run, and says what differs.
 *
 * A failure that the ranks have not agreed on (of_ranks_agreed) leaves the others waiting: the
 * caller ends all of them with of_ranks_abort. Memory that messages may still be on their way to is
 * not freed then.
 *
 * A program that handles signals should let the thread that calls this handle them on a stack of
 * their own (sigaltstack, SA_ONSTACK): the convolution library's matrix products use the stack
 * pointer for other things, and a handler on the thread's stack may write over their data.
 */
OF_API of_status of_train(const of_train_options *options, const of_train_observer *observer,
                          of_train_result *result, of_error *error);

/* ---- Single steps ------------------------------------------------------------------------- */

/** A model in training: its gradients, an optimizer, memory for both. */
typedef struct of_train_loop of_train_loop;

/** Fields are those of of_train_options, with their meaning and defaults. */
typedef struct of_train_loop_options {
    size_t size; /**< sizeof of this struct, set by of_train_loop_options_default */
    unsigned threads;
    of_isa isa;
    unsigned micro_batch, lanes;
    size_t batch; /**< images of most steps: no more threads than they keep busy get memory */
    size_t memory_bytes;
    of_optimizer_kind optimizer;
    double rate, weight_decay, clip;
    of_precision precision;
} of_train_loop_options;

/** All fields at their defaults. */
OF_API of_train_loop_options of_train_loop_options_default(void);

/**
 * Prepares steps on a model, which they change: it must outlive the loop, and nobody else may
 * change or read it during a call. `options` may be NULL for the defaults.
 */
OF_API of_status of_train_loop_create(of_model *model, const of_train_loop_options *options,
                                      of_train_loop **loop, of_error *error);

/** Frees a loop, not its model; NULL is allowed. */
OF_API void of_train_loop_free(of_train_loop *loop);

/**
 * Sets every ActNorm of a new model from images (OF_PIXEL_F32), so that its output has mean 0 and
 * variance 1 in each channel. Some hundred images of the data do; two at least.
 */
OF_API of_status of_train_loop_initialise(of_train_loop *loop, const of_batch *batch,
                                          of_error *error);

/** What came of a step. */
typedef struct of_train_step {
    double bits_per_dim; /**< of the batch, before the step */
    double grad_norm;    /**< of the gradient of bits/dim, before clipping */
    bool skipped;        /**< one of them was not finite: the weights are as they were */
} of_train_step;

/**
 * One step down the gradient of the mean negative log-likelihood, of the mixture for models with
 * classes. Pixels are OF_PIXEL_F32: (v + u)/255 of a byte v with uniform noise u in -1/2..1/2
 * (by the model's of_input_map, whatever makes x = scale q + shift + bin u), or the density would
 * grow without bounds at the 256 grey levels. `step` may be NULL.
 */
OF_API of_status of_train_loop_step(of_train_loop *loop, const of_batch *batch, of_train_step *step,
                                    of_error *error);

/** Kernels, threads and memory of the forward pass. */
OF_API of_plan_info of_train_loop_describe(const of_train_loop *loop);

/** Memory in bytes. */
OF_API of_train_memory of_train_loop_memory(const of_train_loop *loop);

/** Bytes of the gradient that belong to a scale, as several ranks add them up; 0 beyond the scales.
 */
OF_API size_t of_train_loop_scale_bytes(const of_train_loop *loop, uint32_t scale);

/** What a step consists of: the layers of of_plan_layer; for each scale the parts of its backward
    pass; what is done once a batch; and at the end "optimizer" and "refresh". */
OF_API size_t of_train_loop_layer_count(const of_train_loop *loop);

/**
 * One of them. FLOP and bytes are of one image; what is done once a batch has images_per_call 0 and
 * no FLOP.
 */
OF_API of_status of_train_loop_layer(const of_train_loop *loop, size_t index, of_layer_info *info,
                                     of_error *error);

/** A step that fills layer_seconds [of_train_loop_layer_count]. The loop must have one thread. */
OF_API of_status of_train_loop_profile(of_train_loop *loop, const of_batch *batch,
                                       double *layer_seconds, of_error *error);

#ifdef __cplusplus
}
#endif

#endif
