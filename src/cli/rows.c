/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cli/rows.h"

#include <outflow/output.h>

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMBER_WIDTH = 11, LABEL_WIDTH = 12 };

/* ---- Columns ------------------------------------------------------------------------------ */

static of_row_column *add_column(of_rows *rows, const char *name, of_column_kind kind) {
    assert(rows->count < OF_ROW_COLUMNS + (size_t)rows->architecture->classes);
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

/* Where the precision does not spoil it. */
static void add_kept_column(of_rows *rows, of_score_kind kind) {
    if (of_detector_check_score(rows->detector, (of_score){kind, 0}, NULL) == OF_OK)
        add_score_column(rows, kind);
}

of_status of_rows_open(of_rows *rows, FILE *file, of_row_format format, const of_detector *detector,
                       of_error *error) {
    const of_architecture *architecture = of_detector_architecture(detector);
    size_t most = OF_ROW_COLUMNS + (size_t)architecture->classes;
    *rows = (of_rows){.file = file,
                      .on_terminal = isatty(fileno(file)) == 1,
                      .format = format,
                      .detector = detector,
                      .architecture = architecture};
    rows->columns = calloc(most, sizeof *rows->columns);
    rows->numbers = calloc(most, sizeof *rows->numbers);
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
    add_kept_column(rows, OF_SCORE_NLL);
    add_kept_column(rows, OF_SCORE_LAST);
    return OF_OK;
}

void of_rows_close(of_rows *rows) {
    of_json_free(rows->json);
    free(rows->columns);
    free(rows->numbers);
    rows->json = NULL;
    rows->columns = NULL;
    rows->numbers = NULL;
    rows->count = 0;
}

void of_rows_add_general(of_rows *rows, bool comparable_scales) {
    add_column(rows, "logp_general", OF_COLUMN_GENERAL_LOGP);
    add_kept_column(rows, OF_SCORE_RATIO);
    if (comparable_scales)
        add_score_column(rows, OF_SCORE_RATIO_LAST);
}

void of_rows_add_classes(of_rows *rows) {
    add_column(rows, "predicted_class", OF_COLUMN_CLASS);
    for (uint32_t class = 0; class < rows->architecture->classes; class ++) {
        char name[32];
        (void)snprintf(name, sizeof name, "logp_class%" PRIu32, class);
        add_column(rows, name, OF_COLUMN_CLASS_LOGP)->class = class;
    }
}

void of_rows_add_tiles(of_rows *rows, of_score score) {
    add_column(rows, "tiles", OF_COLUMN_TILES);
    add_column(rows, "tile_height", OF_COLUMN_TILE_HEIGHT);
    add_column(rows, "tile_width", OF_COLUMN_TILE_WIDTH);
    add_column(rows, "tile_mean", OF_COLUMN_TILE_MEAN)->score = score;
    if (isnan(of_detector_tile_p_value(rows->detector, score, 0)))
        return;
    add_column(rows, "tiles_flagged", OF_COLUMN_TILE_FLAGGED)->score = score;
    add_column(rows, "p_bonferroni", OF_COLUMN_TILE_BONFERRONI)->score = score;
}

void of_rows_add_score(of_rows *rows, of_score score) {
    add_column(rows, "score", OF_COLUMN_SCORE)->score = score;
}

void of_rows_add_p_value(of_rows *rows, of_score score) {
    add_column(rows, "p_value", OF_COLUMN_P_VALUE)->score = score;
    rows->p_score = score;
}

void of_rows_add_flag(of_rows *rows, of_flag_rule rule) {
    rows->with_flag = true;
    rows->rule = rule;
}

void of_rows_add_source(of_rows *rows) {
    rows->with_source = true;
}

/* ---- Values ------------------------------------------------------------------------------- */

/* Ties go to the first class; what is not a number is no class's. */
static double likeliest_class(const of_rows *rows, const of_image_likelihood *image) {
    uint32_t best = 0;
    for (uint32_t class = 0; class < rows->architecture->classes; class ++) {
        if (isnan(image->class_logp[class]))
            return (double)NAN;
        if (image->class_logp[class] > image->class_logp[best])
            best = class;
    }
    return best;
}

/* `values` [score_count] of the summary. */
static double of_tiles(const of_tile_summary *tiles, const double *values, of_score score) {
    size_t i = of_tile_summary_find(tiles, score);
    return i < tiles->score_count ? values[i] : (double)NAN;
}

static double tiles_value(const of_row_column *column, const of_tile_summary *tiles) {
    switch (column->kind) {
    case OF_COLUMN_TILES:
        return (double)tiles->count;
    case OF_COLUMN_TILE_HEIGHT:
        return tiles->tile.height;
    case OF_COLUMN_TILE_WIDTH:
        return tiles->tile.width;
    case OF_COLUMN_TILE_MEAN:
        return of_tiles(tiles, tiles->means, column->score);
    case OF_COLUMN_TILE_FLAGGED:
        return of_tiles(tiles, tiles->flagged, column->score);
    default:
        return of_tile_bonferroni(tiles, column->score);
    }
}

static double column_value(const of_rows *rows, const of_row_column *column,
                           const of_image_likelihood *likelihood) {
    if (column->kind >= OF_COLUMN_TILES)
        return tiles_value(column, likelihood->tiles);
    switch (column->kind) {
    case OF_COLUMN_BITS:
        return of_bits_per_dim(rows->architecture, likelihood->logp);
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
        return of_detector_value(rows->detector, column->score, likelihood);
    case OF_COLUMN_P_VALUE:
        return of_detector_p_value(rows->detector, column->score,
                                   of_detector_value(rows->detector, column->score, likelihood));
    default:
        break;
    }
    return (double)NAN;
}

static bool is_anomalous(const of_rows *rows, const of_image_likelihood *likelihood) {
    return rows->with_flag &&
           of_detector_flags(rows->detector, &rows->rule,
                             of_detector_value(rows->detector, rows->rule.score, likelihood));
}

/* Fills rows->numbers; returns whether the image is flagged. */
static bool evaluate(of_rows *rows, const of_image_likelihood *likelihood) {
    bool finite = true, anomalous = is_anomalous(rows, likelihood);
    for (size_t i = 0; i < rows->count; i++) {
        rows->numbers[i] = column_value(rows, &rows->columns[i], likelihood);
        finite = finite && isfinite(rows->numbers[i]);
        if (rows->columns[i].kind == OF_COLUMN_P_VALUE)
            of_drift_add(&rows->drift, rows->numbers[i]);
    }
    rows->non_finite += !finite;
    rows->anomalous += anomalous;
    return anomalous;
}

/* ---- Formats ------------------------------------------------------------------------------ */

static void csv_header(const of_rows *rows, FILE *file) {
    (void)fputs("path,label", file);
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(file, ",%s", rows->columns[i].name);
    (void)fprintf(file, "%s%s,resized_from,notes\n", rows->with_flag ? ",anomalous" : "",
                  rows->with_source ? ",source" : "");
}

/* "WIDTHxHEIGHT" of an image that was resized, else "". */
static const char *resized_from(const of_item *item, char text[OF_NUMBER_SIZE]) {
    text[0] = '\0';
    if (item->info.resized)
        (void)snprintf(text, OF_NUMBER_SIZE, "%" PRIu32 "x%" PRIu32, item->width, item->height);
    return text;
}

/* A terminal obeys what is written to it; a file gets names as they are. */
static void csv_text(const of_rows *rows, const char *text) {
    char *plain = rows->on_terminal ? strdup(text) : NULL;
    if (plain != NULL)
        of_plain_text(plain);
    if (rows->on_terminal && plain == NULL)
        of_plain_write(rows->file, text);
    else
        of_csv_write_text(rows->file, plain != NULL ? plain : text);
    free(plain);
}

static void csv_row(const of_rows *rows, const char *source, const of_item *item, bool anomalous) {
    char text[OF_NUMBER_SIZE];
    csv_text(rows, item->path);
    (void)fputc(',', rows->file);
    csv_text(rows, item->label);
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(rows->file, ",%s", of_number_text(rows->numbers[i], text));
    if (rows->with_flag)
        (void)fputs(anomalous ? ",1" : ",0", rows->file);
    if (rows->with_source) {
        (void)fputc(',', rows->file);
        csv_text(rows, source);
    }
    char notes[OF_NOTES_SIZE];
    (void)fprintf(rows->file, ",%s,%s\n", resized_from(item, text),
                  of_image_notes(&item->info, notes));
}

static void json_row(const of_rows *rows, of_json *json, const char *source, const of_item *item,
                     bool anomalous) {
    of_json_object(json, NULL);
    of_json_text(json, "path", item->path);
    of_json_text(json, "label", item->label);
    for (size_t i = 0; i < rows->count; i++)
        of_json_real(json, rows->columns[i].name, rows->numbers[i]);
    if (rows->with_flag)
        of_json_flag(json, "anomalous", anomalous);
    if (rows->with_source)
        of_json_text(json, "source", source);
    char text[OF_NUMBER_SIZE], notes[OF_NOTES_SIZE];
    of_json_text(json, "resized_from", resized_from(item, text));
    of_json_text(json, "notes", of_image_notes(&item->info, notes));
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
    return kind == OF_COLUMN_CLASS || (kind >= OF_COLUMN_TILES && kind <= OF_COLUMN_TILE_WIDTH) ? 0
           : kind == OF_COLUMN_BITS || kind == OF_COLUMN_P_VALUE || kind > OF_COLUMN_TILE_MEAN  ? 4
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
    char notes[OF_NOTES_SIZE];
    if (of_image_notes(&item->info, notes)[0] != '\0')
        (void)fprintf(rows->file, "  (%s)", notes);
    (void)fputc('\n', rows->file);
}

static void write_header(const of_rows *rows) {
    if (rows->format == OF_ROWS_CSV)
        csv_header(rows, rows->file);
    if (rows->format == OF_ROWS_TABLE)
        table_header(rows);
}

bool of_rows_write(of_rows *rows, const char *source, const of_item *item,
                   const of_image_likelihood *likelihood) {
    bool anomalous = evaluate(rows, likelihood);
    if (rows->written++ == 0)
        write_header(rows);
    switch (rows->format) {
    case OF_ROWS_CSV:
        csv_row(rows, source, item, anomalous);
        break;
    case OF_ROWS_JSONL:
        json_row(rows, rows->json, source, item, anomalous);
        break;
    case OF_ROWS_TABLE:
        table_row(rows, source, item, anomalous);
        break;
    }
    return anomalous;
}

char *of_rows_text(of_rows *rows, const char *source, const of_item *item, bool anomalous) {
    char *text = NULL;
    size_t size;
    of_json *json = NULL;
    FILE *file = open_memstream(&text, &size);
    bool made = file != NULL && of_json_create(file, false, &json, NULL) == OF_OK;
    if (made)
        json_row(rows, json, source, item, anomalous);
    of_json_free(json);
    made = file != NULL && fclose(file) == 0 && made;
    if (made)
        return text;
    free(text);
    return NULL;
}

/* ---- Going on with a file ---------------------------------------------------------------------
 */

static of_status compare_header(const of_rows *rows, const char *path, FILE *old, of_error *error) {
    char *wanted = NULL, *found = NULL;
    size_t wanted_size, found_size = 0;
    FILE *header = open_memstream(&wanted, &wanted_size);
    of_status status = header != NULL ? OF_OK : of_fail_memory(error, "a header line");
    if (header != NULL) {
        csv_header(rows, header);
        if (fclose(header) != 0)
            status = of_fail_memory(error, "a header line");
    }
    if (status == OF_OK && (getline(&found, &found_size, old) < 0 || strcmp(found, wanted) != 0))
        status = of_fail(error, OF_ERROR_MISMATCH,
                         "%.300s: it has other columns: rows cannot be added to it; choose another "
                         "file or move this one away",
                         path);
    free(wanted);
    free(found);
    return status;
}

of_status of_rows_continue(of_rows *rows, const char *path, of_error *error) {
    FILE *old = path != NULL && rows->format == OF_ROWS_CSV ? fopen(path, "re") : NULL;
    of_status status = OF_OK;
    int first = old != NULL ? fgetc(old) : EOF;
    if (first != EOF) {
        rewind(old);
        status = compare_header(rows, path, old, error);
        rows->written = status == OF_OK;
    }
    if (old != NULL)
        (void)fclose(old);
    return status;
}
