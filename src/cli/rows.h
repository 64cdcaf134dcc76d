/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of `outflow score`: one an image, as CSV, JSON lines or a table. */
#ifndef OF_CLI_ROWS_H
#define OF_CLI_ROWS_H

#include <outflow/detect.h>
#include <outflow/output.h>
#include <stdio.h>

typedef enum of_row_format { OF_ROWS_CSV = 0, OF_ROWS_JSONL = 1, OF_ROWS_TABLE = 2 } of_row_format;

typedef enum of_column_kind {
    OF_COLUMN_BITS,
    OF_COLUMN_LOGP,
    OF_COLUMN_CONTRIBUTION,
    OF_COLUMN_GENERAL_LOGP,
    OF_COLUMN_CLASS,      /* number of the likeliest class */
    OF_COLUMN_CLASS_LOGP, /* log-likelihood of a class */
    OF_COLUMN_SCORE,
    OF_COLUMN_P_VALUE,     /* of the score */
    OF_COLUMN_TILES,       /* of a picture that was cut: how many */
    OF_COLUMN_TILE_HEIGHT, /* their size */
    OF_COLUMN_TILE_WIDTH,
    OF_COLUMN_TILE_MEAN,      /* mean of the score over them */
    OF_COLUMN_TILE_FLAGGED,   /* share of them that is flagged at OF_TILE_RATE */
    OF_COLUMN_TILE_BONFERRONI /* bound of the picture's p-value from its tiles' */
} of_column_kind;

typedef struct of_row_column {
    char name[32];
    of_column_kind kind;
    of_score score; /* of OF_COLUMN_SCORE and P_VALUE; its scale also of OF_COLUMN_CONTRIBUTION */
    uint32_t class; /* of OF_COLUMN_CLASS_LOGP */
} of_row_column;

/* Columns besides those of the classes. */
enum { OF_ROW_COLUMNS = 32 };

typedef struct of_rows {
    FILE *file;
    bool on_terminal;
    of_json *json; /* of OF_ROWS_JSONL */
    of_row_format format;
    const of_detector *detector;
    const of_architecture *architecture;
    of_row_column *columns; /* [OF_ROW_COLUMNS + classes], the numbers */
    double *numbers;        /* the same of one row */
    size_t count;
    bool with_flag, with_source;
    of_flag_rule rule;
    of_drift drift;      /* of the p-values' column, */
    of_score p_score;    /* which are of this score */
    uint64_t written;    /* rows so far */
    uint64_t non_finite; /* rows with a number that is not finite */
    uint64_t anomalous;  /* rows that are flagged */
} of_rows;

/* path, label, bits_per_dim, logp, logp_scaleI..., nll, last; more is added below; resized_from and
 * notes stand last. The detector must outlive the rows. */
of_status of_rows_open(of_rows *rows, FILE *file, of_row_format format, const of_detector *detector,
                       of_error *error);
/* Accepts zeroed rows. */
void of_rows_close(of_rows *rows);
/* logp_general and ratio, and ratio-last if the scales can be compared. */
void of_rows_add_general(of_rows *rows, bool comparable_scales);
/* predicted_class, the number of the likeliest class, and logp_classN of every class. */
void of_rows_add_classes(of_rows *rows);
/* tiles, tile_height, tile_width; tile_mean of the score, and where tiles are calibrated
 * tiles_flagged and p_bonferroni. */
void of_rows_add_tiles(of_rows *rows, of_score score);
/* A column with the score's name. */
void of_rows_add_named(of_rows *rows, of_score score);
/* A column `score`. */
void of_rows_add_score(of_rows *rows, of_score score);
/* A column `p_value`: conformal, of this score. */
void of_rows_add_p_value(of_rows *rows, of_score score);
/* A column `anomalous`: the image is flagged. */
void of_rows_add_flag(of_rows *rows, of_flag_rule rule);
/* A column `source`. */
void of_rows_add_source(of_rows *rows);

/* Goes on with the file `path`, to which the rows are appended: its header line must be that of
 * these rows, and is not repeated. A file that is not there or empty is begun. */
of_status of_rows_continue(of_rows *rows, const char *path, of_error *error);

/* The row that was written last as JSON, freed with free(); NULL without memory. */
char *of_rows_text(of_rows *rows, const char *source, const of_item *item, bool anomalous);

/* Writes a row, the header line before the first one; returns whether the image is flagged. */
bool of_rows_write(of_rows *rows, const char *source, const of_item *item,
                   const of_image_likelihood *likelihood);

#endif
