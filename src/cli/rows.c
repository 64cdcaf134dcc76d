/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/rows.h"

#include "cli/scoring.h"
#include "cli/terminal/words.h"
#include "core/error.h"
#include "core/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { NUMBER_WIDTH = 11, LABEL_WIDTH = 12 };

/* ---- Columns ------------------------------------------------------------------------------ */

static of_row_column *add_column(of_rows *rows, const char *name, of_column_kind kind) {
    assert(rows->count < OF_ROW_COLUMNS + (size_t)rows->architecture.classes);
    of_row_column *column = &rows->columns[rows->count++];
    (void)snprintf(column->name, sizeof column->name, "%s", name);
    column->kind = kind;
    return column;
}

void of_rows_add_named(of_rows *rows, of_score score) {
    char name[32];
    of_score_name(score, name, sizeof name);
    add_column(rows, name, OF_COLUMN_SCORE)->score = score;
}

static void add_score_column(of_rows *rows, of_score_kind kind) {
    of_rows_add_named(rows, (of_score){kind, 0});
}

of_status of_rows_open(of_rows *rows, FILE *file, of_row_format format,
                       const of_architecture *architecture, const of_calibration *calibration,
                       of_error *error) {
    size_t most = OF_ROW_COLUMNS + (size_t)architecture->classes;
    *rows = (of_rows){
        .file = file, .format = format, .architecture = *architecture, .calibration = calibration};
    rows->columns = of_allocate_zeroed(most, sizeof *rows->columns);
    rows->numbers = of_allocate(most, sizeof *rows->numbers);
    if (rows->columns == NULL || rows->numbers == NULL)
        return of_fail_memory(error, "the columns of the rows");
    of_status status =
        format == OF_ROWS_JSONL ? of_json_create(file, false, &rows->json, error) : OF_OK;
    if (status != OF_OK)
        return status;
    add_column(rows, "bits_per_dim", OF_COLUMN_BITS);
    add_column(rows, "logp", OF_COLUMN_LOGP);
    for (uint32_t scale = 0; scale < of_architecture_scale_count(architecture); scale++) {
        char name[32];
        (void)snprintf(name, sizeof name, "logp_scale%" PRIu32, scale);
        add_column(rows, name, OF_COLUMN_CONTRIBUTION)->score = (of_score){OF_SCORE_SCALE, scale};
    }
    add_score_column(rows, OF_SCORE_NLL);
    add_score_column(rows, OF_SCORE_LAST);
    return OF_OK;
}

void of_rows_close(of_rows *rows) {
    of_json_free(rows->json);
    of_free(rows->columns);
    of_free(rows->numbers);
    rows->json = NULL;
    rows->columns = NULL;
    rows->numbers = NULL;
    rows->count = 0;
}

void of_rows_add_general(of_rows *rows, bool comparable_scales) {
    add_column(rows, "logp_general", OF_COLUMN_GENERAL_LOGP);
    add_score_column(rows, OF_SCORE_RATIO);
    if (comparable_scales)
        add_score_column(rows, OF_SCORE_RATIO_LAST);
}

void of_rows_add_classes(of_rows *rows) {
    add_column(rows, "predicted_class", OF_COLUMN_CLASS);
    for (uint32_t class = 0; class < rows->architecture.classes; class ++) {
        char name[32];
        (void)snprintf(name, sizeof name, "logp_class%" PRIu32, class);
        add_column(rows, name, OF_COLUMN_CLASS_LOGP)->class = class;
    }
}

void of_rows_add_score(of_rows *rows, of_score score) {
    add_column(rows, "score", OF_COLUMN_SCORE)->score = score;
}

void of_rows_add_p_value(of_rows *rows, of_score score) {
    add_column(rows, "p_value", OF_COLUMN_P_VALUE)->score = score;
}

void of_rows_add_threshold(of_rows *rows, of_score score, double threshold) {
    rows->with_flag = true;
    rows->score = score;
    rows->threshold = threshold;
}

void of_rows_add_rate(of_rows *rows, of_score score, double rate) {
    rows->with_flag = true;
    rows->score = score;
    rows->rate = rate;
}

void of_rows_add_source(of_rows *rows) {
    rows->with_source = true;
}

/* ---- Values ------------------------------------------------------------------------------- */

static double score_value(const of_rows *rows, of_score score, const of_image_likelihood *image) {
    return rows->calibration != NULL ? of_calibrated_value(rows->calibration, score, image)
                                     : of_score_value(score, &rows->architecture, image);
}

static double p_value(const of_rows *rows, of_score score, const of_image_likelihood *image) {
    return of_calibration_p_value(rows->calibration, score, score_value(rows, score, image));
}

