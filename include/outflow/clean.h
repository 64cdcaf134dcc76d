/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Cleaning of labelled images: which look misfiled, duplicated or broken.
 *
 *     of_clean_options options = of_clean_options_default();
 *     of_cleaning *cleaning = NULL;
 *     of_error error;
 *
 *     options.source = "photos/"; // a folder of folders: the first folder's name is the label
 *     if (of_clean(&options, NULL, &cleaning, &error) != OF_OK)
 *         puts(error.message);
 *     else
 *         for (size_t i = 0; i < of_cleaning_count(cleaning); i++)
 *             puts(of_cleaning_finding(cleaning, i).path);
 *     of_cleaning_free(cleaning);
 */
#ifndef OUTFLOW_CLEAN_H
#define OUTFLOW_CLEAN_H

#include <outflow/detect.h>
#include <outflow/output.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    OF_CLEAN_LEAST = 20,     /**< images of a class that are needed to judge it */
    OF_CLEAN_PICTURES = 500, /**< findings of a report that are shown with a picture */
    OF_CLEAN_SUSPECTS = 1000000
};

/** What is examined. */
typedef struct of_clean_options {
    size_t size;        /**< sizeof of this struct, set by of_clean_options_default */
    const char *source; /**< labelled images (of_source_open); must be set */
    const char *other; /**< further ones, say the test set: copies across both are leaks; or NULL */
    const char *model; /**< a weight file or an installed model, whose likelihoods add to the
                            evidence and whose image size is taken; NULL: 32x32 pixels and none */
    double rate;       /**< share of false ones among the misfiled, and among the outliers, that is
                            accepted (Benjamini and Hochberg 1995); default 0.05 */
    uint64_t suspects; /**< list so many images besides that look most misfiled but may well not
                            be, up to OF_CLEAN_SUSPECTS; default 0 */
    uint64_t limit;    /**< take only the first images of each source; 0: all */
    unsigned threads;  /**< 0: of_cpu_count() */
    of_isa isa;
} of_clean_options;

/** The defaults; `source` is to be set. */
OF_API of_clean_options of_clean_options_default(void);

/** What is wrong, the surest first. */
typedef enum of_clean_issue {
    OF_CLEAN_CONFLICT = 0,   /**< the same picture with another label */
    OF_CLEAN_LEAK = 1,       /**< the same picture, or nearly, in the first source */
    OF_CLEAN_UNREADABLE = 2, /**< no image, damaged or cut short */
    OF_CLEAN_BLANK = 3,      /**< one colour, or nearly */
    OF_CLEAN_COPY = 4,       /**< the same picture, with the same label */
    OF_CLEAN_MISFILED = 5,   /**< another class fits better */
    OF_CLEAN_OUTLIER = 6,    /**< unlike its class and every other */
    OF_CLEAN_SIMILAR = 7,    /**< nearly the same picture */
    OF_CLEAN_SHAPE = 8,      /**< of a size or shape far from what is usual in the set */
    OF_CLEAN_SUSPECT = 9     /**< looks misfiled, but as many of a clean set would */
} of_clean_issue;

enum { OF_CLEAN_ISSUES = 10 };

/** "conflict", "leak", "unreadable", "blank", "copy", "misfiled", "outlier", "similar", "shape" or
    "suspect". */
OF_API const char *of_clean_issue_name(of_clean_issue issue);

/** What was found of one image, which may have several findings. Strings live as long as the
    cleaning. */
typedef struct of_clean_finding {
    of_clean_issue issue;
    const char *source, *path; /**< as of_item.path */
    const char *label;         /**< "" without one */
    double p_value;            /**< of OUTLIER, MISFILED and SUSPECT; else NaN */
    const char *suggested;     /**< label that fits better; "" for none */
    const char *duplicate_of;  /**< path of the earlier image; "" for none */
    const char *duplicate_source, *duplicate_label; /**< of that image; "" for none */
    const char *notes;                              /**< in words, may be "" */
} of_clean_finding;

typedef struct of_cleaning of_cleaning;

/** What was examined. */
typedef struct of_clean_summary {
    uint64_t images;  /**< that could be read */
    uint64_t skipped; /**< files that are no images by their names */
    uint64_t judged;  /**< images of classes of OF_CLEAN_LEAST and more, of which there are two */
    size_t classes;   /**< labels */
    uint64_t found[OF_CLEAN_ISSUES]; /**< findings of each kind */
    bool alike; /**< most images are nearly another one: near copies say nothing and are left out */
    double seconds;
} of_clean_summary;

/**
 * Examines a labelled set. `observer` may be NULL.
 *
 * An image is judged by what the other four fifths of the images, in which no copy or near copy of
 * it is, say of its class: a Gaussian for each class with one covariance over gradients, colours
 * and, with a model, each scale's contribution and latent squares. How much better another class
 * fits than its own is compared with the same for the rest of its class, by their median and the
 * spread above it, as if that were normal. Few wrong labels do not move these, so that a p-value
 * can be smaller than one over their number; it is approximate, unlike conformal ones.
 *
 * Memory is that of all images at the model's size in colour, 3 kB each at 32x32, and a hundred
 * bytes: 0.3 GB for 100,000. OF_ERROR_UNSUPPORTED with the setting "limit": more than 512 MiB.
 * OF_ERROR_FORMAT: no image could be read.
 */
OF_API of_status of_clean(const of_clean_options *options, const of_stream_observer *observer,
                          of_cleaning **cleaning, of_error *error);

/** Frees a cleaning; NULL is allowed. */
OF_API void of_cleaning_free(of_cleaning *cleaning);

OF_API of_clean_summary of_cleaning_describe(const of_cleaning *cleaning);

/** Findings, the surest first. */
OF_API size_t of_cleaning_count(const of_cleaning *cleaning);

/** A finding; `index` is less than of_cleaning_count. */
OF_API of_clean_finding of_cleaning_finding(const of_cleaning *cleaning, size_t index);

/** Writes CSV: path,label,issue,p_value,suggested,duplicate_of,source,duplicate_source,notes; names
    as of_csv_write_text does, a p_value that is not known empty. */
OF_API void of_cleaning_write_csv(const of_cleaning *cleaning, FILE *file);

/** Writes an HTML page with the first OF_CLEAN_PICTURES findings' pictures. `command` says how it
    was made and may be NULL. */
OF_API of_status of_cleaning_write_report(const of_cleaning *cleaning, const char *command,
                                          FILE *file, of_error *error);

#ifdef __cplusplus
}
#endif

#endif
