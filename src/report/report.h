/* SPDX-License-Identifier: Apache-2.0 */
/* What a report shows, and its two forms: a page that needs nothing else, and a figure.
 * evaluation_report.c fills it from an evaluation. */
#ifndef OF_REPORT_REPORT_H
#define OF_REPORT_REPORT_H

#include <outflow/outflow.h>
#include <stdio.h>

/* An image with its heat: [height][width], nats a pixel above the reference. */
typedef struct of_report_image {
    const char *path, *label;
    double value;          /* of the report's main score */
    double p_value;        /* of that value; NaN: it has none */
    const uint8_t *pixels; /* [height][width][channels] */
    const double *heat;
    double limit; /* the strongest colour */
    uint32_t height, width;
} of_report_image;

/* A file that could not be read. */
typedef struct of_report_fault {
    const char *path, *reason;
} of_report_fault;

/* What is flagged of a set under a score, and the confidence interval of that share. */
typedef struct of_report_flags {
    bool known; /* else nothing is flagged under this score */
    uint64_t count;
    double share, low, high;
} of_report_flags;

typedef struct of_report_set {
    const char *name, *source;
    uint64_t images, unreadable, non_finite;
    const double *const *scores;       /* [scores of the report][images] */
    const double *logp, *general_logp; /* [images]; general NULL without a general model */
    double mean_bits, mean_general_bits;
    double spearman, pearson;     /* of logp and general_logp */
    const of_metrics *metrics;    /* [scores]: against the first set; NULL in that */
    const of_report_flags *flags; /* [scores]; NULL where the report is without */
    double drift; /* Kolmogorov's distance from the calibration's images; NaN: not known */
    bool drifted; /* it is large, and not by chance */
    const of_report_image *most, *least; /* the most extreme first */
    size_t most_count, least_count;      /* on the wall */
    size_t flagged_count;                /* of `most`: those that are listed as flagged */
    const of_report_fault *faults;       /* [fault_count] */
    size_t fault_count;
} of_report_set;

/* "threads", "2" */
typedef struct of_report_fact {
    const char *name, *value;
} of_report_fact;

typedef struct of_report {
    const char *title, *convention;
    const char *command; /* NULL: it is not known */
    of_architecture architecture;
    const of_score *scores;
    size_t score_count, main_score; /* main: what the examples are ordered by */
    const of_report_set *sets;
    size_t set_count;
    bool compared;              /* the first set is in-distribution, the others are out sets */
    bool with_general;          /* the sets have general_logp */
    double spearman, pearson;   /* over all sets */
    bool with_flags;            /* images are flagged: */
    double rate;                /* by p-values up to this rate; 0: by the threshold */
    double threshold;           /* of the main score; not finite: there is none */
    double confidence;          /* of the intervals of flagged shares */
    of_score heat;              /* whose heat the images show */
    const char *heat_reference; /* what it is relative to */
    size_t faults;              /* of all sets */
    const of_report_fact *facts;
    size_t fact_count;
} of_report;

/* One HTML file, well-formed XML as well, without anything to load. Its only script sorts tables;
 * its policy admits no other. */
of_status of_report_write(const of_report *report, FILE *file, of_error *error);

/* An SVG with the distributions of two scores side by side: nll, and the main score (ratio where
 * that is nll itself and there is one). */
of_status of_report_write_figure(const of_report *report, FILE *file, of_error *error);

#endif
