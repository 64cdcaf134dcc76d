/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/rows.h"

#include "cli/json.h"
#include "cli/text.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { NUMBER_WIDTH = 11, LABEL_WIDTH = 12 };

/* ---- Columns ------------------------------------------------------------------------------ */

static of_row_column *add_column(of_rows *rows, const char *name, of_column_kind kind) {
    assert(rows->count < OF_ROW_COLUMNS);
    of_row_column *column = &rows->columns[rows->count++];
    (void)snprintf(column->name, sizeof column->name, "%s", name);
    column->kind = kind;
    return column;
}

static void add_score_column(of_rows *rows, of_score_kind kind) {
    of_score score = {kind, 0};
    char name[32];
    of_score_name(score, name, sizeof name);
    add_column(rows, name, OF_COLUMN_SCORE)->score = score;
}

void of_rows_open(of_rows *rows, FILE *file, of_row_format format,
                  const of_architecture *architecture) {
    *rows = (of_rows){.file = file, .format = format, .architecture = *architecture};
    add_column(rows, "bits_per_dim", OF_COLUMN_BITS);
    add_column(rows, "logp", OF_COLUMN_LOGP);
    for (uint32_t scale = 0; scale < of_architecture_scale_count(architecture); scale++) {
        char name[32];
        (void)snprintf(name, sizeof name, "logp_scale%" PRIu32, scale);
        add_column(rows, name, OF_COLUMN_CONTRIBUTION)->score = (of_score){OF_SCORE_SCALE, scale};
    }
    add_score_column(rows, OF_SCORE_NLL);
    add_score_column(rows, OF_SCORE_LAST);
}

void of_rows_add_general(of_rows *rows, bool comparable_scales) {
    add_column(rows, "logp_general", OF_COLUMN_GENERAL_LOGP);
    add_score_column(rows, OF_SCORE_RATIO);
    if (comparable_scales)
        add_score_column(rows, OF_SCORE_RATIO_LAST);
}

void of_rows_add_score(of_rows *rows, of_score score) {
    add_column(rows, "score", OF_COLUMN_SCORE)->score = score;
}

void of_rows_add_threshold(of_rows *rows, of_score score, double threshold) {
    rows->with_threshold = true;
    rows->score = score;
    rows->threshold = threshold;
}

void of_rows_add_source(of_rows *rows) {
    rows->with_source = true;
}

/* ---- Values ------------------------------------------------------------------------------- */

static double column_value(const of_rows *rows, const of_row_column *column,
                           const of_image_likelihood *likelihood) {
    switch (column->kind) {
    case OF_COLUMN_BITS:
        return of_bits_per_dim(&rows->architecture, likelihood->logp);
    case OF_COLUMN_LOGP:
        return likelihood->logp;
    case OF_COLUMN_CONTRIBUTION:
        return likelihood->contributions[column->score.scale];
    case OF_COLUMN_GENERAL_LOGP:
        return likelihood->general_logp;
    case OF_COLUMN_SCORE:
        return of_score_value(column->score, &rows->architecture, likelihood);
    }
    return (double)NAN;
}

typedef struct row_values {
    double numbers[OF_ROW_COLUMNS];
    bool anomalous;
} row_values;

static row_values evaluate(of_rows *rows, const of_image_likelihood *likelihood) {
    row_values values = {.anomalous = false};
    bool finite = true;
    for (size_t i = 0; i < rows->count; i++) {
        values.numbers[i] = column_value(rows, &rows->columns[i], likelihood);
        finite = finite && isfinite(values.numbers[i]);
    }
    rows->non_finite += !finite;
    if (rows->with_threshold) {
        double score = of_score_value(rows->score, &rows->architecture, likelihood);
        values.anomalous = !isfinite(score) || score >= rows->threshold;
    }
    return values;
}

/* ---- Formats ------------------------------------------------------------------------------ */

static void csv_header(const of_rows *rows) {
    (void)fputs("path,label", rows->file);
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(rows->file, ",%s", rows->columns[i].name);
    (void)fprintf(rows->file, "%s%s\n", rows->with_threshold ? ",anomalous" : "",
                  rows->with_source ? ",source" : "");
}

static void csv_row(const of_rows *rows, const char *source, const of_item *item,
                    const row_values *values) {
    char text[OF_NUMBER_SIZE];
    of_csv_write(rows->file, item->path);
    (void)fputc(',', rows->file);
    of_csv_write(rows->file, item->label);
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(rows->file, ",%s", of_number_text(values->numbers[i], text));
    if (rows->with_threshold)
        (void)fputs(values->anomalous ? ",1" : ",0", rows->file);
    if (rows->with_source) {
        (void)fputc(',', rows->file);
        of_csv_write(rows->file, source);
    }
    (void)fputc('\n', rows->file);
}

static void json_row(const of_rows *rows, const char *source, const of_item *item,
                     const row_values *values) {
    of_json json = of_json_to(rows->file, false);
    of_json_object(&json, NULL);
    of_json_text(&json, "path", item->path);
    of_json_text(&json, "label", item->label);
    for (size_t i = 0; i < rows->count; i++)
        of_json_real(&json, rows->columns[i].name, values->numbers[i]);
    if (rows->with_threshold)
        of_json_flag(&json, "anomalous", values->anomalous);
    if (rows->with_source)
        of_json_text(&json, "source", source);
    of_json_end(&json);
}

static int column_width(const of_row_column *column) {
    int length = (int)strlen(column->name);
    return (length > NUMBER_WIDTH ? length : NUMBER_WIDTH) + 2;
}

static void table_header(const of_rows *rows) {
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(rows->file, "%*s", column_width(&rows->columns[i]), rows->columns[i].name);
    (void)fprintf(rows->file, "%s  %-*s  path\n", rows->with_threshold ? "  anomalous" : "",
                  LABEL_WIDTH, "label");
}

/* The path stands last, because it alone has no bound. */
static void table_row(const of_rows *rows, const char *source, const of_item *item,
                      const row_values *values) {
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(rows->file, "%*.*f", column_width(&rows->columns[i]),
                      rows->columns[i].kind == OF_COLUMN_BITS ? 4 : 2, values->numbers[i]);
    if (rows->with_threshold)
        (void)fprintf(rows->file, "  %9s", values->anomalous ? "yes" : "no");
    (void)fputs("  ", rows->file);
    of_plain_write(rows->file, item->label);
    (void)fprintf(rows->file, "%*s", (int)(LABEL_WIDTH - strnlen(item->label, LABEL_WIDTH)) + 2,
                  "");
    if (rows->with_source) {
        of_plain_write(rows->file, source);
        (void)fputs(": ", rows->file);
    }
    of_plain_write(rows->file, item->path);
    (void)fputc('\n', rows->file);
}

static void write_header(const of_rows *rows) {
    if (rows->format == OF_ROWS_CSV)
        csv_header(rows);
    if (rows->format == OF_ROWS_TABLE)
        table_header(rows);
}

void of_rows_write(of_rows *rows, const char *source, const of_item *item,
                   const of_image_likelihood *likelihood) {
    row_values values = evaluate(rows, likelihood);
    if (rows->written++ == 0)
        write_header(rows);
    switch (rows->format) {
    case OF_ROWS_CSV:
        csv_row(rows, source, item, &values);
        return;
    case OF_ROWS_JSONL:
        json_row(rows, source, item, &values);
        return;
    case OF_ROWS_TABLE:
        table_row(rows, source, item, &values);
        return;
    }
}
