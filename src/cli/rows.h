/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of `outflow score`: one an image, as CSV, JSON lines or a table. */
#ifndef OF_CLI_ROWS_H
#define OF_CLI_ROWS_H

#include <outflow/outflow.h>
#include <stdio.h>

typedef enum of_row_format { OF_ROWS_CSV = 0, OF_ROWS_JSONL = 1, OF_ROWS_TABLE = 2 } of_row_format;

typedef enum of_column_kind {
    OF_COLUMN_BITS,
    OF_COLUMN_LOGP,
    OF_COLUMN_CONTRIBUTION,
    OF_COLUMN_GENERAL_LOGP,
    OF_COLUMN_SCORE
} of_column_kind;

typedef struct of_row_column {
    char name[32];
    of_column_kind kind;
    of_score score; /* of OF_COLUMN_SCORE; its scale also of OF_COLUMN_CONTRIBUTION */
} of_row_column;

enum { OF_ROW_COLUMNS = 24 };

typedef struct of_rows {
    FILE *file;
    of_row_format format;
    of_architecture architecture;
    of_row_column columns[OF_ROW_COLUMNS]; /* the numbers */
    size_t count;
    bool with_threshold, with_source;
    of_score score; /* compared with the threshold */
    double threshold;
    uint64_t written;    /* rows so far */
    uint64_t non_finite; /* rows with a number that is not finite */
} of_rows;

/* path, label, bits_per_dim, logp, logp_scaleI..., nll, last; more is added below. */
void of_rows_open(of_rows *rows, FILE *file, of_row_format format,
                  const of_architecture *architecture);
/* logp_general and ratio, and ratio-last if the scales can be compared. */
void of_rows_add_general(of_rows *rows, bool comparable_scales);
/* A column `score`. */
void of_rows_add_score(of_rows *rows, of_score score);
/* A column `anomalous`: the score is at or above the threshold, or not finite. */
void of_rows_add_threshold(of_rows *rows, of_score score, double threshold);
/* A column `source`. */
void of_rows_add_source(of_rows *rows);

/* Writes a row, the header line before the first one. */
void of_rows_write(of_rows *rows, const char *source, const of_item *item,
                   const of_image_likelihood *likelihood);

#endif
