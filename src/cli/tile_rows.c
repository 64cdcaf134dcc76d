/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/tile_rows.h"

#include <inttypes.h>
#include <math.h>
#include <outflow/output.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static of_status choose_scores(of_tile_rows *rows, unsigned needs, of_error *error) {
    const unsigned coders = OF_NEEDS_PNG | OF_NEEDS_WEBP;
    size_t count = of_detector_scores(rows->detector, NULL, 0);
    rows->scores = calloc(count, sizeof *rows->scores);
    if (rows->scores == NULL)
        return of_fail_memory(error, "scores");
    (void)of_detector_scores(rows->detector, rows->scores, count);
    for (size_t i = 0; i < count; i++)
        if ((of_score_needs(rows->scores[i]) & coders & ~needs) == 0)
            rows->scores[rows->count++] = rows->scores[i];
    return OF_OK;
}

static void write_header(const of_tile_rows *rows) {
    FILE *file = of_output_file(rows->output);
    (void)fputs("source,path,label,x,y,width,height", file);
    for (size_t i = 0; i < rows->count; i++) {
        char name[32];
        of_score_name(rows->scores[i], name, sizeof name);
        (void)fprintf(file, ",%s", name);
    }
    (void)fputs(rows->with_p_value ? ",tile_p_value\n" : "\n", file);
}

of_status of_tile_rows_open(of_tile_rows *rows, const char *path, const of_detector *detector,
                            of_score judged, unsigned needs, of_error *error) {
    *rows = (of_tile_rows){.detector = detector, .judged = judged};
    rows->with_p_value = !isnan(of_detector_tile_p_value(detector, judged, 0));
    of_status status = of_output_open(path, &rows->output, error);
    if (status == OF_OK)
        status = choose_scores(rows, needs, error);
    if (status == OF_OK)
        write_header(rows);
    return status;
}

/* The tile's name ends with its place, which has columns of its own. */
static void write_path(FILE *file, const char *path) {
    char *name = strdup(path), *place = name != NULL ? strrchr(name, '@') : NULL;
    if (place != NULL)
        *place = '\0';
    of_csv_write_text(file, name != NULL ? name : path);
    free(name);
}

static void write_row(const of_tile_rows *rows, const of_item *item,
                      const of_image_likelihood *likelihood) {
    char text[OF_NUMBER_SIZE];
    FILE *file = of_output_file(rows->output);
    const of_tile *tile = &item->tile;
    of_csv_write_text(file, rows->source);
    (void)fputc(',', file);
    write_path(file, item->path);
    (void)fputc(',', file);
    of_csv_write_text(file, item->label);
    (void)fprintf(file, ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32, tile->x, tile->y,
                  tile->width, tile->height);
    for (size_t i = 0; i < rows->count; i++)
        (void)fprintf(
            file, ",%s",
            of_number_text(of_detector_value(rows->detector, rows->scores[i], likelihood), text));
    if (rows->with_p_value) {
        double value = of_detector_value(rows->detector, rows->judged, likelihood);
        (void)fprintf(
            file, ",%s",
            of_number_text(of_detector_tile_p_value(rows->detector, rows->judged, value), text));
    }
    (void)fputc('\n', file);
}

of_status of_tile_rows_write(void *user, const of_scored_batch *tiles, of_error *error) {
    const of_tile_rows *rows = user;
    (void)error;
    for (size_t i = 0; i < of_scored_count(tiles); i++) {
        of_image_likelihood likelihood = of_scored_likelihood(tiles, i);
        write_row(rows, of_scored_item(tiles, i), &likelihood);
    }
    return OF_OK;
}

of_status of_tile_rows_commit(of_tile_rows *rows, of_error *error) {
    return rows->output != NULL ? of_console_commit(&rows->output, error) : OF_OK;
}

void of_tile_rows_close(of_tile_rows *rows) {
    of_output_discard(rows->output);
    free(rows->scores);
    *rows = (of_tile_rows){.output = NULL};
}