/* Ties go to the first class; what is not a number is no class's. */
static double likeliest_class(const of_rows *rows, const of_image_likelihood *image) {
    uint32_t best = 0;
    for (uint32_t class = 0; class < rows->architecture.classes; class ++) {
        if (isnan(image->class_logp[class]))
            return (double)NAN;
        if (image->class_logp[class] > image->class_logp[best])
            best = class;
    }
    return best;
}

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
    case OF_COLUMN_CLASS:
        return likeliest_class(rows, likelihood);
    case OF_COLUMN_CLASS_LOGP:
        return likelihood->class_logp[column->class];
    case OF_COLUMN_SCORE:
        return score_value(rows, column->score, likelihood);
    case OF_COLUMN_P_VALUE:
        return p_value(rows, column->score, likelihood);
    }
    return (double)NAN;
}

static bool is_anomalous(const of_rows *rows, const of_image_likelihood *likelihood) {
    if (!rows->with_flag)
        return false;
    if (rows->rate > 0)
        return p_value(rows, rows->score, likelihood) <= rows->rate;
    return of_scoring_reaches(score_value(rows, rows->score, likelihood), rows->threshold);
}

/* Fills rows->numbers; returns whether the image is flagged. */
static bool evaluate(of_rows *rows, const of_image_likelihood *likelihood) {
    bool finite = true, anomalous = is_anomalous(rows, likelihood);
    for (size_t i = 0; i < rows->count; i++) {
        rows->numbers[i] = column_value(rows, &rows->columns[i], likelihood);
        finite = finite && isfinite(rows->numbers[i]);
    }
    rows->non_finite += !finite;
    rows->anomalous += anomalous;
    return anomalous;
}

/* ---- Formats ------------------------------------------------------------------------------ */

static void csv_header(const of_rows *rows) {
    (void)fputs("path,label", rows->file);
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(rows->file, ",%s", rows->columns[i].name);
    (void)fprintf(rows->file, "%s%s\n", rows->with_flag ? ",anomalous" : "",
                  rows->with_source ? ",source" : "");
}

static void csv_row(const of_rows *rows, const char *source, const of_item *item, bool anomalous) {
    char text[OF_NUMBER_SIZE];
    of_csv_write(rows->file, item->path);
    (void)fputc(',', rows->file);
    of_csv_write(rows->file, item->label);
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(rows->file, ",%s", of_number_text(rows->numbers[i], text));
    if (rows->with_flag)
        (void)fputs(anomalous ? ",1" : ",0", rows->file);
    if (rows->with_source) {
        (void)fputc(',', rows->file);
        of_csv_write(rows->file, source);
    }
    (void)fputc('\n', rows->file);
}

static void json_row(const of_rows *rows, const char *source, const of_item *item, bool anomalous) {
    of_json *json = rows->json;
    of_json_object(json, NULL);
    of_json_text(json, "path", item->path);
    of_json_text(json, "label", item->label);
    for (size_t i = 0; i < rows->count; i++)
        of_json_real(json, rows->columns[i].name, rows->numbers[i]);
    if (rows->with_flag)
        of_json_flag(json, "anomalous", anomalous);
    if (rows->with_source)
        of_json_text(json, "source", source);
    of_json_end(json);
}

static int column_width(const of_row_column *column) {
    int length = (int)strlen(column->name);
    return (length > NUMBER_WIDTH ? length : NUMBER_WIDTH) + 2;
}

static void table_header(const of_rows *rows) {
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(rows->file, "%*s", column_width(&rows->columns[i]), rows->columns[i].name);
    (void)fprintf(rows->file, "%s  %-*s  path\n", rows->with_flag ? "  anomalous" : "", LABEL_WIDTH,
                  "label");
}

static int decimals(of_column_kind kind) {
    return kind == OF_COLUMN_CLASS                               ? 0
           : kind == OF_COLUMN_BITS || kind == OF_COLUMN_P_VALUE ? 4
                                                                 : 2;
}

/* The path stands last, because it alone has no bound. */
static void table_row(const of_rows *rows, const char *source, const of_item *item,
                      bool anomalous) {
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(rows->file, "%*.*f", column_width(&rows->columns[i]),
                      decimals(rows->columns[i].kind), rows->numbers[i]);
    if (rows->with_flag)
        (void)fprintf(rows->file, "  %9s", anomalous ? "yes" : "no");
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
    bool anomalous = evaluate(rows, likelihood);
    if (rows->written++ == 0)
        write_header(rows);
    switch (rows->format) {
    case OF_ROWS_CSV:
        csv_row(rows, source, item, anomalous);
        return;
    case OF_ROWS_JSONL:
        json_row(rows, source, item, anomalous);
        return;
    case OF_ROWS_TABLE:
        table_row(rows, source, item, anomalous);
        return;
    }
}
